#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "jinja_ast.h"
#include "strip.h"
#include "utf8.h"

typedef struct lexer {
  pm_heap *heap;
  const char *at, *end;
  uint32_t line;
  bool after_newline;  // what was taken last ended with a line end; true at the beginning
  pm_jinja_token *tokens;
  size_t n, capacity;
  char closing[PM_JINJA_MAX_DEPTH];  // brackets that are open
  size_t n_closing;
} lexer;

static pm_status append(lexer *l, pm_token_kind kind, pm_span text, pm_value value) {
  if (l->n == l->capacity) {
    size_t wanted = l->capacity ? 2 * l->capacity : 64;
    pm_jinja_token *bigger = pm_heap_alloc(l->heap, wanted * sizeof *bigger);
    if (!bigger) PM_FAIL(PM_ERR_MEMORY, "the chat template is too large: more than %zu tokens", l->n);
    if (l->n) memcpy(bigger, l->tokens, l->n * sizeof *bigger);
    l->tokens = bigger, l->capacity = wanted;
  }
  l->tokens[l->n++] = (pm_jinja_token){kind, l->line, text, value};
  return PM_OK;
}

static bool starts(const lexer *l, const char *text) {
  size_t n = strlen(text);
  return (size_t)(l->end - l->at) >= n && memcmp(l->at, text, n) == 0;
}

static void skip(lexer *l, size_t n) {
  for (const char *to = l->at + n; l->at < to; l->at++) l->line += *l->at == '\n';
  l->after_newline = l->at[-1] == '\n';
}

static void skip_spaces(lexer *l) {
  size_t n = (size_t)(l->end - l->at), kept = pm_span_strip((pm_span){l->at, n}, NULL, true, false).n;
  if (n > kept) skip(l, n - kept);
}

// After a tag: `sign` is the one before its end, + or - or none.
static void trim_after(lexer *l, char sign, bool block) {
  if (sign == '-')
    skip_spaces(l);
  else if (block && sign != '+' && starts(l, "\n"))
    skip(l, 1);
}

// ---- text between tags ---------------------------------------------------------------------------------------------

static const char *trim_right(const char *from, const char *to) {
  return from + pm_span_strip((pm_span){from, (size_t)(to - from)}, NULL, false, true).n;
}

// White space from the beginning of the line to the tag goes, if there is nothing else.
static const char *trim_indent(const char *from, const char *to, bool after_newline) {
  const char *line = to;
  while (line > from && line[-1] != '\n') line--;
  if (line == from && !after_newline) return to;
  return trim_right(line, to) == line ? line : to;
}

// From l->at up to a tag at `tag` (or the end), whose sign and kind decide about white space before it.
static pm_status take_text(lexer *l, const char *tag) {
  const char *from = l->at, *to = tag;
  bool after_newline = l->after_newline;
  if (tag < l->end) {
    char sign = tag + 2 < l->end ? tag[2] : 0;
    if (sign == '-')
      to = trim_right(from, to);
    else if (sign != '+' && tag[1] != '{')
      to = trim_indent(from, to, after_newline);
  }
  if (to > from) PM_TRY(append(l, PM_TOKEN_TEXT, (pm_span){from, (size_t)(to - from)}, (pm_value){0}));
  if (tag > from) skip(l, (size_t)(tag - from));
  return PM_OK;
}

static const char *find_tag(const lexer *l) {
  for (const char *p = l->at; p + 1 < l->end; p++)
    if (p[0] == '{' && (p[1] == '{' || p[1] == '%' || p[1] == '#')) return p;
  return l->end;
}

static pm_status skip_comment(lexer *l) {
  uint32_t line = l->line;
  skip(l, 2);
  const char *close = pm_span_find((pm_span){l->at, (size_t)(l->end - l->at)}, PM_SPAN("#}"));
  if (!close) PM_FAIL(PM_ERR_FORMAT, "chat template, line %u: a comment {# without #}", line);
  char sign = close > l->at ? close[-1] : 0;
  skip(l, (size_t)(close + 2 - l->at));
  trim_after(l, sign, true);
  return PM_OK;
}

// At "{%": if it is {% NAME %}, its length, and *sign its last sign.
static size_t simple_tag(const lexer *l, const char *at, const char *name, char *sign) {
  const char *p = at + 2;
  if (p < l->end && (*p == '-' || *p == '+')) p++;
  while (p < l->end && (*p == ' ' || *p == '\t' || *p == '\n')) p++;
  size_t n = strlen(name);
  if ((size_t)(l->end - p) < n || memcmp(p, name, n) != 0) return 0;
  p += n;
  while (p < l->end && (*p == ' ' || *p == '\t' || *p == '\n')) p++;
  *sign = 0;
  if (p < l->end && (*p == '-' || *p == '+')) *sign = *p++;
  return l->end - p >= 2 && p[0] == '%' && p[1] == '}' ? (size_t)(p + 2 - at) : 0;
}

static pm_status take_raw(lexer *l, size_t n_tag, char sign) {
  uint32_t line = l->line;
  skip(l, n_tag);
  trim_after(l, sign, true);
  for (const char *p = l->at; p + 1 < l->end; p++) {
    size_t n = p[0] == '{' && p[1] == '%' ? simple_tag(l, p, "endraw", &sign) : 0;
    if (!n) continue;
    PM_TRY(take_text(l, p));
    skip(l, n);
    trim_after(l, sign, true);
    return PM_OK;
  }
  PM_FAIL(PM_ERR_FORMAT, "chat template, line %u: {%% raw %%} without {%% endraw %%}", line);
}

// ---- inside of tags ------------------------------------------------------------------------------------------------

static bool is_name_byte(char c, bool first) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80 || (!first && c >= '0' && c <= '9');
}

static uint32_t read_digits(const char **p, const char *end, int base, int max) {
  uint32_t v = 0;
  for (int i = 0; i < max && *p < end; i++, (*p)++) {
    char c = **p;
    int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : base;
    if (digit >= base) break;
    v = v * (uint32_t)base + (uint32_t)digit;
  }
  return v;
}

// What stands behind a backslash, as in Python. Returns how many bytes it makes.
static size_t unescape(const char **p, const char *end, char *out) {
  static const char simple[] = "\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v";
  char c = **p;
  if (c == '\n') return (*p)++, 0;
  for (const char *s = simple; *s; s += 2)
    if (*s == c) return (*p)++, *out = s[1], 1;
  const char *q = *p + 1;
  int n = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  uint32_t point;
  if (c >= '0' && c <= '7') {
    point = read_digits(p, end, 8, 3);
  } else if (n) {
    point = read_digits(&q, end, 16, n);
    if (q - *p != n + 1) return *out = '\\', 1;
    *p = q;
  } else {
    return *out = '\\', 1;
  }
  return pm_utf8_put(point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ? 0xfffd : point, out);
}

static pm_status take_string(lexer *l) {
  char quote = *l->at;
  const char *p = l->at + 1;
  while (p < l->end && *p != quote) p += *p == '\\' ? 2 : 1;
  if (p >= l->end) PM_FAIL(PM_ERR_FORMAT, "chat template, line %u: a text without its closing %c", l->line, quote);
  char *text = pm_heap_alloc(l->heap, (size_t)(p - l->at) * 2 + 4), *out = text;
  if (!text) PM_FAIL(PM_ERR_MEMORY, "the chat template is too large");
  for (const char *q = l->at + 1; q < p;) {
    if (*q != '\\') {
      *out++ = *q++;
      continue;
    }
    q++;
    out += unescape(&q, p, out);
  }
  PM_TRY(append(l, PM_TOKEN_CONSTANT, (pm_span){l->at, (size_t)(p + 1 - l->at)}, pm_value_text((pm_span){text, (size_t)(out - text)})));
  skip(l, (size_t)(p + 1 - l->at));
  return PM_OK;
}

static size_t count_digits(const char *p, const char *end) {
  const char *from = p;
  while (p < end && ((*p >= '0' && *p <= '9') || (*p == '_' && p > from && p + 1 < end && p[1] >= '0' && p[1] <= '9'))) p++;
  return (size_t)(p - from);
}

static pm_status take_number(lexer *l) {
  const char *p = l->at + count_digits(l->at, l->end);
  bool whole = true, item = l->n && pm_span_is(l->tokens[l->n - 1].text, ".");  // x.0 is an item of x
  if (!item && p + 1 < l->end && *p == '.' && count_digits(p + 1, l->end)) whole = false, p += 1 + count_digits(p + 1, l->end);
  if (!item && p < l->end && (*p | 32) == 'e') {
    const char *e = p + 1;
    if (e < l->end && (*e == '+' || *e == '-')) e++;
    if (e < l->end && count_digits(e, l->end)) whole = false, p = e + count_digits(e, l->end);
  }
  char text[64];
  size_t n = 0;
  for (const char *q = l->at; q < p; q++) {
    if (*q == '_') continue;
    if (n + 1 == sizeof text) PM_FAIL(PM_ERR_UNSUPPORTED, "chat template, line %u: a number of more than 63 digits", l->line);
    text[n++] = *q;
  }
  text[n] = 0;
  errno = 0;
  pm_value value = whole ? pm_value_int(strtoll(text, NULL, 10)) : pm_value_float(pm_span_decimal((pm_span){text, n}));
  if (whole && errno) PM_FAIL(PM_ERR_UNSUPPORTED, "chat template, line %u: %s does not fit into 64 bits", l->line, text);
  PM_TRY(append(l, PM_TOKEN_CONSTANT, (pm_span){l->at, (size_t)(p - l->at)}, value));
  skip(l, (size_t)(p - l->at));
  return PM_OK;
}

static pm_status take_operator(lexer *l) {
  static const char *const operators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                          "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
  const char *const *op = operators, *const *end = operators + sizeof operators / sizeof *operators;
  while (op < end && !starts(l, *op)) op++;
  if (op == end) PM_FAIL(PM_ERR_FORMAT, "chat template, line %u: unexpected character '%c'", l->line, *l->at);
  static const char pairs[] = "()[]{}";
  const char *pair = strchr(pairs, **op);
  if (pair && (pair - pairs) % 2 == 0) {
    if (l->n_closing == sizeof l->closing) PM_FAIL(PM_ERR_UNSUPPORTED, "chat template, line %u: too many open brackets", l->line);
    l->closing[l->n_closing++] = pair[1];
  } else if (pair) {
    if (!l->n_closing || l->closing[--l->n_closing] != **op)
      PM_FAIL(PM_ERR_FORMAT, "chat template, line %u: '%c' closes nothing", l->line, **op);
  }
  PM_TRY(append(l, PM_TOKEN_OPERATOR, pm_span_of(*op), (pm_value){0}));
  skip(l, strlen(*op));
  return PM_OK;
}

// Whether the tag ends here; its end is then taken.
static bool take_tag_end(lexer *l, const char *close) {
  char sign = *l->at;
  bool signed_end = sign == '-' || (sign == '+' && *close == '%');
  if (l->n_closing || l->end - l->at < 2 + signed_end || memcmp(l->at + signed_end, close, 2) != 0) return false;
  skip(l, 2 + (size_t)signed_end);
  return true;
}

static pm_status take_tag(lexer *l, bool block) {
  const char *close = block ? "%}" : "}}";
  uint32_t line = l->line;
  PM_TRY(append(l, block ? PM_TOKEN_BLOCK_BEGIN : PM_TOKEN_OUTPUT_BEGIN, (pm_span){l->at, 2}, (pm_value){0}));
  skip(l, 2);
  if (l->at < l->end && (*l->at == '-' || *l->at == '+')) skip(l, 1);
  for (;;) {
    skip_spaces(l);
    if (l->at >= l->end) PM_FAIL(PM_ERR_FORMAT, "chat template, line %u: a tag without its end %s", line, close);
    char sign = *l->at;
    const char *from = l->at;
    if (take_tag_end(l, close)) {
      PM_TRY(append(l, block ? PM_TOKEN_BLOCK_END : PM_TOKEN_OUTPUT_END, (pm_span){from, 2}, (pm_value){0}));
      trim_after(l, sign, block);
      return PM_OK;
    }
    if (is_name_byte(*l->at, true)) {
      size_t n = 1;
      while (l->at + n < l->end && is_name_byte(l->at[n], false)) n++;
      PM_TRY(append(l, PM_TOKEN_NAME, (pm_span){l->at, n}, (pm_value){0}));
      skip(l, n);
    } else if (*l->at >= '0' && *l->at <= '9') {
      PM_TRY(take_number(l));
    } else if (*l->at == '"' || *l->at == '\'') {
      PM_TRY(take_string(l));
    } else {
      PM_TRY(take_operator(l));
    }
  }
}

pm_status pm_jinja_lex(pm_heap *h, pm_span text, pm_jinja_token **out) {
  if (text.n && text.at[text.n - 1] == '\n') text.n--;  // the last line end of a template does not count
  lexer l = {.heap = h, .at = text.at, .end = text.at + text.n, .line = 1, .after_newline = true};
  while (l.at < l.end) {
    const char *tag = find_tag(&l);
    PM_TRY(take_text(&l, tag));
    if (tag == l.end) break;
    char sign;
    size_t n_raw = tag[1] == '%' ? simple_tag(&l, tag, "raw", &sign) : 0;
    if (n_raw)
      PM_TRY(take_raw(&l, n_raw, sign));
    else if (tag[1] == '#')
      PM_TRY(skip_comment(&l));
    else
      PM_TRY(take_tag(&l, tag[1] == '%'));
  }
  PM_TRY(append(&l, PM_TOKEN_END, (pm_span){l.end, 0}, (pm_value){0}));
  *out = l.tokens;
  return PM_OK;
}
