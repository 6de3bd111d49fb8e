#include "json_pattern.h"

#include <string.h>

#include "utf8.h"

enum { MAX_NESTING = 16, MAX_RANGES = 64 };

typedef struct range {
  uint32_t first, last;
} range;

typedef struct class {
  range ranges[MAX_RANGES];
  uint32_t n;
  bool negated;
} class;

typedef struct parser {
  pm_buffer *out;
  const char *at, *end;
  int nesting;
} parser;

static bool next_is(parser *p, char c) {
  bool is = p->at < p->end && *p->at == c;
  p->at += is;
  return is;
}

// ---- classes ----

static bool contains(const class *c, uint32_t point) {
  bool found = false;
  for (uint32_t i = 0; i < c->n; i++) found |= point >= c->ranges[i].first && point <= c->ranges[i].last;
  return found != c->negated;
}

static const char *add_range(class *c, uint32_t first, uint32_t last) {
  if (c->n == MAX_RANGES) return "has a class of too many parts";
  c->ranges[c->n++] = (range){first, last};
  return NULL;
}

// What the letter after a backslash stands for. Of white space strings have the space alone.
static const char *add_escape(class *c, char letter) {
  static const char names[] = "ntrfv", meant[] = "\n\t\r\f\v";
  const char *name = letter ? strchr(names, letter) : NULL;
  switch (letter) {
    case 'd': return add_range(c, '0', '9');
    case 's': return add_range(c, ' ', ' ');
    case 'w': c->n += 4; break;
    default:
      if (name) return add_range(c, (unsigned char)meant[name - names], (unsigned char)meant[name - names]);
      if ((letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || !letter)
        return "has an escape that is not supported";
      return add_range(c, (unsigned char)letter, (unsigned char)letter);
  }
  if (c->n > MAX_RANGES) return c->n -= 4, "has a class of too many parts";
  memcpy(c->ranges + c->n - 4, (const range[]){{'0', '9'}, {'a', 'z'}, {'A', 'Z'}, {'_', '_'}}, 4 * sizeof(range));
  return NULL;
}

// A character or an escape, as a class of its own.
static const char *read_one(parser *p, class *c) {
  uint32_t point;
  int n = p->at < p->end ? pm_utf8_scan((const unsigned char *)p->at, (size_t)(p->end - p->at), &point) : 0;
  if (n <= 0) return "ends too early";
  p->at += n;
  if (point != '\\') return add_range(c, point, point);
  return add_escape(c, p->at < p->end ? *p->at++ : 0);
}

static const char *read_class(parser *p, class *c) {
  const char *why = NULL;
  c->negated = next_is(p, '^');
  while (!why && !next_is(p, ']')) {
    uint32_t before = c->n;
    why = read_one(p, c);
    if (why || p->end - p->at < 2 || *p->at != '-' || p->at[1] == ']') continue;
    class last = {.n = 0};
    p->at++;
    why = read_one(p, &last);
    bool range_of_points = c->n == before + 1 && last.n == 1 && last.ranges[0].first >= c->ranges[before].first;
    if (!why && !range_of_points) why = "has a class that is not supported";
    if (!why) c->ranges[before].last = last.ranges[0].first;
  }
  return why;
}

static void put_point(pm_buffer *out, uint32_t point) { pm_buffer_printf(out, "\\U%08x", point); }

// Ranges without what JSON writes as an escape.
static void put_plain(pm_buffer *out, range r) {
  static const range plain[] = {{0x20, 0x21}, {0x23, 0x5b}, {0x5d, 0x7e}, {0x80, 0xd7ff}, {0xe000, 0x10ffff}};
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
    uint32_t first = r.first > plain[i].first ? r.first : plain[i].first, last = r.last < plain[i].last ? r.last : plain[i].last;
    if (first > last) continue;
    put_point(out, first);
    pm_buffer_puts(out, "-");
    put_point(out, last);
  }
}

static void put_class(pm_buffer *out, const class *c) {
  static const struct {
    char meant;
    const char *written;  // in a grammar
  } escapes[] = {{'"', "\"\\\\\\\"\""}, {'\\', "\"\\\\\\\\\""}, {'\n', "\"\\\\n\""},
                 {'\t', "\"\\\\t\""},   {'\r', "\"\\\\r\""},    {'\f', "\"\\\\f\""}};
  pm_buffer_puts(out, c->negated ? "( [^\\x00-\\x1f\\x22\\x5c\\x7f" : "( [");
  for (uint32_t i = 0; i < c->n; i++) put_plain(out, c->ranges[i]);
  pm_buffer_puts(out, "] ");
  for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
    if (contains(c, (unsigned char)escapes[i].meant)) pm_buffer_printf(out, "| %s ", escapes[i].written);
  pm_buffer_puts(out, ") ");
}

// ---- expressions ----

static const char *put_ways(parser *p);

static const char *put_group(parser *p) {
  if (next_is(p, '?') && !next_is(p, ':')) return "looks ahead or names a group, which is not supported";
  if (++p->nesting > MAX_NESTING) return "is nested too deep";
  pm_buffer_puts(p->out, "( ");
  const char *why = put_ways(p);
  if (why) return why;
  if (!next_is(p, ')')) return "has a parenthesis without an end";
  pm_buffer_puts(p->out, ") ");
  p->nesting--;
  return NULL;
}

static const char *put_atom(parser *p) {
  static const class any = {.ranges = {{'\n', '\n'}, {'\r', '\r'}}, .n = 2, .negated = true};
  class c = {.n = 0};
  if (next_is(p, '(')) return put_group(p);
  if (next_is(p, '.')) return put_class(p->out, &any), NULL;
  if (strchr("^$*+?{", *p->at)) return "has an anchor or a repetition where it is not supported";
  const char *why = next_is(p, '[') ? read_class(p, &c) : read_one(p, &c);
  if (!why) put_class(p->out, &c);
  return why;
}

// As the grammar writes them; that one is lazy or not makes no difference to what matches.
static const char *put_repetition(parser *p) {
  const char *from = p->at;
  if (p->at == p->end || !strchr("*+?{", *p->at)) return NULL;
  if (*p->at == '{')
    while (p->at < p->end && *p->at != '}') p->at++;
  if (p->at == p->end) return "has a repetition without an end";
  p->at++;
  pm_buffer_put(p->out, from, (size_t)(p->at - from));
  pm_buffer_puts(p->out, " ");
  (void)next_is(p, '?');
  return NULL;
}

static const char *put_ways(parser *p) {
  const char *why = NULL;
  while (!why && p->at < p->end && *p->at != ')') {
    if (next_is(p, '|')) {
      pm_buffer_puts(p->out, "| ");
      continue;
    }
    why = put_atom(p);
    if (!why) why = put_repetition(p);
  }
  return why;
}

// Whether a '|' is outside of all groups: anchors would belong to the ways beside it.
static bool has_outer_ways(const char *at, const char *end) {
  int depth = 0;
  bool in_class = false;
  for (; at < end; at++) {
    if (*at == '\\') {
      at++;
      continue;
    }
    in_class = in_class ? *at != ']' : *at == '[';
    if (!in_class) depth += (*at == '(') - (*at == ')');
    if (*at == '|' && !in_class && depth == 0) return true;
  }
  return false;
}

const char *pm_json_pattern(pm_buffer *out, pm_span pattern) {
  parser p = {.out = out, .at = pattern.at, .end = pattern.at + pattern.n};
  bool begins = next_is(&p, '^');
  size_t n = (size_t)(p.end - p.at), n_escape = 0;
  while (n_escape + 1 < n && p.end[-2 - (ptrdiff_t)n_escape] == '\\') n_escape++;
  bool ends = n && p.end[-1] == '$' && n_escape % 2 == 0;
  p.end -= ends;
  if ((begins || ends) && has_outer_ways(p.at, p.end)) return "has anchors beside '|', which is not supported";
  pm_buffer_puts(out, begins ? "\"\\\"\" ( " : "\"\\\"\" char* ( ");
  const char *why = put_ways(&p);
  if (!why && p.at < p.end) why = "has a parenthesis that was never opened";
  pm_buffer_puts(out, ends ? ") \"\\\"\" " : ") char* \"\\\"\" ");
  return why;
}

#define DATE "[0-9]{4} \"-\" ( \"0\" [1-9] | \"1\" [0-2] ) \"-\" ( \"0\" [1-9] | [12] [0-9] | \"3\" [01] ) "
#define HOUR_MINUTE "( [01] [0-9] | \"2\" [0-3] ) \":\" [0-5] [0-9] "
#define TIME HOUR_MINUTE "\":\" [0-5] [0-9] ( \".\" [0-9]{1,9} )? ( \"Z\" | [+-] " HOUR_MINUTE ") "
#define QUOTED(text) "\"\\\"\" " text "\"\\\"\" "

const char *pm_json_format(pm_span name) {
  static const struct {
    const char *name, *strings;
  } formats[] = {{"date", QUOTED(DATE)},
                 {"time", QUOTED(TIME)},
                 {"date-time", QUOTED(DATE "\"T\" " TIME)},
                 {"uuid", QUOTED("[0-9a-fA-F]{8} ( \"-\" [0-9a-fA-F]{4} ){3} \"-\" [0-9a-fA-F]{12} ")}};
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    if (pm_span_is(name, formats[i].name)) return formats[i].strings;
  return NULL;
}
