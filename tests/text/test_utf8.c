// UTF-8: single characters and the stream that never shows half of one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rng.h"
#include "tokenizer.h"
#include "utf8.h"

static void test_every_code_point(void **state) {
  (void)state;
  for (uint32_t c = 0; c < 0x110000; c++) {
    char s[4];
    size_t n = pm_utf8_put(c, s);
    uint32_t back = UINT32_MAX;
    int scanned = pm_utf8_scan((unsigned char *)s, n, &back);
    if (c >= 0xd800 && c <= 0xdfff) {
      assert_true(scanned < 0);
      continue;
    }
    assert_int_equal(scanned, n);
    assert_int_equal(back, c);
    for (size_t cut = 1; cut < n; cut++) assert_int_equal(pm_utf8_scan((unsigned char *)s, cut, &back), 0);
  }
}

static void test_wrong_bytes(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    int expected;
  } cases[] = {
      {"\x80", -1},          {"\xc0\xaf", -1},     {"\xc1\xbf", -1},         {"\xf5\x80\x80\x80", -1}, {"\xff", -1},  {"\xe0\x80\x80", -1},
      {"\xe0\x9f\xbf", -1},  {"\xed\xa0\x80", -1}, {"\xf0\x80\x80\x80", -1}, {"\xf4\x90\x80\x80", -1}, {"\xc3(", -1}, {"\xe2\x82(", -2},
      {"\xf0\x9f\x98 ", -3}, {"\xe2(", -1},        {"\xf0\x9f", 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint32_t c;
    assert_int_equal(pm_utf8_scan((const unsigned char *)cases[i].bytes, strlen(cases[i].bytes), &c), cases[i].expected);
  }
}

#define R "\xef\xbf\xbd"  // U+FFFD

// One replacement for each longest run of bytes that begins a character but does not end it, as the Unicode standard advises.
static const struct {
  const char *in, *out;
} streams[] = {
    {"plain", "plain"},
    {"é€😀é", "é€😀é"},
    {"\xff", R},
    {"a\x80z", "a" R "z"},
    {"\xe2\x82", R},
    {"\xe2\x82x", R "x"},
    {"\xf0\x9f\x98", R},
    {"\xf0\x9f\x98\xe2\x82\xac", R "€"},
    {"\xc3\xc3\xa9", R "é"},
    {"\xf0\x80\x80\x41", R R R "A"},
    {"\xed\xa0\x80", R R R},
};

static void test_stream_every_cut(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
    const char *in = streams[i].in;
    size_t n = strlen(in);
    for (uint32_t cuts = 0; cuts < 1u << n; cuts++) {  // bit k: cut after byte k
      pm_utf8_stream s = {0};
      char out[128];
      size_t n_out = 0;
      for (size_t from = 0, k = 0; k < n; k++) {
        if (!(cuts >> k & 1) && k + 1 < n) continue;
        n_out += pm_utf8_stream_push(&s, in + from, k + 1 - from, false, out + n_out);
        from = k + 1;
        for (size_t c = 0; c < n_out;) {  // whole characters at any time
          uint32_t point;
          int length = pm_utf8_scan((unsigned char *)out + c, n_out - c, &point);
          assert_true(length > 0);
          c += (size_t)length;
        }
      }
      n_out += pm_utf8_stream_push(&s, "", 0, true, out + n_out);
      assert_int_equal(n_out, strlen(streams[i].out));
      assert_memory_equal(out, streams[i].out, n_out);
    }
  }
}

static void test_stream_random(void **state) {
  (void)state;
  uint64_t seed = 7;
  print_message("seed %llu\n", (unsigned long long)seed);
  pm_rng rng = pm_rng_seed(seed);
  for (int round = 0; round < 20000; round++) {
    char in[24], whole[(24 + 3) * 3], parts[(24 + 3) * 3];
    for (size_t i = 0; i < sizeof in; i++) in[i] = (char)(pm_rng_uniform(&rng) < 0.7 ? 0x80 + pm_rng_next(&rng) % 0x80 : pm_rng_next(&rng));
    pm_utf8_stream one = {0}, many = {0};
    size_t n_whole = pm_utf8_stream_push(&one, in, sizeof in, true, whole), n_parts = 0;
    for (size_t from = 0; from < sizeof in;) {
      size_t n = 1 + pm_rng_next(&rng) % 5;
      if (n > sizeof in - from) n = sizeof in - from;
      size_t wrote = pm_utf8_stream_push(&many, in + from, n, from + n == sizeof in, parts + n_parts);
      assert_true(wrote <= (n + 3) * 3);
      n_parts += wrote, from += n;
    }
    assert_int_equal(n_whole, n_parts);
    assert_memory_equal(whole, parts, n_whole);
    assert_int_equal(many.n_pending, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_code_point), cmocka_unit_test(test_wrong_bytes),
                                     cmocka_unit_test(test_stream_every_cut), cmocka_unit_test(test_stream_random)};
  return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
