// JSON (RFC 8259) as a tree in an arena, for the headers and side files of checkpoints. Strict: UTF-8 without control characters, no NUL
// even when escaped, no number that is not finite, limits on depth and size.
#ifndef PM_JSON_TREE_H
#define PM_JSON_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "status.h"

typedef enum pm_tree_kind { PM_TREE_NULL, PM_TREE_BOOL, PM_TREE_NUMBER, PM_TREE_STRING, PM_TREE_ARRAY, PM_TREE_OBJECT } pm_tree_kind;

typedef struct pm_tree pm_tree;
struct pm_tree {
  const char *key;  // of a member of an object
  union {
    const char *text;      // of a string, terminated
    double number;         // nearest double
    bool truth;            // of true and false
    const pm_tree *first;  // of an array or object; NULL if it is empty
  };
  const pm_tree *next;  // beside it in its array or object
  uint32_t n;           // elements or members
  uint8_t kind;
};

// `text` [n] may be freed afterwards. PM_ERR_FORMAT says "<path>: line <l>, column <c>: ...".
pm_status pm_tree_parse(pm_arena *arena, const char *path, const char *text, size_t n, const pm_tree **out) PM_MUST_USE;

// The member of an object; NULL if there is none, it is null, or `object` is NULL or no object.
const pm_tree *pm_tree_find(const pm_tree *object, const char *key);

// Whether the value is a whole number from 0 to 2^53; *out is it then.
bool pm_tree_whole(const pm_tree *value, uint64_t *out);

// Its text if it is a string, else NULL.
const char *pm_tree_text(const pm_tree *value);

#endif
