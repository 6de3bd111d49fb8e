// The format table: decoding against golden blocks, encoding within its step, random blocks of the asked deviation.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats.h"
#include "fp8.h"
#include "memory.h"

static char *golden;  // the text of formats.json

static int read_golden(void **state) {
  (void)state;
  FILE *f = fopen(PM_TEST_DATA "/golden/formats.json", "rb");
  if (!f) return -1;
  fseek(f, 0, SEEK_END);
  size_t n = (size_t)ftell(f);
  rewind(f);
  golden = calloc(n + 1, 1);
  n = fread(golden, 1, n, f);
  return fclose(f);
}

static int free_golden(void **state) {
  (void)state;
  free(golden);
  return 0;
}

// Start of the array `key` in the object of a format; NULL if the file has no such format.
static const char *golden_array(const char *format, const char *key) {
  char quoted[64];
  snprintf(quoted, sizeof quoted, "\"%s\": {", format);
  const char *object = strstr(golden, quoted);
  if (!object) return NULL;
  snprintf(quoted, sizeof quoted, "\"%s\": [", key);
  return strstr(object, quoted) + strlen(quoted);
}

static const pm_format *computable(size_t *i) {
  for (const pm_format *f; (f = pm_format_row(*i)); ++*i)
    if (f->decode) return ++*i, f;
  return NULL;
}

static void decode_equals_golden(void **state) {
  (void)state;
  size_t row = 0, n_checked = 0;
  for (const pm_format *f; (f = computable(&row));) {
    const char *hex = golden_array(f->name, "blocks_hex"), *text = golden_array(f->name, "values");
    if (f->type == PM_TYPE_F32 || f->type >= PM_TYPE_OWN) continue;  // nothing to decode; not known to others
    assert_non_null(hex);
    while (*hex != ']') {
      uint8_t block[512];
      float values[256];
      hex = strchr(hex, '"') + 1;
      for (uint32_t k = 0; k < f->block_bytes; k++, hex += 2) {
        unsigned byte;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        block[k] = (uint8_t)byte;
      }
      assert_int_equal(*hex++, '"');
      f->decode(block, values, f->block_elements);
      for (uint32_t k = 0; k < f->block_elements; k++, text += strspn(text, ", ")) {
        double expected = strtod(text, (char **)&text);
        if ((double)values[k] != expected) fail_msg("%s: element %u is %.9g, expected %.17g", f->name, k, (double)values[k], expected);
        n_checked++;
      }
    }
  }
  assert_true(n_checked >= 8 * 64);
}

// Blocks of the bytes (37 i + 11) mod 256 with the scale 1 and, where there is a second one, 0.5.
static void decode_equals_known_values(void **state) {
  (void)state;
  static const struct {
    pm_type type;
    int scale_at, second_at;
    struct {
      int k;
      float value;
    } at[11];
    double sum;
  } known[] = {
      {PM_TYPE_Q4_0, 0, -1, {{0, -3}, {1, 2}, {7, 0}, {16, -3}, {31, 0}}, -21},
      {PM_TYPE_Q4_1, 0, 2, {{0, 15.5f}, {1, 4.5f}, {7, 2.5f}, {16, 9.5f}, {31, 12.5f}}, 261},
      {PM_TYPE_Q5_0, 0, -1, {{0, 9}, {1, -2}, {7, -4}, {16, 14}, {31, 1}}, 15},
      {PM_TYPE_Q5_1, 0, 2, {{0, 19.5f}, {1, 24.5f}, {7, 22.5f}, {16, 19.5f}, {31, 5.5f}}, 521},
      {PM_TYPE_Q8_0, 0, -1, {{0, 85}, {1, 122}, {7, 88}, {16, -91}, {31, -48}}, -176},
      {PM_TYPE_Q4_K, 0, 2, {{0, 315.5f}, {1, -25.5f}, {7, 408.5f}, {31, 160.5f}, {63, 40}, {129, -6}, {200, 138.5f}, {255, 48.5f}}, 54440},
      {PM_TYPE_Q5_K, 0, 2, {{0, 811.5f}, {1, -25.5f}, {7, 408.5f}, {40, 60}, {100, 235}, {200, 138.5f}, {255, 108.5f}}, 116216},
      {PM_TYPE_Q2_K, 80, 82, {{0, 33}, {7, 22}, {16, -1.5f}, {40, -2.5f}, {63, 6.5f}, {100, 20}, {200, 8}, {255, 4.5f}}, 2059},
      {PM_TYPE_Q3_K, 108, -1, {{0, 81}, {1, -108}, {7, -54}, {16, -96}, {31, 64}, {63, 10}, {200, 25}, {255, 42}}, 958},
      {PM_TYPE_TQ1_0, 52, -1, {{0, -1}, {1, -1}, {16, 0}, {40, 0}, {100, 1}, {129, -1}, {200, 0}, {255, -1}}, -2},
      {PM_TYPE_TQ2_0, 64, -1, {{0, 2}, {1, -1}, {7, 1}, {16, 2}, {31, 1}, {100, 1}, {129, -1}, {255, -1}}, 129},
      {PM_TYPE_IQ4_NL, 0, -1, {{0, -35}, {1, 25}, {7, 1}, {16, -35}, {31, 1}}, -257},
      {PM_TYPE_IQ4_XS, 0, -1, {{0, 65}, {1, -1}, {7, 22}, {40, -266}, {63, -175}, {129, 9}, {200, 1140}, {255, -16}}, -11005},
      {PM_TYPE_IQ2_XXS, 0, -1, {{0, -59.125f}, {1, 59.125f}, {7, 11}, {40, 17}, {63, -91.375f}, {100, 27}, {255, -80.625f}}, 763.75},
      {PM_TYPE_IQ2_XS, 0, -1, {{0, -11}, {1, 34.375f}, {40, 112.875f}, {63, -23}, {129, 102.125f}, {200, 7}, {255, -19}}, 1490.5},
      {PM_TYPE_IQ2_S, 0, -1, {{0, -145.125f}, {1, 84.375f}, {31, 71.875f}, {63, -90.625f}, {129, 16.125f}, {255, 78.125f}}, -800.625},
      {PM_TYPE_IQ3_XXS, 0, -1, {{0, -13}, {1, 9}, {7, -5}, {16, 7}, {40, 57}, {63, -95}, {129, 121}, {200, 45}, {255, -15}}, -684},
      {PM_TYPE_IQ3_S, 0, -1, {{0, -81}, {1, 243}, {16, -189}, {31, 189}, {63, -99}, {129, 165}, {200, 275}, {255, 225}}, 1456},
      {PM_TYPE_IQ1_S, 0, -1, {{0, -2.625f}, {1, 0.375f}, {31, 3.375f}, {63, -11.375f}, {100, 13.125f}, {255, -4.375f}}, 20},
      {PM_TYPE_Q6_K, 208, -1, {{0, -1431}, {1, 1696}, {7, -742}, {16, -432}, {40, -609}, {100, 2523}, {200, 1089}, {255, -60}}, 4612},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    const pm_format *f = pm_format_get(known[i].type);
    uint8_t b[256];
    float values[256];
    for (uint32_t k = 0; k < f->block_bytes; k++) b[k] = (uint8_t)(37 * k + 11);
    memcpy(b + known[i].scale_at, "\x00\x3c", 2);
    if (known[i].second_at >= 0) memcpy(b + known[i].second_at, "\x00\x38", 2);
    f->decode(b, values, f->block_elements);
    double sum = 0;
    for (uint32_t k = 0; k < f->block_elements; k++) sum += (double)values[k];
    assert_true(sum == known[i].sum);
    for (int j = 0; j < 11 && (j == 0 || known[i].at[j].k); j++)
      if (values[known[i].at[j].k] != known[i].at[j].value) fail_msg("%s: element %d", f->name, known[i].at[j].k);
  }
}

// Root mean square error of a value relative to the root mean square of normal data: a few hundredths above what the encoders reach. Those
// of codebooks keep a block's power, which makes sqrt(2 (1 - sqrt(1 - e^2))) of the least error e; IQ1_M minds large values more besides.
static void encode_is_near(void **state) {
  (void)state;
  static const struct {
    pm_type type;
    double most;
  } bounds[] = {{PM_TYPE_F32, 0},         {PM_TYPE_F16, 0.0003},    {PM_TYPE_BF16, 0.003},     {PM_TYPE_Q4_0, 0.083},
                {PM_TYPE_Q4_1, 0.0715},   {PM_TYPE_Q5_0, 0.0415},   {PM_TYPE_Q5_1, 0.0343},    {PM_TYPE_Q8_0, 0.0055},
                {PM_TYPE_Q2_K, 0.267},    {PM_TYPE_Q3_K, 0.146},    {PM_TYPE_Q4_K, 0.0723},    {PM_TYPE_Q5_K, 0.0355},
                {PM_TYPE_Q6_K, 0.0172},   {PM_TYPE_IQ1_S, 0.4702},  {PM_TYPE_IQ1_M, 0.445},    {PM_TYPE_IQ2_XXS, 0.3400},
                {PM_TYPE_IQ2_XS, 0.2953}, {PM_TYPE_IQ2_S, 0.2469},  {PM_TYPE_IQ3_XXS, 0.1818}, {PM_TYPE_IQ3_S, 0.1338},
                {PM_TYPE_IQ4_NL, 0.0758}, {PM_TYPE_IQ4_XS, 0.0763}, {PM_TYPE_MXFP4, 0.115},    {PM_TYPE_NVFP4, 0.087},
                {PM_TYPE_TQ1_0, 0.447},   {PM_TYPE_TQ2_0, 0.447},   {PM_TYPE_FP8, 0.0265}};
  static const float zeros[256];
  enum { N = 256 * 64 };
  float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
  uint8_t *blocks = malloc(N * 4 + 1);
  pm_rng rng = pm_rng_seed(5);
  for (int i = 0; i < N; i++) {
    double u = sqrt(-2 * log(1 - pm_rng_uniform(&rng)));
    x[i] = (float)(u * cos(6.283185307179586 * pm_rng_uniform(&rng)));
  }
  size_t row = 0, n_bound = 0;
  for (const pm_format *f; (f = computable(&row));) {
    size_t bytes = pm_format_bytes(f->type, N);
    blocks[bytes] = 0xa5;
    f->encode(x, NULL, blocks, N);
    f->decode(blocks, y, N);
    double error = 0, power = 0;
    for (int i = 0; i < N; i++) error += pow((double)y[i] - (double)x[i], 2), power += pow((double)x[i], 2);
    error = sqrt(error / power);
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
      if (bounds[i].type == f->type) {
        n_bound++;
        printf("%-5s relative error %.5f\n", f->name, error);
        assert_true(error <= bounds[i].most);
      }
    assert_int_equal(blocks[bytes], 0xa5);

    f->encode(zeros, NULL, blocks, 256);
    f->decode(blocks, y, 256);
    for (int i = 0; i < 256; i++) assert_true(y[i] == 0);
  }
  size_t n_format = 0;
  for (row = 0; computable(&row);) n_format++;
  assert_int_equal(n_bound, n_format);
  free(x), free(y), free(blocks);
}

// Every code by the definition of E4M3; the code of every value, and of what lies between; a matrix with scales of its squares.
static void fp8_codes(void **state) {
  (void)state;
  for (int code = 0; code < 256; code++) {
    int e = code >> 3 & 15, m = code & 7;
    double value = e ? ldexp(8 + m, e - 10) : ldexp(m, -9);
    assert_true((double)pm_fp8_value((uint8_t)code) == (code & 128 ? -value : value));
    if ((code & 127) < 127 && code != 128) assert_int_equal(pm_fp8_code(pm_fp8_value((uint8_t)code)), code);
    if ((code & 127) >= 126) continue;
    float next = pm_fp8_value((uint8_t)(code + 1)), middle = (pm_fp8_value((uint8_t)code) + next) / 2;
    assert_int_equal(pm_fp8_code(middle) & 127, (code & 127) + code % 2);
    assert_int_equal(pm_fp8_code(nextafterf(middle, 2 * middle)) & 127, (code & 127) + 1);
  }
  assert_int_equal(pm_fp8_code(1e9f), 126);
  assert_int_equal(pm_fp8_code(-1e9f), 254);
}

static void fp8_squares(void **state) {
  (void)state;
  enum { N_IN = 256, N_ROW = 300, FIRST = 100, BLOCKS = N_IN / 128 * N_ROW };
  static uint8_t q[N_IN * N_ROW], room[N_IN * N_ROW + 4 * BLOCKS], scales[1 + 4 * 4 * 2];
  static float packed[N_IN * N_ROW], plain[N_IN * N_ROW];
  pm_rng rng = pm_rng_seed(8);
  for (size_t i = 0; i < sizeof q; i++) q[i] = (uint8_t)(pm_rng_next(&rng) % 127);
  for (int i = 0; i < 8; i++) memcpy(scales + 1 + 4 * i, &(float){(float)(i + 1) * 0.37f}, 4);
  pm_slab s = {.data = q, .scales = scales + 1, .first_row = FIRST};
  memcpy(room + 4 * BLOCKS, q, sizeof q);
  pm_fp8_pack(&(pm_slab){room + 4 * BLOCKS, s.scales, FIRST}, N_IN, 0, N_ROW, room);  // in place
  pm_format_get(PM_TYPE_FP8)->decode(room, packed, N_IN * N_ROW);
  pm_fp8_unpack(&s, N_IN, 0, N_ROW, plain);
  for (size_t i = 0; i < sizeof q; i++) {
    float scale = (float)((FIRST + i / N_IN) / 128 * 2 + i % N_IN / 128 + 1) * 0.37f;
    assert_true(packed[i] == scale * pm_fp8_value(q[i]) && plain[i] == packed[i]);
  }
  pm_fp8_unpack(&s, N_IN, 200, 1, packed);
  assert_memory_equal(packed, plain + 200 * N_IN, N_IN * sizeof *plain);
}

static void random_has_deviation(void **state) {
  (void)state;
  enum { N = 256 * 1024 };
  float *y = malloc(N * sizeof *y);
  uint8_t *blocks = malloc(N * 4 + 1);
  pm_rng rng = pm_rng_seed(6);
  size_t row = 0;
  for (const pm_format *f; (f = computable(&row));) {
    for (float deviation = 0.01f; deviation < 5; deviation *= 20) {
      size_t bytes = pm_format_bytes(f->type, N);
      blocks[bytes] = 0xa5;
      f->random(&rng, deviation, blocks, N);
      assert_int_equal(blocks[bytes], 0xa5);
      f->decode(blocks, y, N);
      double sum = 0, square = 0;
      for (int i = 0; i < N; i++) sum += (double)y[i], square += (double)y[i] * (double)y[i];
      double mean = sum / N, got = sqrt(square / N - mean * mean);
      if (!(fabs(got / (double)deviation - 1) < 0.05)) fail_msg("%s: deviation %g, asked for %g", f->name, got, (double)deviation);
      if (!(fabs(mean) < 0.1 * (double)deviation)) fail_msg("%s: mean %g at deviation %g", f->name, mean, (double)deviation);
    }
  }
  free(y), free(blocks);
}

static void lookups(void **state) {
  (void)state;
  size_t n = 0;
  for (const pm_format *f; (f = pm_format_row(n)); n++) {
    assert_ptr_equal(pm_format_find(f->type), f);
    assert_ptr_equal(pm_format_get(f->type), f);
    assert_ptr_equal(pm_format_find_name(f->name), f);
    assert_int_equal(pm_format_bytes(f->type, 7 * f->block_elements), 7 * f->block_bytes);
  }
  assert_int_equal(n, 34);
  assert_string_equal(pm_format_find_name("q4_k")->name, "Q4_K");
  assert_null(pm_format_find_name("q4_"));
  assert_null(pm_format_find_name("q4_k_m"));
  assert_null(pm_format_find(4));
  assert_null(pm_format_find(1000));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lookups),        cmocka_unit_test(decode_equals_golden), cmocka_unit_test(decode_equals_known_values),
      cmocka_unit_test(encode_is_near), cmocka_unit_test(random_has_deviation), cmocka_unit_test(fp8_codes),
      cmocka_unit_test(fp8_squares),
  };
  return cmocka_run_group_tests(tests, read_golden, free_golden);
}
