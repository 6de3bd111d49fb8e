// Texts that grammars take and refuse, whatever pieces they come in; notations that are wrong; grammars that mean harm.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "matcher.h"
#include "memory.h"
#include "rng.h"

typedef struct grammar_case {
  const char *grammar;
  const char *good[8], *bad[8];
} grammar_case;

static const grammar_case cases[] = {
    {"root ::= \"yes\" | \"no\"", {"yes", "no"}, {"", "y", "yesno", "maybe", "n"}},
    {"root ::= a b?\na ::= \"a\"+\nb ::= \"b\"*", {"a", "aa", "ab", "aabbb"}, {"", "b", "ba"}},
    {"root ::= [a-c]{2,3} # comment\n  | \"x\"{2} \"y\"{0,1}", {"ab", "abc", "xx", "xxy"}, {"a", "abca", "x", "xxyy", "ad"}},
    {"root ::= \"a\"{2,}", {"aa", "aaaaaaa"}, {"a", ""}},
    {"root ::= \"a\"{,2} \"b\"", {"b", "ab", "aab"}, {"aaab", ""}},
    {"root ::= [^a-y\\x22é] \"\\u00e9\\U0001F600\"",
     {"zé\xf0\x9f\x98\x80", "€é\xf0\x9f\x98\x80"},
     {"aé\xf0\x9f\x98\x80", "\"é\xf0\x9f\x98\x80", "éé\xf0\x9f\x98\x80", "z"}},
    {"root ::= .{2}", {"ab", "é€", "\xf0\x9f\x98\x80z"}, {"a", "abc", "\xc3", "a\xa9", "\xed\xa0\x80z", "\xf4\x90\x80\x80z", "\xc0\x80z"}},
    {"root ::= [-+]? [0-9]+ ([.] [0-9]+)?", {"1", "-12.5", "+0"}, {"", "-", "1.", ".5"}},
    {"root ::= expr\nexpr ::= term (\"+\" term)*\nterm ::= \"1\" | \"(\" expr \")\"", {"1", "1+1", "((1)+1)+1"}, {"(", "1+", "(1", "1)"}},
    {"root ::= s\ns ::= \"a\" s \"b\" | \"\"", {"", "ab", "aaabbb"}, {"a", "aab", "abb"}},
    {"root ::= list\nlist ::= \"x\" | \"x\" list", {"x", "xxxxxxxx"}, {"", "y"}},
    {"root ::= (\"\"?)* \"a\" (\"\" | b)*\nb ::= \"b\"?", {"a", "abbb"}, {"", "b"}},
    {"root ::= [а-я]+", {"привет", "я"}, {"ё", "", "\xd0"}},
    {"root ::= [\\]\\[^\\-\\\\]+ \"\\\"\\t\\n\"", {"][^-\\\"\t\n"}, {"a\"\t\n"}},
    {"root-1 ::= \"a\"\nroot ::= root-1 | root_2\nroot_2 ::=\n  \"b\"\n  \"c\"", {"a", "bc"}, {"b", "abc"}},
    {"root ::= (((\"a\" | \"b\")+ \"c\"){2} | \"d\"){1,2}", {"acbc", "d", "dd", "dabcac"}, {"ac", "ddd"}},
};

static pm_grammar *parse(const char *text) {
  pm_grammar *g;
  if (pm_grammar_parse(text, strlen(text), &g)) fail_msg("%s: %s", text, pm_fail_message());
  return g;
}

static bool takes(const pm_grammar *g, const char *text, size_t piece) {
  pm_matcher *m;
  assert_int_equal(pm_matcher_create(g, &m), PM_OK);
  bool good = true;
  for (size_t i = 0, n = strlen(text); i < n && good; i += piece) good = pm_matcher_push(m, text + i, n - i < piece ? n - i : piece);
  good = good && pm_matcher_may_end(m);
  pm_matcher_destroy(m);
  return good;
}

static void texts(void **state) {
  (void)state;
  for (const grammar_case *c = cases; c < cases + sizeof cases / sizeof *cases; c++) {
    pm_grammar *g = parse(c->grammar);
    for (size_t piece = 1; piece < 4; piece++) {
      for (int i = 0; i < 8 && c->good[i]; i++)
        if (!takes(g, c->good[i], piece)) fail_msg("%s: '%s' is refused", c->grammar, c->good[i]);
      for (int i = 0; i < 8 && c->bad[i]; i++)
        if (takes(g, c->bad[i], piece)) fail_msg("%s: '%s' is taken", c->grammar, c->bad[i]);
    }
    pm_grammar_destroy(g);
  }
}

// A push that is refused takes nothing.
static void refusals(void **state) {
  (void)state;
  pm_grammar *g = parse("root ::= \"abc\" [x-z]?");
  pm_matcher *m;
  assert_int_equal(pm_matcher_create(g, &m), PM_OK);
  assert_true(pm_matcher_push(m, "ab", 2));
  assert_false(pm_matcher_push(m, "cd", 2));
  assert_false(pm_matcher_may_end(m));
  assert_true(pm_matcher_push(m, "c", 1));
  assert_true(pm_matcher_may_end(m) && !pm_matcher_must_end(m));
  assert_true(pm_matcher_push(m, "y", 1));
  assert_true(pm_matcher_may_end(m) && pm_matcher_must_end(m));
  assert_false(pm_matcher_push(m, "y", 1));
  pm_matcher_destroy(m);
  pm_grammar_destroy(g);
}

static void wrong_notation(void **state) {
  static const char *const wrong[][2] = {
      {"", "no rule 'root'"},
      {"start ::= \"a\"", "no rule 'root'"},
      {"root ::= a", "line 1, column 10: the rule 'a' is used"},
      {"root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: this rule is defined twice"},
      {"root ::= \"a", "line 1, column 10: this literal has no end"},
      {"root ::= [a-", "this class has no end"},
      {"root ::= [z-a]", "ends before it begins"},
      {"root ::= (\"a\"", "this parenthesis has no end"},
      {"root ::= \"a\")", "never opened"},
      {"root ::= \"\\q\"", "escape"},
      {"root ::= \"\\ud800\"", "no code point"},
      {"root ::= \"\\x4\"", "hexadecimal"},
      {"root ::= \"a\"{3,2}", "ends before it begins"},
      {"root ::= \"a\"{20000}", "too large"},
      {"root ::= \"a\"{2", "'}' is expected"},
      {"root ::= \"a\" &", "line 1, column 14: the name of a rule is expected"},
      {"root = \"a\"", "'::=' is expected"},
      {"root ::= \"\xff\"", "not UTF-8"},
      {"root ::= <[5]>", "name of a rule"},
      {"root ::= root \"a\" | \"b\"", "the rule 'root' is left-recursive"},
      {"root ::= a\na ::= b\nb ::= \"x\"? a \"y\"", "line 1, column 10: the rule 'a' is left-recursive"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    pm_grammar *g;
    assert_int_equal(pm_grammar_parse(wrong[i][0], strlen(wrong[i][0]), &g), PM_ERR_ARGUMENT);
    assert_null(g);
    if (!strstr(pm_fail_message(), wrong[i][1])) fail_msg("%s: %s", wrong[i][0], pm_fail_message());
  }
}

static char *repeated(const char *head, const char *piece, size_t n, const char *tail) {
  size_t k = strlen(piece);
  char *text = malloc(strlen(head) + n * k + strlen(tail) + 1), *at = text + sprintf(text, "%s", head);
  for (size_t i = 0; i < n; i++) memcpy(at, piece, k), at += k;
  return strcpy(at, tail), text;
}

// Whatever they say, they cost bounded time and memory: refused with words, or followed as far as it goes.
static void hostile_grammars(void **state) {
  (void)state;
  char *texts_of[] = {
      repeated("root ::= ", "(", 100000, ""),
      repeated("root ::= ", "(", 60, "\"a\""),
      repeated("root ::= ((((\"a\"{10000}){10000}){10000}){10000}){10000}", "", 0, ""),
      repeated("root ::= (\"a\"* \"a\"*)* | ", "(\"a\"? \"a\"?)* ", 2000, ""),
      repeated("root ::= a a\na ::= \"a\" a a | \"a\" | ", "\"a\" a | ", 100, "\"b\""),
      repeated("root ::= ", "[^a] | ", 20000, "\"a\""),
      repeated("root ::= \"", "a", 1000000, "\""),
      repeated("root ::= s\ns ::= \"a\" s \"b\" | \"a\" s \"c\" | ", "\"a\" s \"d\" | ", 50, "\"x\""),
      repeated("root ::= ", "# comment\n", 100000, "\"a\""),
  };
  char a[1024];
  memset(a, 'a', sizeof a);
  for (size_t i = 0; i < sizeof texts_of / sizeof *texts_of; i++) {
    double begin = pm_clock_seconds();
    pm_grammar *g;
    pm_matcher *m;
    if (pm_grammar_parse(texts_of[i], strlen(texts_of[i]), &g) == PM_OK) {
      assert_int_equal(pm_matcher_create(g, &m), PM_OK);
      uint64_t before = pm_alloc_count();
      for (int k = 0; k < 64; k++)
        if (!pm_matcher_push(m, a, 16)) break;
      assert_int_equal(pm_alloc_count(), before);
      pm_matcher_destroy(m);
    }
    double seconds = pm_clock_seconds() - begin;
    print_message("# hostile grammar %zu: %.3f s\n", i, seconds);
    assert_true(seconds < 20);
    pm_grammar_destroy(g);
    free(texts_of[i]);
  }
}

// Long text goes through many states: they are forgotten on the way, what counts is not.
static void long_texts(void **state) {
  (void)state;
  pm_grammar *g = parse("root ::= v\nv ::= \"[\" (v (\",\" v)*)? \"]\" | [a-z]+ [0-9]{3,40}");
  pm_matcher *m;
  pm_rng rng = pm_rng_seed(1);
  assert_int_equal(pm_matcher_create(g, &m), PM_OK);
  int depth = 0;
  for (int i = 0; i < 20000; i++) {
    if (depth < 300 && pm_rng_next(&rng) % 2) {
      assert_true(pm_matcher_push(m, "[", 1)), depth++;
      continue;
    }
    char word[64];
    int n = sprintf(word, "%c%0*d", (char)('a' + pm_rng_next(&rng) % 26), (int)(3 + pm_rng_next(&rng) % 38), 7);
    assert_true(pm_matcher_push(m, word, (size_t)n));
    for (; depth && pm_rng_next(&rng) % 2; depth--) assert_true(pm_matcher_push(m, "]", 1));
    if (!depth) break;
    assert_true(pm_matcher_push(m, ",", 1));
  }
  pm_matcher_destroy(m);
  pm_grammar_destroy(g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts),      cmocka_unit_test(refusals), cmocka_unit_test(wrong_notation), cmocka_unit_test(hostile_grammars),
      cmocka_unit_test(long_texts),
  };
  return cmocka_run_group_tests_name("grammars", tests, NULL, NULL);
}
