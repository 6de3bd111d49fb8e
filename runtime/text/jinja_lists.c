// Filters of lists, and of whatever can be iterated over.
#include <string.h>

#include "jinja_run.h"
#include "unicode.h"

static pm_value undefined(const char *what) { return (pm_value){.kind = PM_UNDEFINED, .text = pm_span_of(what)}; }

static pm_value f_list(pm_run *r, pm_value v, const pm_args *a) {
  (void)a;
  pm_value *items, list = pm_run_list(r, 0);
  size_t n;
  if (!pm_iterate(r, v, &items, &n)) return list;
  for (size_t i = 0; i < n && pm_run_charge(r, 1); i++) pm_run_append(r, list, items[i]);
  return list;
}

static pm_value f_first(pm_run *r, pm_value v, const pm_args *a) {
  (void)a;
  pm_value *items;
  size_t n;
  return pm_iterate(r, v, &items, &n) && n ? items[0] : undefined("the first item of nothing");
}

static pm_value f_last(pm_run *r, pm_value v, const pm_args *a) {
  (void)a;
  pm_value *items;
  size_t n;
  return pm_iterate(r, v, &items, &n) && n ? items[n - 1] : undefined("the last item of nothing");
}

static pm_value f_reverse(pm_run *r, pm_value v, const pm_args *a) {
  (void)a;
  pm_value *items;
  size_t n;
  if (!pm_iterate(r, v, &items, &n)) return v;
  pm_value list = pm_run_list(r, n);
  for (size_t i = n; i-- > 0 && pm_run_charge(r, 1);) pm_run_append(r, list, items[i]);
  if (v.kind != PM_STRING || !pm_run_ok(r)) return list;
  pm_buffer text = pm_run_buffer(r);
  for (size_t i = n; i-- > 0;) pm_buffer_put(&text, items[i].text.at, items[i].text.n);
  return pm_run_take_text(r, &text);
}

static pm_value f_join(pm_run *r, pm_value v, const pm_args *a) {
  pm_value *items;
  size_t n;
  pm_buffer out = pm_run_buffer(r);
  pm_span between = a->bound[0].kind == PM_UNDEFINED ? PM_SPAN("") : pm_text_of(r, a->bound[0]);
  if (!pm_iterate(r, v, &items, &n)) return v;
  for (size_t i = 0; i < n && pm_run_charge(r, 1); i++) {
    if (i) pm_buffer_put(&out, between.at, between.n);
    pm_show(r, &out, a->bound[1].kind == PM_UNDEFINED ? items[i] : pm_path(r, items[i], a->bound[1], (pm_value){0}));
  }
  return pm_run_take_text(r, &out);
}

static pm_value f_sum(pm_run *r, pm_value v, const pm_args *a) {
  pm_value *items, sum = a->bound[1].kind == PM_UNDEFINED ? pm_value_int(0) : a->bound[1];
  size_t n;
  if (!pm_iterate(r, v, &items, &n)) return v;
  bool path = a->bound[0].kind != PM_UNDEFINED && a->bound[0].kind != PM_NONE;
  for (size_t i = 0; i < n && pm_run_charge(r, 1); i++)
    sum = pm_binary(r, PM_OP_ADD, sum, path ? pm_path(r, items[i], a->bound[0], (pm_value){0}) : items[i]);
  return sum;
}

static pm_value f_items(pm_run *r, pm_value v, const pm_args *a) {
  if (v.kind == PM_UNDEFINED) return pm_run_list(r, 0);
  if (v.kind != PM_DICT) return pm_run_fail(r, PM_ERR_FORMAT, "items of a %s", pm_value_type(v));
  return pm_method_find(PM_DICT, PM_SPAN("items"))->fn(r, v, a);
}

static pm_value f_batch(pm_run *r, pm_value v, const pm_args *a) {
  pm_value *items, list = pm_run_list(r, 0), row = {0};
  size_t n;
  int64_t size;
  if (!pm_as_integer(r, a->bound[0], &size) || !pm_iterate(r, v, &items, &n)) return v;
  if (size < 1) return pm_run_fail(r, PM_ERR_FORMAT, "batch: rows of less than one item");
  size_t total = a->bound[1].kind == PM_UNDEFINED || n == 0 || size > 100000 ? n : (n + (size_t)size - 1) / (size_t)size * (size_t)size;
  for (size_t i = 0; i < total && pm_run_charge(r, 1); i++) {
    if (i % (size_t)size == 0) pm_run_append(r, list, row = pm_run_list(r, 0));
    if (pm_run_ok(r)) pm_run_append(r, row, i < n ? items[i] : a->bound[1]);
  }
  return list;
}

// ---- choosing items ------------------------------------------------------------------------------------------------

// The arguments behind the first `skip`.
static pm_args rest_of(const pm_args *a, size_t skip) {
  return (pm_args){.n = a->n > skip ? a->n - skip : 0, .value = a->value + skip, .name = a->name + skip};
}

// Items for which a test holds, or does not; of the item or of an attribute. Without a test: the truth of it.
static pm_value choose(pm_run *r, pm_value v, const pm_args *a, bool wanted, bool by_attribute) {
  pm_value *items, list = pm_run_list(r, 0);
  size_t n, at = by_attribute;
  if (a->n < at) return pm_run_fail(r, PM_ERR_FORMAT, "selectattr and rejectattr need the name of an attribute");
  if (!pm_iterate(r, v, &items, &n)) return list;
  for (size_t i = 0; i < n && pm_run_charge(r, 1); i++) {
    pm_value x = by_attribute ? pm_path(r, items[i], a->value[0], (pm_value){0}) : items[i];
    bool holds = pm_value_truth(x);
    if (a->n > at) {
      pm_args rest = rest_of(a, at + 1);
      holds = pm_call_test(r, pm_text_of(r, a->value[at]), x, &rest);
    }
    if (holds == wanted) pm_run_append(r, list, items[i]);
  }
  return list;
}

static pm_value f_select(pm_run *r, pm_value v, const pm_args *a) { return choose(r, v, a, true, false); }
static pm_value f_reject(pm_run *r, pm_value v, const pm_args *a) { return choose(r, v, a, false, false); }
static pm_value f_selectattr(pm_run *r, pm_value v, const pm_args *a) { return choose(r, v, a, true, true); }
static pm_value f_rejectattr(pm_run *r, pm_value v, const pm_args *a) { return choose(r, v, a, false, true); }

static pm_value f_map(pm_run *r, pm_value v, const pm_args *a) {
  pm_value *items, list = pm_run_list(r, 0), path = {0}, fallback = {0};
  size_t n;
  for (size_t i = 0; i < a->n; i++) {
    if (pm_span_is(a->name[i], "attribute")) path = a->value[i];
    if (pm_span_is(a->name[i], "default")) fallback = a->value[i];
  }
  if (path.kind == PM_UNDEFINED && (a->n == 0 || a->name[0].n)) return pm_run_fail(r, PM_ERR_FORMAT, "map needs a filter or an attribute");
  if (!pm_iterate(r, v, &items, &n)) return list;
  for (size_t i = 0; i < n && pm_run_charge(r, 1); i++) {
    pm_value x;
    if (path.kind != PM_UNDEFINED) {
      x = pm_path(r, items[i], path, fallback);
    } else {
      pm_args rest = rest_of(a, 1);
      x = pm_call_filter(r, pm_text_of(r, a->value[0]), items[i], &rest);
    }
    pm_run_append(r, list, x);
  }
  return list;
}

// ---- order ---------------------------------------------------------------------------------------------------------

typedef struct keyed {
  pm_value key, item;
} keyed;

// What items are compared by: an attribute, or themselves; texts in lower case unless case counts.
static pm_value key_of(pm_run *r, pm_value item, pm_value path, bool case_sensitive) {
  pm_value key = path.kind == PM_UNDEFINED || path.kind == PM_NONE ? item : pm_path(r, item, path, (pm_value){0});
  return key.kind == PM_STRING && !case_sensitive ? pm_map_case(r, key.text, pm_unicode_lower) : key;
}

static bool before(pm_run *r, pm_value a, pm_value b) {
  return pm_run_charge(r, 1 + (a.kind == PM_STRING ? a.text.n / 16 : 0)) && pm_compare(r, PM_OP_LT, a, b);
}

// Merge sort, stable also when it is reversed.
static void sort(pm_run *r, keyed *v, keyed *spare, size_t n, bool reverse) {
  if (n < 2 || !pm_run_ok(r)) return;
  size_t half = n / 2, i = 0, k = half;
  sort(r, v, spare, half, reverse);
  sort(r, v + half, spare, n - half, reverse);
  memcpy(spare, v, n * sizeof *v);
  for (size_t out = 0; out < n; out++) {
    bool second = i == half || (k < n && (reverse ? before(r, spare[i].key, spare[k].key) : before(r, spare[k].key, spare[i].key)));
    v[out] = second ? spare[k++] : spare[i++];
  }
}

static pm_value sorted(pm_run *r, keyed *v, size_t n, bool reverse) {
  keyed *spare = pm_run_alloc(r, n * sizeof *spare);
  if (spare) sort(r, v, spare, n, reverse);
  pm_value list = pm_run_list(r, n);
  for (size_t i = 0; i < n && pm_run_ok(r); i++) pm_run_append(r, list, v[i].item);
  return list;
}

static pm_value f_sort(pm_run *r, pm_value v, const pm_args *a) {
  pm_value *items;
  size_t n;
  if (!pm_iterate(r, v, &items, &n)) return v;
  keyed *k = pm_run_alloc(r, n * sizeof *k);
  for (size_t i = 0; k && i < n && pm_run_charge(r, 1); i++)
    k[i] = (keyed){key_of(r, items[i], a->bound[2], pm_value_truth(a->bound[1])), items[i]};
  return pm_run_ok(r) ? sorted(r, k, n, pm_value_truth(a->bound[0])) : v;
}

static pm_value f_dictsort(pm_run *r, pm_value v, const pm_args *a) {
  if (v.kind != PM_DICT) return pm_run_fail(r, PM_ERR_FORMAT, "dictsort of a %s", pm_value_type(v));
  pm_value pairs = f_items(r, v, a);
  if (!pm_run_ok(r)) return v;
  bool by_value = a->bound[1].kind == PM_STRING && pm_span_is(a->bound[1].text, "value");
  size_t n = pairs.list->n;
  keyed *k = pm_run_alloc(r, n * sizeof *k);
  for (size_t i = 0; k && i < n && pm_run_charge(r, 1); i++)
    k[i] = (keyed){key_of(r, pairs.list->items[i], pm_value_int(by_value), pm_value_truth(a->bound[0])), pairs.list->items[i]};
  return pm_run_ok(r) ? sorted(r, k, n, pm_value_truth(a->bound[2])) : v;
}

static pm_value extreme(pm_run *r, pm_value v, const pm_args *a, bool largest) {
  pm_value *items, best = undefined("an extreme of nothing"), best_key = {0};
  size_t n;
  if (!pm_iterate(r, v, &items, &n)) return v;
  for (size_t i = 0; i < n && pm_run_ok(r); i++) {
    pm_value key = key_of(r, items[i], a->bound[1], pm_value_truth(a->bound[0]));
    if (i == 0 || (largest ? before(r, best_key, key) : before(r, key, best_key))) best = items[i], best_key = key;
  }
  return best;
}

static pm_value f_min(pm_run *r, pm_value v, const pm_args *a) { return extreme(r, v, a, false); }
static pm_value f_max(pm_run *r, pm_value v, const pm_args *a) { return extreme(r, v, a, true); }

static pm_value f_unique(pm_run *r, pm_value v, const pm_args *a) {
  pm_value *items, list = pm_run_list(r, 0), seen = pm_run_dict(r);
  size_t n;
  if (!pm_iterate(r, v, &items, &n)) return list;
  for (size_t i = 0; i < n && pm_run_charge(r, 1); i++) {
    pm_value key = key_of(r, items[i], a->bound[1], pm_value_truth(a->bound[0]));
    if (!pm_run_ok(r) || pm_dict_find(seen.dict, key)) continue;
    pm_run_set(r, seen, key, pm_value_none());
    pm_run_append(r, list, items[i]);
  }
  return list;
}

const pm_builtin pm_list_filters[] = {{"list", f_list, ""},
                                      {"first", f_first, ""},
                                      {"last", f_last, ""},
                                      {"reverse", f_reverse, ""},
                                      {"join", f_join, "d attribute"},
                                      {"sum", f_sum, "attribute start"},
                                      {"items", f_items, ""},
                                      {"batch", f_batch, "linecount fill_with"},
                                      {"select", f_select, "*"},
                                      {"reject", f_reject, "*"},
                                      {"selectattr", f_selectattr, "*"},
                                      {"rejectattr", f_rejectattr, "*"},
                                      {"map", f_map, "*"},
                                      {"sort", f_sort, "reverse case_sensitive attribute"},
                                      {"dictsort", f_dictsort, "case_sensitive by reverse"},
                                      {"min", f_min, "case_sensitive attribute"},
                                      {"max", f_max, "case_sensitive attribute"},
                                      {"unique", f_unique, "case_sensitive attribute"},
                                      {NULL, NULL, NULL}};
