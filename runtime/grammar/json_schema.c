#include "json_schema.h"

#include <string.h>

#include "json.h"
#include "memory.h"
#include "schema_writer.h"

// Rules that schemas use. Numbers are short and lone surrogates impossible, so that whatever is produced can be read anywhere; white
// space is bounded, because models that are held to a grammar may otherwise go on with it for ever.
static const char base_rules[] =
    "ws ::= ( \" \" | \"\\n\" [ \\t]{0,20} )?\n"
    "plain ::= [^\"\\\\\\x00-\\x1f\\x7f]\n"
    "char ::= plain | \"\\\\\" ( [\"\\\\/bfnrt] | \"u\" unit )\n"
    "unit ::= [0-9a-cefA-CEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2} | "
    "[dD] [89abAB] [0-9a-fA-F]{2} \"\\\\u\" [dD] [c-fC-F] [0-9a-fA-F]{2}\n"
    "string ::= \"\\\"\" char* \"\\\"\"\n"
    "whole ::= \"0\" | [1-9] [0-9]{0,15}\n"
    "integer ::= \"-\"? whole\n"
    "number ::= integer ( \".\" [0-9]{1,16} )? ( [eE] [-+]? [0-9]{1,2} )?\n"
    "value ::= string | number | object | array | \"true\" | \"false\" | \"null\"\n"
    "object ::= \"{\" ws ( member ( \",\" ws member )* ws )? \"}\"\n"
    "member ::= string \":\" ws value\n"
    "array ::= \"[\" ws ( value ( \",\" ws value )* ws )? \"]\"\n";

// ---- what stands for a whole schema ----

static pm_status put_const(pm_schema_writer *w, const pm_value *schema, const pm_value *v) {
  (void)schema;
  return pm_schema_put_json(w, v);
}

static pm_status put_enum(pm_schema_writer *w, const pm_value *schema, const pm_value *v) {
  (void)schema;
  if (!is_list(v) || !v->list->n) return pm_schema_refuse(w, PM_ERR_ARGUMENT, "enum", "must be a list of values, not empty");
  for (size_t i = 0; i < v->list->n; i++) {
    pm_buffer_puts(w->out, i ? "| " : "");
    PM_TRY(pm_schema_put_json(w, &v->list->items[i]));
  }
  return PM_OK;
}

static pm_status put_any_of(pm_schema_writer *w, const pm_value *schema, const pm_value *v) {
  const char *where = pm_schema_find(schema, "anyOf") == v ? "anyOf" : pm_schema_find(schema, "oneOf") == v ? "oneOf" : "allOf";
  if (!is_list(v) || !v->list->n) return pm_schema_refuse(w, PM_ERR_ARGUMENT, where, "must be a list of schemas, not empty");
  for (size_t i = 0; i < v->list->n; i++) {
    pm_buffer_puts(w->out, i ? "| " : "");
    PM_TRY(pm_schema_put_part(w, &v->list->items[i], where));
  }
  return PM_OK;
}

static pm_status put_all_of(pm_schema_writer *w, const pm_value *schema, const pm_value *v) {
  return is_list(v) && v->list->n > 1 ? pm_schema_refuse(w, PM_ERR_UNSUPPORTED, "allOf", "of several schemas is not supported")
                                      : put_any_of(w, schema, v);
}

// The value that a JSON pointer (RFC 6901) leads to.
static const pm_value *follow(const pm_value *v, pm_span pointer) {
  const char *at = pointer.at, *end = pointer.at + pointer.n;
  while (v && at < end) {
    char name[256];
    size_t n = 0;
    if (*at++ != '/') return NULL;
    for (; at < end && *at != '/' && n < sizeof name; n++) {
      name[n] = *at++;
      if (name[n] == '~' && at < end) name[n] = *at++ == '1' ? '/' : '~';
    }
    if (n == sizeof name) return NULL;
    if (v->kind == PM_LIST) {
      size_t index = n == 1 && name[0] >= '0' && name[0] <= '9' ? (size_t)(name[0] - '0') : v->list->n;
      v = index < v->list->n ? &v->list->items[index] : NULL;
    } else {
      v = is_dict(v) ? pm_dict_find(v->dict, pm_value_text((pm_span){name, n})) : NULL;
    }
  }
  return v;
}

static pm_status put_ref(pm_schema_writer *w, const pm_value *schema, const pm_value *v) {
  (void)schema;
  if (v->kind != PM_STRING) return pm_schema_refuse(w, PM_ERR_ARGUMENT, "$ref", "must be a text");
  if (!v->text.n || v->text.at[0] != '#')
    return pm_schema_refuse(w, PM_ERR_UNSUPPORTED, "$ref", "is supported within the schema only: '#/...'");
  const pm_value *to = follow(&w->root, (pm_span){v->text.at + 1, v->text.n - 1});
  if (!to) return pm_schema_refuse(w, PM_ERR_ARGUMENT, "$ref", "leads nowhere");
  return pm_schema_put_part(w, to, "$ref");
}

static const struct {
  const char *name;
  pm_status (*put)(pm_schema_writer *w, const pm_value *schema, const pm_value *v);
} whole[] = {{"$ref", put_ref},     {"const", put_const},  {"enum", put_enum},
             {"anyOf", put_any_of}, {"oneOf", put_any_of}, {"allOf", put_all_of}};
enum { N_WHOLE = sizeof whole / sizeof *whole };

// Beside a keyword that stands for the whole schema there may be notes, and the type, which is that of what it stands for.
static pm_status check_alone(const pm_schema_writer *w, const pm_value *schema, const char *keyword) {
  for (size_t i = 0; i < N_WHOLE; i++)
    if (strcmp(whole[i].name, keyword) != 0 && pm_schema_find(schema, whole[i].name)) return pm_schema_not_supported(w, whole[i].name);
  const char *of_type = pm_schema_type_keyword(schema);
  return of_type ? pm_schema_not_supported(w, of_type) : PM_OK;
}

static pm_status check_keywords(const pm_schema_writer *w, const pm_value *schema) {
  static const char *const refused[] = {"not",
                                        "if",
                                        "then",
                                        "else",
                                        "patternProperties",
                                        "propertyNames",
                                        "minProperties",
                                        "maxProperties",
                                        "dependentRequired",
                                        "dependentSchemas",
                                        "dependencies",
                                        "unevaluatedProperties",
                                        "unevaluatedItems",
                                        "additionalItems",
                                        "contains",
                                        "uniqueItems",
                                        "multipleOf",
                                        "$dynamicRef",
                                        "$recursiveRef"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    const pm_value *v = pm_schema_find(schema, refused[i]);
    if (v && !is_false(v)) return pm_schema_not_supported(w, refused[i]);
  }
  return PM_OK;
}

static pm_status put_schema(pm_schema_writer *w, const pm_value *schema) {
  if (is_false(schema)) return pm_schema_refuse(w, PM_ERR_ARGUMENT, w->parts[w->now].where, "is a schema that allows nothing");
  if (schema->kind == PM_BOOL) return pm_buffer_puts(w->out, "value "), PM_OK;
  PM_TRY(check_keywords(w, schema));
  for (size_t i = 0; i < N_WHOLE; i++) {
    const pm_value *v = pm_schema_find(schema, whole[i].name);
    if (!v) continue;
    PM_TRY(check_alone(w, schema, whole[i].name));
    return whole[i].put(w, schema, v);
  }
  return pm_schema_put_types(w, schema);
}

static pm_status put_rule(pm_schema_writer *w) {
  const pm_value *schema = w->parts[w->now].schema, *nullable = pm_schema_find(schema, "nullable");
  w->has_object = false;
  pm_buffer_printf(w->out, "s%u ::= ", w->now);
  PM_TRY(put_schema(w, schema));
  if (nullable && !is_false(nullable)) pm_buffer_puts(w->out, "| \"null\"");
  pm_buffer_puts(w->out, "\n");
  return w->has_object ? pm_schema_put_object_rules(w, schema) : PM_OK;
}

static pm_status write(pm_schema_writer *w) {
  bool any = w->root.kind == PM_DICT && !w->root.dict->n;
  if (w->root.kind != PM_DICT) PM_FAIL(PM_ERR_ARGUMENT, "a JSON schema must be an object");
  pm_buffer_puts(w->out, any ? "root ::= object\n" : "root ::= s0\n");
  if (!any) w->parts[w->n_part++] = (pm_schema_part){&w->root, 0, "#"};
  for (; w->now < w->n_part && w->out->status == PM_OK; w->now++) PM_TRY(put_rule(w));
  pm_buffer_puts(w->out, base_rules);
  return w->out->status;
}

static pm_status to_gbnf(const char *text, size_t bytes, pm_buffer *out) {
  pm_schema_writer *w;
  PM_NEW(&w, 1, "JSON schema");
  w->heap.limit = PM_SCHEMA_MAX_TEXT, w->out = out;
  pm_status status = pm_json_parse(&w->heap, text, bytes, &w->root);
  if (status == PM_OK)
    status = write(w);
  else
    status = pm_fail_prefix(status, "JSON schema");
  pm_heap_finish(&w->heap);
  pm_free(w);
  return status;
}

pm_status pm_json_schema_parse(const char *text, size_t bytes, pm_grammar **out) {
  pm_buffer gbnf = {.limit = PM_SCHEMA_MAX_TEXT};
  *out = NULL;
  pm_status status = to_gbnf(text, bytes, &gbnf);
  if (status == PM_OK) {
    status = pm_grammar_parse(gbnf.at, gbnf.n, out);
    if (status) status = pm_fail_prefix(status, "JSON schema");
  }
  pm_buffer_finish(&gbnf);
  return status;
}
