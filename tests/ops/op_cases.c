#include "op_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "test_seed.h"

// ---- products with every format ----

static const pm_case_step product_steps[] = {
    {1, 1, 1, 0}, {2, 2, 1, 0}, {3, 0, 1, 5}, {8, 3, 1, 0}, {9, 9, 3, 0}, {31, 1, 1, 0}, {33, 8, 2, 7}, {64, 2, 1, 0}, {70, 13, 2, 0},
};

// What an op does beside reading weights is the same for all formats: these go through every case, the others through the first few, each
// op once, because drivers take seconds to compile a format's kernels.
#define IS_COMMON(id)                                                                                                    \
  ((id) == PM_TYPE_F32 || (id) == PM_TYPE_F16 || (id) == PM_TYPE_BF16 || (id) == PM_TYPE_Q4_0 || (id) == PM_TYPE_Q5_0 || \
   (id) == PM_TYPE_Q8_0 || (id) == PM_TYPE_Q4_K || (id) == PM_TYPE_Q5_K || (id) == PM_TYPE_Q6_K)
enum { N_LEAN = 5 };

// Shapes that a format allows: whole blocks, not whole groups of 256 where blocks are smaller, a multiple of 4 for plain floats.
#define SHORT(elements) ((elements) > 1 ? (elements) : 36)
#define LONG(elements) ((elements) == 256 ? 768 : (elements) == 128 ? 384 : (elements) == 64 ? 320 : (elements) == 32 ? 352 : 300)

#define PM_FORMAT(name, id, e, bytes)                                                                                          \
  static const pm_case cases_##name[] = {                                                                                      \
      {PM_OP_EMBED, .type = id, .n_in = LONG(e), .n_out = 37},                                                                 \
      {PM_OP_MATMUL, .type = id, .n_in = LONG(e), .n_out = 35, .flags = PM_CASE_STRIDED | PM_CASE_ACCUMULATE},                 \
      {PM_OP_MATMUL, .type = id, .n_in = SHORT(e), .n_out = 1, .flags = PM_CASE_ACCUMULATE},                                   \
      {PM_OP_EXPERTS_GLU, .type = id, .type_up = id, .n_in = LONG(e), .n_out = 36, .n_batch = 2, .n_expert = 5},               \
      {PM_OP_EXPERTS_DOWN, .type = id, .n_in = SHORT(e), .n_out = 67, .n_batch = 6, .n_expert = 16},                           \
      {PM_OP_EMBED, .type = id, .n_in = SHORT(e), .n_out = 1, .flags = PM_CASE_STRIDED},                                       \
      {PM_OP_MATMUL, .type = id, .n_in = SHORT(e), .n_out = 1},                                                                \
      {PM_OP_MATMUL, .type = id, .n_in = SHORT(e), .n_out = 70, .n_batch = 3, .flags = PM_CASE_STRIDED},                       \
      {PM_OP_MATMUL, .type = id, .n_in = LONG(e), .n_out = 128, .flags = PM_CASE_PRECISE},                                     \
      {PM_OP_MATMUL, .type = id, .n_in = 2048, .n_out = 17},                                                                   \
      {PM_OP_MATMUL, .type = id, .n_in = LONG(e), .n_out = 67, .flags = PM_CASE_LOGITS},                                       \
      {PM_OP_MATMUL, .type = id, .type_up = id, .n_in = SHORT(e), .n_out = 33, .flags = PM_CASE_GATED},                        \
      {PM_OP_MATMUL, .type = id, .type_up = PM_TYPE_Q6_K, .n_in = 512, .n_out = 20, .flags = PM_CASE_GATED | PM_CASE_STRIDED}, \
      {PM_OP_MATMUL, .type = PM_TYPE_F32, .type_up = id, .n_in = LONG(e), .n_out = 16, .flags = PM_CASE_GATED},                \
      {PM_OP_EXPERTS_GLU, .type = id, .type_up = PM_TYPE_Q8_0, .n_in = 256, .n_out = 33, .n_batch = 6, .n_expert = 16},        \
      {PM_OP_EXPERTS_DOWN, .type = id, .n_in = LONG(e), .n_out = 40, .n_batch = 1, .n_expert = 3, .flags = PM_CASE_STRIDED},   \
  };
#define PM_FORMAT_SIZED(name, id, e, bytes)
#include "formats.def"
#undef PM_FORMAT
#undef PM_FORMAT_SIZED

// ---- rows: norms, rotation, router ----

static const pm_case row_cases[] = {
    {PM_OP_NORM, .n_in = 4},
    {PM_OP_NORM, .n_in = 36, .flags = PM_CASE_STRIDED},
    {PM_OP_NORM, .n_in = 1536},
    {PM_OP_NORM, .n_in = 5120, .flags = PM_CASE_LOGITS},
    {PM_OP_ROPE, .n_batch = 1},
    {PM_OP_ROPE, .n_batch = 16, .flags = PM_CASE_STRIDED},
    {PM_OP_ROPE, .n_batch = 5, .flags = PM_CASE_STRIDED | PM_CASE_IN_PLACE},
    {PM_OP_ROUTE, .n_in = 64, .n_batch = 6, .gating = PM_GATING_SOFTMAX},
    {PM_OP_ROUTE, .n_in = 160, .n_batch = 6, .gating = PM_GATING_SOFTMAX, .n_group = 8, .n_group_used = 3},
    {PM_OP_ROUTE, .n_in = 256, .n_batch = 8, .gating = PM_GATING_SIGMOID, .n_group = 8, .n_group_used = 4,
     .flags = PM_CASE_BIAS | PM_CASE_NORMALIZE},
    {PM_OP_ROUTE, .n_in = 384, .n_batch = 8, .gating = PM_GATING_SIGMOID, .n_group = 1, .n_group_used = 1,
     .flags = PM_CASE_BIAS | PM_CASE_NORMALIZE},
    {PM_OP_ROUTE, .n_in = 33, .n_batch = 4, .gating = PM_GATING_SOFTMAX_CHOSEN, .flags = PM_CASE_STRIDED},
    {PM_OP_ROUTE, .n_in = 5, .n_batch = 5, .gating = PM_GATING_SIGMOID, .flags = PM_CASE_NORMALIZE},
    {PM_OP_ROUTE, .n_in = 4, .n_batch = 1, .gating = PM_GATING_SOFTMAX, .n_group = 4, .n_group_used = 2, .flags = PM_CASE_BIAS},
    {PM_OP_ROUTE, .n_in = 64, .n_batch = 6, .gating = PM_GATING_SOFTMAX, .flags = PM_CASE_TIES},
    {PM_OP_ROUTE, .n_in = 160, .n_batch = 6, .gating = PM_GATING_SOFTMAX, .n_group = 8, .n_group_used = 3, .flags = PM_CASE_TIES},
    {PM_OP_ROUTE, .n_in = 256, .n_batch = 8, .gating = PM_GATING_SIGMOID, .n_group = 8, .n_group_used = 4,
     .flags = PM_CASE_TIES | PM_CASE_BIAS},
};

// ---- attention: {context before the step, rows, sequences} ----

static const pm_case_step attention_steps[] = {
    {1, 1, 1, 0}, {1, 1, 1, 1},  {1, 1, 1, 62}, {1, 1, 1, 63}, {1, 1, 1, 64}, {1, 1, 1, 499}, {2, 1, 2, 499},
    {3, 1, 1, 0}, {4, 1, 4, 33}, {5, 1, 1, 62}, {9, 3, 3, 63}, {33, 1, 1, 0}, {70, 2, 7, 60},
};

static const pm_case attention_cases_16[] = {
    {PM_OP_MLA_CACHE, .type = PM_TYPE_F16, .n_in = 64},
    {PM_OP_MLA_CACHE, .type = PM_TYPE_F32, .n_in = 36, .flags = PM_CASE_STRIDED},
    {PM_OP_MLA_ATTENTION, .type = PM_TYPE_F16, .n_in = 64, .n_batch = 8},
    {PM_OP_MLA_ATTENTION, .type = PM_TYPE_F32, .n_in = 64, .n_batch = 8, .flags = PM_CASE_STRIDED},
    {PM_OP_MLA_ATTENTION, .type = PM_TYPE_F16, .n_in = 36, .n_batch = 1},
    {PM_OP_MLA_ATTENTION, .type = PM_TYPE_F32, .n_in = 100, .n_batch = 19},
};

static const pm_case attention_cases_64[] = {
    {PM_OP_MLA_CACHE, .type = PM_TYPE_F16, .n_in = 512, .flags = PM_CASE_STRIDED},
    {PM_OP_MLA_CACHE, .type = PM_TYPE_F32, .n_in = 512},
    {PM_OP_MLA_ATTENTION, .type = PM_TYPE_F16, .n_in = 512, .n_batch = 16, .flags = PM_CASE_STRIDED},
    {PM_OP_MLA_ATTENTION, .type = PM_TYPE_F32, .n_in = 512, .n_batch = 3},
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const pm_case_group groups[] = {
#define PM_FORMAT(name, id, e, bytes) \
  {#name, cases_##name, IS_COMMON(id) ? COUNT(cases_##name) : N_LEAN, product_steps, COUNT(product_steps), 16},
#define PM_FORMAT_SIZED(name, id, e, bytes)
#include "formats.def"
#undef PM_FORMAT
#undef PM_FORMAT_SIZED
    {"rows", row_cases, COUNT(row_cases), product_steps, COUNT(product_steps), 64},
    {"attention 16", attention_cases_16, COUNT(attention_cases_16), attention_steps, COUNT(attention_steps), 16},
    {"attention 64", attention_cases_64, COUNT(attention_cases_64), attention_steps, COUNT(attention_steps), 64},
};

const pm_case_group *op_case_group(uint32_t i) { return i < COUNT(groups) ? &groups[i] : NULL; }

// ---- checking ----

static bool is_lean(const char *group) {
#define PM_FORMAT(name, id, e, bytes) \
  if (!IS_COMMON(id) && !strcmp(group, #name)) return true;
#define PM_FORMAT_SIZED(name, id, e, bytes)
#include "formats.def"
#undef PM_FORMAT
#undef PM_FORMAT_SIZED
  return false;
}

static bool is_wanted(const char *group, const char *only) {
  if (!only) return true;
  if (!strcmp(only, "common")) return !is_lean(group);
  if (!strcmp(only, "lean")) return is_lean(group);
  return !strcmp(only, group);
}

typedef struct tally {
  uint32_t n_run, n_failed;
  double worst;
} tally;

static bool on_case(void *user, const pm_case_result *r) {
  tally *t = user;
  t->n_run++;
  if (r->nmse > t->worst) t->worst = r->nmse;
  if (!r->passed && t->n_failed++ < 12) printf("  %s: %s\n", r->name, r->detail);
  return true;
}

void op_cases_check(const pm_case_target *tested, const pm_case_target *reference, const char *only) {
  uint32_t n_failed = 0, n_group = 0, n_case[PM_OP_COUNT] = {0};
  for (uint32_t i = 0; op_case_group(i); i++) {
    const pm_case_group *g = op_case_group(i);
    for (uint32_t k = 0; k < g->n_case; k++) n_case[g->cases[k].op]++;
    if (!is_wanted(g->name, only)) continue;
    n_group++;
    tally t = {0};
    pm_status status = pm_cases_run(g, tested, reference, test_seed() + i, on_case, &t);
    if (status) fail_msg("%s: %s", g->name, pm_fail_message());
    printf("%-13s %4u cases, %u failed, worst error %.1e\n", g->name, t.n_run, t.n_failed, t.worst);
    assert_int_equal(t.n_run, g->n_case * g->n_step);
    n_failed += t.n_failed;
  }
  for (int k = 0; k < PM_OP_COUNT; k++)
    if (!n_case[k]) fail_msg("no case for %s", pm_op_name((pm_op_kind)k));
  if (!n_group) fail_msg("no group is called %s", only);
  assert_int_equal(n_failed, 0);
}
