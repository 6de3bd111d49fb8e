// Values of JSON texts and of chat templates: immutable trees in a heap of limited size that is freed as a whole. They mean what Python's
// values mean: templates are written for an interpreter in that language.
#ifndef PM_VALUE_H
#define PM_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "span.h"
#include "status.h"

typedef enum pm_kind {
  PM_UNDEFINED,  // `text` is the name that was looked up in vain
  PM_NONE,
  PM_BOOL,
  PM_INT,
  PM_FLOAT,
  PM_STRING,
  PM_LIST,
  PM_DICT,
  PM_OBJECT,  // of the template interpreter: a macro, a method, a loop
} pm_kind;

typedef struct pm_list pm_list;
typedef struct pm_dict pm_dict;
typedef struct pm_object pm_object;

typedef struct pm_value {
  pm_kind kind;
  union {
    bool truth;
    int64_t integer;
    double number;
    pm_span text;
    pm_list *list;
    pm_dict *dict;
    pm_object *object;
  };
} pm_value;

struct pm_list {
  pm_value *items;
  size_t n, capacity;
  bool tuple;
};

typedef struct pm_entry {
  pm_value key, value;
  uint32_t hash;
} pm_entry;

struct pm_dict {  // in the order of insertion
  pm_entry *entries;
  size_t n, capacity;
  uint32_t *index;  // open addressing: entry + 1, 0 = free; NULL while there are few entries
  size_t n_index;   // a power of two
  bool name_space;  // of a template: equal only to itself
  pm_span source;   // not empty: the JSON text that it was made of, which it becomes wherever text is wanted
};

typedef struct pm_heap {  // zeroed = empty, without a limit
  pm_arena arena;
  size_t used, limit;  // bytes
  bool failed;         // memory was short, the limit aside
} pm_heap;
void *pm_heap_alloc(pm_heap *h, size_t bytes);  // zeroed; NULL if memory is short or the limit is reached
void pm_heap_finish(pm_heap *h);

static inline pm_value pm_value_bool(bool b) { return (pm_value){.kind = PM_BOOL, .truth = b}; }
static inline pm_value pm_value_int(int64_t i) { return (pm_value){.kind = PM_INT, .integer = i}; }
static inline pm_value pm_value_float(double d) { return (pm_value){.kind = PM_FLOAT, .number = d}; }
static inline pm_value pm_value_text(pm_span s) { return (pm_value){.kind = PM_STRING, .text = s}; }  // s is not copied
static inline pm_value pm_value_none(void) { return (pm_value){.kind = PM_NONE}; }

// PM_ERR_MEMORY: no memory, or the heap's limit.
pm_status pm_value_copy_text(pm_heap *h, const char *at, size_t n, pm_value *out) PM_MUST_USE;
pm_status pm_list_create(pm_heap *h, size_t capacity, pm_value *out) PM_MUST_USE;
pm_status pm_list_append(pm_heap *h, pm_list *l, pm_value v) PM_MUST_USE;
pm_status pm_dict_create(pm_heap *h, pm_value *out) PM_MUST_USE;
// A new value for a key that is there. PM_ERR_FORMAT for keys whose hashes collide by design.
pm_status pm_dict_set(pm_heap *h, pm_dict *d, pm_value key, pm_value value) PM_MUST_USE;
// Keys are of any kind but lists and dicts, which are never found.
const pm_value *pm_dict_find(const pm_dict *d, pm_value key);
const pm_value *pm_dict_find_text(const pm_dict *d, const char *key);

bool pm_value_truth(pm_value v);
// *steps (may be NULL) grows with what it took.
bool pm_value_equal(pm_value a, pm_value b, size_t *steps);
// *order: below, equal to or above 0. False if there is no order between values of these kinds.
bool pm_value_order(pm_value a, pm_value b, int *order);
// The number of a bool, an integer or a float.
bool pm_value_number(pm_value v, double *out);
const char *pm_value_type(pm_value v);  // "string", "list", ... for messages

#endif
