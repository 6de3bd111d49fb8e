#include <stdio.h>
#include <string.h>
#include <time.h>

#include "jinja_run.h"

// ---- arguments to parameters ---------------------------------------------------------------------------------------

static bool bind_builtin(pm_run *r, const pm_builtin *b, const char *what, pm_args *a) {
  for (size_t i = 0, place = 0; i < a->n; i++) {
    const char *p = b->parameters;
    size_t k = 0;
    for (; *p; k++) {
      pm_span name = {p, strcspn(p, " ")};
      if (a->name[i].n ? pm_span_equal(name, a->name[i]) : k == place) break;
      p += name.n;
      while (*p == ' ') p++;
    }
    if (!*p || k >= PM_MAX_PARAMETERS) {
      pm_run_fail(r, PM_ERR_FORMAT, "%s %s does not take this many arguments, or not of these names", what, b->name);
      return false;
    }
    a->bound[k] = a->value[i];
    place += !a->name[i].n;
  }
  return true;
}

static pm_value call_builtin(pm_run *r, const pm_builtin *b, const char *what, pm_value self, pm_args *args) {
  if (*b->parameters != '*' && !bind_builtin(r, b, what, args)) return (pm_value){0};
  return b->fn(r, self, args);
}

pm_value pm_call_filter(pm_run *r, pm_span name, pm_value in, pm_args *args) {
  const pm_builtin *f = pm_filter_find(name);
  if (!f) return pm_run_fail(r, PM_ERR_UNSUPPORTED, "unknown filter '%.*s'", (int)(name.n < 80 ? name.n : 80), name.at);
  return call_builtin(r, f, "the filter", in, args);
}

bool pm_call_test(pm_run *r, pm_span name, pm_value in, pm_args *args) {
  const pm_builtin *t = pm_test_find(name);
  if (t) return pm_value_truth(call_builtin(r, t, "the test", in, args));
  pm_run_fail(r, PM_ERR_UNSUPPORTED, "unknown test '%.*s'", (int)(name.n < 80 ? name.n : 80), name.at);
  return false;
}

// ---- macros --------------------------------------------------------------------------------------------------------

static bool bind_macro(pm_run *r, const pm_node *parameters, const pm_args *a) {
  size_t place = 0, n_place = 0, n_used = 0;
  for (size_t i = 0; i < a->n; i++) n_place += !a->name[i].n;
  for (const pm_node *p = parameters; p && pm_run_ok(r); p = p->next) {
    pm_value v = {.kind = PM_UNDEFINED, .text = p->value.text};
    bool given = place < n_place;
    for (size_t i = 0, k = 0; i < a->n; i++) {
      bool this_one = a->name[i].n ? pm_span_equal(a->name[i], p->value.text) : given && k == place;
      k += !a->name[i].n;
      if (this_one) v = a->value[i], n_used++;
      if (this_one && a->name[i].n) given = true;
    }
    if (place < n_place) place++;
    if (!given && p->kid[0]) v = pm_eval(r, p->kid[0]);
    pm_scope_set(r, p->value.text, v);
  }
  for (size_t i = 0; i < a->n; i++) {
    if (!pm_span_is(a->name[i], "caller")) continue;
    pm_scope_set(r, a->name[i], a->value[i]);
    n_used++;
  }
  if (n_used < a->n) pm_run_fail(r, PM_ERR_FORMAT, "a macro is called with arguments that it does not have");
  return pm_run_ok(r);
}

static pm_value call_macro(pm_run *r, const pm_object *o, pm_args *args) {
  pm_scope *before = pm_scope_push(r, o->scope);
  pm_value text = {0};
  const pm_node *parameters = o->node->kid[o->node->kind == PM_NODE_MACRO ? 0 : 2];
  if (pm_run_ok(r) && bind_macro(r, parameters, args)) text = pm_capture(r, o->node->kid[1]);
  r->scope = before;
  return text;
}

pm_value pm_object_value(pm_run *r, pm_object o) {
  pm_object *copy = pm_run_alloc(r, sizeof *copy);
  if (!copy) return (pm_value){0};
  *copy = o;
  return (pm_value){.kind = PM_OBJECT, .object = copy};
}

pm_value pm_call(pm_run *r, pm_value callee, pm_args *args) {
  if (callee.kind == PM_UNDEFINED)
    return pm_run_fail(r, PM_ERR_FORMAT, "'%.*s' is undefined and cannot be called", (int)(callee.text.n < 80 ? callee.text.n : 80),
                       callee.text.n ? callee.text.at : "");
  if (callee.kind != PM_OBJECT || callee.object->kind == PM_OBJECT_LOOP)
    return pm_run_fail(r, PM_ERR_FORMAT, "a %s cannot be called", pm_value_type(callee));
  const pm_object *o = callee.object;
  return o->kind == PM_OBJECT_MACRO ? call_macro(r, o, args) : call_builtin(r, o->builtin, "the function", o->self, args);
}

// ---- loop ----------------------------------------------------------------------------------------------------------

static pm_value loop_cycle(pm_run *r, pm_value self, const pm_args *a) {
  if (a->n == 0) return pm_run_fail(r, PM_ERR_FORMAT, "loop.cycle needs values");
  return a->value[self.object->index % a->n];
}

static pm_value loop_changed(pm_run *r, pm_value self, const pm_args *a) {
  pm_value now = pm_run_list(r, a->n);
  for (size_t i = 0; i < a->n; i++) pm_run_append(r, now, a->value[i]);
  bool changed = !pm_equal(r, now, self.object->changed);
  self.object->changed = now;
  return pm_value_bool(changed);
}

pm_value pm_loop_attribute(pm_run *r, pm_object *loop, pm_span name) {
  static const pm_builtin methods[] = {{"cycle", loop_cycle, "*"}, {"changed", loop_changed, "*"}};
  int64_t i = (int64_t)loop->index, n = (int64_t)loop->n;
  const struct {
    const char *name;
    pm_value value;
  } rows[] = {
      {"index", pm_value_int(i + 1)},
      {"index0", pm_value_int(i)},
      {"first", pm_value_bool(i == 0)},
      {"last", pm_value_bool(i == n - 1)},
      {"length", pm_value_int(n)},
      {"revindex", pm_value_int(n - i)},
      {"revindex0", pm_value_int(n - i - 1)},
      {"depth", pm_value_int(1)},
      {"depth0", pm_value_int(0)},
      {"previtem", i > 0 ? loop->items[i - 1] : (pm_value){.kind = PM_UNDEFINED, .text = PM_SPAN("loop.previtem")}},
      {"nextitem", i + 1 < n ? loop->items[i + 1] : (pm_value){.kind = PM_UNDEFINED, .text = PM_SPAN("loop.nextitem")}},
  };
  for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
    if (pm_span_is(name, rows[k].name)) return rows[k].value;
  for (size_t k = 0; k < sizeof methods / sizeof *methods; k++)
    if (pm_span_is(name, methods[k].name))
      return pm_object_value(r, (pm_object){.kind = PM_OBJECT_METHOD, .builtin = &methods[k], .self = {PM_OBJECT, {.object = loop}}});
  return (pm_value){.kind = PM_UNDEFINED, .text = name};
}

// ---- functions -----------------------------------------------------------------------------------------------------

bool pm_as_integer(pm_run *r, pm_value v, int64_t *out) {
  if (v.kind == PM_INT || v.kind == PM_BOOL) return *out = v.kind == PM_BOOL ? v.truth : v.integer, true;
  pm_run_fail(r, PM_ERR_FORMAT, "expected an integer, not a %s", pm_value_type(v));
  return false;
}

static pm_value fn_range(pm_run *r, pm_value self, const pm_args *a) {
  (void)self;
  enum { MAX_RANGE = 100000 };
  int64_t v[3] = {0, 0, 1};
  if (a->n < 1 || a->n > 3) return pm_run_fail(r, PM_ERR_FORMAT, "range takes 1 to 3 integers");
  for (size_t i = 0; i < a->n; i++)
    if (!pm_as_integer(r, a->value[i], &v[i])) return (pm_value){0};
  int64_t start = a->n > 1 ? v[0] : 0, stop = a->n > 1 ? v[1] : v[0], step = v[2];
  if (step == 0) return pm_run_fail(r, PM_ERR_FORMAT, "the step of a range is 0");
  double count = ((double)stop - (double)start) / (double)step;
  if (count > MAX_RANGE) return pm_run_fail(r, PM_ERR_FORMAT, "a range of more than %d numbers", MAX_RANGE);
  pm_value list = pm_run_list(r, 0);
  for (int64_t i = start; count > 0 && (step > 0 ? i < stop : i > stop) && pm_run_charge(r, 1); i += step) {
    pm_run_append(r, list, pm_value_int(i));
    if (list.list->n > MAX_RANGE || (step > 0 ? i > INT64_MAX - step : i < INT64_MIN - step)) break;
  }
  return list;
}

static pm_value fn_dict(pm_run *r, pm_value self, const pm_args *a) {
  (void)self;
  pm_value dict = pm_run_dict(r);
  for (size_t i = 0; i < a->n && pm_run_ok(r); i++) {
    pm_value v = a->value[i];
    if (a->name[i].n)
      pm_run_set(r, dict, pm_value_text(a->name[i]), v);
    else if (v.kind == PM_DICT)
      for (size_t k = 0; k < v.dict->n && pm_run_charge(r, 1); k++) pm_run_set(r, dict, v.dict->entries[k].key, v.dict->entries[k].value);
    else
      pm_run_fail(r, PM_ERR_FORMAT, "expected a mapping, not a %s", pm_value_type(v));
  }
  return dict;
}

static pm_value fn_namespace(pm_run *r, pm_value self, const pm_args *a) {
  pm_value dict = fn_dict(r, self, a);
  if (pm_run_ok(r)) dict.dict->name_space = true;
  return dict;
}

static pm_value fn_raise(pm_run *r, pm_value self, const pm_args *a) {
  (void)self;
  pm_span text = pm_text_of(r, a->bound[0]);
  return pm_run_fail(r, PM_ERR_ARGUMENT, "it refuses this conversation: %.*s", (int)(text.n < 200 ? text.n : 200), text.at);
}

static pm_value fn_strftime(pm_run *r, pm_value self, const pm_args *a) {
  (void)self;
  char fmt[128], text[256];
  time_t now = r->now ? (time_t)r->now : time(NULL);
  struct tm local;
  pm_span s = pm_text_of(r, a->bound[0]);
  if (s.n >= sizeof fmt || memchr(s.at, 0, s.n)) return pm_run_fail(r, PM_ERR_FORMAT, "strftime_now: a format of more than 127 bytes");
  memcpy(fmt, s.at, s.n);
  fmt[s.n] = 0;
  if (!localtime_r(&now, &local)) return pm_run_fail(r, PM_ERR_FORMAT, "strftime_now: the clock is unreadable");
  return pm_run_text(r, text, strftime(text, sizeof text, fmt, &local));
}

const pm_builtin *pm_function_find(pm_span name) {
  static const pm_builtin functions[] = {{"range", fn_range, "*"},
                                         {"dict", fn_dict, "*"},
                                         {"namespace", fn_namespace, "*"},
                                         {"raise_exception", fn_raise, "message"},
                                         {"strftime_now", fn_strftime, "format"}};
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
    if (pm_span_is(name, functions[i].name)) return &functions[i];
  return NULL;
}
