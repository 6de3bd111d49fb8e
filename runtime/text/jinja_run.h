// A template at work: what the files of the interpreter share.
#ifndef PM_JINJA_RUN_H
#define PM_JINJA_RUN_H

#include "jinja_ast.h"

typedef struct pm_scope pm_scope;
struct pm_scope {
  pm_scope *parent;
  pm_value vars;  // a dict, or PM_UNDEFINED while it would be empty
};

// Failures are latched: the first one is kept in `status`, values are undefined from then on, and loops end when they see it.
typedef struct pm_run {
  pm_heap *heap;
  pm_buffer *out;
  pm_scope *scope;
  pm_status status;
  uint32_t line;   // of what is being computed
  int depth;       // of calls and nested nodes
  uint64_t steps;  // nodes visited and bytes touched
  int64_t now;
  pm_value captured;  // what a filter without an operand works on
} pm_run;

static inline bool pm_run_ok(const pm_run *r) { return r->status == PM_OK; }
pm_value pm_run_fail(pm_run *r, pm_status code, const char *fmt, ...) PM_PRINTF(3, 4);  // undefined, for the caller to return
bool pm_run_charge(pm_run *r, size_t n);  // for work on n values or bytes; false when there was too much of it

// Values whose memory cannot fail quietly: undefined, and the run has failed.
pm_value pm_run_text(pm_run *r, const char *at, size_t n);  // a copy
pm_value pm_run_take_text(pm_run *r, pm_buffer *b);         // what the buffer holds, which is finished
pm_buffer pm_run_buffer(const pm_run *r);                   // with the run's limit
pm_value pm_run_list(pm_run *r, size_t capacity);
void pm_run_append(pm_run *r, pm_value list, pm_value v);
pm_value pm_run_dict(pm_run *r);
void pm_run_set(pm_run *r, pm_value dict, pm_value key, pm_value v);
void *pm_run_alloc(pm_run *r, size_t bytes);  // NULL: the run has failed

// ---- calls ---------------------------------------------------------------------------------------------------------

enum { PM_MAX_PARAMETERS = 6 };

typedef struct pm_args {
  size_t n;
  pm_value *value;
  pm_span *name;                      // empty if given by place
  pm_value bound[PM_MAX_PARAMETERS];  // by the parameters of the function; undefined if not given
} pm_args;

typedef pm_value pm_builtin_fn(pm_run *r, pm_value self, const pm_args *a);
typedef struct pm_builtin {
  const char *name;
  pm_builtin_fn *fn;
  const char *parameters;  // their names, with a space between; "*" = it looks at the arguments itself
} pm_builtin;

// NULL if there is none.
const pm_builtin *pm_filter_find(pm_span name);
const pm_builtin *pm_test_find(pm_span name);
const pm_builtin *pm_method_find(pm_kind kind, pm_span name);
const pm_builtin *pm_function_find(pm_span name);
extern const pm_builtin pm_list_filters[];  // ends with a row without a name

pm_value pm_call(pm_run *r, pm_value callee, pm_args *args);
pm_value pm_call_filter(pm_run *r, pm_span name, pm_value in, pm_args *args);
bool pm_call_test(pm_run *r, pm_span name, pm_value in, pm_args *args);

typedef enum pm_object_kind { PM_OBJECT_MACRO, PM_OBJECT_METHOD, PM_OBJECT_FUNCTION, PM_OBJECT_LOOP } pm_object_kind;
struct pm_object {
  pm_object_kind kind;
  const pm_node *node;  // of a macro: its parameters are kid[0] or kid[2], its body kid[1]
  pm_scope *scope;      // where a macro was defined
  const pm_builtin *builtin;
  pm_value self;          // of a method
  const pm_value *items;  // of a loop
  size_t n, index;
  pm_value changed;  // what loop.changed was last called with
};
pm_value pm_object_value(pm_run *r, pm_object o);  // a copy in the heap
pm_value pm_loop_attribute(pm_run *r, pm_object *loop, pm_span name);

// ---- evaluation ----------------------------------------------------------------------------------------------------

pm_value pm_eval(pm_run *r, const pm_node *n);
pm_args pm_eval_arguments(pm_run *r, const pm_node *first);
// What a list of statements writes.
pm_value pm_capture(pm_run *r, const pm_node *body);
pm_scope *pm_scope_push(pm_run *r, pm_scope *parent);  // the new one is current; returns the one before
void pm_scope_set(pm_run *r, pm_span name, pm_value v);

// "a.b.0", or an index; `fallback`, unless undefined, stands for what is not there.
pm_value pm_path(pm_run *r, pm_value of, pm_value path, pm_value fallback);
pm_value pm_binary(pm_run *r, pm_operator op, pm_value a, pm_value b);
bool pm_equal(pm_run *r, pm_value a, pm_value b);
bool pm_compare(pm_run *r, pm_operator op, pm_value a, pm_value b);

// The items of what can be iterated over: a list's, a dict's keys, a text's characters, none of undefined.
bool pm_iterate(pm_run *r, pm_value v, pm_value **items, size_t *n);

// ---- texts ---------------------------------------------------------------------------------------------------------

// As Python's str.
void pm_show(pm_run *r, pm_buffer *out, pm_value v);
pm_span pm_text_of(pm_run *r, pm_value v);                                    // as pm_show; a text itself is not copied
bool pm_as_text(pm_value v, pm_span *out);                                    // of a text, and of a dict that has a source
pm_value pm_format(pm_run *r, pm_span fmt, const pm_value *items, size_t n);  // Python's %

size_t pm_char_bytes(const char *at, size_t n);  // of the first character; a byte that is not UTF-8 is one
size_t pm_count_chars(pm_span s);
pm_span pm_chars(pm_span s, size_t from, size_t to);  // characters from..to-1

// Characters changed in case. `title` begins a word where it says so.
typedef bool pm_boundary_fn(uint32_t c);  // whether a word begins behind it
pm_value pm_map_case(pm_run *r, pm_span s, uint32_t (*map)(uint32_t));
pm_value pm_title(pm_run *r, pm_span s, pm_boundary_fn *boundary);
pm_value pm_replace(pm_run *r, pm_span s, pm_span old, pm_span new, int64_t count);
bool pm_as_integer(pm_run *r, pm_value v, int64_t *out);  // fails the run for what is none

#endif
