// Schemas of objects: members in the order of `properties`.
#include <string.h>

#include "memory.h"
#include "schema_writer.h"

pm_status pm_schema_put_object_use(pm_schema_writer *w, const pm_value *schema) {
  (void)schema;
  w->has_object = true;
  pm_buffer_printf(w->out, "s%u-o ", w->now);
  return PM_OK;
}

typedef struct member {
  pm_value key;
  const pm_value *schema;
  bool required;
} member;

typedef struct members {
  member *list;
  uint32_t n, first_required;
  const pm_value *others;  // the schema of members with other names; NULL: there are none
} members;

static bool is_required(const pm_value *required, pm_value key) {
  for (size_t i = 0; required && i < required->list->n; i++)
    if (required->list->items[i].kind == PM_STRING && pm_span_equal(required->list->items[i].text, key.text)) return true;
  return false;
}

// Those of `properties` in their order, then those that are only required.
static pm_status list_members(const pm_schema_writer *w, const pm_value *schema, members *m) {
  static const pm_value any = {.kind = PM_BOOL, .truth = true};
  const pm_value *properties = pm_schema_find(schema, "properties"), *required = pm_schema_find(schema, "required");
  const pm_value *others = pm_schema_find(schema, "additionalProperties");
  if (properties && !is_dict(properties)) return pm_schema_refuse(w, PM_ERR_ARGUMENT, "properties", "must be an object");
  if (required && !is_list(required)) return pm_schema_refuse(w, PM_ERR_ARGUMENT, "required", "must be a list of names");
  size_t n = (properties ? properties->dict->n : 0) + (required ? required->list->n : 0);
  PM_NEW(&m->list, n, "JSON schema");
  for (size_t i = 0; properties && i < properties->dict->n; i++) {
    const pm_entry *e = &properties->dict->entries[i];
    m->list[m->n++] = (member){e->key, &e->value, is_required(required, e->key)};
  }
  for (size_t i = 0; required && i < required->list->n; i++) {
    pm_value key = required->list->items[i];
    if (key.kind != PM_STRING) return pm_schema_refuse(w, PM_ERR_ARGUMENT, "required", "must be a list of names");
    if (!properties || !pm_dict_find(properties->dict, key)) m->list[m->n++] = (member){key, &any, true};
  }
  while (m->first_required < m->n && !m->list[m->first_required].required) m->first_required++;
  m->others = is_false(others) ? NULL : others ? others : properties ? NULL : &any;
  return PM_OK;
}

// Whether a member before k has a name that begins with these n bytes.
static bool begins_alike(const member *list, const member *k, const char *name, size_t n) {
  for (; list < k; list++)
    if (list->key.text.n >= n && !memcmp(list->key.text.at, name, n)) return true;
  return false;
}

static pm_status put_member(pm_schema_writer *w, const member *m) {
  PM_TRY(pm_schema_put_json(w, &m->key));
  pm_buffer_puts(w->out, "\":\" ws ");
  return pm_schema_put_part(w, m->schema, "properties");
}

// Names that are none of the members': each beginning of a member's name, and then something else than any of them has there.
static void put_other_name(pm_schema_writer *w, const members *m) {
  const char * or = "";
  for (const member *k = m->list; k < m->list + m->n; k++)
    for (size_t n = 0; n <= k->key.text.n; n++) {
      if (begins_alike(m->list, k, k->key.text.at, n)) continue;
      bool whole = false;
      pm_buffer_puts(w->out, or);
      pm_schema_put_literal(w, k->key.text.at, n);
      pm_buffer_puts(w->out, "( [^\\\"\\\\\\x00-\\x1f\\x7f");
      for (const member *o = m->list; o < m->list + m->n; o++) {
        if (o->key.text.n < n || memcmp(o->key.text.at, k->key.text.at, n)) continue;
        if (o->key.text.n == n)
          whole = true;
        else
          pm_buffer_printf(w->out, "\\x%02x", (unsigned char)o->key.text.at[n]);
      }
      pm_buffer_puts(w->out, whole ? "] plain* ) " : "] plain* )? ");
      or = "| ";
    }
  if (!m->n) pm_buffer_puts(w->out, "plain* ");
}

static pm_status check_names(const pm_schema_writer *w, const members *m) {
  for (const member *k = m->list; k < m->list + m->n; k++)
    for (size_t i = 0; i < k->key.text.n; i++) {
      char c = k->key.text.at[i];
      if (c < ' ' || c > '~' || c == '"' || c == '\\')
        return pm_schema_refuse(w, PM_ERR_UNSUPPORTED, "additionalProperties",
                                "is not supported beside names with characters that are not plain ASCII");
    }
  return PM_OK;
}

// Rules s<N>-o, the object; s<N>-r<i>, what may follow a member before member i; s<N>-m, a member with another name.
static pm_status put_object(pm_schema_writer *w, const members *m) {
  pm_buffer_printf(w->out, "s%u-o ::= \"{\" ws ", w->now);
  bool optional = m->first_required == m->n;
  if (m->n || m->others) pm_buffer_puts(w->out, "( ");
  for (uint32_t i = 0; i < m->n && i <= m->first_required; i++) {
    pm_buffer_puts(w->out, i ? "| " : "");
    PM_TRY(put_member(w, &m->list[i]));
    pm_buffer_printf(w->out, "s%u-r%u ", w->now, i + 1);
  }
  if (m->others && optional) pm_buffer_printf(w->out, "%ss%u-m s%u-r%u ", m->n ? "| " : "", w->now, w->now, m->n);
  if (m->n || m->others) pm_buffer_puts(w->out, optional ? "ws )? " : "ws ) ");
  pm_buffer_puts(w->out, "\"}\"\n");
  for (uint32_t i = 1; i < m->n; i++) {
    pm_buffer_printf(w->out, "s%u-r%u ::= ( \",\" ws ", w->now, i);
    PM_TRY(put_member(w, &m->list[i]));
    pm_buffer_printf(w->out, ")%s s%u-r%u\n", m->list[i].required ? "" : "?", w->now, i + 1);
  }
  if (!m->n && !m->others) return PM_OK;
  pm_buffer_printf(w->out, "s%u-r%u ::= ", w->now, m->n);
  if (!m->others) return pm_buffer_puts(w->out, "\n"), PM_OK;
  pm_buffer_printf(w->out, "( \",\" ws s%u-m )*\ns%u-m ::= \"\\\"\" ( ", w->now, w->now);
  PM_TRY(check_names(w, m));
  put_other_name(w, m);
  pm_buffer_puts(w->out, ") \"\\\"\" \":\" ws ");
  PM_TRY(pm_schema_put_part(w, m->others, "additionalProperties"));
  pm_buffer_puts(w->out, "\n");
  return PM_OK;
}

pm_status pm_schema_put_object_rules(pm_schema_writer *w, const pm_value *schema) {
  members m = {0};
  pm_status status = list_members(w, schema, &m);
  if (!status) status = put_object(w, &m);
  pm_free(m.list);
  return status;
}
