#include "json_tree.h"

#include <math.h>
#include <string.h>

enum { MAX_DEPTH = 64, MAX_VALUES = 1 << 22 };  // a vocabulary with its merges has less than a million values

typedef struct parser {
  pm_arena *arena;
  const char *path, *begin, *at, *end;
  uint32_t n_value;
} parser;

// "..., expected <what>", or any other ending.
static pm_status refuse(const parser *p, const char *at, const char *what) {
  uint64_t line = 1, column = 1;
  for (const char *c = p->begin; c < at; c++) column = *c == '\n' ? 1 : column + 1, line += *c == '\n';
  PM_FAIL(PM_ERR_FORMAT, "%s: line %llu, column %llu: %s", p->path, (unsigned long long)line, (unsigned long long)column, what);
}

static void skip_space(parser *p) {
  while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t')) p->at++;
}

static bool take(parser *p, char c) {
  skip_space(p);
  if (p->at == p->end || *p->at != c) return false;
  p->at++;
  return true;
}

// ---- strings -------------------------------------------------------------------------------------------------------

// Bytes of the UTF-8 sequence at `s`, at most n; 0 if it is none (RFC 3629).
static size_t sequence_bytes(const uint8_t *s, size_t n) {
  static const struct {
    uint8_t first, last, low, high;  // of the first byte; of the second
    size_t bytes;
  } forms[] = {{0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
               {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
               {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    if (*s < forms[i].first || *s > forms[i].last) continue;
    if (forms[i].bytes > n) return 0;
    if (forms[i].bytes > 1 && (s[1] < forms[i].low || s[1] > forms[i].high)) return 0;
    for (size_t k = 2; k < forms[i].bytes; k++)
      if (s[k] < 0x80 || s[k] > 0xbf) return 0;
    return forms[i].bytes;
  }
  return 0;
}

static char *put_utf8(char *to, uint32_t c) {
  if (c < 0x80) return *to++ = (char)c, to;
  if (c < 0x800) {
    *to++ = (char)(0xc0 | c >> 6);
  } else if (c < 0x10000) {
    *to++ = (char)(0xe0 | c >> 12), *to++ = (char)(0x80 | (c >> 6 & 63));
  } else {
    *to++ = (char)(0xf0 | c >> 18), *to++ = (char)(0x80 | (c >> 12 & 63)), *to++ = (char)(0x80 | (c >> 6 & 63));
  }
  *to++ = (char)(0x80 | (c & 63));
  return to;
}

// Four hexadecimal digits after "\u"; -1 if they are none.
static int32_t take_hex(parser *p) {
  int32_t value = 0;
  if (p->end - p->at < 4) return -1;
  for (int i = 0; i < 4; i++) {
    char c = *p->at++, low = c | 0x20;
    int digit = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

static pm_status take_unicode(parser *p, const char *start, char **to) {
  int32_t c = take_hex(p);
  if (c >= 0xd800 && c < 0xdc00 && p->end - p->at >= 2 && p->at[0] == '\\' && p->at[1] == 'u') {
    p->at += 2;
    int32_t low = take_hex(p);
    c = low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00)) : -1;
  }
  if (c <= 0 || (c >= 0xd800 && c < 0xe000)) return refuse(p, start, "an escape that is no character, or NUL");
  *to = put_utf8(*to, (uint32_t)c);
  return PM_OK;
}

static pm_status take_escape(parser *p, char **to) {
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  const char *start = p->at++;
  char c = p->at < p->end ? *p->at++ : 0;
  if (c == 'u') return take_unicode(p, start, to);
  const char *found = c ? strchr(names, c) : NULL;
  if (!found) return refuse(p, start, "an unknown escape");
  *(*to)++ = values[found - names];
  return PM_OK;
}

// After the opening quote. The unescaped text is never longer than what is written.
static pm_status take_string(parser *p, const char **out) {
  const char *start = p->at, *close = start;
  while (close < p->end && *close != '"') close += *close == '\\' && close + 1 < p->end ? 2 : 1;
  if (close >= p->end) return refuse(p, start, "a string without an end");
  char *text = pm_arena_alloc(p->arena, (size_t)(close - start) + 1), *to = text;
  if (!text) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: a string", p->path);
  while (p->at < close) {
    if (*p->at == '\\') {
      PM_TRY(take_escape(p, &to));
      continue;
    }
    size_t n = (uint8_t)*p->at < 0x20 ? 0 : sequence_bytes((const uint8_t *)p->at, (size_t)(close - p->at));
    if (!n) return refuse(p, p->at, "a control character or bytes that are not UTF-8");
    memcpy(to, p->at, n);
    to += n, p->at += n;
  }
  p->at = close + 1;
  *out = text;  // the arena is zeroed: it ends with NUL
  return PM_OK;
}

// ---- numbers -------------------------------------------------------------------------------------------------------

static bool is_digit(const parser *p) { return p->at < p->end && *p->at >= '0' && *p->at <= '9'; }

// Exact where the digits fit a double and the power of ten does, as in real files; independent of the locale.
static pm_status take_number(parser *p, double *out) {
  const char *start = p->at;
  bool minus = *p->at == '-';
  p->at += minus;
  bool zero = is_digit(p) && *p->at == '0', digits = is_digit(p);
  double mantissa = 0;
  int power = 0;
  for (; is_digit(p); p->at++) mantissa = mantissa * 10 + (*p->at - '0');
  if (!digits || (zero && p->at - start > 1 + minus)) return refuse(p, start, "expected a value");
  if (p->at < p->end && *p->at == '.') {
    p->at++;
    if (!is_digit(p)) return refuse(p, start, "a number that is not complete");
    for (; is_digit(p); p->at++)
      if (mantissa < 0x1p53 / 10 - 1) mantissa = mantissa * 10 + (*p->at - '0'), power--;
  }
  if (p->at < p->end && (*p->at | 0x20) == 'e') {
    p->at++;
    int sign = p->at < p->end && *p->at == '-' ? -1 : 1, exponent = 0;
    if (p->at < p->end && (*p->at == '-' || *p->at == '+')) p->at++;
    if (!is_digit(p)) return refuse(p, start, "a number that is not complete");
    for (; is_digit(p); p->at++)
      if (exponent < 10000) exponent = exponent * 10 + (*p->at - '0');
    power += sign * exponent;
  }
  double scale = pow(10, power < 0 ? -power : power), value = mantissa ? power < 0 ? mantissa / scale : mantissa * scale : 0;
  if (!isfinite(value)) return refuse(p, start, "a number too large");
  *out = minus ? -value : value;
  return PM_OK;
}

// ---- values --------------------------------------------------------------------------------------------------------

static pm_status take_value(parser *p, pm_tree *v, int depth);

// Elements of an array or members of an object, after the opening bracket.
static pm_status take_items(parser *p, pm_tree *v, int depth) {
  char close = v->kind == PM_TREE_OBJECT ? '}' : ']';
  if (depth == MAX_DEPTH) return refuse(p, p->at, "values inside values inside values ...");
  if (take(p, close)) return PM_OK;
  const pm_tree **link = &v->first;
  do {
    pm_tree *item = pm_arena_alloc(p->arena, sizeof *item);
    if (!item) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: its values", p->path);
    if (v->kind == PM_TREE_OBJECT) {
      if (!take(p, '"')) return refuse(p, p->at, "expected a name in quotes");
      PM_TRY(take_string(p, &item->key));
      if (!take(p, ':')) return refuse(p, p->at, "expected ':'");
    }
    PM_TRY(take_value(p, item, depth + 1));
    *link = item, link = &item->next;
    v->n++;
  } while (take(p, ','));
  return take(p, close) ? PM_OK : refuse(p, p->at, v->kind == PM_TREE_OBJECT ? "expected ',' or '}'" : "expected ',' or ']'");
}

static bool take_word(parser *p, const char *word) {
  size_t n = strlen(word);
  if ((size_t)(p->end - p->at) < n || memcmp(p->at, word, n) != 0) return false;
  p->at += n;
  return true;
}

static pm_status take_value(parser *p, pm_tree *v, int depth) {
  skip_space(p);
  if (++p->n_value > MAX_VALUES) return refuse(p, p->at, "too many values");
  if (p->at == p->end) return refuse(p, p->at, "the text ends where a value was expected");
  switch (*p->at) {
    case '{':
    case '[': v->kind = *p->at++ == '{' ? PM_TREE_OBJECT : PM_TREE_ARRAY; return take_items(p, v, depth);
    case '"': v->kind = PM_TREE_STRING, p->at++; return take_string(p, &v->text);
    case 't':
    case 'f':
      v->kind = PM_TREE_BOOL, v->truth = *p->at == 't';
      return take_word(p, v->truth ? "true" : "false") ? PM_OK : refuse(p, p->at, "expected a value");
    case 'n': return take_word(p, "null") ? PM_OK : refuse(p, p->at, "expected a value");
    default: v->kind = PM_TREE_NUMBER; return take_number(p, &v->number);
  }
}

pm_status pm_tree_parse(pm_arena *arena, const char *path, const char *text, size_t n, const pm_tree **out) {
  if (!n) text = "";  // of an empty file there is none
  parser p = {.arena = arena, .path = path, .begin = text, .at = text, .end = text + n};
  pm_tree *root = pm_arena_alloc(arena, sizeof *root);
  if (!root) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: its values", path);
  PM_TRY(take_value(&p, root, 0));
  skip_space(&p);
  if (p.at < p.end) return refuse(&p, p.at, "more text after the end");
  *out = root;
  return PM_OK;
}

const pm_tree *pm_tree_find(const pm_tree *object, const char *key) {
  if (!object || object->kind != PM_TREE_OBJECT) return NULL;
  for (const pm_tree *m = object->first; m; m = m->next)
    if (!strcmp(m->key, key)) return m->kind == PM_TREE_NULL ? NULL : m;
  return NULL;
}

bool pm_tree_whole(const pm_tree *v, uint64_t *out) {
  if (!v || v->kind != PM_TREE_NUMBER || !(v->number >= 0) || v->number > 0x1p53 || v->number != floor(v->number)) return false;
  *out = (uint64_t)v->number;
  return true;
}

const char *pm_tree_text(const pm_tree *v) { return v && v->kind == PM_TREE_STRING ? v->text : NULL; }
