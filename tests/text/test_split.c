// Pre-tokenizers on texts whose pieces were worked out by hand from the regular expressions.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tokenizer_split.h"

// Pieces are written one after another, each followed by a ¦.
typedef struct split_case {
  const char *rule, *pieces;
} split_case;

static const split_case cases[] = {
    // Line ends stand alone; a word takes one white space before it; letters without case are not words.
    {"deepseek-llm", "Hello¦ world¦"},
    {"deepseek-llm", "a¦\n¦\n¦ b¦"},
    {"deepseek-llm", "a¦\r¦\n¦b¦"},
    {"deepseek-llm", "x¦ ¦ y¦"},
    {"deepseek-llm", "a¦   ¦"},
    {"deepseek-llm", "Ωμέγα¦ Ω¦"},
    {"deepseek-llm", "Gr¦öß¦e¦"},  // rule 3 means signs, but its : to ~ takes in the ASCII letters
    {"deepseek-llm", "中文字¦,¦ ok¦"},
    {"deepseek-llm", "日本语ひらがな¦"},
    {"deepseek-llm", "한국어¦ abc¦"},
    {"deepseek-llm", "f¦(¦x¦)¦ ==¦ ¦123¦;¦"},
    {"deepseek-llm", "a¦\t¦\tb¦"},
    {"deepseek-llm", "don¦'¦t¦"},
    {"deepseek-llm", "x¦ ¦€¦5¦"},   // U+20AC is in the East Asian range, which takes no space before it
    {"deepseek-llm", "，¦。¦！¦"},  // rule 3 takes all, rule 5 then takes U+3002 out
    {"deepseek-llm", "ᴀ¦א¦"},
    {"deepseek-llm", "𐐀𐐨¦"},

    {"deepseek-coder", "int¦ x¦ = ¦1¦0¦;¦\n¦"},
    {"deepseek-coder", "a¦.¦b¦_¦c¦ -¦>¦ d¦"},
    {"deepseek-coder", "中文¦ ¦字¦"},
    {"deepseek-coder", "가나¦ ¦2¦5¦%¦"},

    // Digits by three from the left, then runs of Han and kana, then the rest.
    {"deepseek-v3", "123¦456¦7¦"},
    {"deepseek-v3", "Hello¦,¦ world¦!\n\n¦next¦"},
    {"deepseek-v3", "don¦'t¦ _¦foo¦_bar¦"},
    {"deepseek-v3", "x¦ =¦ ¦42¦;¦"},
    {"deepseek-v3", "中文かなカナ¦ok¦"},
    {"deepseek-v3", "한국어¦ ¦中¦"},
    {"deepseek-v3", "a¦  ¦ b¦"},
    {"deepseek-v3", "a¦ \n \n¦ ¦"},
    {"deepseek-v3", " \n¦ ¦ b¦"},
    {"deepseek-v3", "\tfoo¦"},
    {"deepseek-v3", "e\xcc\x81t¦"},
    {"deepseek-v3", "\xe2\x80\x8d\x01¦"},  // what no alternative takes stays together

    {"llama-bpe", "I¦'m¦ ¦20¦"},
    {"llama-bpe", "we¦'LL¦ don¦'T¦ '¦sure¦"},
    {"llama-bpe", "123¦456¦7¦"},
    {"llama-bpe", "a¦\n\n¦ b¦"},
    {"llama-bpe", "a¦  ¦ b¦  ¦"},
    {"llama-bpe", "f¦(x¦)\n¦"},
    {"llama-bpe", "中文¦，是¦"},
    {"glm4", "20¦'s¦"},
    {"chatglm-bpe", "123¦4¦"},

    {"qwen2", "1¦2¦3¦ go¦ ¦4¦"},
    {"qwen2", "it¦'s¦"},
    {"qwen35", "e\xcc\x81t\xc3\xa9¦ ¦1¦"},
    {"qwen2", "e¦\xcc\x81t\xc3\xa9¦"},  // a mark is no letter here: it goes before the word it begins

    {"gpt-4o", "Hello¦World¦"},
    {"gpt-4o", "HTTPServer¦URL¦"},
    {"gpt-4o", "don't¦ WE'RE¦"},
    {"gpt-4o", "a¦//\n/¦b¦"},
    {"gpt-4o", "ABC¦ ¦123¦4¦"},
    {"gpt-4o", "あ¦A¦"},

    {"kimi-k2", "Hello¦World¦中文¦ok¦"},
    {"kimi-k2", "ひらがな¦漢字¦"},
    {"kimi-k2", "a¦//\n¦/b¦"},
    {"kimi-k2", "you've¦ ¦12¦"},

    {"gpt-2", "it¦'s¦ 1234¦ ok¦\n¦\n¦x¦"},
    {"gpt-2", "IT¦'¦S¦"},
};

typedef struct walk {
  const pm_uchar *next;
  char out[512];
  const char *text;
  size_t n;
} walk;

static pm_status note(void *user, size_t n_char) {
  walk *w = user;
  for (; n_char--; w->next++) {
    size_t bytes = pm_uchar_bytes(*w->next);
    memcpy(w->out + w->n, w->text, bytes);
    w->n += bytes, w->text += bytes;
  }
  memcpy(w->out + w->n, "¦", sizeof "¦");
  w->n += sizeof "¦" - 1;
  return PM_OK;
}

static void test_by_hand(void **state) {
  (void)state;
  int wrong = 0;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[256];
    size_t bytes = 0;
    for (const char *p = cases[i].pieces; *p;) {
      if (strncmp(p, "¦", 2) == 0)
        p += 2;
      else
        text[bytes++] = *p++;
    }
    pm_uchar chars[256];
    const pm_split_rule *rule = pm_split_rule_find(cases[i].rule, strlen(cases[i].rule));
    assert_non_null(rule);
    walk w = {.next = chars, .text = text};
    assert_int_equal(pm_split(rule, chars, pm_uchar_decode(text, bytes, chars), note, &w), PM_OK);
    if (strcmp(w.out, cases[i].pieces) == 0) continue;
    print_error("%s: expected %s got %s\n", cases[i].rule, cases[i].pieces, w.out);
    wrong++;
  }
  assert_int_equal(wrong, 0);
}

static const char *const names[] = {"deepseek-llm", "deepseek-coder", "deepseek-v3", "kimi-k2", "qwen2",
                                    "qwen35",       "llama-bpe",      "gpt-4o",      "glm4",    "gpt-2"};
enum { N_NAME = sizeof names / sizeof *names };

static void test_names(void **state) {
  (void)state;
  char known[256];
  pm_split_rule_names(known, sizeof known);
  assert_string_equal(known, "deepseek-llm, deepseek-coder, deepseek-v3, kimi-k2, qwen2, qwen35, llama-bpe, gpt-4o, glm4, gpt-2");
  static const char *const same[][2] = {{"joyai-llm", "deepseek-v3"},  {"hunyuan-dense", "deepseek-v3"},
                                        {"deepseek-r1-qwen", "qwen2"}, {"megrez", "qwen2"},
                                        {"llama3", "llama-bpe"},       {"llama-v3", "llama-bpe"},
                                        {"pixtral", "llama-bpe"},      {"lfm2", "llama-bpe"},
                                        {"falcon3", "llama-bpe"},      {"llama4", "gpt-4o"},
                                        {"kanana2", "gpt-4o"},         {"minimax-m2", "gpt-4o"},
                                        {"chatglm-bpe", "glm4"}};
  for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
    const pm_split_rule *rule = pm_split_rule_find(same[i][0], strlen(same[i][0]));
    assert_non_null(rule);
    assert_ptr_equal(rule, pm_split_rule_find(same[i][1], strlen(same[i][1])));
  }
  static const char *const unknown[] = {"", " ", "deepseek", "deepseek-v3 ", "joyai-llm hunyuan-dense", "Llama3"};
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) assert_null(pm_split_rule_find(unknown[i], strlen(unknown[i])));
  char small[8];
  pm_split_rule_names(small, sizeof small);
  assert_string_equal(small, "deepsee");
}

static pm_status count(void *user, size_t n_char) { return *(size_t *)user += n_char, PM_OK; }

// Half a million characters of texts that make a naive matcher quadratic: were one of ours, the test would run into its time limit.
static void test_hostile_texts(void **state) {
  (void)state;
  static const char *const patterns[][2] = {{"a", ""},       {" ", ""},    {" ", "1"},  {"\n", "x"}, {" ", "\n"}, {"1", " "},
                                            {"あ", "A"},     {"A", "1"},   {"'", ""},   {"! ", ""},  {" 1", " "}, {"あA", ""},
                                            {"\u0301", "A"}, {"\xff", ""}, {"中", "a"}, {"/", "\n"}};
  enum { N = 1 << 19 };
  char *text = malloc(2 * N);
  pm_uchar *chars = malloc(2 * N * sizeof *chars);
  assert_true(text && chars);
  for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
    // The first half repeats the first part, the second half the second: runs that end in what breaks a match.
    size_t bytes = 0;
    for (int half = 0; half < 2; half++) {
      size_t n = strlen(patterns[i][half]);
      for (size_t from = bytes; n && bytes + n <= from + N / 2; bytes += n) memcpy(text + bytes, patterns[i][half], n);
    }
    size_t n_char = pm_uchar_decode(text, bytes, chars);
    for (int r = 0; r < N_NAME; r++) {
      size_t seen = 0;
      assert_int_equal(pm_split(pm_split_rule_find(names[r], strlen(names[r])), chars, n_char, count, &seen), PM_OK);
      assert_int_equal(seen, n_char);
    }
  }
  free(text);
  free(chars);
}

static pm_status refuse(void *user, size_t n_char) {
  if (--*(int *)user == 0) PM_FAIL(PM_ERR_CANCELLED, "a piece of %zu characters is refused", n_char);
  return PM_OK;
}

static void test_stops_at_failure(void **state) {
  (void)state;
  pm_uchar chars[16];
  size_t n = pm_uchar_decode("a b\nc 12", 8, chars);
  for (int r = 0; r < N_NAME; r++) {
    int left = 3;
    assert_int_equal(pm_split(pm_split_rule_find(names[r], strlen(names[r])), chars, n, refuse, &left), PM_ERR_CANCELLED);
    assert_int_equal(left, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_by_hand), cmocka_unit_test(test_names), cmocka_unit_test(test_hostile_texts),
                                     cmocka_unit_test(test_stops_at_failure)};
  return cmocka_run_group_tests_name("split", tests, NULL, NULL);
}
