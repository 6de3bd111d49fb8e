// The hand-written pre-tokenizers against the regular expressions they stand for, run by PCRE2 on random text. Only characters about which
// the Unicode tables of both libraries agree take part.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rng.h"
#include "tokenizer_split.h"
#include "utf8.h"

#define C "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LINES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CASED                                                                                                                             \
  "A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}"       \
  "\\x{376}\\x{377}\\x{37B}-\\x{37D}\\x{37F}\\x{386}\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}"         \
  "\\x{48A}-\\x{52F}\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}"     \
  "\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}" \
  "\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}"   \
  "\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}"  \
  "\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}\\x{2126}\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}"             \
  "\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}\\x{2CF2}"   \
  "\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}"           \
  "\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}"                \
  "\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}"
#define EAST_ASIAN "[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"
#define UP "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOW "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define UP_NO_HAN "(?:(?!\\p{sc:Han})" UP ")"
#define LOW_NO_HAN "(?:(?!\\p{sc:Han})" LOW ")"
#define LLAMA(digits) C "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" LINES

typedef struct rule_source {
  const char *name;
  const char *stages[6];
} rule_source;

static const rule_source sources[] = {
    {"deepseek-llm",
     {"[\\r\\n]", "\\s?[" CASED "]+", "\\s?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+", "\\s+$",
      EAST_ASIAN, "\\p{N}+"}},
    {"deepseek-coder", {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", EAST_ASIAN, "\\p{N}"}},
    {"deepseek-v3",
     {"\\p{N}{1,3}", "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+",
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
      "?[\\p{P}\\p{S}]+[\\r\\n]*|" LINES}},
    {"kimi-k2",
     {"[\\p{sc:Han}]+|[^\\r\\n\\p{L}\\p{N}]?" UP_NO_HAN "*" LOW_NO_HAN "+" C "?|[^\\r\\n\\p{L}\\p{N}]?" UP_NO_HAN "+" LOW_NO_HAN "*" C
      "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" LINES}},
    {"qwen2", {LLAMA("\\p{N}")}},
    {"qwen35", {C "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" LINES}},
    {"llama-bpe", {LLAMA("\\p{N}{1,3}")}},
    {"gpt-4o",
     {"[^\\r\\n\\p{L}\\p{N}]?" UP "*" LOW "+" C "?|[^\\r\\n\\p{L}\\p{N}]?" UP "+" LOW "*" C
      "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" LINES}},
    {"chatglm-bpe", {LLAMA("\\p{N}{1,3}")}},
    {"gpt-2", {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"}},
};

enum { MAX_CHAR = 64, MAX_BYTES = 4 * MAX_CHAR };

static pcre2_code *compile(const char *pattern) {
  int error;
  size_t at;
  pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &error, &at,
                                   NULL);
  if (!code) fail_msg("%s: error %d at %zu", pattern, error, at);
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return code;
}

// Ends of pieces, as byte offsets into the whole text.
typedef struct pieces {
  size_t end[MAX_BYTES];
  size_t n;
} pieces;

static pcre2_match_data *match_data;

static void split_by_regex(pcre2_code *const *stages, const char *text, size_t bytes, size_t origin, pieces *out) {
  if (bytes == 0) return;
  if (!*stages) {
    out->end[out->n++] = origin + bytes;
    return;
  }
  size_t done = 0;
  while (done < bytes && pcre2_match(*stages, (PCRE2_SPTR)text, bytes, done, 0, match_data, NULL) > 0) {
    const size_t *at = pcre2_get_ovector_pointer(match_data);
    size_t from = at[0], to = at[1];
    split_by_regex(stages + 1, text + done, from - done, origin + done, out);
    split_by_regex(stages + 1, text + from, to - from, origin + from, out);
    done = to;
  }
  split_by_regex(stages + 1, text + done, bytes - done, origin + done, out);
}

typedef struct collector {
  const pm_uchar *next;
  size_t at;
  pieces pieces;
} collector;

static pm_status collect(void *user, size_t n_char) {
  collector *c = user;
  while (n_char--) c->at += pm_uchar_bytes(*c->next++);
  c->pieces.end[c->pieces.n++] = c->at;
  return PM_OK;
}

// ---- characters both libraries agree about -------------------------------------------------------------------------

static unsigned char *agreed;  // [0x110000]
static uint32_t *agreed_list;
static size_t n_agreed;

static bool is_scalar(uint32_t c) { return c < 0xd800 || c > 0xdfff; }

// Marks in `bit` the characters that a one-character pattern matches.
static void mark_matches(const char *pattern, uint32_t *marks, uint32_t bit) {
  pcre2_code *code = compile(pattern);
  static char text[0x400 * 4];
  for (uint32_t block = 0; block < 0x110000; block += 0x400) {
    size_t bytes = 0;
    if (!is_scalar(block)) continue;
    for (uint32_t c = block; c < block + 0x400; c++) bytes += pm_utf8_put(c, text + bytes);
    for (size_t from = 0; from < bytes && pcre2_match(code, (PCRE2_SPTR)text, bytes, from, 0, match_data, NULL) > 0;) {
      const size_t *at = pcre2_get_ovector_pointer(match_data);
      uint32_t c = 0;
      assert_int_equal(pm_utf8_scan((unsigned char *)text + at[0], at[1] - at[0], &c), at[1] - at[0]);
      marks[c] |= bit;
      from = at[1];
    }
  }
  pcre2_code_free(code);
}

static int set_up(void **state) {
  (void)state;
  static const struct {
    const char *pattern;
    uint32_t bit;
  } classes[] = {
      {"[\\p{Lu}\\p{Lt}]", PM_UCHAR_UPPER}, {"\\p{Ll}", PM_UCHAR_LOWER},  {"[\\p{Lm}\\p{Lo}]", PM_UCHAR_OTHER}, {"\\p{M}", PM_UCHAR_MARK},
      {"\\p{N}", PM_UCHAR_NUMBER},          {"\\p{P}", PM_UCHAR_PUNCT},   {"\\p{S}", PM_UCHAR_SYMBOL},          {"\\s", PM_UCHAR_SPACE},
      {"[\\r\\n]", PM_UCHAR_NEWLINE},       {"\\p{sc:Han}", PM_UCHAR_HAN}};
  match_data = pcre2_match_data_create(4, NULL);
  agreed = calloc(0x110000, 1);
  agreed_list = calloc(0x110000, sizeof *agreed_list);
  uint32_t *marks = calloc(0x110000, sizeof *marks);
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) mark_matches(classes[i].pattern, marks, classes[i].bit);
  for (uint32_t c = 0; c < 0x110000; c++)
    if (is_scalar(c) && (agreed[c] = pm_uchar_of(c) == (c | marks[c]))) agreed_list[n_agreed++] = c;
  free(marks);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  free(agreed);
  free(agreed_list);
  pcre2_match_data_free(match_data);
  return 0;
}

// New characters in newer tables are the only reason to differ: nearly all agree, and everything that is old does.
static void test_classes_agree(void **state) {
  (void)state;
  size_t differ = 0x110000 - 0x800 - n_agreed;
  print_message("%zu characters on which the tables differ\n", differ);
  assert_true(differ < 12000);
  for (uint32_t c = 0; c < 0xcf0; c++) assert_true(agreed[c]);
  for (uint32_t c = 0x1e00; c < 0x2fe0; c++)
    if (!agreed[c]) fail_msg("U+%04X: our classes are %#x", c, pm_uchar_of(c));
  for (uint32_t c = 0x3000; c < 0xa000; c++) assert_true(agreed[c]);
  assert_false(agreed[0x180e]);  // PCRE2 alone takes it for a space
}

// ---- random text ---------------------------------------------------------------------------------------------------

static size_t pick(pm_rng *rng, size_t n) { return (size_t)(pm_rng_uniform(rng) * (double)n); }

// Texts are drawn from small alphabets, so that rules meet their interesting neighbours often.
static size_t random_text(pm_rng *rng, char *out) {
  static const char *const alphabets[] = {
      " \t\n\r",
      " \n\r\u00a0\u3000\u2028a",
      "'sStTrRevVEmMlLdD\u017f \n",
      "aAbBzZ'\u01c5\u02b0\u3042\u0301\u4e2d \u0303/",
      "0123456789\u0665\u2167\u00bd a,",
      ".,!?/-_$+<|~\u20ac\u00a7\u2014\u3002\uff01 aB\n\r/",
      "\u4e2d\u6587\u30ab\u3072\uac00\u3005\u3007\u2e80\u9fa6\u0e01\u0915\u093f \u3001",
      "\u00e9\u00df\u0130\u03a9\u0416\u05d0\u0627\u10d0\U0001f600\u200d\ufe0f\U00020000 ",
  };
  size_t n_alphabet = sizeof alphabets / sizeof *alphabets, bytes = 0;
  size_t n = 1 + pick(rng, MAX_CHAR - 1), first = pick(rng, n_alphabet), second = pick(rng, n_alphabet);
  for (size_t i = 0; i < n; i++) {
    uint32_t c = 0;
    if (pick(rng, 12) == 0) {
      c = agreed_list[pick(rng, n_agreed)];
    } else {
      const char *alphabet = alphabets[pick(rng, 4) ? first : second];
      for (size_t k = pick(rng, 40), at = 0, end = strlen(alphabet);; k--) {
        at += (size_t)pm_utf8_scan((const unsigned char *)alphabet + at, end - at, &c);
        if (at == end) at = 0;
        if (k == 0) break;
      }
    }
    if (agreed[c]) bytes += pm_utf8_put(c, out + bytes);
  }
  return bytes;
}

static void print_pieces(const char *who, const char *text, const pieces *p) {
  printf("%s:", who);
  for (size_t i = 0, from = 0; i < p->n; from = p->end[i++]) {
    printf(" [");
    for (size_t k = from; k < p->end[i]; k++) printf(text[k] > ' ' && text[k] < 0x7f ? "%c" : "\\x%02x", (unsigned char)text[k]);
    printf("]");
  }
  printf("\n");
}

static void test_random(void **state) {
  const rule_source *source = *state;
  const pm_split_rule *rule = pm_split_rule_find(source->name, strlen(source->name));
  assert_non_null(rule);
  pcre2_code *stages[7] = {0};
  for (int i = 0; i < 6 && source->stages[i]; i++) stages[i] = compile(source->stages[i]);

  uint64_t seed = 20240607;
  print_message("seed %llu\n", (unsigned long long)seed);
  pm_rng rng = pm_rng_seed(seed);
  for (int round = 0; round < 30000; round++) {
    char text[MAX_BYTES];
    size_t bytes = random_text(&rng, text);
    pm_uchar chars[MAX_CHAR];
    size_t n_char = pm_uchar_decode(text, bytes, chars);
    pieces expected = {.n = 0};
    split_by_regex(stages, text, bytes, 0, &expected);
    collector got = {.next = chars};
    assert_int_equal(pm_split(rule, chars, n_char, collect, &got), PM_OK);
    if (got.pieces.n != expected.n || memcmp(got.pieces.end, expected.end, expected.n * sizeof *expected.end) != 0) {
      print_pieces("expected", text, &expected);
      print_pieces("got     ", text, &got.pieces);
      fail_msg("%s splits text %d differently", source->name, round);
    }
  }
  for (int i = 0; stages[i]; i++) pcre2_code_free(stages[i]);
}

int main(void) {
  enum { N_SOURCE = sizeof sources / sizeof *sources };
  struct CMUnitTest tests[1 + N_SOURCE] = {cmocka_unit_test(test_classes_agree)};
  for (int i = 0; i < N_SOURCE; i++) {
    tests[1 + i] = (struct CMUnitTest){.name = sources[i].name, .test_func = test_random, .initial_state = (void *)&sources[i]};
  }
  return cmocka_run_group_tests_name("split against PCRE2", tests, set_up, tear_down);
}
