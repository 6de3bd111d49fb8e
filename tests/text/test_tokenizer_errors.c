// Vocabularies that are wrong: each is refused with a message that names the key and what was expected.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "meta_doc.h"
#include "tokenizer.h"

#define K "tokenizer.ggml."

static const char *const texts[] = {"<s>", "a", "b", "ab"};
static const int32_t types[] = {3, 1, 1, 1};
static const float scores[] = {0, -1, -2, -3};
static const char *const merges[] = {"a b"};

// A sound vocabulary of four tokens without one key.
static void sound(meta_doc *d, const char *model, const char *without) {
#define UNLESS(key) if (strcmp(without, key) != 0)
  UNLESS("model") meta_string(d, K "model", model);
  UNLESS("pre") meta_string(d, K "pre", "qwen2");
  UNLESS("tokens") meta_strings(d, K "tokens", texts, 4);
  UNLESS("token_type") meta_i32s(d, K "token_type", types, 4);
  UNLESS("scores") meta_f32s(d, K "scores", scores, 4);
  UNLESS("merges") meta_strings(d, K "merges", merges, 1);
#undef UNLESS
}

static void nothing(meta_doc *d) { (void)d; }
static void model_number(meta_doc *d) { meta_u32(d, K "model", 1); }
static void model_bert(meta_doc *d) { meta_string(d, K "model", "bert"); }
static void pre_unknown(meta_doc *d) { meta_string(d, K "pre", "deepseek-v9"); }
static void pre_number(meta_doc *d) { meta_u32(d, K "pre", 3); }
static void tokens_string(meta_doc *d) { meta_string(d, K "tokens", "a"); }
static void tokens_numbers(meta_doc *d) { meta_i32s(d, K "tokens", types, 4); }
static void tokens_empty(meta_doc *d) { meta_strings(d, K "tokens", NULL, 0); }
static void tokens_not_utf8(meta_doc *d) { meta_strings(d, K "tokens", (const char *[]){"<s>", "a", "\xff", "ab"}, 4); }
static void special_not_utf8(meta_doc *d) { meta_strings(d, K "tokens", (const char *[]){"<s\xc3>", "a", "b", "ab"}, 4); }
static void types_few(meta_doc *d) { meta_i32s(d, K "token_type", types, 3); }
static void types_many(meta_doc *d) { meta_i32s(d, K "token_type", (int32_t[]){1, 1, 1, 1, 1}, 5); }
static void types_odd(meta_doc *d) { meta_i32s(d, K "token_type", (int32_t[]){3, 1, 7, 1}, 4); }
static void types_negative(meta_doc *d) { meta_i32s(d, K "token_type", (int32_t[]){3, 1, 1, -1}, 4); }
static void types_floats(meta_doc *d) { meta_f32s(d, K "token_type", scores, 4); }
static void types_scalar(meta_doc *d) { meta_u32(d, K "token_type", 1); }
static void types_byte(meta_doc *d) { meta_i32s(d, K "token_type", (int32_t[]){3, 6, 1, 1}, 4); }
static void scores_few(meta_doc *d) { meta_f32s(d, K "scores", scores, 1); }
static void scores_strings(meta_doc *d) { meta_strings(d, K "scores", texts, 4); }
static void scores_nan(meta_doc *d) { meta_f32s(d, K "scores", (float[]){0, 0, NAN, 0}, 4); }
static void scores_infinite(meta_doc *d) { meta_f32s(d, K "scores", (float[]){INFINITY, 0, -INFINITY, 0}, 4); }
static void merges_one_word(meta_doc *d) { meta_strings(d, K "merges", (const char *[]){"a b", "ab"}, 2); }
static void merges_empty_text(meta_doc *d) { meta_strings(d, K "merges", (const char *[]){"a b", ""}, 2); }
static void merges_no_right(meta_doc *d) { meta_strings(d, K "merges", (const char *[]){"ab "}, 1); }
static void merges_space_first(meta_doc *d) { meta_strings(d, K "merges", (const char *[]){" ab"}, 1); }
static void merges_not_utf8(meta_doc *d) { meta_strings(d, K "merges", (const char *[]){"a \xe2\x82"}, 1); }
static void merges_numbers(meta_doc *d) { meta_i32s(d, K "merges", types, 4); }
static void bos_beyond(meta_doc *d) { meta_u32(d, K "bos_token_id", 4); }
static void eos_huge(meta_doc *d) { meta_u32(d, K "eos_token_id", UINT32_MAX); }
static void eot_beyond(meta_doc *d) { meta_u32(d, K "eot_token_id", 0x80000001); }
static void eom_string(meta_doc *d) { meta_string(d, K "eom_token_id", "0"); }
static void unknown_beyond(meta_doc *d) { meta_u32(d, K "unknown_token_id", 100); }
static void add_bos_number(meta_doc *d) { meta_u32(d, K "add_bos_token", 1); }
static void space_prefix_string(meta_doc *d) { meta_string(d, K "add_space_prefix", "yes"); }

static const struct wrong {
  const char *model, *without;
  void (*put)(meta_doc *d);
  pm_status status;
  const char *words[3];
} wrongs[] = {
    {"gpt2", "model", nothing, PM_ERR_FORMAT, {K "model", "missing", "gpt2 or llama"}},
    {"gpt2", "model", model_number, PM_ERR_FORMAT, {K "model", "u32", "string"}},
    {"gpt2", "model", model_bert, PM_ERR_UNSUPPORTED, {K "model", "\"bert\"", "gpt2 or llama"}},
    {"gpt2", "pre", nothing, PM_ERR_FORMAT, {K "pre", "missing", "deepseek-llm, deepseek-coder, deepseek-v3"}},
    {"gpt2", "pre", pre_unknown, PM_ERR_UNSUPPORTED, {K "pre", "\"deepseek-v9\"", "deepseek-v3, kimi-k2, qwen2"}},
    {"gpt2", "pre", pre_number, PM_ERR_FORMAT, {K "pre", "u32", "string"}},
    {"gpt2", "tokens", nothing, PM_ERR_FORMAT, {K "tokens", "missing", "texts"}},
    {"gpt2", "tokens", tokens_string, PM_ERR_FORMAT, {K "tokens", "string", "array"}},
    {"gpt2", "tokens", tokens_numbers, PM_ERR_FORMAT, {K "tokens", "i32", "strings"}},
    {"gpt2", "tokens", tokens_empty, PM_ERR_FORMAT, {K "tokens", "empty", "texts"}},
    {"gpt2", "tokens", tokens_not_utf8, PM_ERR_FORMAT, {K "tokens[2]", "UTF-8"}},
    {"llama", "tokens", tokens_not_utf8, PM_ERR_FORMAT, {K "tokens[2]", "UTF-8"}},
    {"gpt2", "tokens", special_not_utf8, PM_ERR_FORMAT, {K "tokens[0]", "UTF-8"}},
    {"gpt2", "token_type", types_few, PM_ERR_FORMAT, {K "token_type", "3 elements", "expected 4"}},
    {"gpt2", "token_type", types_many, PM_ERR_FORMAT, {K "token_type", "5 elements", "expected 4"}},
    {"gpt2", "token_type", types_odd, PM_ERR_FORMAT, {K "token_type[2]", "7", "1 to 6"}},
    {"gpt2", "token_type", types_negative, PM_ERR_FORMAT, {K "token_type[3]", "-1", "1 to 6"}},
    {"gpt2", "token_type", types_floats, PM_ERR_FORMAT, {K "token_type", "f32", "integer"}},
    {"gpt2", "token_type", types_scalar, PM_ERR_FORMAT, {K "token_type", "u32", "array"}},
    {"llama", "token_type", types_byte, PM_ERR_FORMAT, {K "tokens[1]", "byte", "<0x0A>"}},
    {"llama", "scores", nothing, PM_ERR_FORMAT, {K "scores", "missing", "one number per token"}},
    {"llama", "scores", scores_few, PM_ERR_FORMAT, {K "scores", "1 elements", "expected 4"}},
    {"llama", "scores", scores_strings, PM_ERR_FORMAT, {K "scores", "string", "numbers"}},
    {"llama", "scores", scores_nan, PM_ERR_FORMAT, {K "scores", "nan", "finite"}},
    {"gpt2", "merges", nothing, PM_ERR_FORMAT, {K "merges", "missing", "array of strings"}},
    {"gpt2", "merges", merges_one_word, PM_ERR_FORMAT, {K "merges[1]", "space"}},
    {"gpt2", "merges", merges_empty_text, PM_ERR_FORMAT, {K "merges[1]", "space"}},
    {"gpt2", "merges", merges_no_right, PM_ERR_FORMAT, {K "merges[0]", "space"}},
    {"gpt2", "merges", merges_space_first, PM_ERR_FORMAT, {K "merges[0]", "space"}},
    {"gpt2", "merges", merges_not_utf8, PM_ERR_FORMAT, {K "merges[0]", "UTF-8"}},
    {"gpt2", "merges", merges_numbers, PM_ERR_FORMAT, {K "merges", "i32", "strings"}},
    {"gpt2", "", bos_beyond, PM_ERR_FORMAT, {K "bos_token_id", "is 4", "less than 4"}},
    {"gpt2", "", eos_huge, PM_ERR_FORMAT, {K "eos_token_id", "4294967295", "less than 4"}},
    {"llama", "", eot_beyond, PM_ERR_FORMAT, {K "eot_token_id", "2147483649", "less than 4"}},
    {"gpt2", "", eom_string, PM_ERR_FORMAT, {K "eom_token_id", "string", "integer"}},
    {"llama", "", unknown_beyond, PM_ERR_FORMAT, {K "unknown_token_id", "100", "less than 4"}},
    {"gpt2", "", add_bos_number, PM_ERR_FORMAT, {K "add_bos_token", "u32", "bool"}},
    {"llama", "", space_prefix_string, PM_ERR_FORMAT, {K "add_space_prefix", "string", "bool"}},
};

static void test_wrong(void **state) {
  const struct wrong *w = *state;
  meta_doc d = {0};
  sound(&d, w->model, w->without);
  w->put(&d);
  pm_model_file *file = meta_open(&d);
  pm_tokenizer *t = (pm_tokenizer *)&d;
  assert_int_equal(pm_tokenizer_create(file, &t), w->status);
  assert_null(t);
  const char *message = pm_fail_message();
  assert_int_equal(strncmp(message, pm_model_file_path(file), strlen(pm_model_file_path(file))), 0);
  for (int i = 0; i < 3 && w->words[i]; i++)
    if (!strstr(message, w->words[i])) fail_msg("\"%s\" does not say \"%s\"", message, w->words[i]);
  pm_model_file_close(file);
}

// The same vocabulary with nothing wrong, with what may be left out, and with what is odd but allowed.
static void test_sound(void **state) {
  (void)state;
  static const struct {
    const char *model, *without;
    void (*put)(meta_doc *d);
  } sounds[] = {
      {"gpt2", "", nothing},     {"gpt2", "token_type", nothing}, {"gpt2", "scores", nothing},      {"llama", "", nothing},
      {"llama", "pre", nothing}, {"llama", "merges", nothing},    {"llama", "token_type", nothing}, {"llama", "scores", scores_infinite}};
  for (size_t i = 0; i < sizeof sounds / sizeof *sounds; i++) {
    meta_doc d = {0};
    sound(&d, sounds[i].model, sounds[i].without);
    sounds[i].put(&d);
    pm_model_file *file = meta_open(&d);
    pm_tokenizer *t;
    if (pm_tokenizer_create(file, &t)) fail_msg("%s", pm_fail_message());
    assert_int_equal(pm_tokenizer_n_vocab(t), 4);
    pm_tokenizer_destroy(t);
    pm_model_file_close(file);
  }
}

int main(void) {
  enum { N_WRONG = sizeof wrongs / sizeof *wrongs };
  struct CMUnitTest tests[1 + N_WRONG] = {cmocka_unit_test(test_sound)};
  for (int i = 0; i < N_WRONG; i++)
    tests[1 + i] = (struct CMUnitTest){.name = wrongs[i].words[0], .test_func = test_wrong, .initial_state = (void *)&wrongs[i]};
  return cmocka_run_group_tests_name("tokenizer errors", tests, NULL, NULL);
}
