// Filters of single values; those of lists are in jinja_lists.c.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jinja_run.h"
#include "json.h"
#include "strip.h"
#include "unicode.h"

static pm_value f_default(pm_run *r, pm_value v, const pm_args *a) {
  (void)r;
  if (v.kind != PM_UNDEFINED && (!pm_value_truth(a->bound[1]) || pm_value_truth(v))) return v;
  return a->n ? a->bound[0] : pm_value_text(PM_SPAN(""));
}

static pm_value f_string(pm_run *r, pm_value v, const pm_args *a) { return (void)a, pm_value_text(pm_text_of(r, v)); }
static pm_value f_lower(pm_run *r, pm_value v, const pm_args *a) { return (void)a, pm_map_case(r, pm_text_of(r, v), pm_unicode_lower); }
static pm_value f_upper(pm_run *r, pm_value v, const pm_args *a) { return (void)a, pm_map_case(r, pm_text_of(r, v), pm_unicode_upper); }

static bool never(uint32_t c) { return (void)c, false; }
static bool begins_word(uint32_t c) { return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || pm_unicode_is_space(c); }
static pm_value f_capitalize(pm_run *r, pm_value v, const pm_args *a) { return (void)a, pm_title(r, pm_text_of(r, v), never); }
static pm_value f_title(pm_run *r, pm_value v, const pm_args *a) { return (void)a, pm_title(r, pm_text_of(r, v), begins_word); }

static pm_value f_trim(pm_run *r, pm_value v, const pm_args *a) {
  pm_span s = pm_text_of(r, v), chars;
  bool given = pm_as_text(a->bound[0], &chars);
  return pm_run_charge(r, s.n / 64) ? pm_value_text(pm_span_strip(s, given ? &chars : NULL, true, true)) : v;
}

static pm_value f_replace(pm_run *r, pm_value v, const pm_args *a) {
  int64_t count = -1;
  if (a->bound[2].kind != PM_UNDEFINED && a->bound[2].kind != PM_NONE && !pm_as_integer(r, a->bound[2], &count)) return v;
  pm_span s = pm_text_of(r, v), old = pm_text_of(r, a->bound[0]);
  return pm_replace(r, s, old, pm_text_of(r, a->bound[1]), count);
}

static pm_value f_length(pm_run *r, pm_value v, const pm_args *a) {
  (void)a;
  switch (v.kind) {
    case PM_UNDEFINED: return pm_value_int(0);
    case PM_STRING: return pm_run_charge(r, v.text.n / 16) ? pm_value_int((int64_t)pm_count_chars(v.text)) : v;
    case PM_LIST: return pm_value_int((int64_t)v.list->n);
    case PM_DICT: return pm_value_int((int64_t)v.dict->n);
    default: return pm_run_fail(r, PM_ERR_FORMAT, "a %s has no length", pm_value_type(v));
  }
}

static pm_value f_escape(pm_run *r, pm_value v, const pm_args *a) {
  (void)a;
  static const char *const rows[] = {"&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;", "\"", "&#34;"};
  pm_span s = pm_text_of(r, v);
  pm_buffer out = pm_run_buffer(r);
  for (size_t i = 0; i < s.n; i++) {
    size_t k = 0;
    while (k < sizeof rows / sizeof *rows && *rows[k] != s.at[i]) k += 2;
    if (k < sizeof rows / sizeof *rows)
      pm_buffer_puts(&out, rows[k + 1]);
    else
      pm_buffer_put(&out, s.at + i, 1);
  }
  return pm_run_take_text(r, &out);
}

// All lines but the first, and empty ones only if asked to.
static pm_value f_indent(pm_run *r, pm_value v, const pm_args *a) {
  pm_span s = pm_text_of(r, v), by;
  int64_t width = 4;
  char spaces[200];
  memset(spaces, ' ', sizeof spaces);
  if (!pm_as_text(a->bound[0], &by)) {
    if (a->bound[0].kind != PM_UNDEFINED && !pm_as_integer(r, a->bound[0], &width)) return v;
    if (width > (int64_t)sizeof spaces) return pm_run_fail(r, PM_ERR_UNSUPPORTED, "indent: more than %zu spaces", sizeof spaces);
    by = (pm_span){spaces, width > 0 ? (size_t)width : 0};
  }
  bool blank = pm_value_truth(a->bound[2]);
  pm_buffer out = pm_run_buffer(r);
  if (pm_value_truth(a->bound[1])) pm_buffer_put(&out, by.at, by.n);
  for (size_t i = 0; i < s.n; i++) {
    bool end = s.at[i] == '\n';
    pm_buffer_put(&out, s.at + i, 1);
    if (end && (blank || (i + 1 < s.n && s.at[i + 1] != '\n'))) pm_buffer_put(&out, by.at, by.n);
  }
  return pm_run_take_text(r, &out);
}

static pm_value f_format(pm_run *r, pm_value v, const pm_args *a) {
  for (size_t i = 0; i < a->n; i++)
    if (a->name[i].n) return pm_run_fail(r, PM_ERR_UNSUPPORTED, "format: names of arguments are not known here");
  return pm_format(r, pm_text_of(r, v), a->value, a->n);
}

// ---- numbers -------------------------------------------------------------------------------------------------------

// The number that a whole text is, white space aside.
static bool parse_number(pm_span s, int base, pm_value *out) {
  char text[64], *end;
  s = pm_span_strip(s, NULL, true, true);
  if (s.n == 0 || s.n >= sizeof text || memchr(s.at, 0, s.n) || (s.at[0] | 32) == 'n') return false;
  memcpy(text, s.at, s.n);
  text[s.n] = 0;
  *out = pm_value_int(strtoll(text, &end, base));
  if (!*end) return true;
  *out = pm_value_float(strtod(text, &end));
  return base == 10 && !*end && !strchr(text, 'x');
}

static pm_value f_int(pm_run *r, pm_value v, const pm_args *a) {
  int64_t base = 10;
  pm_value fallback = a->bound[0].kind != PM_UNDEFINED ? a->bound[0] : pm_value_int(0);
  if (a->bound[1].kind != PM_UNDEFINED && !pm_as_integer(r, a->bound[1], &base)) return v;
  if (base < 2 || base > 36) return pm_run_fail(r, PM_ERR_FORMAT, "int: a base outside of 2 to 36");
  if (v.kind == PM_STRING && !parse_number(v.text, (int)base, &v)) return fallback;
  if (v.kind == PM_BOOL) return pm_value_int(v.truth);
  if (v.kind == PM_FLOAT) return fabs(v.number) < 9e18 ? pm_value_int((int64_t)v.number) : fallback;
  return v.kind == PM_INT ? v : fallback;
}

static pm_value f_float(pm_run *r, pm_value v, const pm_args *a) {
  (void)r;
  double d;
  pm_value fallback = a->bound[0].kind != PM_UNDEFINED ? a->bound[0] : pm_value_float(0);
  if (v.kind == PM_STRING && !parse_number(v.text, 10, &v)) return fallback;
  return pm_value_number(v, &d) ? pm_value_float(d) : fallback;
}

static pm_value f_abs(pm_run *r, pm_value v, const pm_args *a) {
  (void)a;
  if (v.kind == PM_FLOAT) return pm_value_float(fabs(v.number));
  if (v.kind == PM_BOOL) return pm_value_int(v.truth);
  if (v.kind == PM_INT && v.integer != INT64_MIN) return pm_value_int(v.integer < 0 ? -v.integer : v.integer);
  return pm_run_fail(r, PM_ERR_FORMAT, "abs of a %s", pm_value_type(v));
}

static pm_value f_round(pm_run *r, pm_value v, const pm_args *a) {
  int64_t precision = 0;
  double d;
  if (a->bound[0].kind != PM_UNDEFINED && !pm_as_integer(r, a->bound[0], &precision)) return v;
  if (!pm_value_number(v, &d)) return pm_run_fail(r, PM_ERR_FORMAT, "round of a %s", pm_value_type(v));
  if (precision < 0 || precision > 15) return pm_run_fail(r, PM_ERR_UNSUPPORTED, "round: a precision outside of 0 to 15");
  pm_span method = PM_SPAN("common");
  pm_as_text(a->bound[1], &method);
  double scale = pow(10, (double)precision);
  if (pm_span_is(method, "ceil")) return pm_value_float(ceil(d * scale) / scale);
  if (pm_span_is(method, "floor")) return pm_value_float(floor(d * scale) / scale);
  if (!pm_span_is(method, "common")) return pm_run_fail(r, PM_ERR_FORMAT, "round: the method is common, ceil or floor");
  if (v.kind == PM_INT || fabs(d) > 1e15) return v;
  char text[64];
  snprintf(text, sizeof text, "%.*f", (int)precision, d);
  return pm_value_float(strtod(text, NULL));
}

// ---- JSON ----------------------------------------------------------------------------------------------------------

static pm_value f_tojson(pm_run *r, pm_value v, const pm_args *a) {
  pm_json_style style = {.indent = -1, .ascii = pm_value_truth(a->bound[0]), .sort_keys = pm_value_truth(a->bound[3])};
  int64_t indent = -1;
  const char *kind;
  if (a->bound[1].kind != PM_UNDEFINED && a->bound[1].kind != PM_NONE && !pm_as_integer(r, a->bound[1], &indent)) return v;
  style.indent = indent < 0 ? -1 : indent > 16 ? 16 : (int)indent;
  const pm_value *separators = &a->bound[2];
  if (separators->kind == PM_LIST && separators->list->n == 2) {
    pm_as_text(separators->list->items[0], &style.item_separator);
    pm_as_text(separators->list->items[1], &style.key_separator);
  }
  pm_buffer out = pm_run_buffer(r);
  if (!pm_json_write(&out, v, &style, &kind)) pm_run_fail(r, PM_ERR_FORMAT, "tojson: a %s is no JSON", kind);
  return pm_run_take_text(r, &out);
}

static const pm_builtin filters[] = {{"default", f_default, "default_value boolean"},
                                     {"d", f_default, "default_value boolean"},
                                     {"string", f_string, ""},
                                     {"safe", f_string, ""},
                                     {"lower", f_lower, ""},
                                     {"upper", f_upper, ""},
                                     {"capitalize", f_capitalize, ""},
                                     {"title", f_title, ""},
                                     {"trim", f_trim, "chars"},
                                     {"replace", f_replace, "old new count"},
                                     {"length", f_length, ""},
                                     {"count", f_length, ""},
                                     {"escape", f_escape, ""},
                                     {"e", f_escape, ""},
                                     {"indent", f_indent, "width first blank"},
                                     {"format", f_format, "*"},
                                     {"int", f_int, "default base"},
                                     {"float", f_float, "default"},
                                     {"abs", f_abs, ""},
                                     {"round", f_round, "precision method"},
                                     {"tojson", f_tojson, "ensure_ascii indent separators sort_keys"},
                                     {NULL, NULL, NULL}};

const pm_builtin *pm_filter_find(pm_span name) {
  const pm_builtin *const tables[] = {filters, pm_list_filters};
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
    for (const pm_builtin *f = tables[i]; f->name; f++)
      if (pm_span_is(name, f->name)) return f;
  return NULL;
}
