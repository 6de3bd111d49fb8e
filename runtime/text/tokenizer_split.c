#include "tokenizer_split.h"

#include <stdio.h>
#include <string.h>

enum {
  LETTER = PM_UCHAR_LETTER,
  MARK = PM_UCHAR_MARK,
  NUMBER = PM_UCHAR_NUMBER,
  PUNCT = PM_UCHAR_PUNCT,
  SYMBOL = PM_UCHAR_SYMBOL,
  SPACE = PM_UCHAR_SPACE,
  NEWLINE = PM_UCHAR_NEWLINE,
  HAN = PM_UCHAR_HAN
};

// The piece that is being split; a matcher looks at nothing outside.
typedef struct span {
  const pm_uchar *begin, *end;
} span;

// Returns where the match that starts at p ends, NULL if none starts there. It is tried at each place from the left, and after a match
// from where that ended.
typedef const pm_uchar *match_fn(span s, const pm_uchar *p);

static uint32_t point(pm_uchar c) { return c & PM_UCHAR_POINT; }
static bool is(const pm_uchar *p, const pm_uchar *end, uint32_t classes) { return p < end && (*p & classes); }
static bool is_point(const pm_uchar *p, const pm_uchar *end, uint32_t c) { return p < end && point(*p) == c; }

// [classes]*
static const pm_uchar *run(const pm_uchar *p, const pm_uchar *end, uint32_t classes) {
  while (p < end && (*p & classes)) p++;
  return p;
}

// [^classes]*
static const pm_uchar *run_not(const pm_uchar *p, const pm_uchar *end, uint32_t classes) {
  while (p < end && !(*p & classes)) p++;
  return p;
}

static const pm_uchar *some(const pm_uchar *from, const pm_uchar *to) { return to > from ? to : NULL; }

// ---- pieces that many rules share ----------------------------------------------------------------------------------

// \p{N}{1,most}
static const pm_uchar *digits(const pm_uchar *p, const pm_uchar *end, ptrdiff_t most) {
  return some(p, run(p, end - p > most ? p + most : end, NUMBER));
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d); the long s folds to s.
static const pm_uchar *contraction(const pm_uchar *p, const pm_uchar *end, bool any_case) {
  if (end - p < 2 || point(*p) != '\'') return NULL;
  char letters[2] = {0};
  for (int i = 0; i < 2 && p + 1 + i < end; i++) {
    uint32_t c = point(p[1 + i]);
    if (any_case && c == 0x17f) c = 's';
    if (any_case && c >= 'A' && c <= 'Z') c += 'a' - 'A';
    letters[i] = c < 0x80 ? (char)c : 0;
  }
  if (letters[0] && strchr("stmd", letters[0])) return p + 2;
  static const char pairs[][2] = {{'r', 'e'}, {'v', 'e'}, {'l', 'l'}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
    if (memcmp(letters, pairs[i], 2) == 0) return p + 3;
  return NULL;
}

// [^\r\n not_before]?[letters]+
static const pm_uchar *word(const pm_uchar *p, const pm_uchar *end, uint32_t not_before, uint32_t letters) {
  if (is(p, end, letters)) return run(p, end, letters);
  return p < end && !(*p & (NEWLINE | not_before)) ? some(p + 1, run(p + 1, end, letters)) : NULL;
}

// ` ?[^\s without]+[\r\n]*`, with / among the line ends if asked
static const pm_uchar *others(const pm_uchar *p, const pm_uchar *end, uint32_t without, bool slash) {
  const pm_uchar *from = is_point(p, end, ' ') ? p + 1 : p, *to = run_not(from, end, SPACE | without);
  if (to == from) return NULL;
  while (is(to, end, NEWLINE) || (slash && is_point(to, end, '/'))) to++;
  return to;
}

// \s+(?!\S)|\s+
static const pm_uchar *spaces(const pm_uchar *p, const pm_uchar *end) {
  const pm_uchar *to = run(p, end, SPACE);
  return to == p ? NULL : to < end && to - p > 1 ? to - 1 : to;
}

// \s*[\r\n]+|\s+(?!\S)|\s+
static const pm_uchar *lines(const pm_uchar *p, const pm_uchar *end) {
  const pm_uchar *to = run(p, end, SPACE);
  while (to > p && !(to[-1] & NEWLINE)) to--;
  return to > p ? to : spaces(p, end);
}

// ---- sets by range -------------------------------------------------------------------------------------------------

typedef struct point_range {
  uint16_t first, last;
} point_range;

static bool in_ranges(uint32_t c, const point_range *ranges, size_t n) {
  size_t low = 0, high = n;
  while (low < high) {
    size_t mid = (low + high) / 2;
    if (c > ranges[mid].last)
      low = mid + 1;
    else
      high = mid;
  }
  return low < n && c >= ranges[low].first;
}

// The letters of the first DeepSeek tokenizers: those with an upper and a lower case. Beyond the 16-bit range see is_cased.
static const point_range cased_ranges[] = {
    {0x41, 0x5a},     {0x61, 0x7a},     {0xb5, 0xb5},     {0xc0, 0xd6},     {0xd8, 0xf6},     {0xf8, 0x1ba},    {0x1bc, 0x1bf},
    {0x1c4, 0x293},   {0x295, 0x2af},   {0x370, 0x373},   {0x376, 0x377},   {0x37b, 0x37d},   {0x37f, 0x37f},   {0x386, 0x386},
    {0x388, 0x38a},   {0x38c, 0x38c},   {0x38e, 0x3a1},   {0x3a3, 0x3f5},   {0x3f7, 0x481},   {0x48a, 0x52f},   {0x531, 0x556},
    {0x10a0, 0x10c5}, {0x13a0, 0x13f5}, {0x13f8, 0x13fd}, {0x1c90, 0x1cba}, {0x1cbd, 0x1cbf}, {0x1d00, 0x1d2b}, {0x1d6b, 0x1d77},
    {0x1d79, 0x1d9a}, {0x1e00, 0x1f15}, {0x1f18, 0x1f1d}, {0x1f20, 0x1f45}, {0x1f48, 0x1f4d}, {0x1f50, 0x1f57}, {0x1f59, 0x1f59},
    {0x1f5b, 0x1f5b}, {0x1f5d, 0x1f5d}, {0x1f5f, 0x1f7d}, {0x1f80, 0x1fb4}, {0x1fb6, 0x1fbc}, {0x1fbe, 0x1fbe}, {0x1fc2, 0x1fc4},
    {0x1fc6, 0x1fcc}, {0x1fd0, 0x1fd3}, {0x1fd6, 0x1fdb}, {0x1fe0, 0x1fec}, {0x1ff2, 0x1ff4}, {0x1ff6, 0x1ffc}, {0x2102, 0x2102},
    {0x2107, 0x2107}, {0x210a, 0x2113}, {0x2115, 0x2115}, {0x2119, 0x211d}, {0x2124, 0x2124}, {0x2126, 0x2126}, {0x2128, 0x2128},
    {0x212a, 0x212d}, {0x212f, 0x2134}, {0x2139, 0x2139}, {0x213c, 0x213f}, {0x2145, 0x2149}, {0x214e, 0x214e}, {0x2183, 0x2184},
    {0x2c00, 0x2c7b}, {0x2c7e, 0x2ce4}, {0x2ceb, 0x2cee}, {0x2cf2, 0x2cf3}, {0xa640, 0xa66d}, {0xa680, 0xa69b}, {0xa722, 0xa76f},
    {0xa771, 0xa787}, {0xa78b, 0xa78e}, {0xab70, 0xabbf}, {0xfb00, 0xfb06}, {0xfb13, 0xfb17}, {0xff21, 0xff3a}, {0xff41, 0xff5a},
};
static const point_range cased_ranges_16[] = {
    // minus 0x10000
    {0x400, 0x44f}, {0x4b0, 0x4d3}, {0x4d8, 0x4fb}, {0xc80, 0xcb2}, {0xcc0, 0xcf2}, {0x18a0, 0x18df}, {0xe900, 0xe943},
};
static const point_range mark_ranges[] = {
    {0x21, 0x2f}, {0x3a, 0x7e}, {0x2018, 0x201f}, {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e},
};
static const point_range east_asian_ranges[] = {{0x800, 0x9fa5}, {0xac00, 0xd7ff}};
static const point_range cjk_ranges[] = {{0x3040, 0x30ff}, {0x4e00, 0x9fa5}};

#define IN(c, ranges) in_ranges((c), (ranges), sizeof(ranges) / sizeof *(ranges))

static bool is_cased(uint32_t c) { return c < 0x10000 ? IN(c, cased_ranges) : IN(c - 0x10000, cased_ranges_16); }
static bool is_mark_or_sign(uint32_t c) { return IN(c, mark_ranges); }
static bool is_east_asian(uint32_t c) { return IN(c, east_asian_ranges); }
static bool is_cjk(uint32_t c) { return IN(c, cjk_ranges); }

// \s?[set]+, or without the \s?
static const pm_uchar *run_of(const pm_uchar *p, const pm_uchar *end, bool may_follow_space, bool set(uint32_t)) {
  const pm_uchar *to = p;
  if (may_follow_space && is(p, end, SPACE) && p + 1 < end && set(point(p[1]))) to++;
  while (to < end && set(point(*to))) to++;
  return some(p, to);
}

// ---- matchers: the regular expressions -----------------------------------------------------------------------------

static const pm_uchar *match_newline(span s, const pm_uchar *p) { return is(p, s.end, NEWLINE) ? p + 1 : NULL; }
static const pm_uchar *match_cased(span s, const pm_uchar *p) { return run_of(p, s.end, true, is_cased); }
static const pm_uchar *match_marks(span s, const pm_uchar *p) { return run_of(p, s.end, true, is_mark_or_sign); }
static const pm_uchar *match_east_asian(span s, const pm_uchar *p) { return run_of(p, s.end, false, is_east_asian); }
static const pm_uchar *match_cjk(span s, const pm_uchar *p) { return run_of(p, s.end, false, is_cjk); }
static const pm_uchar *match_number(span s, const pm_uchar *p) { return digits(p, s.end, PTRDIFF_MAX); }
static const pm_uchar *match_1_digit(span s, const pm_uchar *p) { return digits(p, s.end, 1); }
static const pm_uchar *match_3_digits(span s, const pm_uchar *p) { return digits(p, s.end, 3); }

// \s?[classes]+, where no class holds white space
static const pm_uchar *after_space(const pm_uchar *p, const pm_uchar *end, uint32_t classes) {
  const pm_uchar *from = is(p, end, SPACE) ? p + 1 : p;
  return some(from, run(from, end, classes));
}
static const pm_uchar *match_letters(span s, const pm_uchar *p) { return after_space(p, s.end, LETTER); }
static const pm_uchar *match_punctuation(span s, const pm_uchar *p) { return after_space(p, s.end, PUNCT); }

// \s+$ -- inside a run of white space the match would have begun earlier, so there is none: that keeps long runs linear.
static const pm_uchar *match_last_spaces(span s, const pm_uchar *p) {
  if (!is(p, s.end, SPACE) || (p > s.begin && (p[-1] & SPACE))) return NULL;
  const pm_uchar *to = run(p, s.end, SPACE);
  return to == s.end ? to : NULL;
}

// [!-/:-@[-`{-~][A-Za-z]+ | [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+ |  ?[\p{P}\p{S}]+[\r\n]* | lines
static const pm_uchar *match_deepseek_v3(span s, const pm_uchar *p) {
  const pm_uchar *to = p + 1;
  if (point(*p) > ' ' && point(*p) < 0x7f && (*p & (PUNCT | SYMBOL))) {
    while (to < s.end && point(*to) < 0x7f && (*to & LETTER)) to++;
    if (to > p + 1) return to;
  }
  if ((to = word(p, s.end, LETTER | PUNCT | SYMBOL, LETTER | MARK))) return to;
  const pm_uchar *from = is_point(p, s.end, ' ') ? p + 1 : p;
  if ((to = some(from, run(from, s.end, PUNCT | SYMBOL)))) return run(to, s.end, NEWLINE);
  return lines(p, s.end);
}

// C | [^\r\n\p{L}\p{N}]?[letters]+ | \p{N}{1,n_digit} |  ?[^\s letters \p{N}]+[\r\n]* | lines
static const pm_uchar *words_and_digits(span s, const pm_uchar *p, uint32_t letters, ptrdiff_t n_digit) {
  const pm_uchar *to = contraction(p, s.end, true);
  if (!to) to = word(p, s.end, LETTER | NUMBER, letters);
  if (!to) to = digits(p, s.end, n_digit);
  if (!to) to = others(p, s.end, letters | NUMBER, false);
  return to ? to : lines(p, s.end);
}
static const pm_uchar *match_llama(span s, const pm_uchar *p) { return words_and_digits(s, p, LETTER, 3); }
static const pm_uchar *match_qwen2(span s, const pm_uchar *p) { return words_and_digits(s, p, LETTER, 1); }
static const pm_uchar *match_qwen35(span s, const pm_uchar *p) { return words_and_digits(s, p, LETTER | MARK, 1); }

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
static const pm_uchar *match_gpt2(span s, const pm_uchar *p) {
  const pm_uchar *to = contraction(p, s.end, false), *from = is_point(p, s.end, ' ') ? p + 1 : p;
  if (!to) to = some(from, run(from, s.end, LETTER));
  if (!to) to = some(from, run(from, s.end, NUMBER));
  if (!to) to = some(from, run_not(from, s.end, SPACE | LETTER | NUMBER));
  return to ? to : spaces(p, s.end);
}

// The last rules cut words where lower case turns to upper. U = Lu Lt Lm Lo M, L = Ll Lm Lo M, both without `except`; from p:
// U*L+ if there is such a match (L+ takes what it can, U* gives back no more than it must), else U+.
static const pm_uchar *cased_word_at(const pm_uchar *p, const pm_uchar *end, uint32_t except, bool lower) {
  const pm_uchar *to = p, *last = NULL;  // last: behind the last character that is both
  for (; is(to, end, PM_UCHAR_UPPER | PM_UCHAR_OTHER | MARK) && !(*to & except); to++)
    if (*to & (PM_UCHAR_OTHER | MARK)) last = to + 1;
  if (!lower) return some(p, to);
  const pm_uchar *tail = to;
  while (is(tail, end, PM_UCHAR_LOWER | PM_UCHAR_OTHER | MARK) && !(*tail & except)) tail++;
  return tail > to ? tail : last;
}

// [^\r\n\p{L}\p{N}]?U*L+C? | [^\r\n\p{L}\p{N}]?U+L*C?
static const pm_uchar *cased_word(const pm_uchar *p, const pm_uchar *end, uint32_t except) {
  bool prefix = p < end && !(*p & (NEWLINE | LETTER | NUMBER));
  const pm_uchar *to = NULL;
  for (int lower = 1; lower >= 0 && !to; lower--) {
    if (prefix) to = cased_word_at(p + 1, end, except, lower);
    if (!to) to = cased_word_at(p, end, except, lower);
  }
  const pm_uchar *behind = to ? contraction(to, end, true) : NULL;
  return behind ? behind : to;
}

// cased_word | \p{N}{1,3} |  ?[^\s\p{L}\p{N}]+[\r\n/]* | lines
static const pm_uchar *match_gpt_4o(span s, const pm_uchar *p) {
  const pm_uchar *to = cased_word(p, s.end, 0);
  if (!to) to = digits(p, s.end, 3);
  if (!to) to = others(p, s.end, LETTER | NUMBER, true);
  return to ? to : lines(p, s.end);
}

// [\p{Han}]+ | cased_word without Han | \p{N}{1,3} |  ?[^\s\p{L}\p{N}]+[\r\n]* | lines
static const pm_uchar *match_kimi(span s, const pm_uchar *p) {
  const pm_uchar *to = some(p, run(p, s.end, HAN));
  if (!to) to = cased_word(p, s.end, HAN);
  if (!to) to = digits(p, s.end, 3);
  if (!to) to = others(p, s.end, LETTER | NUMBER, false);
  return to ? to : lines(p, s.end);
}

// ---- rules ---------------------------------------------------------------------------------------------------------

enum { MAX_STAGES = 6 };

struct pm_split_rule {
  const char *name, *aliases;  // separated by spaces
  uint32_t flags;
  match_fn *stages[MAX_STAGES];  // each splits every piece that the one before left; a match is a piece, and so is what lies between
};

static const pm_split_rule rules[] = {
    {"deepseek-llm", "", 0, {match_newline, match_cased, match_marks, match_last_spaces, match_east_asian, match_number}},
    {"deepseek-coder", "", 0, {match_newline, match_letters, match_punctuation, match_east_asian, match_1_digit}},
    {"deepseek-v3", "joyai-llm hunyuan-dense", 0, {match_3_digits, match_cjk, match_deepseek_v3}},
    {"kimi-k2", "", PM_SPLIT_RANKS_ARE_IDS, {match_kimi}},
    {"qwen2", "deepseek-r1-qwen megrez", 0, {match_qwen2}},
    {"qwen35", "", 0, {match_qwen35}},
    {"llama-bpe", "llama3 llama-v3 pixtral lfm2 falcon3", PM_SPLIT_WHOLE_WORDS | PM_SPLIT_ADD_BOS, {match_llama}},
    {"gpt-4o", "llama4 kanana2 minimax-m2", 0, {match_gpt_4o}},
    {"glm4", "chatglm-bpe", 0, {match_llama}},
    {"gpt-2", "", 0, {match_gpt2}},
};
enum { N_RULE = sizeof rules / sizeof *rules };

static bool names_have(const char *names, const char *name, size_t bytes) {
  for (size_t n; *names; names += n + (names[n] == ' ')) {
    n = strcspn(names, " ");
    if (n == bytes && memcmp(names, name, n) == 0) return true;
  }
  return false;
}

const pm_split_rule *pm_split_rule_find(const char *name, size_t bytes) {
  for (const pm_split_rule *r = rules; r < rules + N_RULE; r++)
    if (names_have(r->name, name, bytes) || names_have(r->aliases, name, bytes)) return r;
  return NULL;
}

uint32_t pm_split_rule_flags(const pm_split_rule *rule) { return rule->flags; }

void pm_split_rule_names(char *buf, size_t n) {
  size_t used = 0;
  buf[0] = 0;
  for (const pm_split_rule *r = rules; r < rules + N_RULE && used < n; r++)
    used += (size_t)snprintf(buf + used, n - used, "%s%s", r > rules ? ", " : "", r->name);
}

typedef struct splitter {
  match_fn *const *stages;
  pm_piece_fn *piece;
  void *user;
} splitter;

// Splits one piece by the stages from `stage` on.
static pm_status split(const splitter *w, int stage, span s) {
  if (s.begin == s.end) return PM_OK;
  match_fn *match = stage < MAX_STAGES ? w->stages[stage] : NULL;
  if (!match) return w->piece(w->user, (size_t)(s.end - s.begin));
  const pm_uchar *done = s.begin;  // everything before it has been passed on
  for (const pm_uchar *p = s.begin; p < s.end;) {
    const pm_uchar *to = match(s, p);
    if (!to) {
      p++;
      continue;
    }
    PM_TRY(split(w, stage + 1, (span){done, p}));
    PM_TRY(split(w, stage + 1, (span){p, to}));
    done = p = to;
  }
  return split(w, stage + 1, (span){done, s.end});
}

pm_status pm_split(const pm_split_rule *rule, const pm_uchar *text, size_t n_char, pm_piece_fn *piece, void *user) {
  splitter w = {rule->stages, piece, user};
  return split(&w, 0, (span){text, text + n_char});
}
