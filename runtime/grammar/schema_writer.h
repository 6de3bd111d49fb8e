// Inside of the JSON schemas: a schema on its way to a grammar, written rule by rule. The put_ functions append to the rule of the part
// that is being written, whose name is s<now>.
#ifndef PM_SCHEMA_WRITER_H
#define PM_SCHEMA_WRITER_H

#include "buffer.h"
#include "value.h"

enum {
  PM_SCHEMA_MAX_PARTS = 1024,    // schemas within a schema
  PM_SCHEMA_MAX_TEXT = 4 << 20,  // bytes of the grammar
};

typedef struct pm_schema_part {  // a schema within the schema: the rule s<index>
  const pm_value *schema;
  uint32_t parent;
  const char *where;  // in the parent: a keyword
} pm_schema_part;

typedef struct pm_schema_writer {
  pm_heap heap;
  pm_value root;
  pm_buffer *out;
  pm_schema_part parts[PM_SCHEMA_MAX_PARTS];
  uint32_t n_part;
  uint32_t now;     // the part being written
  bool has_object;  // it needs the rules of an object
} pm_schema_writer;

// "JSON schema, #/properties/items: '<keyword>' <what>".
pm_status pm_schema_refuse(const pm_schema_writer *w, pm_status status, const char *keyword, const char *what) PM_MUST_USE;
pm_status pm_schema_not_supported(const pm_schema_writer *w, const char *keyword) PM_MUST_USE;

const pm_value *pm_schema_find(const pm_value *schema, const char *keyword);  // NULL: it has none
static inline bool is_dict(const pm_value *v) { return v && v->kind == PM_DICT; }
static inline bool is_list(const pm_value *v) { return v && v->kind == PM_LIST; }
static inline bool is_false(const pm_value *v) { return v && v->kind == PM_BOOL && !v->truth; }

// The rule of a schema within the schema; the same one for the same schema, so that it may contain itself.
pm_status pm_schema_put_part(pm_schema_writer *w, const pm_value *schema, const char *where) PM_MUST_USE;
void pm_schema_put_literal(pm_schema_writer *w, const char *text, size_t n);
pm_status pm_schema_put_json(pm_schema_writer *w, const pm_value *v) PM_MUST_USE;  // its compact text

// What a schema without a keyword like anyOf allows: values of its types, or of those that its keywords are about.
pm_status pm_schema_put_types(pm_schema_writer *w, const pm_value *schema) PM_MUST_USE;
const char *pm_schema_type_keyword(const pm_value *schema);  // a keyword of it that is about one type; NULL: there is none

// A part that is an object uses rules of its own, which follow when the part's rule is whole.
pm_status pm_schema_put_object_use(pm_schema_writer *w, const pm_value *schema) PM_MUST_USE;
pm_status pm_schema_put_object_rules(pm_schema_writer *w, const pm_value *schema) PM_MUST_USE;

#endif
