#include <string.h>

#include "jinja_ast.h"
#include "memory.h"

typedef struct parser {
  pm_heap *heap;
  const pm_jinja_token *at;
  int depth;
  int loops;         // around the statement being read
  pm_status status;  // the first failure
} parser;

static pm_node *object_to(parser *p, pm_status code, const char *what) {
  if (p->status != PM_OK) return NULL;
  pm_span s = p->at->text;
  p->status = pm_fail(code, "chat template, line %u: %s at '%.*s'", p->at->line, what, (int)(s.n < 40 ? s.n : 40), s.n ? s.at : "");
  return NULL;
}

static pm_node *new_node(parser *p, pm_node_kind kind) {
  pm_node *n = pm_heap_alloc(p->heap, sizeof *n);
  if (!n && p->status == PM_OK) p->status = pm_fail(PM_ERR_MEMORY, "the chat template is too large");
  if (n) n->kind = kind, n->line = p->at->line;
  return n;
}

static pm_node *new_pair(parser *p, pm_node_kind kind, pm_node *a, pm_node *b) {
  pm_node *n = new_node(p, kind);
  if (n) n->kid[0] = a, n->kid[1] = b;
  return n;
}

static bool deeper(parser *p) {
  if (p->depth == PM_JINJA_MAX_DEPTH) object_to(p, PM_ERR_UNSUPPORTED, "nested too deeply");
  return p->status == PM_OK && ++p->depth;
}

static bool at_operator(const parser *p, const char *op) { return p->at->kind == PM_TOKEN_OPERATOR && pm_span_is(p->at->text, op); }
static bool at_name(const parser *p, const char *name) { return p->at->kind == PM_TOKEN_NAME && pm_span_is(p->at->text, name); }

static bool take_operator(parser *p, const char *op) {
  if (!at_operator(p, op)) return false;
  p->at++;
  return true;
}

static bool take_name(parser *p, const char *name) {
  if (!at_name(p, name)) return false;
  p->at++;
  return true;
}

static bool expect_operator(parser *p, const char *op) {
  if (take_operator(p, op)) return true;
  char what[32] = "expected ";
  strncat(what, op, 4);
  object_to(p, PM_ERR_FORMAT, what);
  return false;
}

// The text of a name that comes next; an empty value if there is none.
static pm_value expect_any_name(parser *p) {
  if (p->at->kind != PM_TOKEN_NAME) {
    object_to(p, PM_ERR_FORMAT, "expected a name");
    return (pm_value){0};
  }
  return pm_value_text(p->at++->text);
}

static void append(pm_node ***tail, pm_node *n) {
  if (!n) return;
  **tail = n;
  *tail = &n->next;
}

// ---- expressions ---------------------------------------------------------------------------------------------------

static pm_node *parse_expression(parser *p);
static pm_node *parse_unary(parser *p, bool with_filters);

// Up to `close`, which is taken, too.
static pm_node *parse_items(parser *p, const char *close) {
  pm_node *first = NULL, **tail = &first;
  while (p->status == PM_OK && !take_operator(p, close)) {
    if (first && !expect_operator(p, ",")) break;
    if (take_operator(p, close)) break;
    append(&tail, parse_expression(p));
  }
  return first;
}

static pm_node *parse_list(parser *p) {
  p->at++;
  pm_node *n = new_node(p, PM_NODE_LIST);
  pm_node *items = parse_items(p, "]");
  if (n) n->kid[0] = items;
  return n;
}

static pm_node *parse_dict(parser *p) {
  p->at++;
  pm_node *n = new_node(p, PM_NODE_DICT), *first = NULL, **tail = &first;
  while (p->status == PM_OK && !take_operator(p, "}")) {
    if (first && !expect_operator(p, ",")) break;
    if (take_operator(p, "}")) break;
    pm_node *key = parse_expression(p);
    if (!expect_operator(p, ":")) break;
    append(&tail, new_pair(p, PM_NODE_PAIR, key, parse_expression(p)));
  }
  if (n) n->kid[0] = first;
  return n;
}

// Behind "(": an expression in brackets or a tuple.
static pm_node *parse_brackets(parser *p) {
  p->at++;
  pm_node *n = new_node(p, PM_NODE_TUPLE);
  if (!n || take_operator(p, ")")) return n;
  pm_node *first = parse_expression(p);
  if (take_operator(p, ")")) return first;
  if (!first || !expect_operator(p, ",")) return NULL;
  first->next = parse_items(p, ")");
  n->kid[0] = first;
  return n;
}

static pm_node *constant(parser *p, pm_value v) {
  pm_node *n = new_node(p, PM_NODE_CONSTANT);
  if (n) n->value = v;
  return n;
}

static pm_node *parse_name(parser *p) {
  static const struct {
    const char *name;
    pm_value value;
  } words[] = {{"true", {PM_BOOL, {.truth = true}}},
               {"True", {PM_BOOL, {.truth = true}}},
               {"false", {PM_BOOL, {.truth = false}}},
               {"False", {PM_BOOL, {.truth = false}}},
               {"none", {PM_NONE, {0}}},
               {"None", {PM_NONE, {0}}}};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (take_name(p, words[i].name)) return constant(p, words[i].value);
  pm_node *n = new_node(p, PM_NODE_NAME);
  if (n) n->value = pm_value_text(p->at->text);
  p->at++;
  return n;
}

// Texts that follow each other are one.
static pm_node *parse_constant(parser *p) {
  pm_node *n = constant(p, p->at++->value);
  while (n && n->value.kind == PM_STRING && p->at->kind == PM_TOKEN_CONSTANT && p->at->value.kind == PM_STRING) {
    pm_span a = n->value.text, b = p->at++->value.text;
    char *both = pm_heap_alloc(p->heap, a.n + b.n + 1);
    if (!both) return object_to(p, PM_ERR_MEMORY, "the chat template is too large");
    memcpy(both, a.at, a.n);
    memcpy(both + a.n, b.at, b.n);
    n->value = pm_value_text((pm_span){both, a.n + b.n});
  }
  return n;
}

static pm_node *parse_primary(parser *p) {
  if (p->at->kind == PM_TOKEN_NAME) return parse_name(p);
  if (p->at->kind == PM_TOKEN_CONSTANT) return parse_constant(p);
  if (at_operator(p, "(")) return parse_brackets(p);
  if (at_operator(p, "[")) return parse_list(p);
  if (at_operator(p, "{")) return parse_dict(p);
  return object_to(p, PM_ERR_FORMAT, "expected an expression");
}

// Behind "(".
static pm_node *parse_arguments(parser *p) {
  pm_node *first = NULL, **tail = &first;
  while (p->status == PM_OK && !take_operator(p, ")")) {
    if (first && !expect_operator(p, ",")) break;
    if (take_operator(p, ")")) break;
    if (at_operator(p, "*") || at_operator(p, "**")) object_to(p, PM_ERR_UNSUPPORTED, "arguments with * are not known here");
    pm_node *n = new_node(p, PM_NODE_ARGUMENT);
    if (!n) break;
    if (p->at->kind == PM_TOKEN_NAME && p->at[1].kind == PM_TOKEN_OPERATOR && pm_span_is(p->at[1].text, "=")) {
      n->value = pm_value_text(p->at->text);
      p->at += 2;
    }
    n->kid[0] = parse_expression(p);
    append(&tail, n);
  }
  return first;
}

// Behind "[": x[i] or x[a:b:c].
static pm_node *parse_subscript(parser *p, pm_node *of) {
  pm_node *n = new_pair(p, PM_NODE_SLICE, of, NULL);
  int i = 1;
  bool slice = false;
  while (n && p->status == PM_OK && !take_operator(p, "]")) {
    if (take_operator(p, ":")) {
      slice = true;
      if (++i > 3) return object_to(p, PM_ERR_FORMAT, "a slice of more than three parts");
    } else if (n->kid[i]) {
      return object_to(p, PM_ERR_FORMAT, "expected ]");
    } else {
      n->kid[i] = parse_expression(p);
    }
  }
  if (n && !slice) {
    n->kind = PM_NODE_ITEM;
    if (!n->kid[1]) return object_to(p, PM_ERR_FORMAT, "expected an index before");
  }
  return n;
}

static pm_node *parse_attribute(parser *p, pm_node *of) {
  bool index = p->at->kind == PM_TOKEN_CONSTANT && p->at->value.kind == PM_INT;
  pm_node *n = new_pair(p, index ? PM_NODE_ITEM : PM_NODE_ATTRIBUTE, of, NULL);
  if (!n) return NULL;
  if (index)
    n->kid[1] = constant(p, p->at++->value);
  else
    n->value = expect_any_name(p);
  return n;
}

static pm_node *parse_postfix(parser *p, pm_node *n) {
  while (n && p->status == PM_OK) {
    if (take_operator(p, "."))
      n = parse_attribute(p, n);
    else if (take_operator(p, "["))
      n = parse_subscript(p, n);
    else if (take_operator(p, "("))
      n = new_pair(p, PM_NODE_CALL, n, parse_arguments(p));
    else
      break;
  }
  return n;
}

// Behind "|".
static pm_node *parse_filter(parser *p, pm_node *of) {
  pm_node *n = new_pair(p, PM_NODE_FILTER, of, NULL);
  if (!n) return NULL;
  n->value = expect_any_name(p);
  if (take_operator(p, "(")) n->kid[1] = parse_arguments(p);
  return n;
}

static bool begins_test_argument(const parser *p) {
  if (p->at->kind == PM_TOKEN_CONSTANT || at_operator(p, "[") || at_operator(p, "{")) return true;
  return p->at->kind == PM_TOKEN_NAME && !at_name(p, "else") && !at_name(p, "or") && !at_name(p, "and") && !at_name(p, "is") &&
         !at_name(p, "if") && !at_name(p, "in") && !at_name(p, "not");
}

// Behind "is": x is even, x is not divisibleby 3, x is in [1, 2].
static pm_node *parse_test(parser *p, pm_node *of) {
  bool negated = take_name(p, "not");
  pm_node *n = new_pair(p, PM_NODE_TEST, of, NULL);
  if (!n) return NULL;
  n->value = expect_any_name(p);
  if (take_operator(p, "(")) {
    n->kid[1] = parse_arguments(p);
  } else if (begins_test_argument(p)) {
    n->kid[1] = new_pair(p, PM_NODE_ARGUMENT, parse_postfix(p, parse_primary(p)), NULL);
  }
  return negated ? new_pair(p, PM_NODE_NOT, n, NULL) : n;
}

static pm_node *parse_filters(parser *p, pm_node *n) {
  while (n && p->status == PM_OK) {
    if (take_operator(p, "|"))
      n = parse_filter(p, n);
    else if (take_name(p, "is"))
      n = parse_test(p, n);
    else if (take_operator(p, "("))
      n = new_pair(p, PM_NODE_CALL, n, parse_arguments(p));
    else
      break;
  }
  return n;
}

static pm_node *parse_unary(parser *p, bool with_filters) {
  if (!deeper(p)) return NULL;
  pm_node *n;
  if (at_operator(p, "-") || at_operator(p, "+")) {
    n = new_node(p, PM_NODE_UNARY);
    pm_operator op = at_operator(p, "-") ? PM_OP_SUB : PM_OP_ADD;
    p->at++;
    pm_node *of = parse_unary(p, false);
    if (n) n->op = op, n->kid[0] = of;
  } else {
    n = parse_primary(p);
  }
  n = parse_postfix(p, n);
  if (with_filters) n = parse_filters(p, n);
  p->depth--;
  return n;
}

// Binary operators by rising strength; all of them group to the left.
static const struct binary {
  const char *text;
  int level;
  pm_operator op;
} binaries[] = {{"+", 0, PM_OP_ADD}, {"-", 0, PM_OP_SUB},        {"~", 1, PM_OP_CONCAT}, {"*", 2, PM_OP_MUL},
                {"/", 2, PM_OP_DIV}, {"//", 2, PM_OP_FLOOR_DIV}, {"%", 2, PM_OP_MOD},    {"**", 3, PM_OP_POW}};
enum { N_LEVEL = 4 };

static pm_node *parse_binary(parser *p, int level) {
  if (level == N_LEVEL) return parse_unary(p, true);
  pm_node *n = parse_binary(p, level + 1);
  while (n && p->status == PM_OK) {
    const struct binary *b = binaries, *end = binaries + sizeof binaries / sizeof *binaries;
    while (b < end && (b->level != level || !at_operator(p, b->text))) b++;
    if (b == end) break;
    pm_node *both = new_pair(p, PM_NODE_BINARY, n, NULL);
    p->at++;
    if (!both) break;
    both->op = b->op;
    both->kid[1] = parse_binary(p, level + 1);
    n = both;
  }
  return n;
}

static pm_operator take_comparison(parser *p) {
  static const struct {
    const char *text;
    pm_operator op;
  } rows[] = {{"==", PM_OP_EQ}, {"!=", PM_OP_NE}, {"<", PM_OP_LT}, {"<=", PM_OP_LE}, {">", PM_OP_GT}, {">=", PM_OP_GE}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (take_operator(p, rows[i].text)) return rows[i].op;
  if (take_name(p, "in")) return PM_OP_IN;
  if (at_name(p, "not") && p->at[1].kind == PM_TOKEN_NAME && pm_span_is(p->at[1].text, "in")) {
    p->at += 2;
    return PM_OP_NOT_IN;
  }
  return PM_OP_NONE;
}

static pm_node *parse_comparison(parser *p) {
  pm_node *first = parse_binary(p, 0), *operands = NULL, **tail = &operands;
  for (pm_operator op; p->status == PM_OK && (op = take_comparison(p)) != PM_OP_NONE;) {
    pm_node *n = new_pair(p, PM_NODE_OPERAND, parse_binary(p, 0), NULL);
    if (n) n->op = op;
    append(&tail, n);
  }
  return operands ? new_pair(p, PM_NODE_COMPARE, first, operands) : first;
}

static pm_node *parse_not(parser *p) {
  if (!deeper(p)) return NULL;
  pm_node *n = take_name(p, "not") ? new_pair(p, PM_NODE_NOT, parse_not(p), NULL) : parse_comparison(p);
  p->depth--;
  return n;
}

static pm_node *parse_and(parser *p) {
  pm_node *n = parse_not(p);
  while (n && p->status == PM_OK && take_name(p, "and")) n = new_pair(p, PM_NODE_AND, n, parse_not(p));
  return n;
}

static pm_node *parse_or(parser *p) {
  pm_node *n = parse_and(p);
  while (n && p->status == PM_OK && take_name(p, "or")) n = new_pair(p, PM_NODE_OR, n, parse_and(p));
  return n;
}

static pm_node *parse_expression(parser *p) {
  if (!deeper(p)) return NULL;
  pm_node *n = parse_or(p);
  while (n && p->status == PM_OK && take_name(p, "if")) {
    pm_node *choice = new_pair(p, PM_NODE_CHOICE, parse_or(p), n);
    if (choice && take_name(p, "else")) choice->kid[2] = parse_expression(p);
    n = choice;
  }
  p->depth--;
  return n;
}

// As Jinja has it where brackets can be left out: a, b, c.
static pm_node *parse_open_tuple(parser *p) {
  pm_node *first = parse_expression(p);
  if (!first || !at_operator(p, ",")) return first;
  pm_node *n = new_pair(p, PM_NODE_TUPLE, first, NULL), **tail = &first->next;
  while (n && p->status == PM_OK && take_operator(p, ",") && p->at->kind != PM_TOKEN_BLOCK_END && p->at->kind != PM_TOKEN_OUTPUT_END)
    append(&tail, parse_expression(p));
  return n;
}

// ---- statements ----------------------------------------------------------------------------------------------------

static pm_node *parse_body(parser *p, const char *const *ends);

static bool end_tag(parser *p) {
  if (p->at->kind == PM_TOKEN_BLOCK_END) return p->at++, true;
  object_to(p, PM_ERR_FORMAT, "expected the end of the tag");
  return false;
}

// The body of a block up to {% end... %}, which is taken.
static pm_node *parse_block(parser *p, const char *end) {
  const char *const ends[] = {end, NULL};
  if (!end_tag(p)) return NULL;
  pm_node *body = parse_body(p, ends);
  if (p->status != PM_OK) return NULL;
  p->at++;
  end_tag(p);
  return body;
}

static pm_node *parse_if(parser *p) {
  static const char *const ends[] = {"elif", "else", "endif", NULL};
  if (!deeper(p)) return NULL;
  pm_node *n = new_pair(p, PM_NODE_IF, parse_open_tuple(p), NULL);
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

static pm_node *parse_target(parser *p) {
  pm_node *first = NULL, **tail = &first, *n;
  bool tuple = false, brackets = take_operator(p, "(");
  do {
    if (first && p->at->kind != PM_TOKEN_NAME) break;
    n = new_node(p, PM_NODE_NAME);
    if (!n) return NULL;
    n->value = expect_any_name(p);
    append(&tail, n);
    tuple |= at_operator(p, ",");
  } while (p->status == PM_OK && take_operator(p, ","));
  if (brackets && !expect_operator(p, ")")) return NULL;
  return tuple ? new_pair(p, PM_NODE_TUPLE, first, NULL) : first;
}

static pm_node *parse_for(parser *p) {
  static const char *const ends[] = {"else", "endfor", NULL};
  pm_node *n = new_pair(p, PM_NODE_FOR, parse_target(p), NULL);
  if (!n) return NULL;
  if (!take_name(p, "in")) return object_to(p, PM_ERR_FORMAT, "expected 'in'");
  n->kid[1] = parse_or(p);  // an "if" here is the loop's condition
  if (n->kid[1] && at_operator(p, ",")) return object_to(p, PM_ERR_UNSUPPORTED, "put brackets around a tuple; unexpected");
  if (take_name(p, "if")) n->kid[4] = parse_expression(p);
  if (at_name(p, "recursive")) return object_to(p, PM_ERR_UNSUPPORTED, "recursive loops are not known here");
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

static pm_node *parse_set(parser *p) {
  pm_node *target = parse_target(p);
  if (target && target->kind == PM_NODE_NAME && take_operator(p, ".")) target = parse_attribute(p, target);
  if (!target) return NULL;
  if (take_operator(p, "=")) {
    pm_node *n = new_pair(p, PM_NODE_SET, target, parse_open_tuple(p));
    end_tag(p);
    return n;
  }
  pm_node *n = new_pair(p, PM_NODE_CAPTURE, target, NULL);
  if (!n) return NULL;
  if (take_operator(p, "|")) n->kid[2] = parse_filters(p, parse_filter(p, NULL));
  n->kid[1] = parse_block(p, "endset");
  return n;
}

// Behind "(" of a macro or a call block.
static pm_node *parse_parameters(parser *p) {
  pm_node *first = NULL, **tail = &first;
  while (p->status == PM_OK && !take_operator(p, ")")) {
    if (first && !expect_operator(p, ",")) break;
    if (take_operator(p, ")")) break;
    pm_node *n = new_node(p, PM_NODE_ARGUMENT);
    if (!n) break;
    n->value = expect_any_name(p);
    if (take_operator(p, "=")) n->kid[0] = parse_expression(p);
    append(&tail, n);
  }
  return first;
}

// Breaks and continues inside do not reach loops outside.
static pm_node *parse_own_block(parser *p, const char *end) {
  int loops = p->loops;
  p->loops = 0;
  pm_node *body = parse_block(p, end);
  p->loops = loops;
  return body;
}

static pm_node *parse_macro(parser *p) {
  pm_node *n = new_node(p, PM_NODE_MACRO);
  if (!n) return NULL;
  n->value = expect_any_name(p);
  if (!expect_operator(p, "(")) return NULL;
  n->kid[0] = parse_parameters(p);
  n->kid[1] = parse_own_block(p, "endmacro");
  return n;
}

static pm_node *parse_call(parser *p) {
  pm_node *n = new_node(p, PM_NODE_CALLER);
  if (!n) return NULL;
  if (take_operator(p, "(")) n->kid[2] = parse_parameters(p);
  n->kid[0] = parse_expression(p);
  if (n->kid[0] && n->kid[0]->kind != PM_NODE_CALL) return object_to(p, PM_ERR_FORMAT, "expected a call before");
  n->kid[1] = parse_own_block(p, "endcall");
  return n;
}

static pm_node *parse_filter_block(parser *p) {
  pm_node *n = new_node(p, PM_NODE_CAPTURE);
  if (!n) return NULL;
  n->kid[2] = parse_filters(p, parse_filter(p, NULL));
  n->kid[1] = parse_block(p, "endfilter");
  return n;
}

static pm_node *parse_with(parser *p) {
  pm_node *n = new_node(p, PM_NODE_WITH), *sets = NULL, **tail = &sets;
  while (n && p->status == PM_OK && p->at->kind != PM_TOKEN_BLOCK_END) {
    if (sets && !expect_operator(p, ",")) break;
    pm_node *target = parse_target(p);
    if (!target || !expect_operator(p, "=")) break;
    append(&tail, new_pair(p, PM_NODE_SET, target, parse_expression(p)));
  }
  if (!n || p->status != PM_OK) return NULL;
  n->kid[0] = sets;
  n->kid[1] = parse_block(p, "endwith");
  return n;
}

// What an answer is made of is marked for training; here the marks are nothing but a scope.
static pm_node *parse_generation(parser *p) {
  pm_node *n = new_node(p, PM_NODE_WITH);
  if (n) n->kid[1] = parse_own_block(p, "endgeneration");
  return n;
}

static pm_node *parse_jump(parser *p, pm_node_kind kind) {
  if (!p->loops) return object_to(p, PM_ERR_FORMAT, "outside of a loop");
  pm_node *n = new_node(p, kind);
  end_tag(p);
  return n;
}

static pm_node *parse_break(parser *p) { return parse_jump(p, PM_NODE_BREAK); }
static pm_node *parse_continue(parser *p) { return parse_jump(p, PM_NODE_CONTINUE); }

static const struct {
  const char *word;
  pm_node *(*parse)(parser *p);  // behind the word; takes the end of the statement
} statements[] = {{"if", parse_if},       {"for", parse_for},
                  {"set", parse_set},     {"macro", parse_macro},
                  {"call", parse_call},   {"filter", parse_filter_block},
                  {"with", parse_with},   {"generation", parse_generation},
                  {"break", parse_break}, {"continue", parse_continue}};

static pm_node *parse_statement(parser *p) {
  for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
    if (!take_name(p, statements[i].word)) continue;
    if (!deeper(p)) return NULL;
    pm_node *n = statements[i].parse(p);
    p->depth--;
    return n;
  }
  return object_to(p, PM_ERR_UNSUPPORTED, "unknown statement");
}

static pm_node *parse_output(parser *p) {
  pm_node *n = new_pair(p, PM_NODE_OUTPUT, parse_open_tuple(p), NULL);
  if (p->status != PM_OK || p->at->kind != PM_TOKEN_OUTPUT_END) return object_to(p, PM_ERR_FORMAT, "expected }}");
  p->at++;
  return n;
}

static bool at_any(const parser *p, const char *const *names) {
  for (; names && *names; names++)
    if (at_name(p, *names)) return true;
  return false;
}

// Up to a statement named in `ends`, at whose name it stops; NULL = the end of the template.
static pm_node *parse_body(parser *p, const char *const *ends) {
  pm_node *first = NULL, **tail = &first;
  while (p->status == PM_OK) {
    const pm_jinja_token *t = p->at;
    if (t->kind == PM_TOKEN_END) {
      if (ends) object_to(p, PM_ERR_FORMAT, "it ends inside of a block");
      break;
    }
    p->at++;
    if (t->kind == PM_TOKEN_OUTPUT_BEGIN) {
      append(&tail, parse_output(p));
    } else if (t->kind == PM_TOKEN_BLOCK_BEGIN) {
      if (at_any(p, ends)) break;
      append(&tail, parse_statement(p));
    } else {
      pm_node *n = new_node(p, PM_NODE_TEXT);
      if (n) n->value = pm_value_text(t->text);
      append(&tail, n);
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
  parser p = {.heap = &t->heap, .at = tokens};
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
