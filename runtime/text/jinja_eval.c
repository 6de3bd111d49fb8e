#include <math.h>
#include <string.h>

#include "jinja_run.h"

// ---- names, attributes, items --------------------------------------------------------------------------------------

static pm_value undefined(pm_span name) { return (pm_value){.kind = PM_UNDEFINED, .text = name}; }

static pm_value fail_undefined(pm_run *r, pm_value v) {
  return pm_run_fail(r, PM_ERR_FORMAT, "'%.*s' is undefined", (int)(v.text.n < 80 ? v.text.n : 80), v.text.n ? v.text.at : "");
}

static pm_value eval_name(pm_run *r, const pm_node *n) {
  for (const pm_scope *s = r->scope; s; s = s->parent) {
    const pm_value *v = s->vars.kind == PM_DICT ? pm_dict_find(s->vars.dict, n->value) : NULL;
    if (v) return *v;
    if (!pm_run_charge(r, 1)) break;
  }
  const pm_builtin *f = pm_function_find(n->value.text);
  return f ? pm_object_value(r, (pm_object){.kind = PM_OBJECT_FUNCTION, .builtin = f}) : undefined(n->value.text);
}

// The method, or undefined.
static pm_value method(pm_run *r, pm_value of, pm_span name) {
  const pm_builtin *m = of.kind == PM_DICT && of.dict->name_space ? NULL : pm_method_find(of.kind, name);
  return m ? pm_object_value(r, (pm_object){.kind = PM_OBJECT_METHOD, .builtin = m, .self = of}) : undefined(name);
}

static pm_value attribute(pm_run *r, pm_value of, pm_span name) {
  if (of.kind == PM_UNDEFINED) return fail_undefined(r, of);
  if (of.kind == PM_OBJECT && of.object->kind == PM_OBJECT_LOOP) return pm_loop_attribute(r, of.object, name);
  pm_value v = method(r, of, name);
  if (v.kind != PM_UNDEFINED || of.kind != PM_DICT) return v;
  const pm_value *found = pm_dict_find(of.dict, pm_value_text(name));
  return found ? *found : v;
}

// An index counted from the end if it is negative; false if it is outside.
static bool in_range(pm_value index, size_t n, size_t *out) {
  int64_t i = index.kind == PM_BOOL ? index.truth : index.integer;
  if (i < 0) i += (int64_t)n;
  *out = (size_t)i;
  return i >= 0 && i < (int64_t)n;
}

static pm_value item_of(pm_run *r, pm_value of, pm_value index) {
  size_t i;
  if (of.kind == PM_UNDEFINED) return fail_undefined(r, of);
  if (of.kind == PM_DICT) {
    const pm_value *found = pm_dict_find(of.dict, index);
    if (found) return *found;
  } else if (of.kind == PM_LIST && (index.kind == PM_INT || index.kind == PM_BOOL)) {
    return in_range(index, of.list->n, &i) ? of.list->items[i] : undefined(PM_SPAN("list item"));
  } else if (of.kind == PM_STRING && (index.kind == PM_INT || index.kind == PM_BOOL)) {
    if (!pm_run_charge(r, of.text.n / 16) || !in_range(index, pm_count_chars(of.text), &i)) return undefined(PM_SPAN("character"));
    return pm_value_text(pm_chars(of.text, i, i + 1));
  }
  return index.kind == PM_STRING && of.kind != PM_DICT ? attribute(r, of, index.text)
         : index.kind == PM_STRING                     ? method(r, of, index.text)
                                                       : undefined(PM_SPAN("item"));
}

pm_value pm_path(pm_run *r, pm_value of, pm_value path, pm_value fallback) {
  if (path.kind != PM_STRING) return item_of(r, of, path);
  for (pm_span rest = path.text; pm_run_ok(r);) {
    const char *dot = memchr(rest.at, '.', rest.n);
    pm_span part = {rest.at, dot ? (size_t)(dot - rest.at) : rest.n};
    int64_t index = 0;
    bool digits = part.n > 0 && part.n < 10;
    for (size_t i = 0; i < part.n && digits; i++) {
      digits = part.at[i] >= '0' && part.at[i] <= '9';
      index = 10 * index + part.at[i] - '0';
    }
    of = item_of(r, of, digits ? pm_value_int(index) : pm_value_text(part));
    if (of.kind == PM_UNDEFINED && fallback.kind != PM_UNDEFINED) of = fallback;
    if (!dot) break;
    rest = (pm_span){dot + 1, rest.n - part.n - 1};
  }
  return of;
}

bool pm_iterate(pm_run *r, pm_value v, pm_value **items, size_t *n) {
  *items = NULL, *n = 0;
  switch (v.kind) {
    case PM_UNDEFINED: return pm_run_ok(r);
    case PM_LIST: *items = v.list->items, *n = v.list->n; return pm_run_ok(r);
    case PM_DICT:
      *n = v.dict->n;
      if (!(*items = pm_run_alloc(r, *n * sizeof **items))) return false;
      for (size_t i = 0; i < *n; i++) (*items)[i] = v.dict->entries[i].key;
      return pm_run_charge(r, *n);
    case PM_STRING:
      *n = pm_count_chars(v.text);
      if (!(*items = pm_run_alloc(r, *n * sizeof **items))) return false;
      for (size_t i = 0, at = 0, bytes; i < *n; i++, at += bytes) {
        bytes = pm_char_bytes(v.text.at + at, v.text.n - at);
        (*items)[i] = pm_value_text((pm_span){v.text.at + at, bytes});
      }
      return pm_run_charge(r, *n);
    default: pm_run_fail(r, PM_ERR_FORMAT, "a value of type %s is nothing to iterate over", pm_value_type(v)); return false;
  }
}

// ---- slices --------------------------------------------------------------------------------------------------------

static bool slice_part(pm_run *r, const pm_node *n, int64_t *out, bool *given) {
  pm_value v = n ? pm_eval(r, n) : pm_value_none();
  *given = v.kind == PM_INT || v.kind == PM_BOOL;
  if (!*given && v.kind != PM_NONE) pm_run_fail(r, PM_ERR_FORMAT, "a slice needs integers, not a %s", pm_value_type(v));
  if (*given) *out = v.kind == PM_BOOL ? v.truth : v.integer;
  return pm_run_ok(r);
}

static int64_t clamp(int64_t i, int64_t n, int64_t low, int64_t high) {
  if (i < 0) i = i < -n ? -1 : i + n;
  return i < low ? low : i > high ? high : i;
}

static pm_value eval_slice(pm_run *r, const pm_node *node) {
  pm_value of = pm_eval(r, node->kid[0]), *items;
  int64_t start = 0, stop = 0, step = 1;
  bool has_start, has_stop, has_step;
  size_t count;
  if (of.kind == PM_UNDEFINED) return fail_undefined(r, of);
  if (of.kind != PM_LIST && of.kind != PM_STRING) return pm_run_fail(r, PM_ERR_FORMAT, "a %s has no slices", pm_value_type(of));
  if (!slice_part(r, node->kid[1], &start, &has_start) || !slice_part(r, node->kid[2], &stop, &has_stop) ||
      !slice_part(r, node->kid[3], &step, &has_step))
    return of;
  if (step == 0) return pm_run_fail(r, PM_ERR_FORMAT, "the step of a slice is 0");
  if (!pm_iterate(r, of, &items, &count)) return of;
  int64_t n = (int64_t)count, low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
  start = has_start ? clamp(start, n, low, high) : step > 0 ? 0 : n - 1;
  stop = has_stop ? clamp(stop, n, low, high) : step > 0 ? n : -1;
  if (step > n) step = n + 1;
  if (step < -n) step = -n - 1;
  pm_value list = pm_run_list(r, 0);
  for (int64_t i = start; (step > 0 ? i < stop : i > stop) && pm_run_charge(r, 1); i += step) pm_run_append(r, list, items[i]);
  if (!pm_run_ok(r)) return list;
  if (of.kind == PM_LIST) return list.list->tuple = of.list->tuple, list;
  pm_buffer text = pm_run_buffer(r);
  for (size_t i = 0; i < list.list->n; i++) pm_buffer_put(&text, list.list->items[i].text.at, list.list->items[i].text.n);
  return pm_run_take_text(r, &text);
}

// ---- operators -----------------------------------------------------------------------------------------------------

static pm_value join_texts(pm_run *r, pm_span a, pm_span b) {
  char *text = pm_run_charge(r, (a.n + b.n) / 16) ? pm_run_alloc(r, a.n + b.n + 1) : NULL;
  if (!text) return (pm_value){0};
  if (a.n) memcpy(text, a.at, a.n);
  if (b.n) memcpy(text + a.n, b.at, b.n);
  return pm_value_text((pm_span){text, a.n + b.n});
}

static pm_value join_lists(pm_run *r, const pm_list *a, const pm_list *b) {
  pm_value list = pm_run_list(r, a->n + b->n);
  for (size_t i = 0; i < a->n && pm_run_charge(r, 1); i++) pm_run_append(r, list, a->items[i]);
  for (size_t i = 0; i < b->n && pm_run_charge(r, 1); i++) pm_run_append(r, list, b->items[i]);
  if (pm_run_ok(r)) list.list->tuple = a->tuple;
  return list;
}

static pm_value repeat(pm_run *r, pm_value v, int64_t times) {
  size_t n = v.kind == PM_STRING ? v.text.n : v.list->n;
  if (times < 0 || n == 0) times = 0;
  if (n && (uint64_t)times > (64u << 20) / n) return pm_run_fail(r, PM_ERR_FORMAT, "a %s is repeated too often", pm_value_type(v));
  if (!pm_run_charge(r, n * (size_t)times / 16)) return v;
  if (v.kind == PM_STRING) {
    char *text = pm_run_alloc(r, n * (size_t)times + 1);
    for (size_t i = 0; text && i < (size_t)times; i++) memcpy(text + i * n, v.text.at, n);
    return pm_value_text((pm_span){text, text ? n * (size_t)times : 0});
  }
  pm_value list = pm_run_list(r, n * (size_t)times);
  for (size_t i = 0; i < (size_t)times * n && pm_run_ok(r); i++) pm_run_append(r, list, v.list->items[i % n]);
  if (pm_run_ok(r)) list.list->tuple = v.list->tuple;
  return list;
}

static pm_value floor_div(pm_run *r, int64_t a, int64_t b, bool want_rest) {
  if (b == 0) return pm_run_fail(r, PM_ERR_FORMAT, "division by zero");
  if (b == -1)
    return want_rest ? pm_value_int(0) : a == INT64_MIN ? pm_run_fail(r, PM_ERR_FORMAT, "a number is too large") : pm_value_int(-a);
  int64_t q = a / b, rest = a % b;
  if (rest && (rest < 0) != (b < 0)) q--, rest += b;
  return pm_value_int(want_rest ? rest : q);
}

static pm_value power(pm_run *r, int64_t a, int64_t n) {
  int64_t result = 1;
  bool over = false;
  for (; n > 0 && !over && (a > 1 || a < -1); n--) over = __builtin_mul_overflow(result, a, &result);
  if (over) return pm_run_fail(r, PM_ERR_FORMAT, "a number is too large");
  return pm_value_int(n == 0 ? result : a == -1 && n % 2 == 0 ? 1 : n > 0 ? a : result);
}

static pm_value integers(pm_run *r, pm_operator op, int64_t a, int64_t b) {
  int64_t c = 0;
  bool over = false;
  switch (op) {
    case PM_OP_ADD: over = __builtin_add_overflow(a, b, &c); break;
    case PM_OP_SUB: over = __builtin_sub_overflow(a, b, &c); break;
    case PM_OP_MUL: over = __builtin_mul_overflow(a, b, &c); break;
    case PM_OP_FLOOR_DIV:
    case PM_OP_MOD: return floor_div(r, a, b, op == PM_OP_MOD);
    default: return power(r, a, b);
  }
  return over ? pm_run_fail(r, PM_ERR_FORMAT, "a number is too large") : pm_value_int(c);
}

static pm_value floats(pm_run *r, pm_operator op, double a, double b) {
  if (b == 0 && (op == PM_OP_DIV || op == PM_OP_FLOOR_DIV || op == PM_OP_MOD)) return pm_run_fail(r, PM_ERR_FORMAT, "division by zero");
  switch (op) {
    case PM_OP_ADD: return pm_value_float(a + b);
    case PM_OP_SUB: return pm_value_float(a - b);
    case PM_OP_MUL: return pm_value_float(a * b);
    case PM_OP_DIV: return pm_value_float(a / b);
    case PM_OP_FLOOR_DIV: return pm_value_float(floor(a / b));
    case PM_OP_MOD: return pm_value_float(a - b * floor(a / b));
    default: return pm_value_float(pow(a, b));
  }
}

static bool is_integer(pm_value v) { return v.kind == PM_INT || v.kind == PM_BOOL; }
static int64_t integer_of(pm_value v) { return v.kind == PM_BOOL ? v.truth : v.integer; }

pm_value pm_binary(pm_run *r, pm_operator op, pm_value a, pm_value b) {
  pm_span s, t;
  double x, y;
  if (!pm_run_ok(r)) return (pm_value){0};
  if (op == PM_OP_CONCAT) {
    s = pm_text_of(r, a);
    return join_texts(r, s, pm_text_of(r, b));
  }
  if (a.kind == PM_UNDEFINED) return fail_undefined(r, a);
  if (op == PM_OP_MOD && a.kind == PM_STRING)
    return b.kind == PM_LIST && b.list->tuple ? pm_format(r, a.text, b.list->items, b.list->n) : pm_format(r, a.text, &b, 1);
  if (b.kind == PM_UNDEFINED) return fail_undefined(r, b);
  bool whole = op != PM_OP_DIV && !(op == PM_OP_POW && is_integer(b) && integer_of(b) < 0);
  if (is_integer(a) && is_integer(b) && whole) return integers(r, op, integer_of(a), integer_of(b));
  if (pm_value_number(a, &x) && pm_value_number(b, &y)) return floats(r, op, x, y);
  if (op == PM_OP_ADD && pm_as_text(a, &s) && pm_as_text(b, &t)) return join_texts(r, s, t);
  if (op == PM_OP_ADD && a.kind == PM_LIST && b.kind == PM_LIST && a.list->tuple == b.list->tuple) return join_lists(r, a.list, b.list);
  if (op == PM_OP_MUL && (a.kind == PM_STRING || a.kind == PM_LIST) && is_integer(b)) return repeat(r, a, integer_of(b));
  if (op == PM_OP_MUL && (b.kind == PM_STRING || b.kind == PM_LIST) && is_integer(a)) return repeat(r, b, integer_of(a));
  return pm_run_fail(r, PM_ERR_FORMAT, "an operator does not take a %s and a %s", pm_value_type(a), pm_value_type(b));
}

bool pm_equal(pm_run *r, pm_value a, pm_value b) {
  size_t steps = 0;
  bool same = pm_value_equal(a, b, &steps);
  return pm_run_charge(r, steps) && same;
}

static bool contains(pm_run *r, pm_value in, pm_value v) {
  pm_span part;
  switch (in.kind) {
    case PM_UNDEFINED: return false;
    case PM_STRING:
      if (pm_as_text(v, &part)) return pm_run_charge(r, in.text.n / 16) && pm_span_find(in.text, part);
      pm_run_fail(r, PM_ERR_FORMAT, "a %s cannot be in a string", pm_value_type(v));
      return false;
    case PM_DICT: return pm_dict_find(in.dict, v);
    case PM_LIST:
      for (size_t i = 0; i < in.list->n && pm_run_ok(r); i++)
        if (pm_equal(r, in.list->items[i], v)) return true;
      return false;
    default: pm_run_fail(r, PM_ERR_FORMAT, "nothing can be in a %s", pm_value_type(in)); return false;
  }
}

bool pm_compare(pm_run *r, pm_operator op, pm_value a, pm_value b) {
  int order = 0;
  if (!pm_run_ok(r)) return false;
  if (op == PM_OP_EQ || op == PM_OP_NE) return pm_equal(r, a, b) == (op == PM_OP_EQ);
  if (op == PM_OP_IN || op == PM_OP_NOT_IN) return contains(r, b, a) == (op == PM_OP_IN);
  if (!pm_value_order(a, b, &order)) {
    pm_run_fail(r, PM_ERR_FORMAT, "there is no order between a %s and a %s", pm_value_type(a), pm_value_type(b));
    return false;
  }
  return op == PM_OP_LT ? order < 0 : op == PM_OP_LE ? order <= 0 : op == PM_OP_GT ? order > 0 : order >= 0;
}

// ---- expressions ---------------------------------------------------------------------------------------------------

static pm_value eval_constant(pm_run *r, const pm_node *n) { return (void)r, n->value; }

static pm_value eval_list(pm_run *r, const pm_node *n) {
  pm_value list = pm_run_list(r, 0);
  for (const pm_node *item = n->kid[0]; item && pm_run_ok(r); item = item->next) pm_run_append(r, list, pm_eval(r, item));
  if (pm_run_ok(r)) list.list->tuple = n->kind == PM_NODE_TUPLE;
  return list;
}

static pm_value eval_dict(pm_run *r, const pm_node *n) {
  pm_value dict = pm_run_dict(r);
  for (const pm_node *pair = n->kid[0]; pair && pm_run_ok(r); pair = pair->next) {
    pm_value key = pm_eval(r, pair->kid[0]);
    pm_run_set(r, dict, key, pm_eval(r, pair->kid[1]));
  }
  return dict;
}

static pm_value eval_attribute(pm_run *r, const pm_node *n) {
  pm_value of = pm_eval(r, n->kid[0]);
  return pm_run_ok(r) ? attribute(r, of, n->value.text) : of;
}

static pm_value eval_item(pm_run *r, const pm_node *n) {
  pm_value of = pm_eval(r, n->kid[0]), index = pm_eval(r, n->kid[1]);
  return pm_run_ok(r) ? item_of(r, of, index) : of;
}

static pm_value eval_call(pm_run *r, const pm_node *n) {
  pm_value callee = pm_eval(r, n->kid[0]);
  pm_args args = pm_eval_arguments(r, n->kid[1]);
  return pm_run_ok(r) ? pm_call(r, callee, &args) : callee;
}

static pm_value eval_filter(pm_run *r, const pm_node *n) {
  pm_value in = n->kid[0] ? pm_eval(r, n->kid[0]) : r->captured;
  pm_args args = pm_eval_arguments(r, n->kid[1]);
  return pm_run_ok(r) ? pm_call_filter(r, n->value.text, in, &args) : in;
}

static pm_value eval_test(pm_run *r, const pm_node *n) {
  pm_value in = pm_eval(r, n->kid[0]);
  pm_args args = pm_eval_arguments(r, n->kid[1]);
  return pm_run_ok(r) ? pm_value_bool(pm_call_test(r, n->value.text, in, &args)) : in;
}

static pm_value eval_unary(pm_run *r, const pm_node *n) {
  pm_value v = pm_eval(r, n->kid[0]);
  if (!pm_run_ok(r)) return v;
  if (v.kind == PM_FLOAT) return n->op == PM_OP_SUB ? pm_value_float(-v.number) : v;
  if (!is_integer(v)) return pm_run_fail(r, PM_ERR_FORMAT, "a sign before a %s", pm_value_type(v));
  return integers(r, n->op, 0, integer_of(v));
}

static pm_value eval_binary(pm_run *r, const pm_node *n) {
  pm_value a = pm_eval(r, n->kid[0]);
  return pm_binary(r, n->op, a, pm_eval(r, n->kid[1]));
}

static pm_value eval_compare(pm_run *r, const pm_node *n) {
  pm_value a = pm_eval(r, n->kid[0]);
  for (const pm_node *o = n->kid[1]; o && pm_run_ok(r); o = o->next) {
    pm_value b = pm_eval(r, o->kid[0]);
    if (!pm_compare(r, o->op, a, b)) return pm_value_bool(false);
    a = b;
  }
  return pm_value_bool(true);
}

static pm_value eval_and(pm_run *r, const pm_node *n) {
  pm_value a = pm_eval(r, n->kid[0]);
  return pm_run_ok(r) && pm_value_truth(a) ? pm_eval(r, n->kid[1]) : a;
}

static pm_value eval_or(pm_run *r, const pm_node *n) {
  pm_value a = pm_eval(r, n->kid[0]);
  return pm_run_ok(r) && !pm_value_truth(a) ? pm_eval(r, n->kid[1]) : a;
}

static pm_value eval_not(pm_run *r, const pm_node *n) { return pm_value_bool(!pm_value_truth(pm_eval(r, n->kid[0]))); }

static pm_value eval_choice(pm_run *r, const pm_node *n) {
  bool yes = pm_value_truth(pm_eval(r, n->kid[0]));
  const pm_node *chosen = n->kid[yes ? 1 : 2];
  return chosen ? pm_eval(r, chosen) : undefined(PM_SPAN("the result of an inline if without else"));
}

pm_value pm_eval(pm_run *r, const pm_node *n) {
  typedef pm_value eval_fn(pm_run * r, const pm_node *n);
  static eval_fn *const functions[] = {
      [PM_NODE_CONSTANT] = eval_constant, [PM_NODE_NAME] = eval_name,           [PM_NODE_LIST] = eval_list, [PM_NODE_TUPLE] = eval_list,
      [PM_NODE_DICT] = eval_dict,         [PM_NODE_ATTRIBUTE] = eval_attribute, [PM_NODE_ITEM] = eval_item, [PM_NODE_SLICE] = eval_slice,
      [PM_NODE_CALL] = eval_call,         [PM_NODE_FILTER] = eval_filter,       [PM_NODE_TEST] = eval_test, [PM_NODE_UNARY] = eval_unary,
      [PM_NODE_BINARY] = eval_binary,     [PM_NODE_COMPARE] = eval_compare,     [PM_NODE_AND] = eval_and,   [PM_NODE_OR] = eval_or,
      [PM_NODE_NOT] = eval_not,           [PM_NODE_CHOICE] = eval_choice,
  };
  enum { MAX_DEPTH = 2000 };
  if (r->depth >= MAX_DEPTH) return pm_run_fail(r, PM_ERR_FORMAT, "expressions are nested too deeply");
  if (!pm_run_charge(r, 1)) return (pm_value){0};
  uint32_t line = r->line;
  r->depth++;
  r->line = n->line;
  pm_value v = functions[n->kind](r, n);
  if (pm_run_ok(r)) r->line = line;
  r->depth--;
  return v;
}

pm_args pm_eval_arguments(pm_run *r, const pm_node *first) {
  pm_args a = {0};
  size_t n = 1;  // room for one more
  for (const pm_node *p = first; p; p = p->next) n++;
  a.value = pm_run_alloc(r, n * sizeof *a.value);
  a.name = pm_run_alloc(r, n * sizeof *a.name);
  for (const pm_node *p = first; p && pm_run_ok(r); p = p->next) {
    if (p->value.kind == PM_STRING) a.name[a.n] = p->value.text;
    a.value[a.n++] = pm_eval(r, p->kid[0]);
  }
  return a;
}
