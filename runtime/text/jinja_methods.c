// What texts, lists and dicts can do by themselves, as in Python; and the tests.
#include <string.h>

#include "jinja_run.h"
#include "strip.h"
#include "unicode.h"
#include "utf8.h"

// ---- parts of texts ------------------------------------------------------------------------------------------------

// The character at s.at[i]: its length in *n. A byte that is not UTF-8 is a character that nothing maps.
static uint32_t char_at(pm_span s, size_t i, size_t *n) {
  uint32_t c;
  int length = pm_utf8_scan((const unsigned char *)s.at + i, s.n - i, &c);
  *n = length > 0 ? (size_t)length : 1;
  return length > 0 ? c : UINT32_MAX;
}

static void put_char(pm_buffer *out, pm_span s, size_t i, size_t n, uint32_t c) {
  if (c == UINT32_MAX)
    pm_buffer_put(out, s.at + i, n);
  else
    pm_buffer_put_point(out, c);
}

pm_value pm_map_case(pm_run *r, pm_span s, uint32_t (*map)(uint32_t)) {
  pm_buffer out = pm_run_buffer(r);
  for (size_t i = 0, n; i < s.n; i += n) {
    uint32_t c = char_at(s, i, &n);
    put_char(&out, s, i, n, c == UINT32_MAX ? c : map(c));
  }
  return pm_run_take_text(r, &out);
}

pm_value pm_title(pm_run *r, pm_span s, pm_boundary_fn *boundary) {
  pm_buffer out = pm_run_buffer(r);
  bool begins = true;
  for (size_t i = 0, n; i < s.n; i += n) {
    uint32_t c = char_at(s, i, &n);
    put_char(&out, s, i, n, c == UINT32_MAX ? c : begins ? pm_unicode_upper(c) : pm_unicode_lower(c));
    begins = c != UINT32_MAX && boundary(c);
  }
  return pm_run_take_text(r, &out);
}

pm_value pm_replace(pm_run *r, pm_span s, pm_span old, pm_span new, int64_t count) {
  pm_buffer out = pm_run_buffer(r);
  if (!pm_run_charge(r, s.n / 16)) return (pm_value){0};
  while (count != 0 && out.status == PM_OK) {
    const char *p = old.n ? pm_span_find(s, old) : s.at;
    if (!p) break;
    pm_buffer_put(&out, s.at, (size_t)(p - s.at));
    pm_buffer_put(&out, new.at, new.n);
    s = (pm_span){p + old.n, s.n - (size_t)(p - s.at) - old.n};
    if (count > 0) count--;
    if (old.n) continue;
    if (s.n == 0) break;  // an empty text is found before every character and at the end
    size_t n = pm_char_bytes(s.at, s.n);
    pm_buffer_put(&out, s.at, n);
    s.at += n, s.n -= n;
  }
  pm_buffer_put(&out, s.at, s.n);
  return pm_run_take_text(r, &out);
}

// ---- methods of texts ----------------------------------------------------------------------------------------------

// The argument as a text; false after a failure.
static bool text_argument(pm_run *r, pm_value v, pm_span *out) {
  if (pm_as_text(v, out)) return true;
  pm_run_fail(r, PM_ERR_FORMAT, "expected a string, not a %s", pm_value_type(v));
  return false;
}

static pm_value strip(pm_run *r, pm_value self, const pm_args *a, bool left, bool right) {
  pm_span chars;
  bool given = a->bound[0].kind != PM_UNDEFINED && a->bound[0].kind != PM_NONE;
  if (given && !text_argument(r, a->bound[0], &chars)) return self;
  if (!pm_run_charge(r, self.text.n / 64)) return self;
  return pm_value_text(pm_span_strip(self.text, given ? &chars : NULL, left, right));
}

static pm_value m_strip(pm_run *r, pm_value self, const pm_args *a) { return strip(r, self, a, true, true); }
static pm_value m_lstrip(pm_run *r, pm_value self, const pm_args *a) { return strip(r, self, a, true, false); }
static pm_value m_rstrip(pm_run *r, pm_value self, const pm_args *a) { return strip(r, self, a, false, true); }

static bool is_separator(pm_span s, size_t i, const pm_span *sep, size_t *n) {
  if (sep) return *n = sep->n, s.n - i >= sep->n && memcmp(s.at + i, sep->at, sep->n) == 0;
  uint32_t c = char_at(s, i, n);
  return c != UINT32_MAX && pm_unicode_is_space(c);
}

// At white space (sep NULL), where pieces are never empty, or at a separator.
static pm_value split(pm_run *r, pm_span s, const pm_span *sep, int64_t max) {
  pm_value list = pm_run_list(r, 0);
  if (!pm_run_charge(r, s.n / 8)) return list;
  size_t from = 0, i = 0, n = 0;
  for (;;) {
    if (!sep)
      while (from < s.n && is_separator(s, from, NULL, &n)) from += n;
    i = from;
    if (!sep && from == s.n) return list;
    if (max == 0) break;
    while (i < s.n && !is_separator(s, i, sep, &n)) i += sep ? 1 : n;
    if (i == s.n) break;
    pm_run_append(r, list, pm_value_text((pm_span){s.at + from, i - from}));
    if (!pm_run_charge(r, 1)) return list;
    from = i + n;
    if (max > 0) max--;
  }
  pm_run_append(r, list, pm_value_text((pm_span){s.at + from, s.n - from}));
  return list;
}

// The last `max` separators.
static pm_value rsplit(pm_run *r, pm_span s, const pm_span *sep, int64_t max) {
  pm_value parts = split(r, s, sep, -1);
  if (!pm_run_ok(r) || max < 0 || parts.list->n <= (size_t)max + 1) return parts;
  size_t n_joined = parts.list->n - (size_t)max;
  pm_span last = parts.list->items[n_joined - 1].text;
  pm_value list = pm_run_list(r, (size_t)max + 1);
  pm_run_append(r, list, pm_value_text((pm_span){s.at, (size_t)(last.at + last.n - s.at)}));
  for (size_t i = n_joined; i < parts.list->n; i++) pm_run_append(r, list, parts.list->items[i]);
  return list;
}

static pm_value split_by(pm_run *r, pm_value self, const pm_args *a, bool right) {
  pm_span sep;
  int64_t max = -1;
  bool given = a->bound[0].kind != PM_UNDEFINED && a->bound[0].kind != PM_NONE;
  if (given && !text_argument(r, a->bound[0], &sep)) return self;
  if (given && sep.n == 0) return pm_run_fail(r, PM_ERR_FORMAT, "split: the separator is empty");
  if (a->bound[1].kind != PM_UNDEFINED && !pm_as_integer(r, a->bound[1], &max)) return self;
  return (right ? rsplit : split)(r, self.text, given ? &sep : NULL, max);
}

static pm_value m_split(pm_run *r, pm_value self, const pm_args *a) { return split_by(r, self, a, false); }
static pm_value m_rsplit(pm_run *r, pm_value self, const pm_args *a) { return split_by(r, self, a, true); }

static pm_value m_splitlines(pm_run *r, pm_value self, const pm_args *a) {
  bool keep = pm_value_truth(a->bound[0]);
  pm_value list = pm_run_list(r, 0);
  pm_span s = self.text;
  for (size_t from = 0, i = 0; i < s.n && pm_run_charge(r, 1);) {
    while (i < s.n && s.at[i] != '\n' && s.at[i] != '\r') i++;
    size_t end = i;
    if (i < s.n) i += s.at[i] == '\r' && i + 1 < s.n && s.at[i + 1] == '\n' ? 2 : 1;
    pm_run_append(r, list, pm_value_text((pm_span){s.at + from, (keep ? i : end) - from}));
    from = i;
  }
  return list;
}

static pm_value affix(pm_run *r, pm_value self, pm_value v, bool at_end, bool cut) {
  pm_span part, s = self.text;
  if (v.kind == PM_LIST) {
    for (size_t i = 0; i < v.list->n && pm_run_charge(r, 1) && v.list->items[i].kind != PM_LIST; i++)
      if (pm_value_truth(affix(r, self, v.list->items[i], at_end, false))) return pm_value_bool(true);
    return pm_value_bool(false);
  }
  if (!text_argument(r, v, &part)) return self;
  bool has = s.n >= part.n && memcmp(at_end ? s.at + s.n - part.n : s.at, part.at, part.n) == 0;
  if (!cut) return pm_value_bool(has);
  return has ? pm_value_text((pm_span){at_end ? s.at : s.at + part.n, s.n - part.n}) : self;
}

static pm_value m_startswith(pm_run *r, pm_value self, const pm_args *a) { return affix(r, self, a->bound[0], false, false); }
static pm_value m_endswith(pm_run *r, pm_value self, const pm_args *a) { return affix(r, self, a->bound[0], true, false); }
static pm_value m_removeprefix(pm_run *r, pm_value self, const pm_args *a) { return affix(r, self, a->bound[0], false, true); }
static pm_value m_removesuffix(pm_run *r, pm_value self, const pm_args *a) { return affix(r, self, a->bound[0], true, true); }

static pm_value m_replace(pm_run *r, pm_value self, const pm_args *a) {
  pm_span old, new;
  int64_t count = -1;
  if (!text_argument(r, a->bound[0], &old) || !text_argument(r, a->bound[1], &new)) return self;
  if (a->bound[2].kind != PM_UNDEFINED && !pm_as_integer(r, a->bound[2], &count)) return self;
  return pm_replace(r, self.text, old, new, count);
}

static bool is_not_letter(uint32_t c) { return !(pm_uchar_of(c) & PM_UCHAR_LETTER); }
static bool never(uint32_t c) { return (void)c, false; }

static pm_value m_upper(pm_run *r, pm_value self, const pm_args *a) { return (void)a, pm_map_case(r, self.text, pm_unicode_upper); }
static pm_value m_lower(pm_run *r, pm_value self, const pm_args *a) { return (void)a, pm_map_case(r, self.text, pm_unicode_lower); }
static pm_value m_title(pm_run *r, pm_value self, const pm_args *a) { return (void)a, pm_title(r, self.text, is_not_letter); }
static pm_value m_capitalize(pm_run *r, pm_value self, const pm_args *a) { return (void)a, pm_title(r, self.text, never); }

// Where the argument first or last begins, in characters; -1 if nowhere.
static int64_t find(pm_run *r, pm_value self, const pm_args *a, bool last) {
  pm_span part, s = self.text;
  if (!text_argument(r, a->bound[0], &part) || !pm_run_charge(r, s.n / 16)) return -1;
  const char *p = pm_span_find(s, part);
  if (p && last)
    for (p = s.at + s.n - part.n; memcmp(p, part.at, part.n) != 0;) p--;
  return p ? (int64_t)pm_count_chars((pm_span){s.at, (size_t)(p - s.at)}) : -1;
}

static pm_value m_find(pm_run *r, pm_value self, const pm_args *a) { return pm_value_int(find(r, self, a, false)); }
static pm_value m_rfind(pm_run *r, pm_value self, const pm_args *a) { return pm_value_int(find(r, self, a, true)); }

static pm_value m_index(pm_run *r, pm_value self, const pm_args *a) {
  int64_t i = find(r, self, a, false);
  return i < 0 ? pm_run_fail(r, PM_ERR_FORMAT, "index: the text is not in there") : pm_value_int(i);
}

static pm_value m_count(pm_run *r, pm_value self, const pm_args *a) {
  pm_span part, s = self.text;
  int64_t n = 0;
  if (!text_argument(r, a->bound[0], &part) || !pm_run_charge(r, s.n / 16)) return self;
  if (part.n == 0) return pm_value_int((int64_t)pm_count_chars(s) + 1);
  for (const char *p; (p = pm_span_find(s, part)); n++) s = (pm_span){p + part.n, s.n - (size_t)(p - s.at) - part.n};
  return pm_value_int(n);
}

static pm_value m_join(pm_run *r, pm_value self, const pm_args *a) {
  pm_value *items;
  size_t n;
  pm_span part;
  pm_buffer out = pm_run_buffer(r);
  if (pm_iterate(r, a->bound[0], &items, &n))
    for (size_t i = 0; i < n && pm_run_charge(r, 1) && text_argument(r, items[i], &part); i++) {
      if (i) pm_buffer_put(&out, self.text.at, self.text.n);
      pm_buffer_put(&out, part.at, part.n);
    }
  return pm_run_take_text(r, &out);
}

static pm_value all_of(pm_value self, uint32_t classes) {
  size_t i = 0;
  for (size_t n; i < self.text.n; i += n) {
    uint32_t c = char_at(self.text, i, &n);
    if (c == UINT32_MAX || !(pm_uchar_of(c) & classes)) return pm_value_bool(false);
  }
  return pm_value_bool(i > 0);
}

static pm_value m_isdigit(pm_run *r, pm_value self, const pm_args *a) { return (void)r, (void)a, all_of(self, PM_UCHAR_NUMBER); }
static pm_value m_isalpha(pm_run *r, pm_value self, const pm_args *a) { return (void)r, (void)a, all_of(self, PM_UCHAR_LETTER); }
static pm_value m_isspace(pm_run *r, pm_value self, const pm_args *a) { return (void)r, (void)a, all_of(self, PM_UCHAR_SPACE); }
static pm_value m_isalnum(pm_run *r, pm_value self, const pm_args *a) {
  return (void)r, (void)a, all_of(self, PM_UCHAR_LETTER | PM_UCHAR_NUMBER);
}

// There is a cased character, and all of them are in this case.
static bool in_case(pm_span s, uint32_t wanted, uint32_t other) {
  bool any = false;
  for (size_t i = 0, n; i < s.n; i += n) {
    uint32_t c = char_at(s, i, &n), classes = c == UINT32_MAX ? 0 : pm_uchar_of(c);
    if (classes & other) return false;
    any |= (classes & wanted) != 0;
  }
  return any;
}

static pm_value m_isupper(pm_run *r, pm_value self, const pm_args *a) {
  return (void)r, (void)a, pm_value_bool(in_case(self.text, PM_UCHAR_UPPER, PM_UCHAR_LOWER));
}
static pm_value m_islower(pm_run *r, pm_value self, const pm_args *a) {
  return (void)r, (void)a, pm_value_bool(in_case(self.text, PM_UCHAR_LOWER, PM_UCHAR_UPPER));
}

// The value for what stands in the braces of a format: nothing, a number or a name.
static pm_value format_field(pm_run *r, pm_span field, const pm_args *a, size_t *next) {
  size_t place = 0;
  bool digits = field.n < 6;
  for (size_t i = 0; i < field.n && digits; i++) {
    digits = field.at[i] >= '0' && field.at[i] <= '9';
    place = 10 * place + (size_t)(field.at[i] - '0');
  }
  if (field.n == 0) place = (*next)++;
  for (size_t i = 0; i < a->n; i++)
    if (digits ? i == place && !a->name[i].n : pm_span_equal(a->name[i], field)) return a->value[i];
  return pm_run_fail(r, PM_ERR_UNSUPPORTED, "format: nothing is given for {%.*s}", (int)(field.n < 40 ? field.n : 40), field.at);
}

static pm_value m_format(pm_run *r, pm_value self, const pm_args *a) {
  pm_buffer out = pm_run_buffer(r);
  size_t next = 0;
  for (const char *p = self.text.at, *end = p + self.text.n; p < end && pm_run_charge(r, 1); p++) {
    if ((*p == '{' || *p == '}') && p + 1 < end && p[1] == *p) {
      pm_buffer_put(&out, p++, 1);
    } else if (*p == '{') {
      const char *close = memchr(p, '}', (size_t)(end - p));
      if (!close) return pm_run_fail(r, PM_ERR_FORMAT, "format: { without }"), pm_run_take_text(r, &out);
      pm_value v = format_field(r, (pm_span){p + 1, (size_t)(close - p - 1)}, a, &next);
      if (pm_run_ok(r)) pm_show(r, &out, v);
      p = close;
    } else {
      pm_buffer_put(&out, p, 1);
    }
  }
  return pm_run_take_text(r, &out);
}

// ---- methods of dicts and lists ------------------------------------------------------------------------------------

static pm_value m_get(pm_run *r, pm_value self, const pm_args *a) {
  (void)r;
  const pm_value *v = pm_dict_find(self.dict, a->bound[0]);
  return v ? *v : a->bound[1].kind != PM_UNDEFINED ? a->bound[1] : pm_value_none();
}

static pm_value m_keys(pm_run *r, pm_value self, const pm_args *a) {
  (void)a;
  pm_value list = pm_run_list(r, self.dict->n);
  for (size_t i = 0; i < self.dict->n && pm_run_charge(r, 1); i++) pm_run_append(r, list, self.dict->entries[i].key);
  return list;
}

static pm_value m_values(pm_run *r, pm_value self, const pm_args *a) {
  (void)a;
  pm_value list = pm_run_list(r, self.dict->n);
  for (size_t i = 0; i < self.dict->n && pm_run_charge(r, 1); i++) pm_run_append(r, list, self.dict->entries[i].value);
  return list;
}

static pm_value m_items(pm_run *r, pm_value self, const pm_args *a) {
  (void)a;
  pm_value list = pm_run_list(r, self.dict->n);
  for (size_t i = 0; i < self.dict->n && pm_run_charge(r, 1); i++) {
    pm_value pair = pm_run_list(r, 2);
    pm_run_append(r, pair, self.dict->entries[i].key);
    pm_run_append(r, pair, self.dict->entries[i].value);
    if (!pm_run_ok(r)) break;
    pair.list->tuple = true;
    pm_run_append(r, list, pair);
  }
  return list;
}

static pm_value m_list_index(pm_run *r, pm_value self, const pm_args *a) {
  for (size_t i = 0; i < self.list->n && pm_run_ok(r); i++)
    if (pm_equal(r, self.list->items[i], a->bound[0])) return pm_value_int((int64_t)i);
  return pm_run_fail(r, PM_ERR_FORMAT, "index: the value is not in the list");
}

static pm_value m_list_count(pm_run *r, pm_value self, const pm_args *a) {
  int64_t n = 0;
  for (size_t i = 0; i < self.list->n && pm_run_ok(r); i++) n += pm_equal(r, self.list->items[i], a->bound[0]);
  return pm_value_int(n);
}

static pm_value forbidden(pm_run *r, pm_value self, const pm_args *a) {
  (void)a;
  return pm_run_fail(r, PM_ERR_FORMAT, "a %s cannot be changed by a template", pm_value_type(self));
}

static const pm_builtin text_methods[] = {{"strip", m_strip, "chars"},
                                          {"lstrip", m_lstrip, "chars"},
                                          {"rstrip", m_rstrip, "chars"},
                                          {"split", m_split, "sep maxsplit"},
                                          {"rsplit", m_rsplit, "sep maxsplit"},
                                          {"splitlines", m_splitlines, "keepends"},
                                          {"startswith", m_startswith, "prefix"},
                                          {"endswith", m_endswith, "suffix"},
                                          {"removeprefix", m_removeprefix, "prefix"},
                                          {"removesuffix", m_removesuffix, "suffix"},
                                          {"replace", m_replace, "old new count"},
                                          {"upper", m_upper, ""},
                                          {"lower", m_lower, ""},
                                          {"title", m_title, ""},
                                          {"capitalize", m_capitalize, ""},
                                          {"find", m_find, "sub"},
                                          {"rfind", m_rfind, "sub"},
                                          {"index", m_index, "sub"},
                                          {"count", m_count, "sub"},
                                          {"join", m_join, "iterable"},
                                          {"isdigit", m_isdigit, ""},
                                          {"isnumeric", m_isdigit, ""},
                                          {"isdecimal", m_isdigit, ""},
                                          {"isalpha", m_isalpha, ""},
                                          {"isalnum", m_isalnum, ""},
                                          {"isspace", m_isspace, ""},
                                          {"isupper", m_isupper, ""},
                                          {"islower", m_islower, ""},
                                          {"format", m_format, "*"},
                                          {NULL, NULL, NULL}};

static const pm_builtin dict_methods[] = {
    {"get", m_get, "key default"}, {"keys", m_keys, ""},    {"values", m_values, ""},       {"items", m_items, ""},
    {"update", forbidden, "*"},    {"pop", forbidden, "*"}, {"setdefault", forbidden, "*"}, {"clear", forbidden, "*"},
    {"popitem", forbidden, "*"},   {NULL, NULL, NULL}};

static const pm_builtin list_methods[] = {
    {"index", m_list_index, "value"}, {"count", m_list_count, "value"}, {"append", forbidden, "*"}, {"extend", forbidden, "*"},
    {"insert", forbidden, "*"},       {"pop", forbidden, "*"},          {"remove", forbidden, "*"}, {"clear", forbidden, "*"},
    {"reverse", forbidden, "*"},      {"sort", forbidden, "*"},         {NULL, NULL, NULL}};

static const pm_builtin *find_row(const pm_builtin *rows, pm_span name) {
  for (; rows && rows->name; rows++)
    if (pm_span_is(name, rows->name)) return rows;
  return NULL;
}

const pm_builtin *pm_method_find(pm_kind kind, pm_span name) {
  return find_row(kind == PM_STRING ? text_methods : kind == PM_DICT ? dict_methods : kind == PM_LIST ? list_methods : NULL, name);
}

// ---- tests ---------------------------------------------------------------------------------------------------------

#define TEST(name, condition)                                     \
  static pm_value name(pm_run *r, pm_value v, const pm_args *a) { \
    (void)r, (void)v, (void)a;                                    \
    return pm_value_bool(condition);                              \
  }

static bool is_number(pm_value v) { return v.kind == PM_INT || v.kind == PM_FLOAT || v.kind == PM_BOOL; }
static bool is_whole(pm_value v) { return v.kind == PM_INT || v.kind == PM_BOOL; }
static bool is_sequence(pm_value v) { return v.kind == PM_STRING || v.kind == PM_LIST || v.kind == PM_DICT || v.kind == PM_UNDEFINED; }

static bool same(pm_value a, pm_value b) {
  if (a.kind != b.kind) return false;
  return a.kind == PM_LIST ? a.list == b.list : a.kind == PM_DICT ? a.dict == b.dict : pm_value_equal(a, b, NULL);
}

static bool divisible(pm_run *r, pm_value v, pm_value by) { return !pm_value_truth(pm_binary(r, PM_OP_MOD, v, by)) && pm_run_ok(r); }

TEST(t_defined, v.kind != PM_UNDEFINED)
TEST(t_undefined, v.kind == PM_UNDEFINED)
TEST(t_none, v.kind == PM_NONE)
TEST(t_boolean, v.kind == PM_BOOL)
TEST(t_true, v.kind == PM_BOOL && v.truth)
TEST(t_false, v.kind == PM_BOOL && !v.truth)
TEST(t_string, v.kind == PM_STRING)
TEST(t_number, is_number(v))
TEST(t_integer, v.kind == PM_INT)
TEST(t_float, v.kind == PM_FLOAT)
TEST(t_mapping, v.kind == PM_DICT && !v.dict->name_space)
TEST(t_sequence, is_sequence(v))
TEST(t_iterable, is_sequence(v))
TEST(t_callable, v.kind == PM_OBJECT && v.object->kind != PM_OBJECT_LOOP)
TEST(t_odd, is_whole(v) ? (v.kind == PM_BOOL ? v.truth : v.integer % 2 != 0) : !divisible(r, v, pm_value_int(2)))
TEST(t_even, divisible(r, v, pm_value_int(2)))
TEST(t_divisibleby, divisible(r, v, a->bound[0]))
TEST(t_eq, pm_compare(r, PM_OP_EQ, v, a->bound[0]))
TEST(t_ne, pm_compare(r, PM_OP_NE, v, a->bound[0]))
TEST(t_lt, pm_compare(r, PM_OP_LT, v, a->bound[0]))
TEST(t_le, pm_compare(r, PM_OP_LE, v, a->bound[0]))
TEST(t_gt, pm_compare(r, PM_OP_GT, v, a->bound[0]))
TEST(t_ge, pm_compare(r, PM_OP_GE, v, a->bound[0]))
TEST(t_in, pm_compare(r, PM_OP_IN, v, a->bound[0]))
TEST(t_sameas, same(v, a->bound[0]))
TEST(t_upper, in_case(pm_text_of(r, v), PM_UCHAR_UPPER, PM_UCHAR_LOWER))
TEST(t_lower, in_case(pm_text_of(r, v), PM_UCHAR_LOWER, PM_UCHAR_UPPER))

static const pm_builtin tests[] = {{"defined", t_defined, ""},
                                   {"undefined", t_undefined, ""},
                                   {"none", t_none, ""},
                                   {"boolean", t_boolean, ""},
                                   {"true", t_true, ""},
                                   {"false", t_false, ""},
                                   {"string", t_string, ""},
                                   {"number", t_number, ""},
                                   {"integer", t_integer, ""},
                                   {"float", t_float, ""},
                                   {"mapping", t_mapping, ""},
                                   {"sequence", t_sequence, ""},
                                   {"iterable", t_iterable, ""},
                                   {"callable", t_callable, ""},
                                   {"odd", t_odd, ""},
                                   {"even", t_even, ""},
                                   {"divisibleby", t_divisibleby, "num"},
                                   {"eq", t_eq, "other"},
                                   {"equalto", t_eq, "other"},
                                   {"==", t_eq, "other"},
                                   {"ne", t_ne, "other"},
                                   {"!=", t_ne, "other"},
                                   {"lt", t_lt, "other"},
                                   {"lessthan", t_lt, "other"},
                                   {"<", t_lt, "other"},
                                   {"le", t_le, "other"},
                                   {"<=", t_le, "other"},
                                   {"gt", t_gt, "other"},
                                   {"greaterthan", t_gt, "other"},
                                   {">", t_gt, "other"},
                                   {"ge", t_ge, "other"},
                                   {">=", t_ge, "other"},
                                   {"in", t_in, "seq"},
                                   {"sameas", t_sameas, "other"},
                                   {"upper", t_upper, ""},
                                   {"lower", t_lower, ""},
                                   {NULL, NULL, NULL}};

const pm_builtin *pm_test_find(pm_span name) { return find_row(tests, name); }
