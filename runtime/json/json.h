// JSON texts (RFC 8259) to values and back.
#ifndef PM_JSON_H
#define PM_JSON_H

#include "buffer.h"
#include "value.h"

enum { PM_JSON_MAX_DEPTH = 64 };

// Strict; a key that is there twice has its last value, integers past 64 bits become floats. PM_ERR_FORMAT with line and column.
pm_status pm_json_parse(pm_heap *h, const char *text, size_t n, pm_value *out) PM_MUST_USE;
// The same for the header or the side file of a model, whose texts are used as C strings: refuses NUL and halves of surrogate pairs even
// when escaped, numbers that are not finite, keys that are there twice. "<path>: JSON, line <l>, column <c>: ...".
pm_status pm_json_parse_file(pm_heap *h, const char *path, const char *text, size_t n, pm_value *out) PM_MUST_USE;

// The member of an object; NULL if there is none, it is null, or `object` is NULL or no object.
const pm_value *pm_json_find(const pm_value *object, const char *key);
const pm_list *pm_json_list(const pm_value *v);        // an empty one for what is NULL or no list
bool pm_json_whole(const pm_value *v, uint64_t *out);  // whether it is a whole number from 0 to 2^53
const char *pm_json_text(const pm_value *v);           // terminated; NULL if it is NULL or no text

typedef struct pm_json_style {
  int indent;                             // spaces per level; -1 = all in one line
  pm_span item_separator, key_separator;  // empty = ", " and ": "; with an indent "," and ": "
  bool ascii, sort_keys;
} pm_json_style;

// As Python's json.dumps writes it. False, with the kind of it in *kind, for a value that JSON does not have.
bool pm_json_write(pm_buffer *out, pm_value v, const pm_json_style *style, const char **kind);
// In one line without spaces; for values that came from pm_json_parse.
void pm_json_write_compact(pm_buffer *out, pm_value v);
void pm_json_write_text(pm_buffer *out, pm_span text, bool ascii);  // quoted

// Python's repr of a float: the shortest text that reads as the same number.
void pm_json_write_float(pm_buffer *out, double d);

#endif
