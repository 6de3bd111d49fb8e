// Arena, half-precision conversions, status messages, the heap's test hooks, random numbers.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka needs the four above
#include <cmocka.h>

#include "arena.h"
#include "half.h"
#include "memory.h"
#include "rng.h"
#include "status.h"

// ---- half.h, against the definition of the formats -----------------------------------------------------------------

typedef struct narrow {  // a sign bit, then exponent and mantissa bits
  int exponent_bits, mantissa_bits;
  float (*widen)(uint16_t);
  uint16_t (*narrow)(float);
} narrow;

static const narrow F16 = {5, 10, pm_f16_to_f32, pm_f32_to_f16};
static const narrow BF16 = {8, 7, pm_bf16_to_f32, pm_f32_to_bf16};

static double defined_value(const narrow *n, uint32_t h) {
  int bias = (1 << (n->exponent_bits - 1)) - 1, top = (1 << n->exponent_bits) - 1;
  int exponent = (int)(h >> n->mantissa_bits & (uint32_t)top);
  double mantissa = h & ((1u << n->mantissa_bits) - 1), sign = h >> 15 ? -1 : 1;
  if (exponent == top) return mantissa ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * ldexp(mantissa, 1 - bias - n->mantissa_bits);
  return sign * ldexp(mantissa + (1 << n->mantissa_bits), exponent - bias - n->mantissa_bits);
}

static void check_all_patterns(const narrow *n) {
  for (uint32_t h = 0; h < 65536; h++) {
    float f = n->widen((uint16_t)h);
    double want = defined_value(n, h);
    if (isnan(want)) {
      assert_true(isnan(f));
      assert_true(isnan(n->widen(n->narrow(f))));
    } else {
      assert_true((double)f == want && !signbit(f) == !(h >> 15));
      assert_int_equal(n->narrow(f), h);
    }
  }
}

// Between every two neighbours: the middle goes to the even one, and a hair off the middle to the nearer one.
static void check_all_middles(const narrow *n) {
  uint32_t infinity = ((1u << n->exponent_bits) - 1) << n->mantissa_bits;
  for (uint32_t h = 0; h < infinity; h++) {
    double low = defined_value(n, h), high = h + 1 < infinity ? defined_value(n, h + 1) : 2 * low - defined_value(n, h - 1);
    float middle = (float)((low + high) / 2);
    uint32_t even = h & 1 ? h + 1 : h;
    assert_int_equal(n->narrow(middle), even);
    assert_int_equal(n->narrow(-middle), 0x8000 | even);
    assert_int_equal(n->narrow(nextafterf(middle, 0)), h);
    assert_int_equal(n->narrow(nextafterf(middle, INFINITY)), h + 1);
  }
  assert_int_equal(n->narrow(INFINITY), infinity);
}

static void f16_exhaustive(void **state) {
  (void)state;
  check_all_patterns(&F16);
  check_all_middles(&F16);
  assert_int_equal(pm_f32_to_f16(3e38f), 0x7c00);
}

static void bf16_exhaustive(void **state) {
  (void)state;
  check_all_patterns(&BF16);
  check_all_middles(&BF16);
}

// ---- arena ---------------------------------------------------------------------------------------------------------

static void arena_pieces(void **state) {
  (void)state;
  static const size_t SIZES[] = {0, 1, 15, 16, 17, 100, 4096, 70000, 1, 200000, 3};
  pm_arena arena = {0};
  unsigned char *pieces[220];
  for (int i = 0; i < 220; i++) {
    size_t n = SIZES[i % 11];
    unsigned char *p = pieces[i] = pm_arena_alloc(&arena, n);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 16, 0);
    for (size_t k = 0; k < n; k++) assert_int_equal(p[k], 0);
    memset(p, i + 1, n);
  }
  for (int i = 0; i < 220; i++)
    for (size_t k = 0; k < SIZES[i % 11]; k++) assert_int_equal(pieces[i][k], (i + 1) & 255);
  assert_null(pm_arena_alloc(&arena, SIZE_MAX));
  assert_null(pm_arena_alloc(&arena, SIZE_MAX - 20));
  assert_string_equal(pm_arena_strdup(&arena, "text"), "text");
  assert_string_equal(pm_arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
  pm_arena_finish(&arena);
  assert_null(arena.head);
}

// ---- heap ----------------------------------------------------------------------------------------------------------

static void heap_hooks(void **state) {
  (void)state;
  uint64_t before = pm_alloc_count();
  pm_alloc_fail_at(2);
  void *a = pm_alloc(10), *b = pm_alloc_zero(2, 5), *c = pm_strdup("c");
  pm_alloc_fail_at(0);
  assert_true(a && !b && c);
  assert_int_equal(pm_alloc_count() - before, 3);
  void *d = pm_alloc_aligned(100, 256);
  assert_int_equal((uintptr_t)d % 256, 0);
  assert_null(pm_alloc_zero(SIZE_MAX / 2, 3));
  a = pm_realloc(a, 1000);
  assert_non_null(a);
  pm_free(a), pm_free(c), pm_free(d);
}

static pm_status new_fails(void) {
  int *p = NULL;
  PM_NEW(&p, 3, "three numbers");
  pm_free(p);
  return PM_OK;
}

static void pm_new_reports(void **state) {
  (void)state;
  assert_int_equal(new_fails(), PM_OK);
  pm_alloc_fail_at(1);
  pm_status status = new_fails();
  pm_alloc_fail_at(0);
  assert_int_equal(status, PM_ERR_MEMORY);
  assert_non_null(strstr(pm_fail_message(), "three numbers"));
}

// ---- status --------------------------------------------------------------------------------------------------------

static pm_status inner(void) { PM_FAIL(PM_ERR_FORMAT, "field %d", 3); }
static pm_status outer(void) {
  PM_TRY(inner());
  return PM_OK;
}

static void messages_travel(void **state) {
  (void)state;
  assert_int_equal(outer(), PM_ERR_FORMAT);
  assert_string_equal(pm_fail_message(), "field 3");
  assert_int_equal(pm_fail_prefix(PM_ERR_IO, "file %s", "x"), PM_ERR_IO);
  assert_string_equal(pm_fail_message(), "file x: field 3");
  for (int i = 0; i < 100; i++) assert_int_equal(pm_fail_prefix(PM_ERR_IO, "a prefix of some length"), PM_ERR_IO);
  assert_true(strlen(pm_fail_message()) < 1024);
}

// ---- random numbers ------------------------------------------------------------------------------------------------

// xoshiro256** by its published recurrence, on the state that pm_rng_seed made.
static void rng_is_xoshiro(void **state) {
  (void)state;
  pm_rng r = pm_rng_seed(0);
  assert_true(r.s[0] == 0xe220a8397b1dcdafu);  // splitmix64's first output for seed 0
  uint64_t s[4];
  memcpy(s, r.s, sizeof s);
  for (int i = 0; i < 1000; i++) {
    uint64_t x = s[1] * 5, want = (x << 7 | x >> 57) * 9, t = s[1] << 17;
    s[2] ^= s[0], s[3] ^= s[1], s[1] ^= s[2], s[0] ^= s[3], s[2] ^= t, s[3] = s[3] << 45 | s[3] >> 19;
    assert_true(pm_rng_next(&r) == want);
  }
  double sum = 0;
  for (int i = 0; i < 100000; i++) {
    double u = pm_rng_uniform(&r);
    assert_true(u >= 0 && u < 1);
    sum += u;
  }
  assert_true(fabs(sum / 100000 - 0.5) < 0.005);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(f16_exhaustive), cmocka_unit_test(bf16_exhaustive), cmocka_unit_test(arena_pieces),   cmocka_unit_test(heap_hooks),
      cmocka_unit_test(pm_new_reports), cmocka_unit_test(messages_travel), cmocka_unit_test(rng_is_xoshiro),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
