#include "jinja_run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_CALLS = 1000, MAX_STEPS = 20 * 1000 * 1000 };

pm_value pm_run_fail(pm_run *r, pm_status code, const char *fmt, ...) {
  if (r->status != PM_OK) return (pm_value){0};
  char text[300];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  r->status = pm_fail(code, "chat template, line %u: %s", r->line, text);
  return (pm_value){0};
}

bool pm_run_charge(pm_run *r, size_t n) {
  r->steps += n;
  if (r->steps > MAX_STEPS) pm_run_fail(r, PM_ERR_FORMAT, "it takes more than %d steps", MAX_STEPS);
  return pm_run_ok(r);
}

static void latch(pm_run *r, pm_status status) {
  if (r->status == PM_OK && status != PM_OK) r->status = pm_fail_prefix(status, "chat template, line %u", r->line);
}

void *pm_run_alloc(pm_run *r, size_t bytes) {
  void *p = pm_heap_alloc(r->heap, bytes);
  if (!p) pm_run_fail(r, PM_ERR_MEMORY, "its values take more than %zu bytes", r->heap->limit);
  return p;
}

pm_value pm_run_text(pm_run *r, const char *at, size_t n) {
  pm_value v = {0};
  if (pm_run_charge(r, n / 16)) latch(r, pm_value_copy_text(r->heap, at, n, &v));
  return v;
}

pm_buffer pm_run_buffer(const pm_run *r) { return (pm_buffer){.limit = r->out->limit}; }

pm_value pm_run_take_text(pm_run *r, pm_buffer *b) {
  latch(r, b->status);
  pm_value v = pm_run_text(r, b->at ? b->at : "", b->n);
  pm_buffer_finish(b);
  return v;
}

pm_value pm_run_list(pm_run *r, size_t capacity) {
  pm_value v = {0};
  latch(r, pm_list_create(r->heap, capacity, &v));
  return v;
}

void pm_run_append(pm_run *r, pm_value list, pm_value v) {
  if (pm_run_ok(r)) latch(r, pm_list_append(r->heap, list.list, v));
}

pm_value pm_run_dict(pm_run *r) {
  pm_value v = {0};
  latch(r, pm_dict_create(r->heap, &v));
  return v;
}

void pm_run_set(pm_run *r, pm_value dict, pm_value key, pm_value v) {
  if (key.kind == PM_LIST || key.kind == PM_DICT) pm_run_fail(r, PM_ERR_FORMAT, "a %s cannot be a key", pm_value_type(key));
  if (pm_run_ok(r)) latch(r, pm_dict_set(r->heap, dict.dict, key, v));
}

// ---- scopes --------------------------------------------------------------------------------------------------------

pm_scope *pm_scope_push(pm_run *r, pm_scope *parent) {
  pm_scope *before = r->scope, *s = pm_run_alloc(r, sizeof *s);
  if (s) s->parent = parent, r->scope = s;
  return before;
}

void pm_scope_set(pm_run *r, pm_span name, pm_value v) {
  if (r->scope->vars.kind == PM_UNDEFINED) r->scope->vars = pm_run_dict(r);
  if (pm_run_ok(r)) pm_run_set(r, r->scope->vars, pm_value_text(name), v);
}

// ---- statements ----------------------------------------------------------------------------------------------------

typedef enum flow { GO_ON, BREAK, CONTINUE } flow;

static flow exec(pm_run *r, const pm_node *first);

pm_value pm_capture(pm_run *r, const pm_node *body) {
  pm_buffer text = pm_run_buffer(r), *out = r->out;
  r->out = &text;
  exec(r, body);
  r->out = out;
  return pm_run_take_text(r, &text);
}

// The items are spread over the names of a tuple.
static void assign(pm_run *r, const pm_node *target, pm_value v) {
  if (target->kind == PM_NODE_NAME) {
    pm_scope_set(r, target->value.text, v);
  } else if (target->kind == PM_NODE_TUPLE) {
    pm_value *items;
    size_t n, i = 0;
    if (!pm_iterate(r, v, &items, &n)) return;
    for (const pm_node *t = target->kid[0]; t && pm_run_ok(r); t = t->next, i++) {
      if (i == n) break;
      pm_scope_set(r, t->value.text, items[i]);
      if (!t->next && i + 1 == n) return;
    }
    pm_run_fail(r, PM_ERR_FORMAT, "%zu values for another number of names", n);
  } else {
    pm_value of = pm_eval(r, target->kid[0]);
    if (of.kind != PM_DICT || !of.dict->name_space)
      pm_run_fail(r, PM_ERR_FORMAT, "only a namespace's attributes can be set");
    else
      pm_run_set(r, of, target->value, v);
  }
}

static flow exec_if(pm_run *r, const pm_node *n) { return exec(r, pm_value_truth(pm_eval(r, n->kid[0])) ? n->kid[1] : n->kid[2]); }

// Keeps the items for which the loop's condition holds.
static size_t select_items(pm_run *r, const pm_node *n, pm_value *items, size_t n_item, pm_value *kept) {
  size_t n_kept = 0;
  for (size_t i = 0; i < n_item && pm_run_ok(r); i++) {
    pm_scope *before = pm_scope_push(r, r->scope);
    assign(r, n->kid[0], items[i]);
    if (pm_run_ok(r) && pm_value_truth(pm_eval(r, n->kid[4]))) kept[n_kept++] = items[i];
    r->scope = before;
  }
  return n_kept;
}

static flow exec_for(pm_run *r, const pm_node *n) {
  pm_value *items, *kept;
  size_t n_item;
  if (!pm_iterate(r, pm_eval(r, n->kid[1]), &items, &n_item)) return GO_ON;
  if (n->kid[4]) {
    if (!(kept = pm_run_alloc(r, n_item * sizeof *kept))) return GO_ON;
    n_item = select_items(r, n, items, n_item, kept);
    items = kept;
  }
  pm_value loop = pm_object_value(r, (pm_object){.kind = PM_OBJECT_LOOP, .items = items, .n = n_item});
  flow f = GO_ON;
  for (size_t i = 0; i < n_item && pm_run_ok(r) && f != BREAK; i++) {
    pm_scope *before = pm_scope_push(r, r->scope);
    loop.object->index = i;
    pm_scope_set(r, PM_SPAN("loop"), loop);
    assign(r, n->kid[0], items[i]);
    f = exec(r, n->kid[2]);
    r->scope = before;
  }
  return pm_run_ok(r) && n_item == 0 ? exec(r, n->kid[3]) : GO_ON;
}

static flow exec_set(pm_run *r, const pm_node *n) {
  assign(r, n->kid[0], pm_eval(r, n->kid[1]));
  return GO_ON;
}

static flow exec_output(pm_run *r, const pm_node *n) {
  pm_show(r, r->out, pm_eval(r, n->kid[0]));
  return GO_ON;
}

static flow exec_text(pm_run *r, const pm_node *n) {
  pm_show(r, r->out, n->value);
  return GO_ON;
}

static flow exec_capture(pm_run *r, const pm_node *n) {
  pm_scope *before = pm_scope_push(r, r->scope);
  pm_value text = pm_capture(r, n->kid[1]);
  r->scope = before;
  if (n->kid[2]) {
    r->captured = text;
    text = pm_eval(r, n->kid[2]);
  }
  if (!pm_run_ok(r)) return GO_ON;
  if (n->kid[0])
    assign(r, n->kid[0], text);
  else
    pm_show(r, r->out, text);
  return GO_ON;
}

static flow exec_macro(pm_run *r, const pm_node *n) {
  pm_scope_set(r, n->value.text, pm_object_value(r, (pm_object){.kind = PM_OBJECT_MACRO, .node = n, .scope = r->scope}));
  return GO_ON;
}

// {% call %}: the body is a macro that the called one knows as `caller`.
static flow exec_caller(pm_run *r, const pm_node *n) {
  pm_value caller = pm_object_value(r, (pm_object){.kind = PM_OBJECT_MACRO, .node = n, .scope = r->scope});
  pm_value callee = pm_eval(r, n->kid[0]->kid[0]);
  pm_args args = pm_eval_arguments(r, n->kid[0]->kid[1]);
  if (!pm_run_ok(r)) return GO_ON;
  args.name[args.n] = PM_SPAN("caller");
  args.value[args.n++] = caller;
  pm_value text = pm_call(r, callee, &args);
  if (pm_run_ok(r)) pm_show(r, r->out, text);
  return GO_ON;
}

static flow exec_with(pm_run *r, const pm_node *n) {
  pm_scope *outer = pm_scope_push(r, r->scope), *inner = r->scope;
  for (const pm_node *set = n->kid[0]; set && pm_run_ok(r); set = set->next) {
    r->scope = outer;  // the values are those of outside
    pm_value v = pm_eval(r, set->kid[1]);
    r->scope = inner;
    assign(r, set->kid[0], v);
  }
  flow f = exec(r, n->kid[1]);
  r->scope = outer;
  return f;
}

static flow exec_break(pm_run *r, const pm_node *n) { return (void)r, (void)n, BREAK; }
static flow exec_continue(pm_run *r, const pm_node *n) { return (void)r, (void)n, CONTINUE; }

static flow exec(pm_run *r, const pm_node *first) {
  typedef flow exec_fn(pm_run * r, const pm_node *n);
  static exec_fn *const functions[] = {
      [PM_NODE_TEXT] = exec_text,   [PM_NODE_OUTPUT] = exec_output,     [PM_NODE_IF] = exec_if,
      [PM_NODE_FOR] = exec_for,     [PM_NODE_SET] = exec_set,           [PM_NODE_CAPTURE] = exec_capture,
      [PM_NODE_MACRO] = exec_macro, [PM_NODE_CALLER] = exec_caller,     [PM_NODE_WITH] = exec_with,
      [PM_NODE_BREAK] = exec_break, [PM_NODE_CONTINUE] = exec_continue,
  };
  if (r->depth >= MAX_CALLS) pm_run_fail(r, PM_ERR_FORMAT, "calls are nested too deeply");
  flow f = GO_ON;
  r->depth++;
  for (const pm_node *n = first; n && f == GO_ON && pm_run_ok(r) && pm_run_charge(r, 1); n = n->next) {
    r->line = n->line;
    f = functions[n->kind](r, n);
  }
  r->depth--;
  return f;
}

pm_status pm_jinja_render(const pm_jinja *t, pm_heap *heap, pm_value context, int64_t now, pm_buffer *out) {
  pm_scope outer = {.vars = context};
  pm_run r = {.heap = heap, .out = out, .scope = &outer, .now = now, .line = 1};
  pm_scope_push(&r, &outer);
  exec(&r, t->body);
  latch(&r, out->status);
  return r.status;
}
