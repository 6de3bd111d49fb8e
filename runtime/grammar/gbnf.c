// GBNF to a network. A fragment of the network has one entry and one exit, a jump that leads nowhere until it is joined with what follows.
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "grammar.h"
#include "matcher.h"
#include "memory.h"
#include "utf8.h"

enum { NO_NODE = 0, MAX_REPEAT = 10000, MAX_NAME = 64, MAX_RANGES = 256 };
static const uint32_t LAST_POINT = 0x10ffff;

typedef struct fragment {
  uint32_t entry, exit;
} fragment;

typedef struct named_rule {
  const char *name, *used_at;
  uint32_t n, rule;
  bool defined;
} named_rule;

typedef struct range {
  uint32_t first, last;
} range;

typedef struct parser {
  pm_grammar *g;
  const char *begin, *at, *end;
  named_rule *rules;
  uint32_t n_rule;
  uint32_t nesting;
} parser;

// ---- errors ----

static pm_status object_at(const parser *p, const char *at, const char *what) {
  size_t line = 1, column = 1;
  for (const char *c = p->begin; c < at; c++) {
    column += ((unsigned char)*c & 0xc0) != 0x80;
    if (*c == '\n') line++, column = 1;
  }
  PM_FAIL(PM_ERR_ARGUMENT, "grammar, line %zu, column %zu: %s", line, column, what);
}

static pm_status object(const parser *p, const char *what) { return object_at(p, p->at, what); }

// ---- the network ----

static pm_status add_node(parser *p, pm_node node, uint32_t *out) {
  pm_grammar *g = p->g;
  if (g->n_node == PM_GRAMMAR_MAX_NODES) return object(p, "the grammar is too large; use fewer or smaller repetitions");
  if (g->n_node == g->node_capacity) {
    uint32_t wanted = g->node_capacity ? g->node_capacity * 2 : 256;
    pm_node *bigger = pm_realloc(g->nodes, wanted * sizeof *bigger);
    if (!bigger) PM_FAIL(PM_ERR_MEMORY, "out of memory: grammar");
    g->nodes = bigger, g->node_capacity = wanted;
  }
  g->nodes[g->n_node] = node;
  *out = g->n_node++;
  return PM_OK;
}

static pm_status add_rule(parser *p, uint32_t *out) {
  pm_grammar *g = p->g;
  if (g->n_rule == g->rule_capacity) {
    uint32_t wanted = g->rule_capacity ? g->rule_capacity * 2 : 64;
    uint32_t *bigger = pm_realloc(g->entries, wanted * sizeof *bigger);
    if (!bigger) PM_FAIL(PM_ERR_MEMORY, "out of memory: grammar");
    g->entries = bigger, g->rule_capacity = wanted;
  }
  g->entries[g->n_rule] = NO_NODE;
  *out = g->n_rule++;
  return PM_OK;
}

static pm_status begin_fragment(parser *p, fragment *f) {
  PM_TRY(add_node(p, (pm_node){.kind = PM_NODE_JUMP}, &f->exit));
  f->entry = f->exit;
  return PM_OK;
}

static void join(parser *p, uint32_t exit, uint32_t entry) { p->g->nodes[exit].next = entry; }

static void append(parser *p, fragment *f, fragment more) {
  join(p, f->exit, more.entry);
  f->exit = more.exit;
}

// Puts a node that leads on to the fragment's new exit behind it.
static pm_status append_node(parser *p, fragment *f, pm_node node) {
  uint32_t exit, at;
  PM_TRY(add_node(p, (pm_node){.kind = PM_NODE_JUMP}, &exit));
  node.next = exit;
  PM_TRY(add_node(p, node, &at));
  append(p, f, (fragment){at, exit});
  return PM_OK;
}

// One more way through the fragment.
static pm_status add_way(parser *p, fragment *f, fragment way) {
  uint32_t entry = way.entry;
  if (f->entry != NO_NODE) PM_TRY(add_node(p, (pm_node){.kind = PM_NODE_SPLIT, .next = f->entry, .other = way.entry}, &entry));
  f->entry = entry;
  join(p, way.exit, f->exit);
  return PM_OK;
}

// ---- characters ----

// All bytes of a sequence of UTF-8 of one length between two code points whose bytes are lo and hi, as chains of byte ranges: the common
// head, then the first, the middle and the last stretch of what follows.
static pm_status add_sequence(parser *p, fragment *f, const uint8_t *lo, const uint8_t *hi, size_t n) {
  uint8_t low[4], high[4];
  size_t same = 0;
  while (same + 1 < n && lo[same] == hi[same]) same++;
  bool low_whole = true, high_whole = true;
  for (size_t i = same + 1; i < n; i++) low_whole &= lo[i] == 0x80, high_whole &= hi[i] == 0xbf;
  if (same + 1 < n && !(low_whole && high_whole)) {
    memcpy(low, lo, n), memcpy(high, hi, n);
    if (!low_whole) {  // lo .. the end of its stretch, then the rest
      for (size_t i = same + 1; i < n; i++) high[i] = 0xbf;
      high[same] = lo[same];
      PM_TRY(add_sequence(p, f, lo, high, n));
      for (size_t i = same + 1; i < n; i++) low[i] = 0x80;
      low[same] = (uint8_t)(lo[same] + 1);
      return add_sequence(p, f, low, hi, n);
    }
    for (size_t i = same + 1; i < n; i++) low[i] = 0x80;
    low[same] = hi[same];
    PM_TRY(add_sequence(p, f, low, hi, n));
    for (size_t i = same + 1; i < n; i++) high[i] = 0xbf;
    high[same] = (uint8_t)(hi[same] - 1);
    return add_sequence(p, f, lo, high, n);
  }
  fragment way;
  PM_TRY(begin_fragment(p, &way));
  for (size_t i = 0; i < n; i++) PM_TRY(append_node(p, &way, (pm_node){.kind = PM_NODE_BYTES, .lo = lo[i], .hi = hi[i]}));
  return add_way(p, f, way);
}

static pm_status add_range(parser *p, fragment *f, range r) {
  static const range parts[] = {{0, 0x7f}, {0x80, 0x7ff}, {0x800, 0xd7ff}, {0xe000, 0xffff}, {0x10000, 0x10ffff}};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    uint32_t first = r.first > parts[i].first ? r.first : parts[i].first, last = r.last < parts[i].last ? r.last : parts[i].last;
    char lo[4], hi[4];
    if (first > last) continue;
    size_t n = pm_utf8_put(first, lo);
    (void)pm_utf8_put(last, hi);
    PM_TRY(add_sequence(p, f, (const uint8_t *)lo, (const uint8_t *)hi, n));
  }
  return PM_OK;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static pm_status parse_hex(parser *p, int n, uint32_t *out) {
  *out = 0;
  for (int i = 0; i < n; i++, p->at++) {
    int digit = p->at < p->end ? hex_digit(*p->at) : -1;
    if (digit < 0) return object(p, "a hexadecimal digit is missing");
    *out = *out << 4 | (uint32_t)digit;
  }
  if (*out > LAST_POINT || (*out >= 0xd800 && *out <= 0xdfff)) return object(p, "this is no code point");
  return PM_OK;
}

// One character of a literal or a class, or an escape for one.
static pm_status parse_char(parser *p, uint32_t *out) {
  static const char names[] = "nrt\\\"[]-^", meant[] = "\n\r\t\\\"[]-^";
  int n = pm_utf8_scan((const unsigned char *)p->at, (size_t)(p->end - p->at), out);
  if (n <= 0) return object(p, "this is not UTF-8");
  p->at += n;
  if (*out != '\\') return PM_OK;
  char c = p->at < p->end ? *p->at++ : 0;
  const char *name = c ? strchr(names, c) : NULL;
  if (name) return *out = (uint32_t)meant[name - names], PM_OK;
  switch (c) {
    case 'x': return parse_hex(p, 2, out);
    case 'u': return parse_hex(p, 4, out);
    case 'U': return parse_hex(p, 8, out);
    default: return p->at--, object(p, "this escape is not known");
  }
}

static pm_status parse_literal(parser *p, fragment *f) {
  const char *open = p->at++;
  for (;;) {
    uint32_t point;
    if (p->at == p->end || *p->at == '\n') return object_at(p, open, "this literal has no end");
    if (*p->at == '"') return p->at++, PM_OK;
    PM_TRY(parse_char(p, &point));
    char bytes[4];
    size_t n = pm_utf8_put(point, bytes);
    for (size_t i = 0; i < n; i++)
      PM_TRY(append_node(p, f, (pm_node){.kind = PM_NODE_BYTES, .lo = (uint8_t)bytes[i], .hi = (uint8_t)bytes[i]}));
  }
}

// Code points that are in none of the ranges, in order. Returns their number, at most n + 1.
static uint32_t negate(range *ranges, uint32_t n, range *out) {
  uint32_t n_out = 0, next = 0;
  for (uint32_t i = 1; i < n; i++)  // sorted by insertion: there are few
    for (uint32_t k = i; k > 0 && ranges[k - 1].first > ranges[k].first; k--) {
      range r = ranges[k];
      ranges[k] = ranges[k - 1], ranges[k - 1] = r;
    }
  for (uint32_t i = 0; i < n; i++) {
    if (ranges[i].first > next) out[n_out++] = (range){next, ranges[i].first - 1};
    if (ranges[i].last >= next) next = ranges[i].last + 1;
  }
  if (next <= LAST_POINT) out[n_out++] = (range){next, LAST_POINT};
  return n_out;
}

// Ranges become the ways of a rule of its own, so that every use of it is one node.
static pm_status add_class(parser *p, fragment *f, const range *ranges, uint32_t n) {
  uint32_t rule;
  fragment ways = {.entry = NO_NODE};
  PM_TRY(add_rule(p, &rule));
  PM_TRY(add_node(p, (pm_node){.kind = PM_NODE_RETURN}, &ways.exit));
  for (uint32_t i = 0; i < n; i++) PM_TRY(add_range(p, &ways, ranges[i]));
  p->g->entries[rule] = ways.entry;
  return append_node(p, f, (pm_node){.kind = PM_NODE_CALL, .other = rule});
}

static pm_status parse_class(parser *p, fragment *f) {
  const char *open = p->at++;
  range ranges[MAX_RANGES], others[MAX_RANGES + 1];
  uint32_t n = 0;
  bool negated = p->at < p->end && *p->at == '^';
  p->at += negated;
  for (;; n++) {
    if (p->at == p->end || *p->at == '\n') return object_at(p, open, "this class has no end");
    if (*p->at == ']') break;
    if (n == MAX_RANGES) return object(p, "this class has too many parts");
    PM_TRY(parse_char(p, &ranges[n].first));
    ranges[n].last = ranges[n].first;
    if (p->end - p->at < 2 || *p->at != '-' || p->at[1] == ']') continue;
    p->at++;
    PM_TRY(parse_char(p, &ranges[n].last));
    if (ranges[n].last < ranges[n].first) return object(p, "this range ends before it begins");
  }
  p->at++;
  if (!negated) return add_class(p, f, ranges, n);
  n = negate(ranges, n, others);
  return add_class(p, f, others, n);
}

// ---- rules ----

static bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static void skip_space(parser *p) {
  for (; p->at < p->end; p->at++) {
    if (*p->at == '#')
      while (p->at < p->end && *p->at != '\n') p->at++;
    if (p->at == p->end || (*p->at != ' ' && *p->at != '\t' && *p->at != '\n' && *p->at != '\r')) return;
  }
}

static pm_status parse_name(parser *p, const char **name, uint32_t *n) {
  *name = p->at;
  while (p->at < p->end && is_name_char(*p->at)) p->at++;
  *n = (uint32_t)(p->at - *name);
  if (!*n) return object(p, "the name of a rule is expected");
  return *n > MAX_NAME ? object_at(p, *name, "this name is too long") : PM_OK;
}

static bool at_definition(const parser *p) {
  parser look = *p;
  while (look.at < look.end && is_name_char(*look.at)) look.at++;
  if (look.at == p->at) return false;
  skip_space(&look);
  return look.end - look.at >= 3 && !memcmp(look.at, "::=", 3);
}

static pm_status find_rule(parser *p, const char *name, uint32_t n, named_rule **out) {
  for (uint32_t i = 0; i < p->n_rule; i++)
    if (p->rules[i].n == n && !memcmp(p->rules[i].name, name, n)) return *out = &p->rules[i], PM_OK;
  if (p->n_rule == PM_GRAMMAR_MAX_RULES) return object_at(p, name, "the grammar has too many rules");
  named_rule *r = *out = &p->rules[p->n_rule++];
  *r = (named_rule){.name = name, .used_at = name, .n = n};
  return add_rule(p, &r->rule);
}

static pm_status parse_ways(parser *p, fragment *f);

static pm_status parse_group(parser *p, fragment *f) {
  const char *open = p->at++;
  if (++p->nesting > PM_GRAMMAR_MAX_NESTING) return object_at(p, open, "parentheses are nested too deep");
  fragment inside;
  PM_TRY(parse_ways(p, &inside));
  if (p->at == p->end || *p->at != ')') return object_at(p, open, "this parenthesis has no end");
  p->at++, p->nesting--;
  append(p, f, inside);
  return PM_OK;
}

static pm_status parse_call(parser *p, fragment *f) {
  const char *name;
  uint32_t n;
  named_rule *r;
  PM_TRY(parse_name(p, &name, &n));
  PM_TRY(find_rule(p, name, n, &r));
  return append_node(p, f, (pm_node){.kind = PM_NODE_CALL, .other = r->rule});
}

static pm_status parse_item(parser *p, fragment *f) {
  static const range any[] = {{0, 0x10ffff}};
  PM_TRY(begin_fragment(p, f));
  switch (*p->at) {
    case '"': return parse_literal(p, f);
    case '[': return parse_class(p, f);
    case '(': return parse_group(p, f);
    case '.': return p->at++, add_class(p, f, any, 1);
    default: return parse_call(p, f);
  }
}

// ---- repetitions ----

static pm_status parse_count(parser *p, uint32_t *out) {
  const char *first = p->at;
  for (*out = 0; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++) {
    *out = *out * 10 + (uint32_t)(*p->at - '0');
    if (*out > MAX_REPEAT) return object_at(p, first, "this repetition is too large; 10000 is the most");
  }
  return p->at == first ? object(p, "a number is expected") : PM_OK;
}

// {m}, {m,}, {m,n}; *most is UINT32_MAX where there is no end.
static pm_status parse_counts(parser *p, uint32_t *least, uint32_t *most) {
  const char *open = p->at++;
  *least = 0;
  skip_space(p);
  if (p->at < p->end && *p->at != ',') PM_TRY(parse_count(p, least));
  *most = *least;
  skip_space(p);
  if (p->at < p->end && *p->at == ',') {
    p->at++;
    skip_space(p);
    *most = UINT32_MAX;
    if (p->at < p->end && *p->at != '}') PM_TRY(parse_count(p, most));
    skip_space(p);
  }
  if (p->at == p->end || *p->at != '}') return object(p, "'}' is expected");
  p->at++;
  return *most < *least ? object_at(p, open, "this repetition ends before it begins") : PM_OK;
}

// The fragment as a rule of its own, of which any number of copies can be made.
static pm_status make_rule(parser *p, fragment f, uint32_t *rule) {
  uint32_t end;
  PM_TRY(add_rule(p, rule));
  PM_TRY(add_node(p, (pm_node){.kind = PM_NODE_RETURN}, &end));
  join(p, f.exit, end);
  p->g->entries[*rule] = f.entry;
  return PM_OK;
}

// least copies, then up to `most` of which each may be the last, or a loop.
static pm_status repeat(parser *p, fragment *f, uint32_t least, uint32_t most) {
  uint32_t rule, end, split;
  PM_TRY(make_rule(p, *f, &rule));
  PM_TRY(begin_fragment(p, f));
  PM_TRY(add_node(p, (pm_node){.kind = PM_NODE_JUMP}, &end));
  for (uint32_t i = 0; i < least; i++) PM_TRY(append_node(p, f, (pm_node){.kind = PM_NODE_CALL, .other = rule}));
  for (uint32_t i = least; i < most; i++) {
    PM_TRY(add_node(p, (pm_node){.kind = PM_NODE_SPLIT, .other = end}, &split));
    append(p, f, (fragment){split, split});
    PM_TRY(append_node(p, f, (pm_node){.kind = PM_NODE_CALL, .other = rule}));
    if (most < UINT32_MAX) continue;
    append(p, f, (fragment){split, end});
    return PM_OK;
  }
  append(p, f, (fragment){end, end});
  return PM_OK;
}

static pm_status parse_repeated(parser *p, fragment *f) {
  PM_TRY(parse_item(p, f));
  for (;;) {
    uint32_t least, most = UINT32_MAX;
    skip_space(p);
    char c = p->at < p->end ? *p->at : 0;
    if (c == '{') {
      PM_TRY(parse_counts(p, &least, &most));
    } else if (c == '*' || c == '+' || c == '?') {
      least = c == '+';
      if (c == '?') most = 1;
      p->at++;
    } else {
      return PM_OK;
    }
    PM_TRY(repeat(p, f, least, most));
  }
}

// ---- sequences and ways ----

// Up to '|', ')', the next definition or the end: lines do not matter.
static pm_status parse_sequence(parser *p, fragment *f) {
  PM_TRY(begin_fragment(p, f));
  for (;;) {
    fragment item;
    skip_space(p);
    if (p->at == p->end || *p->at == '|' || *p->at == ')' || at_definition(p)) return PM_OK;
    PM_TRY(parse_repeated(p, &item));
    append(p, f, item);
  }
}

static pm_status parse_ways(parser *p, fragment *f) {
  PM_TRY(parse_sequence(p, f));
  while (p->at < p->end && *p->at == '|') {
    fragment way;
    p->at++;
    PM_TRY(parse_sequence(p, &way));
    PM_TRY(add_way(p, f, way));
  }
  return PM_OK;
}

static pm_status parse_definition(parser *p) {
  const char *name;
  uint32_t n, end;
  named_rule *r;
  fragment f;
  PM_TRY(parse_name(p, &name, &n));
  PM_TRY(find_rule(p, name, n, &r));
  if (r->defined) return object_at(p, name, "this rule is defined twice");
  skip_space(p);
  if (p->end - p->at < 3 || memcmp(p->at, "::=", 3)) return object(p, "'::=' is expected");
  p->at += 3;
  PM_TRY(parse_ways(p, &f));
  if (p->at < p->end && *p->at == ')') return object(p, "this parenthesis was never opened");
  PM_TRY(add_node(p, (pm_node){.kind = PM_NODE_RETURN}, &end));
  join(p, f.exit, end);
  p->g->entries[r->rule] = f.entry;
  r->defined = true;
  return PM_OK;
}

static pm_status check_recursion(const parser *p, pm_matcher *m) {
  char what[192];
  for (const named_rule *r = p->rules; r < p->rules + p->n_rule; r++) {
    if (!pm_matcher_is_left_recursive(m, r->rule)) continue;
    snprintf(what, sizeof what, "the rule '%.*s' is left-recursive: it comes back to itself before it has taken any text", (int)r->n,
             r->name);
    return object_at(p, r->used_at, what);
  }
  return PM_OK;
}

static pm_status check_rules(const parser *p) {
  char what[128];
  for (const named_rule *r = p->rules; r < p->rules + p->n_rule; r++) {
    if (r->defined) continue;
    snprintf(what, sizeof what, "the rule '%.*s' is used, but not defined", (int)r->n, r->name);
    return object_at(p, r->used_at, what);
  }
  pm_matcher *m;
  PM_TRY(pm_matcher_create(p->g, &m));
  pm_status status = check_recursion(p, m);
  pm_matcher_destroy(m);
  return status;
}

static void make_classes(pm_grammar *g) {
  bool begins[257] = {true};
  for (const pm_node *node = g->nodes; node < g->nodes + g->n_node; node++)
    if (node->kind == PM_NODE_BYTES) begins[node->lo] = begins[node->hi + 1] = true;
  for (int i = 0; i < 256; i++) {
    g->n_class += begins[i];
    g->class_of[i] = (uint8_t)(g->n_class - 1);
  }
}

static pm_status parse_all(parser *p) {
  uint32_t nowhere;
  named_rule *root;
  PM_TRY(add_node(p, (pm_node){.kind = PM_NODE_BYTES, .lo = 1, .hi = 0}, &nowhere));
  for (skip_space(p); p->at < p->end; skip_space(p)) PM_TRY(parse_definition(p));
  PM_TRY(find_rule(p, "root", 4, &root));
  if (!root->defined) return object(p, "there is no rule 'root'");
  p->g->root = root->rule;
  make_classes(p->g);
  return check_rules(p);
}

pm_status pm_grammar_parse(const char *text, size_t bytes, pm_grammar **out) {
  *out = NULL;
  parser p = {.begin = text, .at = text, .end = text + bytes};
  PM_NEW(&p.g, 1, "grammar");
  p.rules = pm_alloc(PM_GRAMMAR_MAX_RULES * sizeof *p.rules);
  pm_status status = p.rules ? parse_all(&p) : pm_fail(PM_ERR_MEMORY, "out of memory: grammar");
  pm_free(p.rules);
  if (status) return pm_grammar_destroy(p.g), status;
  *out = p.g;
  return PM_OK;
}

void pm_grammar_destroy(pm_grammar *g) {
  if (!g) return;
  pm_free(g->nodes);
  pm_free(g->entries);
  pm_free(g);
}
