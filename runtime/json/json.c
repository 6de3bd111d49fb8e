#include "json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

// ---- reading -------------------------------------------------------------------------------------------------------

typedef struct reader {
  pm_heap *heap;
  const char *at, *begin, *end;
  int depth;
  bool strict;
} reader;

static pm_status object_to(const reader *r, const char *what) {
  size_t line = 1, column = 1;
  for (const char *p = r->begin; p < r->at; p++) {
    column++;
    if (*p == '\n') line++, column = 1;
  }
  PM_FAIL(PM_ERR_FORMAT, "JSON, line %zu, column %zu: %s", line, column, what);
}

static void skip_space(reader *r) {
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) r->at++;
}

static bool next_is(reader *r, char c) {
  skip_space(r);
  if (r->at == r->end || *r->at != c) return false;
  r->at++;
  return true;
}

static bool read_hex(reader *r, uint32_t *out) {
  *out = 0;
  for (int i = 0; i < 4; i++) {
    if (r->at == r->end) return false;
    char c = *r->at++;
    int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
    if (digit < 0) return false;
    *out = *out << 4 | (uint32_t)digit;
  }
  return true;
}

// Behind "\u". A half of a surrogate pair without the other becomes U+FFFD.
static pm_status read_point(reader *r, uint32_t *c) {
  uint32_t low = 0;
  if (!read_hex(r, c)) return object_to(r, "\\u needs four hexadecimal digits");
  bool half = *c >= 0xd800 && *c < 0xe000;
  if (half && *c < 0xdc00 && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u') {
    const char *back = r->at;
    r->at += 2;
    if (!read_hex(r, &low)) return object_to(r, "\\u needs four hexadecimal digits");
    half = low < 0xdc00 || low > 0xdfff;
    if (half)
      r->at = back;
    else
      *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
  }
  if (r->strict && (half || !*c)) return object_to(r, "an escape that is no character, or NUL");
  if (half) *c = 0xfffd;
  return PM_OK;
}

// Behind the first quote: reads to the last one.
static pm_status read_text(reader *r, pm_value *out) {
  const char *close = r->at;
  while (close < r->end && *close != '"') close += *close == '\\' ? 2 : 1;
  if (close >= r->end) return object_to(r, "a text without an end");
  char *text = pm_heap_alloc(r->heap, (size_t)(close - r->at) + 1), *p = text;  // escapes are longer than what they stand for
  if (!text) PM_FAIL(PM_ERR_MEMORY, "JSON of more than %zu bytes in memory", r->heap->limit);
  while (r->at < close) {
    static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    uint32_t c;
    if (*r->at != '\\') {
      if ((unsigned char)*r->at < 0x20) return object_to(r, "a control character in a text; write it as \\u00XX");
      int n = pm_utf8_scan((const unsigned char *)r->at, (size_t)(close - r->at), &c);
      if (n <= 0) return object_to(r, "a text that is not UTF-8");
      memcpy(p, r->at, (size_t)n);
      r->at += n, p += n;
      continue;
    }
    char kind = r->at[1];
    r->at += 2;
    if (kind == 'u') {
      PM_TRY(read_point(r, &c));
      p += pm_utf8_put(c, p);
      continue;
    }
    const char *e = escapes;
    while (*e && *e != kind) e += 2;
    if (!*e || !kind) return object_to(r, "an unknown escape in a text");
    *p++ = e[1];
  }
  r->at = close + 1;
  *out = pm_value_text((pm_span){text, (size_t)(p - text)});
  return PM_OK;
}

static size_t skip_digits(reader *r) {
  const char *from = r->at;
  while (r->at < r->end && *r->at >= '0' && *r->at <= '9') r->at++;
  return (size_t)(r->at - from);
}

static pm_status read_number(reader *r, pm_value *out) {
  const char *from = r->at;
  bool whole = true;
  if (*r->at == '-') r->at++;
  bool zero = r->at < r->end && *r->at == '0';
  size_t n = skip_digits(r);
  if (n == 0 || (zero && n > 1)) return object_to(r, "neither a value nor a number");
  if (r->at < r->end && *r->at == '.') {
    whole = false, r->at++;
    if (!skip_digits(r)) return object_to(r, "digits are missing behind the point");
  }
  if (r->at < r->end && (*r->at | 32) == 'e') {
    whole = false, r->at++;
    if (r->at < r->end && (*r->at == '+' || *r->at == '-')) r->at++;
    if (!skip_digits(r)) return object_to(r, "digits are missing in an exponent");
  }
  pm_span text = {from, (size_t)(r->at - from)};
  if (text.n > PM_DECIMAL_MAX) return object_to(r, "a number of more than 399 characters");
  char digits[24] = "";  // of whatever may fit into 64 bits
  whole &= text.n < sizeof digits;
  if (whole) memcpy(digits, text.at, text.n);
  errno = 0;
  int64_t integer = strtoll(digits, NULL, 10);
  *out = whole && errno == 0 ? pm_value_int(integer) : pm_value_float(pm_span_decimal(text));
  return r->strict && out->kind == PM_FLOAT && isinf(out->number) ? object_to(r, "a number too large") : PM_OK;
}

static pm_status read_value(reader *r, pm_value *out);

static pm_status read_list(reader *r, pm_value *out) {
  PM_TRY(pm_list_create(r->heap, 0, out));
  if (next_is(r, ']')) return PM_OK;
  do {
    pm_value item;
    PM_TRY(read_value(r, &item));
    PM_TRY(pm_list_append(r->heap, out->list, item));
  } while (next_is(r, ','));
  return next_is(r, ']') ? PM_OK : object_to(r, "expected , or ] in an array");
}

static pm_status read_dict(reader *r, pm_value *out) {
  PM_TRY(pm_dict_create(r->heap, out));
  if (next_is(r, '}')) return PM_OK;
  do {
    pm_value key, value;
    if (!next_is(r, '"')) return object_to(r, "expected a key in an object");
    PM_TRY(read_text(r, &key));
    if (!next_is(r, ':')) return object_to(r, "expected : after a key");
    PM_TRY(read_value(r, &value));
    size_t n = out->dict->n;
    PM_TRY(pm_dict_set(r->heap, out->dict, key, value));
    if (r->strict && out->dict->n == n) return object_to(r, "a key that is there twice");
  } while (next_is(r, ','));
  return next_is(r, '}') ? PM_OK : object_to(r, "expected , or } in an object");
}

static bool read_word(reader *r, const char *word) {
  size_t n = strlen(word);
  if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0) return false;
  r->at += n;
  return true;
}

static pm_status read_value(reader *r, pm_value *out) {
  skip_space(r);
  if (r->at == r->end) return object_to(r, "it ends where a value is expected");
  if (r->depth == PM_JSON_MAX_DEPTH) return object_to(r, "arrays and objects are nested too deeply");
  pm_status status = PM_OK;
  r->depth++;
  if (next_is(r, '"'))
    status = read_text(r, out);
  else if (next_is(r, '['))
    status = read_list(r, out);
  else if (next_is(r, '{'))
    status = read_dict(r, out);
  else if (read_word(r, "true"))
    *out = pm_value_bool(true);
  else if (read_word(r, "false"))
    *out = pm_value_bool(false);
  else if (read_word(r, "null"))
    *out = pm_value_none();
  else
    status = read_number(r, out);
  r->depth--;
  return status;
}

static pm_status read_all(reader r, pm_value *out) {
  PM_TRY(read_value(&r, out));
  skip_space(&r);
  return r.at == r.end ? PM_OK : object_to(&r, "something follows the end");
}

pm_status pm_json_parse(pm_heap *h, const char *text, size_t n, pm_value *out) {
  return read_all((reader){.heap = h, .at = text, .begin = text, .end = text + n}, out);
}

pm_status pm_json_parse_file(pm_heap *h, const char *path, const char *text, size_t n, pm_value *out) {
  if (!n) text = "";  // of an empty file there is none
  pm_status status = read_all((reader){.heap = h, .at = text, .begin = text, .end = text + n, .strict = true}, out);
  return status ? pm_fail_prefix(status, "%s", path) : PM_OK;
}

// ---- looking -------------------------------------------------------------------------------------------------------

const pm_value *pm_json_find(const pm_value *object, const char *key) {
  const pm_value *v = object && object->kind == PM_DICT ? pm_dict_find_text(object->dict, key) : NULL;
  return v && v->kind != PM_NONE ? v : NULL;
}

const pm_list *pm_json_list(const pm_value *v) {
  static const pm_list none = {0};
  return v && v->kind == PM_LIST ? v->list : &none;
}

bool pm_json_whole(const pm_value *v, uint64_t *out) {
  if (!v || (v->kind != PM_INT && v->kind != PM_FLOAT)) return false;
  double number = v->kind == PM_INT ? (double)v->integer : v->number;
  if (!(number >= 0) || number > 0x1p53 || number != floor(number)) return false;
  *out = (uint64_t)number;
  return true;
}

const char *pm_json_text(const pm_value *v) { return v && v->kind == PM_STRING ? v->text.at : NULL; }

// ---- writing -------------------------------------------------------------------------------------------------------

void pm_json_write_text(pm_buffer *out, pm_span s, bool ascii) {
  static const char *const short_escapes[] = {
      ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\", [127] = NULL};
  pm_buffer_puts(out, "\"");
  for (size_t i = 0, n; i < s.n; i += n) {
    n = 1;
    while (i + n < s.n && (unsigned char)s.at[i] >= 0x20 && s.at[i] != '"' && s.at[i] != '\\' && (unsigned char)s.at[i] < 0x7f &&
           (unsigned char)s.at[i + n] >= 0x20 && s.at[i + n] != '"' && s.at[i + n] != '\\' && (unsigned char)s.at[i + n] < 0x7f)
      n++;
    unsigned char c = (unsigned char)s.at[i];
    uint32_t point = c;
    if (c < 0x80) {
      if (c < sizeof short_escapes / sizeof *short_escapes && short_escapes[c])
        pm_buffer_puts(out, short_escapes[c]);
      else if (c < 0x20)
        pm_buffer_printf(out, "\\u%04x", c);
      else
        pm_buffer_put(out, s.at + i, n);
      continue;
    }
    int length = pm_utf8_scan((const unsigned char *)s.at + i, s.n - i, &point);
    if (length <= 0) point = 0xfffd;
    n = length > 0 ? (size_t)length : 1;
    if (!ascii)
      pm_buffer_put_point(out, point);
    else if (point < 0x10000)
      pm_buffer_printf(out, "\\u%04x", point);
    else
      pm_buffer_printf(out, "\\u%04x\\u%04x", 0xd800 + ((point - 0x10000) >> 10), 0xdc00 + ((point - 0x10000) & 0x3ff));
  }
  pm_buffer_puts(out, "\"");
}

// The digits and the exponent of the shortest text that reads as d; *point: where the decimal point stands in the digits.
static void shortest(double d, char text[32], char digit[20], int *n_digit, int *point) {
  int precision = 0;
  do snprintf(text, 32, "%.*e", precision, d);
  while (strtod(text, NULL) != d && ++precision < 17);
  *n_digit = 0;
  const char *p = text;
  for (; *p != 'e'; p++)
    if (*p >= '0' && *p <= '9') digit[(*n_digit)++] = *p;
  *point = atoi(p + 1) + 1;
}

void pm_json_write_float(pm_buffer *out, double d) {
  if (isnan(d) || isinf(d)) {
    pm_buffer_puts(out, isnan(d) ? "NaN" : d > 0 ? "Infinity" : "-Infinity");
    return;
  }
  char text[32], digit[20];
  int n, point;
  shortest(fabs(d), text, digit, &n, &point);
  if (signbit(d)) pm_buffer_puts(out, "-");
  if (point > 16 || point < -3) {
    pm_buffer_put(out, digit, 1);
    if (n > 1) pm_buffer_printf(out, ".%.*s", n - 1, digit + 1);
    pm_buffer_printf(out, "e%c%02d", point > 0 ? '+' : '-', abs(point - 1));
  } else if (point <= 0) {
    pm_buffer_printf(out, "0.%.*s%.*s", -point, "000", n, digit);
  } else if (n <= point) {
    pm_buffer_printf(out, "%.*s%.*s.0", n, digit, point - n, "0000000000000000");
  } else {
    pm_buffer_printf(out, "%.*s.%.*s", point, digit, n - point, digit + point);
  }
}

typedef struct writer {
  pm_buffer *out;
  const pm_json_style *style;
  const char *kind;  // of a value that cannot be written
  int depth;
} writer;

static void new_line(writer *w) {
  if (w->style->indent < 0) return;
  pm_buffer_puts(w->out, "\n");
  for (int i = 0; i < w->depth; i++) pm_buffer_printf(w->out, "%*s", w->style->indent, "");
}

static void separate(writer *w, size_t i) {
  pm_span s = w->style->item_separator;
  if (i) pm_buffer_put(w->out, s.n ? s.at : ", ", s.n ? s.n : w->style->indent < 0 ? 2 : 1);
  new_line(w);
}

static void write_value(writer *w, pm_value v);

static void write_list(writer *w, const pm_list *l) {
  pm_buffer_puts(w->out, "[");
  w->depth++;
  for (size_t i = 0; i < l->n && !w->kind; i++) {
    separate(w, i);
    write_value(w, l->items[i]);
  }
  w->depth--;
  if (l->n) new_line(w);
  pm_buffer_puts(w->out, "]");
}

// Keys that are not texts are written as texts.
static void write_key(writer *w, pm_value key) {
  if (key.kind == PM_STRING) {
    pm_json_write_text(w->out, key.text, w->style->ascii);
    return;
  }
  pm_buffer_puts(w->out, "\"");
  write_value(w, key);
  pm_buffer_puts(w->out, "\"");
}

static int compare_entries(const void *a, const void *b) {
  const pm_entry *const *x = a, *const *y = b;
  int order = 0;
  pm_value_order((*x)->key, (*y)->key, &order);
  return order;
}

static void write_dict(writer *w, const pm_dict *d) {
  pm_buffer_puts(w->out, "{");
  w->depth++;
  const pm_entry **order = NULL;
  pm_buffer storage = {0};
  if (w->style->sort_keys) {
    for (size_t i = 0; i < d->n; i++) pm_buffer_put(&storage, (char *)&(const pm_entry *){&d->entries[i]}, sizeof *order);
    order = (const pm_entry **)(void *)storage.at;
    if (storage.status != PM_OK) w->out->status = storage.status;
    if (order && storage.status == PM_OK) qsort(order, d->n, sizeof *order, compare_entries);
  }
  for (size_t i = 0; i < d->n && !w->kind && storage.status == PM_OK; i++) {
    const pm_entry *e = order ? order[i] : &d->entries[i];
    separate(w, i);
    write_key(w, e->key);
    pm_span s = w->style->key_separator;
    pm_buffer_put(w->out, s.n ? s.at : ": ", s.n ? s.n : 2);
    write_value(w, e->value);
  }
  pm_buffer_finish(&storage);
  w->depth--;
  if (d->n) new_line(w);
  pm_buffer_puts(w->out, "}");
}

static void write_value(writer *w, pm_value v) {
  if (w->depth > 2 * PM_JSON_MAX_DEPTH) w->kind = "deeply nested value";
  if (w->kind) return;
  switch (v.kind) {
    case PM_NONE: pm_buffer_puts(w->out, "null"); return;
    case PM_BOOL: pm_buffer_puts(w->out, v.truth ? "true" : "false"); return;
    case PM_INT: pm_buffer_printf(w->out, "%lld", (long long)v.integer); return;
    case PM_FLOAT: pm_json_write_float(w->out, v.number); return;
    case PM_STRING: pm_json_write_text(w->out, v.text, w->style->ascii); return;
    case PM_LIST: write_list(w, v.list); return;
    case PM_DICT:
      if (!v.dict->name_space) {
        write_dict(w, v.dict);
        return;
      }
      break;
    default: break;
  }
  w->kind = pm_value_type(v);
}

bool pm_json_write(pm_buffer *out, pm_value v, const pm_json_style *style, const char **kind) {
  writer w = {.out = out, .style = style};
  write_value(&w, v);
  *kind = w.kind;
  return !w.kind;
}

void pm_json_write_compact(pm_buffer *out, pm_value v) {
  static const pm_json_style compact = {.indent = -1, .item_separator = {",", 1}, .key_separator = {":", 1}};
  const char *kind;
  pm_json_write(out, v, &compact, &kind);
}
