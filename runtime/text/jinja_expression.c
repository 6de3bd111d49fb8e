#include "jinja_parser.h"

#include <string.h>

// ---- tokens and nodes ----------------------------------------------------------------------------------------------

pm_node *pm_jinja_object(pm_jinja_parser *p, pm_status code, const char *what) {
  if (p->status != PM_OK) return NULL;
  pm_span s = p->at->text;
  p->status = pm_fail(code, "chat template, line %u: %s at '%.*s'", p->at->line, what, (int)(s.n < 40 ? s.n : 40), s.n ? s.at : "");
  return NULL;
}

pm_node *pm_jinja_new_node(pm_jinja_parser *p, pm_node_kind kind) {
  pm_node *n = pm_heap_alloc(p->heap, sizeof *n);
  if (!n && p->status == PM_OK) p->status = pm_fail(PM_ERR_MEMORY, "the chat template is too large");
  if (n) n->kind = kind, n->line = p->at->line;
  return n;
}

pm_node *pm_jinja_new_pair(pm_jinja_parser *p, pm_node_kind kind, pm_node *a, pm_node *b) {
  pm_node *n = pm_jinja_new_node(p, kind);
  if (n) n->kid[0] = a, n->kid[1] = b;
  return n;
}

bool pm_jinja_deeper(pm_jinja_parser *p) {
  if (p->depth == PM_JINJA_MAX_DEPTH) pm_jinja_object(p, PM_ERR_UNSUPPORTED, "nested too deeply");
  return p->status == PM_OK && ++p->depth;
}

bool pm_jinja_at_operator(const pm_jinja_parser *p, const char *op) {
  return p->at->kind == PM_TOKEN_OPERATOR && pm_span_is(p->at->text, op);
}
bool pm_jinja_at_name(const pm_jinja_parser *p, const char *name) { return p->at->kind == PM_TOKEN_NAME && pm_span_is(p->at->text, name); }

bool pm_jinja_take_operator(pm_jinja_parser *p, const char *op) {
  if (!pm_jinja_at_operator(p, op)) return false;
  p->at++;
  return true;
}

bool pm_jinja_take_name(pm_jinja_parser *p, const char *name) {
  if (!pm_jinja_at_name(p, name)) return false;
  p->at++;
  return true;
}

bool pm_jinja_expect_operator(pm_jinja_parser *p, const char *op) {
  if (pm_jinja_take_operator(p, op)) return true;
  char what[32] = "expected ";
  strncat(what, op, 4);
  pm_jinja_object(p, PM_ERR_FORMAT, what);
  return false;
}

pm_value pm_jinja_expect_any_name(pm_jinja_parser *p) {
  if (p->at->kind != PM_TOKEN_NAME) {
    pm_jinja_object(p, PM_ERR_FORMAT, "expected a name");
    return (pm_value){0};
  }
  return pm_value_text(p->at++->text);
}

void pm_jinja_append(pm_node ***tail, pm_node *n) {
  if (!n) return;
  **tail = n;
  *tail = &n->next;
}

// ---- expressions ---------------------------------------------------------------------------------------------------

static pm_node *parse_unary(pm_jinja_parser *p, bool with_filters);

// Up to `close`, which is taken, too.
static pm_node *parse_items(pm_jinja_parser *p, const char *close) {
  pm_node *first = NULL, **tail = &first;
  while (p->status == PM_OK && !pm_jinja_take_operator(p, close)) {
    if (first && !pm_jinja_expect_operator(p, ",")) break;
    if (pm_jinja_take_operator(p, close)) break;
    pm_jinja_append(&tail, pm_jinja_expression(p));
  }
  return first;
}

static pm_node *parse_list(pm_jinja_parser *p) {
  p->at++;
  pm_node *n = pm_jinja_new_node(p, PM_NODE_LIST);
  pm_node *items = parse_items(p, "]");
  if (n) n->kid[0] = items;
  return n;
}

static pm_node *parse_dict(pm_jinja_parser *p) {
  p->at++;
  pm_node *n = pm_jinja_new_node(p, PM_NODE_DICT), *first = NULL, **tail = &first;
  while (p->status == PM_OK && !pm_jinja_take_operator(p, "}")) {
    if (first && !pm_jinja_expect_operator(p, ",")) break;
    if (pm_jinja_take_operator(p, "}")) break;
    pm_node *key = pm_jinja_expression(p);
    if (!pm_jinja_expect_operator(p, ":")) break;
    pm_jinja_append(&tail, pm_jinja_new_pair(p, PM_NODE_PAIR, key, pm_jinja_expression(p)));
  }
  if (n) n->kid[0] = first;
  return n;
}

// Behind "(": an expression in brackets or a tuple.
static pm_node *parse_brackets(pm_jinja_parser *p) {
  p->at++;
  pm_node *n = pm_jinja_new_node(p, PM_NODE_TUPLE);
  if (!n || pm_jinja_take_operator(p, ")")) return n;
  pm_node *first = pm_jinja_expression(p);
  if (pm_jinja_take_operator(p, ")")) return first;
  if (!first || !pm_jinja_expect_operator(p, ",")) return NULL;
  first->next = parse_items(p, ")");
  n->kid[0] = first;
  return n;
}

static pm_node *constant(pm_jinja_parser *p, pm_value v) {
  pm_node *n = pm_jinja_new_node(p, PM_NODE_CONSTANT);
  if (n) n->value = v;
  return n;
}

static pm_node *parse_name(pm_jinja_parser *p) {
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
    if (pm_jinja_take_name(p, words[i].name)) return constant(p, words[i].value);
  pm_node *n = pm_jinja_new_node(p, PM_NODE_NAME);
  if (n) n->value = pm_value_text(p->at->text);
  p->at++;
  return n;
}

// Texts that follow each other are one.
static pm_node *parse_constant(pm_jinja_parser *p) {
  pm_node *n = constant(p, p->at++->value);
  while (n && n->value.kind == PM_STRING && p->at->kind == PM_TOKEN_CONSTANT && p->at->value.kind == PM_STRING) {
    pm_span a = n->value.text, b = p->at++->value.text;
    char *both = pm_heap_alloc(p->heap, a.n + b.n + 1);
    if (!both) return pm_jinja_object(p, PM_ERR_MEMORY, "the chat template is too large");
    memcpy(both, a.at, a.n);
    memcpy(both + a.n, b.at, b.n);
    n->value = pm_value_text((pm_span){both, a.n + b.n});
  }
  return n;
}

static pm_node *parse_primary(pm_jinja_parser *p) {
  if (p->at->kind == PM_TOKEN_NAME) return parse_name(p);
  if (p->at->kind == PM_TOKEN_CONSTANT) return parse_constant(p);
  if (pm_jinja_at_operator(p, "(")) return parse_brackets(p);
  if (pm_jinja_at_operator(p, "[")) return parse_list(p);
  if (pm_jinja_at_operator(p, "{")) return parse_dict(p);
  return pm_jinja_object(p, PM_ERR_FORMAT, "expected an expression");
}

// Behind "(".
static pm_node *parse_arguments(pm_jinja_parser *p) {
  pm_node *first = NULL, **tail = &first;
  while (p->status == PM_OK && !pm_jinja_take_operator(p, ")")) {
    if (first && !pm_jinja_expect_operator(p, ",")) break;
    if (pm_jinja_take_operator(p, ")")) break;
    if (pm_jinja_at_operator(p, "*") || pm_jinja_at_operator(p, "**"))
      pm_jinja_object(p, PM_ERR_UNSUPPORTED, "arguments with * are not known here");
    pm_node *n = pm_jinja_new_node(p, PM_NODE_ARGUMENT);
    if (!n) break;
    if (p->at->kind == PM_TOKEN_NAME && p->at[1].kind == PM_TOKEN_OPERATOR && pm_span_is(p->at[1].text, "=")) {
      n->value = pm_value_text(p->at->text);
      p->at += 2;
    }
    n->kid[0] = pm_jinja_expression(p);
    pm_jinja_append(&tail, n);
  }
  return first;
}

// Behind "[": x[i] or x[a:b:c].
static pm_node *parse_subscript(pm_jinja_parser *p, pm_node *of) {
  pm_node *n = pm_jinja_new_pair(p, PM_NODE_SLICE, of, NULL);
  int i = 1;
  bool slice = false;
  while (n && p->status == PM_OK && !pm_jinja_take_operator(p, "]")) {
    if (pm_jinja_take_operator(p, ":")) {
      slice = true;
      if (++i > 3) return pm_jinja_object(p, PM_ERR_FORMAT, "a slice of more than three parts");
    } else if (n->kid[i]) {
      return pm_jinja_object(p, PM_ERR_FORMAT, "expected ]");
    } else {
      n->kid[i] = pm_jinja_expression(p);
    }
  }
  if (n && !slice) {
    n->kind = PM_NODE_ITEM;
    if (!n->kid[1]) return pm_jinja_object(p, PM_ERR_FORMAT, "expected an index before");
  }
  return n;
}

pm_node *pm_jinja_attribute(pm_jinja_parser *p, pm_node *of) {
  bool index = p->at->kind == PM_TOKEN_CONSTANT && p->at->value.kind == PM_INT;
  pm_node *n = pm_jinja_new_pair(p, index ? PM_NODE_ITEM : PM_NODE_ATTRIBUTE, of, NULL);
  if (!n) return NULL;
  if (index)
    n->kid[1] = constant(p, p->at++->value);
  else
    n->value = pm_jinja_expect_any_name(p);
  return n;
}

static pm_node *parse_postfix(pm_jinja_parser *p, pm_node *n) {
  while (n && p->status == PM_OK) {
    if (pm_jinja_take_operator(p, "."))
      n = pm_jinja_attribute(p, n);
    else if (pm_jinja_take_operator(p, "["))
      n = parse_subscript(p, n);
    else if (pm_jinja_take_operator(p, "("))
      n = pm_jinja_new_pair(p, PM_NODE_CALL, n, parse_arguments(p));
    else
      break;
  }
  return n;
}

// Behind "|".
pm_node *pm_jinja_filter(pm_jinja_parser *p, pm_node *of) {
  pm_node *n = pm_jinja_new_pair(p, PM_NODE_FILTER, of, NULL);
  if (!n) return NULL;
  n->value = pm_jinja_expect_any_name(p);
  if (pm_jinja_take_operator(p, "(")) n->kid[1] = parse_arguments(p);
  return n;
}

static bool begins_test_argument(const pm_jinja_parser *p) {
  if (p->at->kind == PM_TOKEN_CONSTANT || pm_jinja_at_operator(p, "[") || pm_jinja_at_operator(p, "{")) return true;
  return p->at->kind == PM_TOKEN_NAME && !pm_jinja_at_name(p, "else") && !pm_jinja_at_name(p, "or") && !pm_jinja_at_name(p, "and") &&
         !pm_jinja_at_name(p, "is") && !pm_jinja_at_name(p, "if") && !pm_jinja_at_name(p, "in") && !pm_jinja_at_name(p, "not");
}

// Behind "is": x is even, x is not divisibleby 3, x is in [1, 2].
static pm_node *parse_test(pm_jinja_parser *p, pm_node *of) {
  bool negated = pm_jinja_take_name(p, "not");
  pm_node *n = pm_jinja_new_pair(p, PM_NODE_TEST, of, NULL);
  if (!n) return NULL;
  n->value = pm_jinja_expect_any_name(p);
  if (pm_jinja_take_operator(p, "(")) {
    n->kid[1] = parse_arguments(p);
  } else if (begins_test_argument(p)) {
    n->kid[1] = pm_jinja_new_pair(p, PM_NODE_ARGUMENT, parse_postfix(p, parse_primary(p)), NULL);
  }
  return negated ? pm_jinja_new_pair(p, PM_NODE_NOT, n, NULL) : n;
}

pm_node *pm_jinja_filters(pm_jinja_parser *p, pm_node *n) {
  while (n && p->status == PM_OK) {
    if (pm_jinja_take_operator(p, "|"))
      n = pm_jinja_filter(p, n);
    else if (pm_jinja_take_name(p, "is"))
      n = parse_test(p, n);
    else if (pm_jinja_take_operator(p, "("))
      n = pm_jinja_new_pair(p, PM_NODE_CALL, n, parse_arguments(p));
    else
      break;
  }
  return n;
}

static pm_node *parse_unary(pm_jinja_parser *p, bool with_filters) {
  if (!pm_jinja_deeper(p)) return NULL;
  pm_node *n;
  if (pm_jinja_at_operator(p, "-") || pm_jinja_at_operator(p, "+")) {
    n = pm_jinja_new_node(p, PM_NODE_UNARY);
    pm_operator op = pm_jinja_at_operator(p, "-") ? PM_OP_SUB : PM_OP_ADD;
    p->at++;
    pm_node *of = parse_unary(p, false);
    if (n) n->op = op, n->kid[0] = of;
  } else {
    n = parse_primary(p);
  }
  n = parse_postfix(p, n);
  if (with_filters) n = pm_jinja_filters(p, n);
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

static pm_node *parse_binary(pm_jinja_parser *p, int level) {
  if (level == N_LEVEL) return parse_unary(p, true);
  pm_node *n = parse_binary(p, level + 1);
  while (n && p->status == PM_OK) {
    const struct binary *b = binaries, *end = binaries + sizeof binaries / sizeof *binaries;
    while (b < end && (b->level != level || !pm_jinja_at_operator(p, b->text))) b++;
    if (b == end) break;
    pm_node *both = pm_jinja_new_pair(p, PM_NODE_BINARY, n, NULL);
    p->at++;
    if (!both) break;
    both->op = b->op;
    both->kid[1] = parse_binary(p, level + 1);
    n = both;
  }
  return n;
}

static pm_operator take_comparison(pm_jinja_parser *p) {
  static const struct {
    const char *text;
    pm_operator op;
  } rows[] = {{"==", PM_OP_EQ}, {"!=", PM_OP_NE}, {"<", PM_OP_LT}, {"<=", PM_OP_LE}, {">", PM_OP_GT}, {">=", PM_OP_GE}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (pm_jinja_take_operator(p, rows[i].text)) return rows[i].op;
  if (pm_jinja_take_name(p, "in")) return PM_OP_IN;
  if (pm_jinja_at_name(p, "not") && p->at[1].kind == PM_TOKEN_NAME && pm_span_is(p->at[1].text, "in")) {
    p->at += 2;
    return PM_OP_NOT_IN;
  }
  return PM_OP_NONE;
}

static pm_node *parse_comparison(pm_jinja_parser *p) {
  pm_node *first = parse_binary(p, 0), *operands = NULL, **tail = &operands;
  for (pm_operator op; p->status == PM_OK && (op = take_comparison(p)) != PM_OP_NONE;) {
    pm_node *n = pm_jinja_new_pair(p, PM_NODE_OPERAND, parse_binary(p, 0), NULL);
    if (n) n->op = op;
    pm_jinja_append(&tail, n);
  }
  return operands ? pm_jinja_new_pair(p, PM_NODE_COMPARE, first, operands) : first;
}

static pm_node *parse_not(pm_jinja_parser *p) {
  if (!pm_jinja_deeper(p)) return NULL;
  pm_node *n = pm_jinja_take_name(p, "not") ? pm_jinja_new_pair(p, PM_NODE_NOT, parse_not(p), NULL) : parse_comparison(p);
  p->depth--;
  return n;
}

static pm_node *parse_and(pm_jinja_parser *p) {
  pm_node *n = parse_not(p);
  while (n && p->status == PM_OK && pm_jinja_take_name(p, "and")) n = pm_jinja_new_pair(p, PM_NODE_AND, n, parse_not(p));
  return n;
}

pm_node *pm_jinja_condition(pm_jinja_parser *p) {
  pm_node *n = parse_and(p);
  while (n && p->status == PM_OK && pm_jinja_take_name(p, "or")) n = pm_jinja_new_pair(p, PM_NODE_OR, n, parse_and(p));
  return n;
}

pm_node *pm_jinja_expression(pm_jinja_parser *p) {
  if (!pm_jinja_deeper(p)) return NULL;
  pm_node *n = pm_jinja_condition(p);
  while (n && p->status == PM_OK && pm_jinja_take_name(p, "if")) {
    pm_node *choice = pm_jinja_new_pair(p, PM_NODE_CHOICE, pm_jinja_condition(p), n);
    if (choice && pm_jinja_take_name(p, "else")) choice->kid[2] = pm_jinja_expression(p);
    n = choice;
  }
  p->depth--;
  return n;
}

pm_node *pm_jinja_open_tuple(pm_jinja_parser *p) {
  pm_node *first = pm_jinja_expression(p);
  if (!first || !pm_jinja_at_operator(p, ",")) return first;
  pm_node *n = pm_jinja_new_pair(p, PM_NODE_TUPLE, first, NULL), **tail = &first->next;
  while (n && p->status == PM_OK && pm_jinja_take_operator(p, ",") && p->at->kind != PM_TOKEN_BLOCK_END &&
         p->at->kind != PM_TOKEN_OUTPUT_END)
    pm_jinja_append(&tail, pm_jinja_expression(p));
  return n;
}
