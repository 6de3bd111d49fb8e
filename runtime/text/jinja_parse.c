#include "jinja_parser.h"
#include "memory.h"

static pm_node *parse_body(pm_jinja_parser *p, const char *const *ends);

static bool end_tag(pm_jinja_parser *p) {
  if (p->at->kind == PM_TOKEN_BLOCK_END) return p->at++, true;
  pm_jinja_object(p, PM_ERR_FORMAT, "expected the end of the tag");
  return false;
}

// The body of a block up to {% end... %}, which is taken.
static pm_node *parse_block(pm_jinja_parser *p, const char *end) {
  const char *const ends[] = {end, NULL};
  if (!end_tag(p)) return NULL;
  pm_node *body = parse_body(p, ends);
  if (p->status != PM_OK) return NULL;
  p->at++;
  end_tag(p);
  return body;
}

static pm_node *parse_if(pm_jinja_parser *p) {
  static const char *const ends[] = {"elif", "else", "endif", NULL};
  if (!pm_jinja_deeper(p)) return NULL;
  pm_node *n = pm_jinja_new_pair(p, PM_NODE_IF, pm_jinja_open_tuple(p), NULL);
  if (!n || !end_tag(p)) return NULL;
  n->kid[1] = parse_body(p, ends);
  if (p->status != PM_OK) return NULL;
  const pm_jinja_token *word = p->at++;
  if (pm_span_is(word->text, "elif"))
    n->kid[2] = parse_if(p);
  else if (pm_span_is(word->text, "else"))
    n->kid[2] = parse_block(p, "endif");
  else
    end_tag(p);
  p->depth--;
  return n;
}

static pm_node *parse_target(pm_jinja_parser *p) {
  pm_node *first = NULL, **tail = &first, *n;
  bool tuple = false, brackets = pm_jinja_take_operator(p, "(");
  do {
    if (first && p->at->kind != PM_TOKEN_NAME) break;
    n = pm_jinja_new_node(p, PM_NODE_NAME);
    if (!n) return NULL;
    n->value = pm_jinja_expect_any_name(p);
    pm_jinja_append(&tail, n);
    tuple |= pm_jinja_at_operator(p, ",");
  } while (p->status == PM_OK && pm_jinja_take_operator(p, ","));
  if (brackets && !pm_jinja_expect_operator(p, ")")) return NULL;
  return tuple ? pm_jinja_new_pair(p, PM_NODE_TUPLE, first, NULL) : first;
}

static pm_node *parse_for(pm_jinja_parser *p) {
  static const char *const ends[] = {"else", "endfor", NULL};
  pm_node *n = pm_jinja_new_pair(p, PM_NODE_FOR, parse_target(p), NULL);
  if (!n) return NULL;
  if (!pm_jinja_take_name(p, "in")) return pm_jinja_object(p, PM_ERR_FORMAT, "expected 'in'");
  n->kid[1] = pm_jinja_condition(p);  // an "if" here is the loop's condition
  if (n->kid[1] && pm_jinja_at_operator(p, ",")) return pm_jinja_object(p, PM_ERR_UNSUPPORTED, "put brackets around a tuple; unexpected");
  if (pm_jinja_take_name(p, "if")) n->kid[4] = pm_jinja_expression(p);
  if (pm_jinja_at_name(p, "recursive")) return pm_jinja_object(p, PM_ERR_UNSUPPORTED, "recursive loops are not known here");
  if (p->status != PM_OK || !end_tag(p)) return NULL;
  p->loops++;
  n->kid[2] = parse_body(p, ends);
  p->loops--;
  if (p->status != PM_OK) return NULL;
  if (pm_span_is(p->at++->text, "else"))
    n->kid[3] = parse_block(p, "endfor");
  else
    end_tag(p);
  return n;
}

static pm_node *parse_set(pm_jinja_parser *p) {
  pm_node *target = parse_target(p);
  if (target && target->kind == PM_NODE_NAME && pm_jinja_take_operator(p, ".")) target = pm_jinja_attribute(p, target);
  if (!target) return NULL;
  if (pm_jinja_take_operator(p, "=")) {
    pm_node *n = pm_jinja_new_pair(p, PM_NODE_SET, target, pm_jinja_open_tuple(p));
    end_tag(p);
    return n;
  }
  pm_node *n = pm_jinja_new_pair(p, PM_NODE_CAPTURE, target, NULL);
  if (!n) return NULL;
  if (pm_jinja_take_operator(p, "|")) n->kid[2] = pm_jinja_filters(p, pm_jinja_filter(p, NULL));
  n->kid[1] = parse_block(p, "endset");
  return n;
}

// Behind "(" of a macro or a call block.
static pm_node *parse_parameters(pm_jinja_parser *p) {
  pm_node *first = NULL, **tail = &first;
  while (p->status == PM_OK && !pm_jinja_take_operator(p, ")")) {
    if (first && !pm_jinja_expect_operator(p, ",")) break;
    if (pm_jinja_take_operator(p, ")")) break;
    pm_node *n = pm_jinja_new_node(p, PM_NODE_ARGUMENT);
    if (!n) break;
    n->value = pm_jinja_expect_any_name(p);
    if (pm_jinja_take_operator(p, "=")) n->kid[0] = pm_jinja_expression(p);
    pm_jinja_append(&tail, n);
  }
  return first;
}

// Breaks and continues inside do not reach loops outside.
static pm_node *parse_own_block(pm_jinja_parser *p, const char *end) {
  int loops = p->loops;
  p->loops = 0;
  pm_node *body = parse_block(p, end);
  p->loops = loops;
  return body;
}

static pm_node *parse_macro(pm_jinja_parser *p) {
  pm_node *n = pm_jinja_new_node(p, PM_NODE_MACRO);
  if (!n) return NULL;
  n->value = pm_jinja_expect_any_name(p);
  if (!pm_jinja_expect_operator(p, "(")) return NULL;
  n->kid[0] = parse_parameters(p);
  n->kid[1] = parse_own_block(p, "endmacro");
  return n;
}

static pm_node *parse_call(pm_jinja_parser *p) {
  pm_node *n = pm_jinja_new_node(p, PM_NODE_CALLER);
  if (!n) return NULL;
  if (pm_jinja_take_operator(p, "(")) n->kid[2] = parse_parameters(p);
  n->kid[0] = pm_jinja_expression(p);
  if (n->kid[0] && n->kid[0]->kind != PM_NODE_CALL) return pm_jinja_object(p, PM_ERR_FORMAT, "expected a call before");
  n->kid[1] = parse_own_block(p, "endcall");
  return n;
}

static pm_node *parse_filter_block(pm_jinja_parser *p) {
  pm_node *n = pm_jinja_new_node(p, PM_NODE_CAPTURE);
  if (!n) return NULL;
  n->kid[2] = pm_jinja_filters(p, pm_jinja_filter(p, NULL));
  n->kid[1] = parse_block(p, "endfilter");
  return n;
}

static pm_node *parse_with(pm_jinja_parser *p) {
  pm_node *n = pm_jinja_new_node(p, PM_NODE_WITH), *sets = NULL, **tail = &sets;
  while (n && p->status == PM_OK && p->at->kind != PM_TOKEN_BLOCK_END) {
    if (sets && !pm_jinja_expect_operator(p, ",")) break;
    pm_node *target = parse_target(p);
    if (!target || !pm_jinja_expect_operator(p, "=")) break;
    pm_jinja_append(&tail, pm_jinja_new_pair(p, PM_NODE_SET, target, pm_jinja_expression(p)));
  }
  if (!n || p->status != PM_OK) return NULL;
  n->kid[0] = sets;
  n->kid[1] = parse_block(p, "endwith");
  return n;
}

// What an answer is made of is marked for training; here the marks are nothing but a scope.
static pm_node *parse_generation(pm_jinja_parser *p) {
  pm_node *n = pm_jinja_new_node(p, PM_NODE_WITH);
  if (n) n->kid[1] = parse_own_block(p, "endgeneration");
  return n;
}

static pm_node *parse_jump(pm_jinja_parser *p, pm_node_kind kind) {
  if (!p->loops) return pm_jinja_object(p, PM_ERR_FORMAT, "outside of a loop");
  pm_node *n = pm_jinja_new_node(p, kind);
  end_tag(p);
  return n;
}

static pm_node *parse_break(pm_jinja_parser *p) { return parse_jump(p, PM_NODE_BREAK); }
static pm_node *parse_continue(pm_jinja_parser *p) { return parse_jump(p, PM_NODE_CONTINUE); }

static const struct {
  const char *word;
  pm_node *(*parse)(pm_jinja_parser *p);  // behind the word; takes the end of the statement
} statements[] = {{"if", parse_if},       {"for", parse_for},
                  {"set", parse_set},     {"macro", parse_macro},
                  {"call", parse_call},   {"filter", parse_filter_block},
                  {"with", parse_with},   {"generation", parse_generation},
                  {"break", parse_break}, {"continue", parse_continue}};

static pm_node *parse_statement(pm_jinja_parser *p) {
  for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
    if (!pm_jinja_take_name(p, statements[i].word)) continue;
    if (!pm_jinja_deeper(p)) return NULL;
    pm_node *n = statements[i].parse(p);
    p->depth--;
    return n;
  }
  return pm_jinja_object(p, PM_ERR_UNSUPPORTED, "unknown statement");
}

static pm_node *parse_output(pm_jinja_parser *p) {
  pm_node *n = pm_jinja_new_pair(p, PM_NODE_OUTPUT, pm_jinja_open_tuple(p), NULL);
  if (p->status != PM_OK || p->at->kind != PM_TOKEN_OUTPUT_END) return pm_jinja_object(p, PM_ERR_FORMAT, "expected }}");
  p->at++;
  return n;
}

static bool at_any(const pm_jinja_parser *p, const char *const *names) {
  for (; names && *names; names++)
    if (pm_jinja_at_name(p, *names)) return true;
  return false;
}

// Up to a statement named in `ends`, at whose name it stops; NULL = the end of the template.
static pm_node *parse_body(pm_jinja_parser *p, const char *const *ends) {
  pm_node *first = NULL, **tail = &first;
  while (p->status == PM_OK) {
    const pm_jinja_token *t = p->at;
    if (t->kind == PM_TOKEN_END) {
      if (ends) pm_jinja_object(p, PM_ERR_FORMAT, "it ends inside of a block");
      break;
    }
    p->at++;
    if (t->kind == PM_TOKEN_OUTPUT_BEGIN) {
      pm_jinja_append(&tail, parse_output(p));
    } else if (t->kind == PM_TOKEN_BLOCK_BEGIN) {
      if (at_any(p, ends)) break;
      pm_jinja_append(&tail, parse_statement(p));
    } else {
      pm_node *n = pm_jinja_new_node(p, PM_NODE_TEXT);
      if (n) n->value = pm_value_text(t->text);
      pm_jinja_append(&tail, n);
    }
  }
  return first;
}

// Line ends become \n, as Jinja does it first of all.
static pm_status normalize(pm_heap *h, const char *text, size_t n, pm_span *out) {
  char *copy = pm_heap_alloc(h, n + 1), *p = copy;
  if (!copy) PM_FAIL(PM_ERR_MEMORY, "the chat template is too large: %zu bytes", n);
  for (size_t i = 0; i < n; i++) {
    *p++ = text[i] == '\r' ? '\n' : text[i];
    if (text[i] == '\r' && i + 1 < n && text[i + 1] == '\n') i++;
  }
  *out = (pm_span){copy, (size_t)(p - copy)};
  return PM_OK;
}

static pm_status parse(pm_jinja *t, const char *text, size_t n) {
  pm_span normalized;
  pm_jinja_token *tokens;
  PM_TRY(normalize(&t->heap, text, n, &normalized));
  PM_TRY(pm_jinja_lex(&t->heap, normalized, &tokens));
  pm_jinja_parser p = {.heap = &t->heap, .at = tokens};
  t->body = parse_body(&p, NULL);
  return p.status;
}

pm_status pm_jinja_parse(const char *text, size_t n, pm_jinja **out) {
  enum { MAX_BYTES = 1 << 20, MAX_TREE = 256 << 20 };
  pm_jinja *t;
  if (n > MAX_BYTES) PM_FAIL(PM_ERR_UNSUPPORTED, "the chat template has %zu bytes, at most %d can be", n, MAX_BYTES);
  PM_NEW(&t, 1, "a chat template");
  t->heap.limit = MAX_TREE;
  pm_status status = parse(t, text, n);
  if (status == PM_OK) return *out = t, PM_OK;
  pm_jinja_destroy(t);
  return status;
}

void pm_jinja_destroy(pm_jinja *t) {
  if (!t) return;
  pm_heap_finish(&t->heap);
  pm_free(t);
}
