// Stop strings against a plain search, whatever the text is cut into; characters stay whole; nothing is held for longer than needed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rng.h"
#include "stop_strings.h"
#include "utf8.h"

typedef struct sink {
  char text[512];
  size_t n;
  bool cut;         // a piece ended inside of a character
  size_t patience;  // pieces that are taken; 0: all
} sink;

static bool take(void *user, const char *text, size_t bytes) {
  sink *s = user;
  uint32_t code_point;
  memcpy(s->text + s->n, text, bytes);
  s->n += bytes;
  for (size_t i = 0; i < bytes;) {
    int k = pm_utf8_scan((const unsigned char *)text + i, bytes - i, &code_point);
    if (k <= 0) s->cut = true;
    i += k > 0 ? (size_t)k : 1;
  }
  return !s->patience || --s->patience > 0;
}

static bool is_char_start(char c) { return ((unsigned char)c & 0xc0) != 0x80; }

// Pushes text in pieces of whole characters; the index of the stop string, or -1.
static int push_pieces(pm_stop_strings *s, const char *text, size_t n, pm_rng *rng, sink *out) {
  int found = -1;
  for (size_t i = 0; i < n && found < 0;) {
    size_t k = 1 + pm_rng_next(rng) % 4;
    if (k > n - i) k = n - i;
    while (i + k < n && !is_char_start(text[i + k])) k++;
    assert_true(pm_stop_strings_push(s, text + i, k, take, out, &found));
    i += k;
  }
  if (found < 0) assert_true(pm_stop_strings_end(s, take, out));
  return found;
}

// The string whose end comes first; of several that end there, the longest.
static int search(const char *const *stops, size_t n_stop, const char *text, size_t n, size_t *at) {
  for (size_t end = 1; end <= n; end++) {
    int best = -1;
    for (size_t k = 0; k < n_stop; k++) {
      size_t m = strlen(stops[k]);
      if (m <= end && !memcmp(text + end - m, stops[k], m) && (best < 0 || m > strlen(stops[best]))) best = (int)k;
    }
    if (best >= 0) return *at = end - strlen(stops[best]), best;
  }
  return *at = n, -1;
}

static void random_texts(void **state) {
  (void)state;
  static const char *const sets[][3] = {{"aab", "abab", "ba"},
                                        {"aaaa", "abbba", "abbbb"},
                                        {"\xc3\xa9", "a\xc3\xa8", "\xc3\xa8\xc3\xa8\xc3\xa9"},
                                        {"\xe2\x82\xac"
                                         "a",
                                         "b\xe2\x82\xac", "ab"}};
  static const char *const letters[] = {"a", "b", "a", "b", "\xc3\xa8", "\xc3\xa9", "\xe2\x82\xac"};
  pm_rng rng = pm_rng_seed(3);
  int n_found = 0;
  for (int round = 0; round < 20000; round++) {
    const char *const *stops = sets[round % 4];
    char text[256];
    size_t n = 0, at;
    for (int i = (int)(pm_rng_next(&rng) % 24); i >= 0; i--)
      n += (size_t)sprintf(text + n, "%s", letters[pm_rng_next(&rng) % (round % 4 < 2 ? 4 : 7)]);
    pm_stop_strings s;
    assert_int_equal(pm_stop_strings_init(&s, stops, 3), PM_OK);
    sink out = {0};
    int wanted = search(stops, 3, text, n, &at), found = push_pieces(&s, text, n, &rng, &out);
    if (found != wanted || out.n != at || memcmp(out.text, text, at) || out.cut)
      fail_msg("'%.*s': string %d after '%.*s', expected %d after %zu bytes", (int)n, text, found, (int)out.n, out.text, wanted, at);
    n_found += found >= 0;
    pm_stop_strings_finish(&s);
  }
  assert_true(n_found > 1000 && n_found < 19000);
}

static void text_comes_at_once(void **state) {
  (void)state;
  static const char *const stops[] = {"\n\nUser:", "END"};
  pm_stop_strings s;
  sink out = {0};
  int found;
  assert_int_equal(pm_stop_strings_init(&s, stops, 2), PM_OK);
  assert_true(pm_stop_strings_push(&s, "abc", 3, take, &out, &found) && out.n == 3);
  assert_true(pm_stop_strings_push(&s, "d\n\nU", 4, take, &out, &found) && out.n == 4);
  assert_true(pm_stop_strings_push(&s, "nE", 2, take, &out, &found) && out.n == 8);
  assert_true(pm_stop_strings_push(&s, "N", 1, take, &out, &found) && out.n == 8 && found < 0);
  assert_true(pm_stop_strings_push(&s, "Dx", 2, take, &out, &found) && out.n == 8 && found == 1);
  assert_memory_equal(out.text, "abcd\n\nUn", 8);
  pm_stop_strings_finish(&s);

  assert_int_equal(pm_stop_strings_init(&s, stops, 2), PM_OK);  // what follows an end has nothing to do with what came before
  out = (sink){0};
  assert_true(pm_stop_strings_push(&s, "aEN", 3, take, &out, &found) && pm_stop_strings_end(&s, take, &out) && out.n == 3);
  assert_true(pm_stop_strings_push(&s, "D", 1, take, &out, &found) && out.n == 4 && found < 0);
  pm_stop_strings_finish(&s);
}

static void receivers_that_have_enough(void **state) {
  (void)state;
  static const char *const stops[] = {"xy"};
  pm_stop_strings s;
  sink out = {.patience = 1};
  int found;
  assert_int_equal(pm_stop_strings_init(&s, stops, 1), PM_OK);
  assert_true(pm_stop_strings_push(&s, "x", 1, take, &out, &found) && out.n == 0);
  assert_false(pm_stop_strings_push(&s, "abc", 3, take, &out, &found));
  assert_int_equal(out.n, 1);
  pm_stop_strings_finish(&s);
  assert_int_equal(pm_stop_strings_init(&s, NULL, 0), PM_OK);  // none: text passes
  out = (sink){0};
  assert_true(pm_stop_strings_push(&s, "abc", 3, take, &out, &found) && out.n == 3 && found < 0 && pm_stop_strings_end(&s, take, &out));
  pm_stop_strings_finish(&s);
}

static void wrong_strings(void **state) {
  (void)state;
  static const char *const bad[][2] = {{"a", ""}, {"a", "\xa9"}, {"a", "b\xc3"}, {"a", NULL}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    pm_stop_strings s;
    assert_int_equal(pm_stop_strings_init(&s, bad[i], 2), PM_ERR_ARGUMENT);
    assert_non_null(strstr(pm_fail_message(), "stop string 1"));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_texts),
      cmocka_unit_test(text_comes_at_once),
      cmocka_unit_test(receivers_that_have_enough),
      cmocka_unit_test(wrong_strings),
  };
  return cmocka_run_group_tests_name("stop strings", tests, NULL, NULL);
}
