#include "schema_call.h"

#include <stdlib.h>
#include <string.h>

#include "reply.h"

// ---- the schema --------------------------------------------------------------------------------------------------------------------

// References begin at the root of the schema that they stand in, which has a new place.
static void move_references(json_t *schema, const char *place) {
  const char *key, *reference = json_string_value(json_object_get(schema, "$ref"));
  json_t *value;
  size_t i;
  if (reference && *reference == '#') json_object_set_new(schema, "$ref", json_sprintf("%s%s", place, reference + 1));
  json_object_foreach(schema, key, value) move_references(value, place);
  json_array_foreach(schema, i, value) move_references(value, place);
}

// A tool without parameters takes none.
static json_t *parameters_of(json_t *tool, const char *place) {
  json_t *parameters = json_object_get(json_object_get(tool, "function"), "parameters");
  if (!json_object_size(parameters)) return json_pack("{s:s, s:{}, s:b}", "type", "object", "properties", "additionalProperties", 0);
  json_t *copy = json_deep_copy(parameters);
  if (!json_object_get(copy, "type") && json_object_get(copy, "properties")) json_object_set_new(copy, "type", json_string("object"));
  move_references(copy, place);
  return copy;
}

char *pm_call_schema(json_t *tools, const char *name, const char *answer) {
  json_t *forms = json_array(), *definitions = json_object(), *tool;
  size_t i;
  json_array_foreach(tools, i, tool) {
    json_t *its_name = json_object_get(json_object_get(tool, "function"), "name");
    char key[24], place[40];
    if (name && strcmp(json_string_value(its_name), name)) continue;
    snprintf(key, sizeof key, "%zu", i);
    snprintf(place, sizeof place, "#/$defs/%zu", i);
    json_object_set_new(definitions, key, parameters_of(tool, place));
    json_array_append_new(forms,
                          json_pack("{s:s, s:{s:{s:O}, s:{s:s}}, s:[s, s], s:b}", "type", "object", "properties", "name", "const", its_name,
                                    "arguments", "$ref", place, "required", "name", "arguments", "additionalProperties", 0));
  }
  bool any = json_array_size(forms) > 0;
  if (answer) {
    json_t *other = json_loads(answer, JSON_DECODE_ANY, NULL);
    move_references(other, "#/$defs/answer");
    json_object_set_new(definitions, "answer", other);
    json_array_append_new(forms, json_pack("{s:s}", "$ref", "#/$defs/answer"));
  }
  json_t *schema = json_pack("{s:o, s:o}", "anyOf", forms, "$defs", definitions);
  if (any) return pm_json_line(schema);
  json_decref(schema);
  return NULL;
}

// ---- the answer --------------------------------------------------------------------------------------------------------------------

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t'; }

// The text before the arguments, made whole, is JSON. No name has this key in it: its quotes would have backslashes.
static json_t *begin(pm_schema_call *c) {
  static const char key[] = "\"arguments\":";
  const char *at = strstr(c->held.data, key);
  if (!at) return NULL;
  size_t n = (size_t)(at - c->held.data) + sizeof key - 1;
  pm_text head = {0};
  pm_text_append(&head, c->held.data, n);
  pm_text_append(&head, "0}", 2);
  json_t *call = json_loadb(head.data, head.n, 0, NULL), *name = json_object_get(call, "name"), *delta = NULL;
  pm_text_free(&head);
  if (json_object_size(call) == 2 && json_is_string(name)) {
    char id[40];
    pm_reply_id(id, "call_");
    delta = json_pack("{s:i, s:s, s:s, s:{s:O, s:s}}", "index", 0, "id", id, "type", "function", "function", "name", name, "arguments", "");
    memmove(c->held.data, c->held.data + n, c->held.n - n + 1);
    c->held.n -= n;
    c->begun = true;
  }
  json_decref(call);
  return delta;
}

// Whether what is held cannot become a call: its first key is another one than a call's.
static bool is_other(const pm_text *held) {
  static const char head[] = "{\"name\"";
  const char *want = head;
  for (const char *at = held->data; *at && *want; at++) {
    if (is_space(*at)) continue;
    if (*at != *want++) return true;
  }
  return false;
}

// Bytes of what is held that belong to the arguments for sure. The call's own brace is the last of those that the text ends with.
static size_t certain(const pm_text *held, bool end, bool whole) {
  size_t n = held->n;
  if (end && !whole) return n;
  while (n && (is_space(held->data[n - 1]) || (!end && held->data[n - 1] == '}'))) n--;
  if (!end || !n) return n;
  n--;
  while (n && is_space(held->data[n - 1])) n--;
  return n;
}

json_t *pm_schema_call_push(pm_schema_call *c, const char *text, size_t n, bool end, bool whole) {
  pm_text_append(&c->held, text, n);
  json_t *delta = c->begun || c->is_text ? NULL : begin(c);
  if (!c->begun) {
    c->is_text |= c->may_be_text && (end || is_other(&c->held));
    return NULL;
  }
  size_t skip = 0, sure = certain(&c->held, end, whole);
  while (!c->opened && skip < sure && is_space(c->held.data[skip])) skip++;
  c->opened |= sure > skip;
  if (sure > skip) {
    if (!delta) delta = json_pack("{s:i, s:{}}", "index", 0, "function");
    json_object_set_new(json_object_get(delta, "function"), "arguments", pm_json_lossy(c->held.data + skip, sure - skip));
  }
  memmove(c->held.data, c->held.data + sure, c->held.n - sure + 1);
  c->held.n -= sure;
  return delta ? json_pack("[o]", delta) : NULL;
}

void pm_schema_call_finish(pm_schema_call *c) {
  pm_text_free(&c->held);
  *c = (pm_schema_call){0};
}
