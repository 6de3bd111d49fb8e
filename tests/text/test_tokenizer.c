// Tokenizers from the outside: golden files, the options of a vocabulary, and texts made to hurt.
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory.h"
#include "small_vocab.h"

static const pm_tokenize_flags plain = {0}, special = {.parse_special = true}, both = {.add_special = true, .parse_special = true};

static pm_tokenizer *open_tokenizer(const char *path, pm_model_file **file) {
  pm_tokenizer *t = NULL;
  if (pm_model_file_open(path, &(pm_model_file_desc){.header_only = true}, file) || pm_tokenizer_create(*file, &t))
    fail_msg("%s", pm_fail_message());
  return t;
}

// ---- golden --------------------------------------------------------------------------------------------------------

enum { MAX_GOLDEN = 1 << 16 };

static void test_golden(void **state) {
  const char *const *paths = *state;
  pm_model_file *file;
  pm_tokenizer *t = open_tokenizer(paths[0], &file);
  json_error_t error;
  json_t *cases = json_load_file(paths[1], JSON_ALLOW_NUL, &error);
  if (!cases) fail_msg("%s:%d: %s", paths[1], error.line, error.text);
  assert_true(json_array_size(cases) > 500);
  int32_t *ids = malloc(MAX_GOLDEN * sizeof *ids);
  char *back = malloc(MAX_GOLDEN);
  size_t i;
  json_t *item;
  json_array_foreach(cases, i, item) {
    const json_t *text = json_object_get(item, "text"), *expected = json_object_get(item, "ids");
    size_t n = MAX_GOLDEN, bytes = json_string_length(text), n_back = 0;
    assert_int_equal(pm_tokenize(t, json_string_value(text), bytes, special, ids, &n), PM_OK);
    assert_int_equal(n, json_array_size(expected));
    for (size_t k = 0; k < n; k++) assert_int_equal(ids[k], json_integer_value(json_array_get(expected, k)));

    for (size_t k = 0, length; k < n; k++, n_back += length) {
      const char *part = pm_token_bytes(t, ids[k], true, &length);
      memcpy(back + n_back, part, length);
    }
    assert_int_equal(n_back, bytes);
    assert_memory_equal(back, json_string_value(text), bytes);
  }
  print_message("%zu texts\n", json_array_size(cases));
  free(ids);
  free(back);
  json_decref(cases);
  pm_tokenizer_destroy(t);
  pm_model_file_close(file);
}

static void test_golden_ends(void **state) {
  (void)state;
  pm_model_file *file;
  pm_tokenizer *t = open_tokenizer(PM_TEST_DATA "/golden/vocab-deepseek-v3.gguf", &file);
  assert_int_equal(pm_tokenizer_n_vocab(t), 128815);
  assert_int_equal(pm_tokenizer_bos(t), 0);
  assert_int_equal(pm_tokenizer_eos(t), 1);
  assert_int_equal(pm_token_find(t, "<｜end▁of▁sentence｜>"), 1);
  for (int32_t id = -2; id < 128817; id++) assert_int_equal(pm_token_is_end(t, id), id == 1);
  assert_int_equal(pm_token_find(t, "<｜tool▁sep｜>"), 128814);
  int32_t the = pm_token_find(t, " the");
  size_t n;
  assert_true(the > 0 && memcmp(pm_token_bytes(t, the, false, &n), " the", 4) == 0 && n == 4);
  assert_int_equal(pm_token_find(t, "no such token as this"), -1);
  assert_int_equal(pm_token_find(t, ""), -1);
  pm_token_bytes(t, 0, false, &n);
  assert_int_equal(n, 0);
  pm_token_bytes(t, 0, true, &n);
  assert_int_equal(n, strlen("<｜begin▁of▁sentence｜>"));
  pm_token_bytes(t, -1, true, &n);
  assert_int_equal(n, 0);
  pm_token_bytes(t, 128815, true, &n);
  assert_int_equal(n, 0);
  pm_tokenizer_destroy(t);
  pm_model_file_close(file);
}

// ---- small vocabularies --------------------------------------------------------------------------------------------

static void expect_ids(const pm_tokenizer *t, const char *text, pm_tokenize_flags flags, const char *expected) {
  int32_t ids[256];
  size_t n = COUNT(ids);
  if (pm_tokenize(t, text, strlen(text), flags, ids, &n)) fail_msg("%s", pm_fail_message());
  char got[1024] = "";
  size_t used = 0;
  for (size_t i = 0; i < n; i++) used += (size_t)sprintf(got + used, "%s%d", i ? " " : "", ids[i]);
  if (strcmp(got, expected) != 0) fail_msg("\"%s\": expected %s, got %s", text, expected, got);
}

static const small_token letters[] = {
    {"<s>", CONTROL}, {"</s>", CONTROL},        {"a", NORMAL}, {"b", NORMAL}, {"c", NORMAL},  {"ab", NORMAL},     {"bc", NORMAL},
    {"abc", NORMAL},  {"<tool>", USER_DEFINED}, {"Ġ", NORMAL}, {"Ċ", NORMAL}, {"cc", NORMAL}, {"[PAD12]", UNUSED}};

static void test_merge_order(void **state) {
  (void)state;
  meta_doc d = {0};
  // The pair "b c" comes first; the second "b c" must not count.
  bpe_doc(&d, "qwen2", letters, COUNT(letters), (const char *[]){"b c", "a b", "b c", "a bc"}, 4);
  pm_tokenizer *t = from_doc(&d);
  expect_ids(t, "abc", plain, "7");
  expect_ids(t, "ab", plain, "5");
  expect_ids(t, "abab bc", plain, "5 5 9 6");
  expect_ids(t, "ccc", plain, "4 4 4");  // "cc" is a token, but no merge makes it
  expect_ids(t, "", plain, "");
  expect_ids(t, "axb", plain, "2 3");     // x has no token: dropped
  expect_ids(t, "[PAD12]", special, "");  // nor is the text of an unused token found
  pm_tokenizer_destroy(t);
}

static void test_whole_words(void **state) {
  (void)state;
  meta_doc d = {0};
  bpe_doc(&d, "llama-bpe", letters, COUNT(letters), (const char *[]){"a b"}, 1);
  pm_tokenizer *t = from_doc(&d);
  expect_ids(t, "cc", plain, "11");  // a whole piece that is a token
  expect_ids(t, "abc", plain, "7");  // although no merge leads there
  expect_ids(t, "ccc", plain, "4 4 4");
  pm_tokenizer_destroy(t);
}

static void test_ranks_from_ids(void **state) {
  (void)state;
  meta_doc d = {0};
  bpe_doc(&d, "kimi-k2", letters, COUNT(letters), NULL, 0);
  pm_tokenizer *t = from_doc(&d);
  expect_ids(t, "abc", plain, "7");    // ab (5) before bc (6), then abc
  expect_ids(t, "bcc", plain, "6 4");  // bc (6) before cc (11)
  expect_ids(t, "accb", plain, "2 11 3");
  pm_tokenizer_destroy(t);
}

// A merge whose result is no token: what it made falls apart into bytes unless a later merge uses it.
static void test_merge_without_token(void **state) {
  (void)state;
  static const small_token tokens[] = {{"a", NORMAL}, {"b", NORMAL}, {"c", NORMAL}, {"abc", NORMAL}, {"é", NORMAL}, {"Ã©", NORMAL}};
  meta_doc d = {0};
  bpe_doc(&d, "qwen2", tokens, COUNT(tokens), (const char *[]){"a b", "ab c", "Ã ©"}, 3);
  pm_tokenizer *t = from_doc(&d);
  expect_ids(t, "ab", plain, "0 1");
  expect_ids(t, "abc", plain, "3");
  expect_ids(t, "é", plain, "5");  // bytes c3 a9; token 4 is the byte e9, which is no UTF-8
  size_t n;
  assert_memory_equal(pm_token_bytes(t, 5, false, &n), "é", 2);
  assert_int_equal(n, 2);
  assert_memory_equal(pm_token_bytes(t, 4, false, &n), "\xe9", 1);
  assert_int_equal(n, 1);
  pm_tokenizer_destroy(t);
}

static void test_byte_alphabet(void **state) {
  (void)state;
  // The 256 characters in the order of their bytes.
  static char texts[256][4];
  small_token tokens[256];
  for (unsigned b = 0, extra = 0x100; b < 256; b++) {
    bool itself = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
    unsigned c = itself ? b : extra++;
    if (c < 0x80) {
      texts[b][0] = (char)c;
    } else {
      texts[b][0] = (char)(0xc0 | c >> 6), texts[b][1] = (char)(0x80 | (c & 0x3f));
    }
    tokens[b] = (small_token){texts[b], NORMAL};
  }
  assert_string_equal(texts[0x20], "Ġ");
  assert_string_equal(texts[0x0a], "Ċ");
  assert_string_equal(texts[0xad], "Ń");
  meta_doc d = {0};
  bpe_doc(&d, "deepseek-v3", tokens, 256, (const char *[]){"a b"}, 1);
  pm_tokenizer *t = from_doc(&d);
  for (int b = 0; b < 256; b++) {
    int32_t id;
    size_t n = 1;
    assert_int_equal(pm_tokenize(t, &(char){(char)b}, 1, plain, &id, &n), PM_OK);  // bytes over 7f are not UTF-8 here
    assert_int_equal(n, 1);
    assert_int_equal(id, b);
    assert_int_equal((unsigned char)*pm_token_bytes(t, b, false, &n), b);
  }
  pm_tokenizer_destroy(t);
}

static void test_specials(void **state) {
  (void)state;
  meta_doc d = {0};
  bpe_doc(&d, "qwen2", letters, COUNT(letters), (const char *[]){"a b"}, 1);
  meta_u32(&d, K "bos_token_id", 0);
  meta_u32(&d, K "eos_token_id", 1);
  meta_bool(&d, K "add_bos_token", true);
  meta_bool(&d, K "add_eos_token", true);
  pm_tokenizer *t = from_doc(&d);
  expect_ids(t, "a<s>b", special, "2 0 3");
  expect_ids(t, "a<s>b", plain, "2 3");  // < and > are no tokens here, and neither is s
  expect_ids(t, "a<tool>b", plain, "2 8 3");
  expect_ids(t, "a", both, "0 2 1");
  expect_ids(t, "", both, "0 1");
  expect_ids(t, "<s>a", both, "0 2 1");       // no second BOS
  expect_ids(t, "<s><s>a", both, "0 0 2 1");  // but what the text has, stays
  expect_ids(t, "a<s>", both, "0 2 0 1");
  expect_ids(t, "<s>a", (pm_tokenize_flags){.add_special = true}, "0 2 1");  // raw text; its BOS is only letters
  assert_true(pm_token_is_end(t, 1));
  assert_false(pm_token_is_end(t, 0));

  int32_t ids[4];
  size_t n = 2;
  assert_int_equal(pm_tokenize(t, "abc", 3, both, ids, &n), PM_ERR_ARGUMENT);
  assert_int_equal(n, 4);
  assert_int_equal(pm_tokenize(t, "abc", 3, both, ids, &n), PM_OK);
  n = 0;
  assert_int_equal(pm_tokenize(t, "abc", 3, plain, NULL, &n), PM_ERR_ARGUMENT);
  assert_int_equal(n, 2);
  pm_tokenizer_destroy(t);
}

static void test_add_bos_default(void **state) {
  (void)state;
  static const struct {
    const char *pre, *expected;
  } cases[] = {{"llama-bpe", "0 2"}, {"falcon3", "0 2"}, {"qwen2", "2"}, {"glm4", "2"}, {"deepseek-v3", "2"}};
  for (size_t i = 0; i < COUNT(cases); i++) {
    meta_doc d = {0};
    bpe_doc(&d, cases[i].pre, letters, COUNT(letters), (const char *[]){"a b"}, 1);
    meta_u32(&d, K "bos_token_id", 0);
    pm_tokenizer *t = from_doc(&d);
    expect_ids(t, "a", both, cases[i].expected);
    pm_tokenizer_destroy(t);
  }
}

static void test_ends(void **state) {
  (void)state;
  static const struct {
    small_token tokens[6];
    const char *key;  // holds id 4
    bool end[6];
  } cases[] = {
      {{{"<|im_end|>", CONTROL}, {"<|end|>", CONTROL}, {"x", NORMAL}, {"</s>", NORMAL}, {"y", NORMAL}, {"<|user|>", CONTROL}},
       NULL,
       {true, true}},
      {{{"<|return|>", CONTROL}, {"<|call|>", CONTROL}, {"<|end|>", CONTROL}, {"x", NORMAL}, {"y", NORMAL}, {"<|endoftext|>", CONTROL}},
       NULL,
       {true, true, false, false, false, true}},
      {{{"[gMASK]", CONTROL},
        {"<|user|>", CONTROL},
        {"<|observation|>", CONTROL},
        {"<|endoftext|>", CONTROL},
        {"x", NORMAL},
        {"<|assistant|>", CONTROL}},
       NULL,
       {false, true, true, true}},
      {{{"[EOS]", CONTROL}, {"<|im_end|>", USER_DEFINED}, {"<|im_user|>", CONTROL}, {"z", NORMAL}, {"y", NORMAL}, {"w", NORMAL}},
       K "eot_token_id",
       {true, true, false, false, true}},
      {{{"a", NORMAL}, {"b", NORMAL}, {"c", NORMAL}, {"d", NORMAL}, {"e", NORMAL}, {"f", NORMAL}}, K "eom_token_id", {[4] = true}},
      {{{"a", NORMAL}, {"b", NORMAL}, {"c", NORMAL}, {"d", NORMAL}, {"e", NORMAL}, {"f", NORMAL}}, K "eos_token_id", {[4] = true}},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    meta_doc d = {0};
    bpe_doc(&d, "qwen2", cases[i].tokens, 6, (const char *[]){"x y"}, 1);
    if (cases[i].key) meta_u32(&d, cases[i].key, 4);
    pm_tokenizer *t = from_doc(&d);
    for (int32_t id = 0; id < 6; id++) assert_int_equal(pm_token_is_end(t, id), cases[i].end[id]);
    pm_tokenizer_destroy(t);
  }
}

// ---- SPM -----------------------------------------------------------------------------------------------------------

static const small_token spm_tokens[] = {
    {"<unk>", UNKNOWN},  {"<s>", CONTROL},     {"</s>", CONTROL}, {"<0xC3>", BYTE},   {"<0xA9>", BYTE},   {"▁", NORMAL, -5},
    {"a", NORMAL, -6},   {"b", NORMAL, -7},    {"c", NORMAL, -8}, {"ab", NORMAL, -2}, {"bc", NORMAL, -1}, {"▁a", NORMAL, -3},
    {"abc", NORMAL, -4}, {"▁abc", NORMAL, -9}, {"é̈", NORMAL, -1}, {"<0x0A>", BYTE},   {"▁▁", NORMAL, -2}, {"日", NORMAL, -3}};

static void test_spm(void **state) {
  (void)state;
  meta_doc d = {0};
  meta_string(&d, K "model", "llama");
  put_tokens(&d, spm_tokens, COUNT(spm_tokens));
  pm_tokenizer *t = from_doc(&d);
  assert_int_equal(pm_tokenizer_bos(t), 1);
  assert_int_equal(pm_tokenizer_eos(t), 2);
  assert_true(pm_token_is_end(t, 2));
  expect_ids(t, "abc", plain, "13");  // "bc" first, then "abc" and "▁abc"
  expect_ids(t, "ab", plain, "5 9");  // "ab" (-2) before "▁a" (-3), which then finds no partner
  expect_ids(t, "a", both, "1 11");
  expect_ids(t, "é", plain, "5 3 4");  // bytes
  expect_ids(t, "\n", plain, "5 15");
  expect_ids(t, "z日", plain, "5 0 17");   // no byte token for z
  expect_ids(t, "  a", plain, "16 11");    // three spaces and a: leftmost pair of spaces first
  expect_ids(t, "▁a", plain, "16 6");      // U+2581 is a space
  expect_ids(t, "<s>a", special, "1 11");  // the space is added behind a special token, too
  expect_ids(t, "a<s>a", special, "11 1 11");
  expect_ids(t, "", both, "1");
  size_t n;
  assert_memory_equal(pm_token_bytes(t, 13, false, &n), " abc", 4);
  assert_int_equal(n, 4);
  assert_memory_equal(pm_token_bytes(t, 3, false, &n), "\xc3", 1);
  assert_int_equal(n, 1);
  pm_tokenizer_destroy(t);

  meta_string(&d, K "model", "llama");
  put_tokens(&d, spm_tokens, COUNT(spm_tokens));
  meta_bool(&d, K "add_space_prefix", false);
  meta_bool(&d, K "add_bos_token", false);
  t = from_doc(&d);
  expect_ids(t, "a ab", both, "6 5 9");
  pm_tokenizer_destroy(t);
}

// ---- texts made to hurt --------------------------------------------------------------------------------------------

// A megabyte each: a quadratic step anywhere would run into the test's time limit.
static void test_hostile_texts(void **state) {
  (void)state;
  pm_model_file *file;
  pm_tokenizer *t = open_tokenizer(PM_TEST_DATA "/golden/vocab-deepseek-v3.gguf", &file);
  static const char *const parts[] = {"a",       " ",  "\n", "7",   "\xff",   "<", "<｜", "<think",
                                      "<think>", "ab", "中", "あA", "\u0301", "!", " \n"};
  enum { N = 1 << 20 };
  char *text = malloc(N);
  int32_t *ids = malloc((N + 1) * sizeof *ids);
  assert_true(text && ids);
  for (size_t i = 0; i < COUNT(parts); i++) {
    size_t part = strlen(parts[i]), n = N + 1, total = 0;
    for (size_t k = 0; k < N; k++) text[k] = parts[i][k % part];
    assert_int_equal(pm_tokenize(t, text, N, both, ids, &n), PM_OK);
    for (size_t k = 0, bytes; k < n; k++, total += bytes) pm_token_bytes(t, ids[k], true, &bytes);
    assert_int_equal(total, N);
  }
  free(text);
  free(ids);
  pm_tokenizer_destroy(t);
  pm_model_file_close(file);
}

// Special tokens of one letter repeated, on text of that letter: every place begins many candidates.
static void test_hostile_specials(void **state) {
  (void)state;
  enum { N_SPECIAL = 300, N = 1 << 18 };
  static char texts[N_SPECIAL][N_SPECIAL + 1];
  small_token tokens[N_SPECIAL];
  for (int i = 0; i < N_SPECIAL; i++) tokens[i] = (small_token){memset(texts[i], 'a', (size_t)i + 1), USER_DEFINED};
  meta_doc d = {0};
  bpe_doc(&d, "qwen2", tokens, N_SPECIAL, (const char *[]){"p q"}, 1);
  pm_tokenizer *t = from_doc(&d);
  char *text = memset(malloc(N), 'a', N);
  int32_t *ids = malloc(N * sizeof *ids);
  size_t n = N;
  assert_int_equal(pm_tokenize(t, text, N, plain, ids, &n), PM_OK);
  assert_int_equal(n, (N + N_SPECIAL - 1) / N_SPECIAL);
  assert_int_equal(ids[0], N_SPECIAL - 1);
  assert_int_equal(ids[n - 1], N % N_SPECIAL - 1);
  free(text);
  free(ids);
  pm_tokenizer_destroy(t);
}

static void test_every_allocation_fails(void **state) {
  (void)state;
  for (int spm = 0; spm < 2; spm++) {
    meta_doc d = {0};
    if (spm) {
      meta_string(&d, K "model", "llama");
      put_tokens(&d, spm_tokens, COUNT(spm_tokens));
    } else {
      bpe_doc(&d, "qwen2", letters, COUNT(letters), (const char *[]){"b c", "a bc"}, 2);
    }
    pm_model_file *file = meta_open(&d);
    for (uint64_t k = 1, failed = 1; failed; k++) {
      int32_t ids[64];
      size_t n = COUNT(ids);
      pm_tokenizer *t = NULL;
      pm_alloc_fail_at(k);
      pm_status status = pm_tokenizer_create(file, &t);
      if (status == PM_OK) status = pm_tokenize(t, "abc<s>abc abc", 13, special, ids, &n);
      pm_alloc_fail_at(0);
      failed = status != PM_OK;
      if (failed) assert_int_equal(status, PM_ERR_MEMORY);
      pm_tokenizer_destroy(t);
      assert_true(k < 100);
    }
    pm_model_file_close(file);
  }
}

int main(void) {
  static const char *const pebble[] = {PM_DEMO_MODEL, PM_TEST_DATA "/golden/tokenizer-pebble.json"};
  static const char *const deepseek_v3[] = {PM_TEST_DATA "/golden/vocab-deepseek-v3.gguf",
                                            PM_TEST_DATA "/golden/tokenizer-deepseek-v3.json"};
  const struct CMUnitTest tests[] = {
      {.name = "golden pebble", .test_func = test_golden, .initial_state = (void *)pebble},
      {.name = "golden deepseek-v3", .test_func = test_golden, .initial_state = (void *)deepseek_v3},
      cmocka_unit_test(test_golden_ends),
      cmocka_unit_test(test_merge_order),
      cmocka_unit_test(test_whole_words),
      cmocka_unit_test(test_ranks_from_ids),
      cmocka_unit_test(test_merge_without_token),
      cmocka_unit_test(test_byte_alphabet),
      cmocka_unit_test(test_specials),
      cmocka_unit_test(test_add_bos_default),
      cmocka_unit_test(test_ends),
      cmocka_unit_test(test_spm),
      cmocka_unit_test(test_hostile_texts),
      cmocka_unit_test(test_hostile_specials),
      cmocka_unit_test(test_every_allocation_fails),
  };
  return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
