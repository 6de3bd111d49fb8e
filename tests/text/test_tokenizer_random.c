// Random vocabularies and texts: the tokenizer against the rules as they are written, followed step by step.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rng.h"
#include "small_vocab.h"

static const pm_tokenize_flags plain = {0}, special = {.parse_special = true};

// ---- merges --------------------------------------------------------------------------------------------------------

typedef struct word {
  char text[64];
} word;

typedef struct naive {  // a vocabulary over a, b and c
  word tokens[128], left[128], right[128];
  size_t n_token, n_merge;
} naive;

static int naive_find(const naive *v, const char *text) {
  for (size_t i = 0; i < v->n_token; i++)
    if (strcmp(v->tokens[i].text, text) == 0) return (int)i;
  return -1;
}

static word joined(const word *a, const word *b) {
  word w;
  snprintf(w.text, sizeof w.text, "%.31s%.31s", a->text, b->text);
  return w;
}

// Repeatedly merges the pair with the lowest rank, the leftmost of equals.
static size_t naive_bpe(const naive *v, const char *text, int32_t *ids) {
  word symbols[64];
  size_t n = strlen(text), n_id = 0;
  for (size_t i = 0; i < n; i++) symbols[i] = (word){{text[i]}};
  for (;;) {
    size_t best = v->n_merge, at = 0;
    for (size_t i = 0; i + 1 < n; i++)
      for (size_t r = 0; r < best; r++)
        if (strcmp(v->left[r].text, symbols[i].text) == 0 && strcmp(v->right[r].text, symbols[i + 1].text) == 0) best = r, at = i;
    if (best == v->n_merge) break;
    symbols[at] = joined(&symbols[at], &symbols[at + 1]);
    memmove(&symbols[at + 1], &symbols[at + 2], (--n - at - 1) * sizeof *symbols);
  }
  for (size_t i = 0; i < n; i++) {
    int id = naive_find(v, symbols[i].text);
    if (id >= 0) ids[n_id++] = id;
    for (const char *p = symbols[i].text; id < 0 && *p; p++) {
      int byte = naive_find(v, (char[]){*p, 0});
      if (byte >= 0) ids[n_id++] = byte;
    }
  }
  return n_id;
}

static size_t below(pm_rng *rng, size_t n) { return (size_t)(pm_rng_uniform(rng) * (double)n); }

static void test_bpe_random(void **state) {
  (void)state;
  uint64_t seed = 11;
  print_message("seed %llu\n", (unsigned long long)seed);
  pm_rng rng = pm_rng_seed(seed);
  for (int round = 0; round < 300; round++) {
    naive v = {0};
    word known[128];
    size_t n_known = 3;
    for (size_t i = 0; i < 3; i++) {
      known[i] = (word){{(char)('a' + i)}};
      if (below(&rng, 10)) v.tokens[v.n_token++] = known[i];
    }
    while (v.n_merge < 30) {
      const word *left = &known[below(&rng, n_known)], *right = &known[below(&rng, n_known)];
      word result = joined(left, right);
      if (strlen(result.text) > 12) continue;
      v.left[v.n_merge] = *left, v.right[v.n_merge++] = *right;
      known[n_known++] = result;
      if (below(&rng, 5) && naive_find(&v, result.text) < 0) v.tokens[v.n_token++] = result;
    }
    small_token tokens[128];
    char merges[128][128];
    const char *merge_list[128];
    for (size_t i = 0; i < v.n_token; i++) tokens[i] = (small_token){v.tokens[i].text, NORMAL};
    for (size_t i = 0; i < v.n_merge; i++) {
      snprintf(merges[i], sizeof merges[i], "%s %s", v.left[i].text, v.right[i].text);
      merge_list[i] = merges[i];
    }
    meta_doc d = {0};
    bpe_doc(&d, "qwen2", tokens, v.n_token, merge_list, v.n_merge);
    pm_tokenizer *t = from_doc(&d);
    for (int k = 0; k < 25; k++) {
      char text[41] = "";
      size_t n = below(&rng, 40), n_id = 64;
      for (size_t i = 0; i < n; i++) text[i] = (char)('a' + below(&rng, 3));
      int32_t expected[64], ids[64];
      size_t n_expected = naive_bpe(&v, text, expected);
      assert_int_equal(pm_tokenize(t, text, n, plain, ids, &n_id), PM_OK);
      assert_int_equal(n_id, n_expected);
      assert_memory_equal(ids, expected, n_id * sizeof *ids);
    }
    pm_tokenizer_destroy(t);
  }
}

// ---- special tokens ------------------------------------------------------------------------------------------------

// For each special token, longest first: cut what is left of the text at its occurrences.
static size_t naive_specials(const small_token *tokens, size_t n_token, bool control, const char *text, int32_t *ids) {
  size_t n = strlen(text), n_id = 0;
  int owner[64];  // of each byte: -1 none yet, id at a token's first byte, -2 - id inside
  for (size_t i = 0; i < n; i++) owner[i] = -1;
  for (size_t length = 8; length > 0; length--)
    for (size_t id = 0; id < n_token; id++) {
      if (strlen(tokens[id].text) != length || !(tokens[id].type == USER_DEFINED || (control && tokens[id].type == CONTROL))) continue;
      for (size_t at = 0; at + length <= n; at++) {
        bool free = strncmp(text + at, tokens[id].text, length) == 0;
        for (size_t k = 0; k < length && free; k++) free = owner[at + k] == -1;
        for (size_t k = 0; k < length && free; k++) owner[at + k] = k ? -2 - (int)id : (int)id;
      }
    }
  for (size_t i = 0; i < n; i++) {
    if (owner[i] >= 0) ids[n_id++] = owner[i];
    if (owner[i] == -1) ids[n_id++] = text[i] - 'x';  // tokens 0, 1 and 2 are x, y and z
  }
  return n_id;
}

static void test_specials_random(void **state) {
  (void)state;
  uint64_t seed = 12;
  print_message("seed %llu\n", (unsigned long long)seed);
  pm_rng rng = pm_rng_seed(seed);
  for (int round = 0; round < 300; round++) {
    static char texts[16][9];
    small_token tokens[16] = {{"x", NORMAL}, {"y", NORMAL}, {"z", NORMAL}};
    size_t n_token = 4 + below(&rng, 12);
    for (size_t i = 3; i < n_token; i++) {
      size_t length = 1 + below(&rng, 7);
      for (size_t k = 0; k <= length; k++) texts[i][k] = k < length ? (char)('x' + below(&rng, 2 + (size_t)round % 2)) : 0;
      tokens[i] = (small_token){texts[i], below(&rng, 2) ? CONTROL : USER_DEFINED};
    }
    meta_doc d = {0};
    bpe_doc(&d, "qwen2", tokens, n_token, (const char *[]){"p q"}, 1);
    pm_tokenizer *t = from_doc(&d);
    for (int k = 0; k < 100; k++) {
      char text[41] = "";
      size_t n = below(&rng, 40), n_id = 64;
      for (size_t i = 0; i < n; i++) text[i] = (char)('x' + below(&rng, 3));
      int32_t expected[64], ids[64];
      size_t n_expected = naive_specials(tokens, n_token, k % 2, text, expected);
      assert_int_equal(pm_tokenize(t, text, n, k % 2 ? special : plain, ids, &n_id), PM_OK);
      assert_int_equal(n_id, n_expected);
      assert_memory_equal(ids, expected, n_id * sizeof *ids);
    }
    pm_tokenizer_destroy(t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_bpe_random), cmocka_unit_test(test_specials_random)};
  return cmocka_run_group_tests_name("tokenizer_random", tests, NULL, NULL);
}
