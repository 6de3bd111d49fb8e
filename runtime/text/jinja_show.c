#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jinja_run.h"
#include "json.h"
#include "utf8.h"

size_t pm_char_bytes(const char *at, size_t n) {
  uint32_t c;
  int length = pm_utf8_scan((const unsigned char *)at, n, &c);
  return length > 0 ? (size_t)length : 1;
}

size_t pm_count_chars(pm_span s) {
  size_t count = 0;
  for (size_t i = 0; i < s.n; i += pm_char_bytes(s.at + i, s.n - i)) count++;
  return count;
}

pm_span pm_chars(pm_span s, size_t from, size_t to) {
  size_t i = 0, begin;
  for (size_t k = 0; k < from && i < s.n; k++) i += pm_char_bytes(s.at + i, s.n - i);
  begin = i;
  for (size_t k = from; k < to && i < s.n; k++) i += pm_char_bytes(s.at + i, s.n - i);
  return (pm_span){s.at + begin, i - begin};
}

bool pm_as_text(pm_value v, pm_span *out) {
  if (v.kind == PM_STRING) return *out = v.text, true;
  if (v.kind == PM_DICT && v.dict->source.n) return *out = v.dict->source, true;
  return false;
}

// Quotes as Python chooses them.
static void repr_text(pm_buffer *out, pm_span s) {
  char quote = memchr(s.at, '\'', s.n) && !memchr(s.at, '"', s.n) ? '"' : '\'';
  pm_buffer_put(out, &quote, 1);
  for (size_t i = 0, n; i < s.n; i += n) {
    static const char escapes[] = "\\\\\nn\rr\tt";
    unsigned char c = (unsigned char)s.at[i];
    n = pm_char_bytes(s.at + i, s.n - i);
    const char *e = escapes;
    while (*e && *e != (char)c) e += 2;
    if (c == (unsigned char)quote)
      pm_buffer_printf(out, "\\%c", c);
    else if (*e)
      pm_buffer_printf(out, "\\%c", e[1]);
    else if (c < 0x20 || c == 0x7f)
      pm_buffer_printf(out, "\\x%02x", c);
    else
      pm_buffer_put(out, s.at + i, n);
  }
  pm_buffer_put(out, &quote, 1);
}

static void show_repr(pm_run *r, pm_buffer *out, pm_value v);

static void show_list(pm_run *r, pm_buffer *out, const pm_list *l) {
  pm_buffer_puts(out, l->tuple ? "(" : "[");
  for (size_t i = 0; i < l->n; i++) {
    if (i) pm_buffer_puts(out, ", ");
    show_repr(r, out, l->items[i]);
  }
  pm_buffer_puts(out, !l->tuple ? "]" : l->n == 1 ? ",)" : ")");
}

static void show_dict(pm_run *r, pm_buffer *out, const pm_dict *d) {
  pm_buffer_puts(out, d->name_space ? "<Namespace {" : "{");
  for (size_t i = 0; i < d->n; i++) {
    if (i) pm_buffer_puts(out, ", ");
    show_repr(r, out, d->entries[i].key);
    pm_buffer_puts(out, ": ");
    show_repr(r, out, d->entries[i].value);
  }
  pm_buffer_puts(out, d->name_space ? "}>" : "}");
}

static void show_float(pm_buffer *out, double d) {
  if (isnan(d) || isinf(d))
    pm_buffer_puts(out, isnan(d) ? "nan" : d > 0 ? "inf" : "-inf");
  else
    pm_json_write_float(out, d);
}

static void show_repr(pm_run *r, pm_buffer *out, pm_value v) {
  enum { MAX_DEPTH = 100 };
  if (r->depth > PM_JINJA_MAX_DEPTH * 10 + MAX_DEPTH) pm_run_fail(r, PM_ERR_FORMAT, "a value is nested too deeply to be shown");
  if (!pm_run_charge(r, 1)) return;
  r->depth++;
  switch (v.kind) {
    case PM_UNDEFINED: pm_buffer_puts(out, "Undefined"); break;
    case PM_NONE: pm_buffer_puts(out, "None"); break;
    case PM_BOOL: pm_buffer_puts(out, v.truth ? "True" : "False"); break;
    case PM_INT: pm_buffer_printf(out, "%lld", (long long)v.integer); break;
    case PM_FLOAT: show_float(out, v.number); break;
    case PM_STRING: repr_text(out, v.text); break;
    case PM_LIST: show_list(r, out, v.list); break;
    case PM_DICT: show_dict(r, out, v.dict); break;
    case PM_OBJECT: pm_buffer_puts(out, "<function>"); break;
  }
  r->depth--;
}

void pm_show(pm_run *r, pm_buffer *out, pm_value v) {
  pm_span text;
  if (v.kind == PM_UNDEFINED) return;
  if (!pm_as_text(v, &text)) {
    show_repr(r, out, v);
  } else if (pm_run_charge(r, text.n / 16)) {
    pm_buffer_put(out, text.at, text.n);
  }
  if (out->status != PM_OK) pm_run_fail(r, out->status, "its text grows past %zu bytes, or memory is short", out->limit);
}

pm_span pm_text_of(pm_run *r, pm_value v) {
  pm_span text;
  if (pm_as_text(v, &text)) return text;
  pm_buffer b = pm_run_buffer(r);
  pm_show(r, &b, v);
  v = pm_run_take_text(r, &b);
  return pm_as_text(v, &text) ? text : (pm_span){"", 0};
}

// ---- % -------------------------------------------------------------------------------------------------------------

// One conversion, behind its %: flags, width, precision and letter; returns where it ends.
static const char *format_one(pm_run *r, pm_buffer *out, const char *p, const char *end, pm_value v) {
  char flags[8] = "", spec[32];
  int n_flag = 0, width = 0, precision = -1;
  for (; p < end && strchr("-+ 0#", *p) && *p; p++)
    if (n_flag < 6) flags[n_flag++] = *p;
  for (; p < end && *p >= '0' && *p <= '9'; p++) width = width < 1000 ? 10 * width + *p - '0' : width;
  if (p < end && *p == '.')
    for (p++, precision = 0; p < end && *p >= '0' && *p <= '9'; p++) precision = precision < 50 ? 10 * precision + *p - '0' : precision;
  if (width > 100) width = 100;
  char letter = p < end ? *p++ : 0;
  double number = 0;
  bool is_number = pm_value_number(v, &number);
  if (letter == 's' || letter == 'r') {
    pm_buffer text = pm_run_buffer(r);
    letter == 's' ? pm_show(r, &text, v) : show_repr(r, &text, v);
    pm_span s = {text.at ? text.at : "", text.n};
    if (precision >= 0) s = pm_chars(s, 0, (size_t)precision);
    size_t n = pm_count_chars(s), pad = (size_t)width > n ? (size_t)width - n : 0;
    if (!strchr(flags, '-')) pm_buffer_printf(out, "%*s", (int)pad, "");
    pm_buffer_put(out, s.at, s.n);
    if (strchr(flags, '-')) pm_buffer_printf(out, "%*s", (int)pad, "");
    pm_buffer_finish(&text);
  } else if (letter && strchr("dixXo", letter) && is_number) {
    snprintf(spec, sizeof spec, "%%%s*ll%c", flags, letter == 'i' ? 'd' : letter);
    long long whole = v.kind == PM_INT ? v.integer : fabs(number) < 9e18 ? (long long)number : 0;
    char text[128];
    snprintf(text, sizeof text, spec, width, whole);
    pm_buffer_puts(out, text);
  } else if (letter && strchr("fFeEgG", letter) && is_number && fabs(number) < 1e40) {
    snprintf(spec, sizeof spec, "%%%s*.*%c", flags, letter);
    char text[256];
    snprintf(text, sizeof text, spec, width, precision < 0 ? 6 : precision, number);
    pm_buffer_puts(out, text);
  } else {
    pm_run_fail(r, PM_ERR_FORMAT, "%%%c does not format a value of type %s", letter ? letter : ' ', pm_value_type(v));
  }
  return p;
}

pm_value pm_format(pm_run *r, pm_span fmt, const pm_value *items, size_t n) {
  pm_buffer out = pm_run_buffer(r);
  size_t used = 0;
  for (const char *p = fmt.at, *end = fmt.at + fmt.n; p < end && pm_run_ok(r);) {
    const char *percent = memchr(p, '%', (size_t)(end - p));
    pm_buffer_put(&out, p, (size_t)((percent ? percent : end) - p));
    if (!percent) break;
    p = percent + 1;
    if (p < end && *p == '%') {
      pm_buffer_puts(&out, "%");
      p++;
    } else if (used == n) {
      pm_run_fail(r, PM_ERR_FORMAT, "not enough values for a text with %%");
    } else {
      p = format_one(r, &out, p, end, items[used++]);
    }
  }
  if (used < n) pm_run_fail(r, PM_ERR_FORMAT, "too many values for a text with %%");
  return pm_run_take_text(r, &out);
}
