// The parts of the GPU backend that compute only: places, barriers, row buckets, the choice of a device.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gpu.h"
#include "hazard.h"
#include "rng.h"

// ---- places ----

static void packs_without_overlap(void **state) {
  (void)state;
  pm_rng rng = pm_rng_seed(7);
  pm_gpu_packer p = {.limit = 1 << 20, .capacity = PM_GPU_ARENAS};
  struct {
    pm_place place;
    uint64_t bytes;
  } items[64];
  uint64_t sum = 0;
  for (int i = 0; i < 64; i++) {
    items[i].bytes = 1 + pm_rng_next(&rng) % 200000;
    assert_true(pm_gpu_pack(&p, items[i].bytes, &items[i].place));
    assert_int_equal(items[i].place.offset % PM_GPU_ALIGN, 0);
    assert_true(items[i].place.arena < p.n && items[i].place.offset + items[i].bytes <= p.used[items[i].place.arena]);
    assert_true(p.used[items[i].place.arena] <= p.limit);
    sum += items[i].bytes;
    for (int j = 0; j < i; j++)
      if (items[j].place.arena == items[i].place.arena)
        assert_true(items[j].place.offset + items[j].bytes <= items[i].place.offset ||
                    items[i].place.offset + items[i].bytes <= items[j].place.offset);
  }
  assert_true(pm_gpu_packed(&p) >= sum && pm_gpu_packed(&p) < sum + 64 * PM_GPU_ALIGN);
}

static void refuses_what_cannot_be_packed(void **state) {
  (void)state;
  pm_gpu_packer p = {.limit = 1024, .capacity = 2};
  pm_place place;
  assert_false(pm_gpu_pack(&p, 1025, &place));
  assert_true(pm_gpu_pack(&p, 1024, &place));
  assert_true(pm_gpu_pack(&p, 600, &place));
  assert_int_equal(place.arena, 1);
  assert_true(pm_gpu_pack(&p, 256, &place));
  assert_int_equal(place.offset, 768);
  assert_false(pm_gpu_pack(&p, 1, &place));
}

// A program with a table of 8 experts, on a device whose buffers are far too small for all slabs in one.
static void plans_a_program(void **state) {
  (void)state;
  pm_program p;
  pm_program_init(&p, 16, 4, 8);
  const uint64_t in_out[3] = {64, 100, 8}, out_in[3] = {100, 64, 8}, norm[3] = {64, 1, 1};
  static const float zeros[64 * 100 * 8];
  pm_tensor *up = pm_program_weight(&p, "up", PM_TYPE_F32, in_out, zeros, 0),
            *gate = pm_program_weight(&p, "gate", PM_TYPE_F32, in_out, zeros, 0);
  pm_tensor *down = pm_program_weight(&p, "down", PM_TYPE_F32, out_in, zeros, 0),
            *weight = pm_program_weight(&p, "norm", PM_TYPE_F32, norm, zeros, 0);
  pm_program_experts(&p, gate, up, down);
  pm_tensor *kv = pm_program_kv(&p, "kv", PM_TYPE_F16, 72, 33), *x = pm_program_scratch(&p, "x", 65), *y = pm_program_scratch(&p, "y", 3);
  pm_tensor temp = {.name = "temp", .role = PM_ROLE_SCRATCH, .type = PM_TYPE_F32, .ne = {10, 1, 1}}, *temps[] = {&temp};
  pm_gpu_plan plan;
  assert_int_equal(pm_gpu_plan_init(&plan, &p, NULL, temps, 1, (pm_gpu_bounds){100000, 4}), PM_OK);

  uint64_t slab = pm_gpu_slab_bytes(PM_TYPE_F32, 64, 100), padded = (slab + 255) / 256 * 256;
  assert_int_equal(slab, 64 * 100 * 4);
  assert_int_equal(plan.n_entry, 24);
  assert_int_equal(plan.weights.n, 8);  // three slabs each
  for (uint32_t i = 0; i < 24; i++) {
    assert_true(plan.entries[i].arena < plan.weights.n);
    assert_true(16ull * plan.entries[i].unit + slab <= plan.weights.used[plan.entries[i].arena]);
    for (uint32_t j = 0; j < i; j++)
      assert_false(plan.entries[i].arena == plan.entries[j].arena && plan.entries[i].unit == plan.entries[j].unit);
  }
  assert_true(pm_gpu_packed(&plan.weights) >= 24 * padded + 256);
  assert_int_equal(plan.largest_row, pm_gpu_slab_bytes(PM_TYPE_F32, 100, 1));
  assert_int_equal(weight->place.offset, 0);
  assert_int_equal(plan.kv.used[0], (72 * 33 * 2 + 255) / 256 * 256);
  assert_int_equal(kv->place.offset, 0);
  assert_int_equal(y->place.offset - x->place.offset, (65 * 16 * 4 + 255) / 256 * 256);
  assert_true(temp.place.offset >= y->place.offset + 3 * 16 * 4);
  assert_int_equal(plan.scratch_bytes, temp.place.offset + 256);
  assert_int_equal(plan.step_bytes, 4 * (4 + 16 * 4 + 4 + 16 * 8));
  pm_gpu_plan_finish(&plan);

  assert_int_equal(pm_gpu_plan_init(&plan, &p, NULL, temps, 1, (pm_gpu_bounds){20000, 4}), PM_ERR_UNSUPPORTED);  // a slab is larger
  assert_non_null(strstr(pm_fail_message(), "tensor up"));
  pm_gpu_plan_finish(&plan);
  assert_int_equal(pm_gpu_plan_init(&plan, &p, NULL, temps, 1, (pm_gpu_bounds){34000, 4}),
                   PM_ERR_UNSUPPORTED);  // 24 arenas would be needed
  assert_non_null(strstr(pm_fail_message(), "16 buffers"));
  pm_gpu_plan_finish(&plan);
  pm_program_finish(&p);
}

// ---- barriers ----

static void orders_by_tensor(void **state) {
  (void)state;
  pm_tensor a, b, c;
  pm_gpu_hazards h = {0};
  const struct {
    const pm_tensor *read, *write;
    bool barrier;
  } steps[] = {
      {NULL, &a, false},  // first write
      {NULL, &b, false},  // another tensor: may overlap
      {&a, &c, true},     // read after write
      {&a, NULL, false},  // read after read
      {&b, NULL, false},  // b's write lies before the barrier
      {NULL, &a, true},   // write after read
      {&b, NULL, false},  // not touched since
      {&b, &b, true},     // in place, after its own read
      {NULL, &b, true},   // write after write
      {&c, NULL, false},
  };
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    if (steps[i].read) pm_gpu_hazards_add(&h, steps[i].read, false);
    if (steps[i].write) pm_gpu_hazards_add(&h, steps[i].write, true);
    if (pm_gpu_hazards_flush(&h) != steps[i].barrier) fail_msg("dispatch %zu: barrier expected %d", i, steps[i].barrier);
  }
}

// Against a plain model: random accesses; without a barrier no two dispatches may conflict.
static void never_misses_a_hazard(void **state) {
  (void)state;
  static pm_tensor tensors[100];
  pm_rng rng = pm_rng_seed(11);
  pm_gpu_hazards h = {0};
  bool written[100] = {0}, read[100] = {0};  // since the last barrier
  uint32_t n_barrier = 0, n_needed = 0;
  for (int d = 0; d < 20000; d++) {
    uint32_t r = (uint32_t)(pm_rng_next(&rng) % 100), w = (uint32_t)(pm_rng_next(&rng) % 100);
    pm_gpu_hazards_add(&h, &tensors[r], false);
    pm_gpu_hazards_add(&h, &tensors[w], true);
    bool needed = written[r] || written[w] || read[w], barrier = pm_gpu_hazards_flush(&h);
    assert_true(barrier || !needed);
    n_barrier += barrier, n_needed += needed;
    if (barrier) memset(written, 0, sizeof written), memset(read, 0, sizeof read);
    written[w] = read[r] = true;
  }
  assert_true(n_needed > 1000);
  assert_true(n_barrier <= n_needed + n_needed / 10);  // few for want of slots
}

// ---- buckets ----

static void rounds_rows_up(void **state) {
  (void)state;
  pm_program p = {.max_rows = 300, .max_logits = 20};
  const struct {
    uint32_t n_row, n_logit, rows, logits;
  } cases[] = {{1, 0, 1, 1},    {1, 1, 1, 1},     {2, 2, 2, 2},     {3, 1, 4, 1},      {5, 5, 8, 8},
               {64, 3, 64, 20}, {65, 2, 128, 20}, {257, 1, 300, 1}, {300, 20, 300, 20}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(pm_gpu_bucket_rows(&p, cases[i].n_row), cases[i].rows);
    assert_int_equal(pm_gpu_bucket_logits(&p, cases[i].n_row, cases[i].n_logit), cases[i].logits);
  }
}

// ---- the choice of a device ----

static void chooses_a_device(void **state) {
  (void)state;
  const pm_gpu_probe probes[] = {
      {.info = {.name = "llvmpipe (LLVM 15, 256 bits)",
                .kind = PM_GPU_SOFTWARE,
                .usable = true,
                .memory_total = 1ull << 40,
                .uuid = "00000000-0000-0000-0000-000000000001"}},
      {.info = {.name = "Intel Iris", .kind = PM_GPU_INTEGRATED, .usable = true, .memory_total = 64ull << 30, .pci = "0000:00:02.0"}},
      {.info = {.name = "Radeon RX 6600",
                .kind = PM_GPU_DISCRETE,
                .usable = true,
                .memory_total = 8ull << 30,
                .pci = "0000:03:00.0",
                .uuid = "00000000-0300-0000-0000-00000000000a"}},
      {.info = {.name = "Radeon RX 6800", .kind = PM_GPU_DISCRETE, .usable = true, .memory_total = 16ull << 30, .pci = "0000:04:00.0"}},
      {.info = {.name = "Old Radeon",
                .kind = PM_GPU_DISCRETE,
                .memory_total = 32ull << 30,
                .reason = "its driver is too old",
                .pci = "0000:05:00.0"}},
  };
  const struct {
    const char *wanted;
    uint32_t n;
    pm_status status;
    uint32_t index;
    const char *says;
  } cases[] = {
      {NULL, 5, PM_OK, 3, NULL},  // the larger discrete one that can be used
      {"", 3, PM_OK, 2, NULL},
      {"", 2, PM_OK, 1, NULL},
      {"", 1, PM_ERR_UNSUPPORTED, 0, "only when named"},
      {"", 0, PM_ERR_UNSUPPORTED, 0, "no Vulkan device"},
      {"0", 5, PM_OK, 0, NULL},
      {"llvmPIPE", 5, PM_OK, 0, NULL},
      {"radeon", 5, PM_OK, 2, NULL},
      {"03:00.0", 5, PM_OK, 2, NULL},
      {"0000:04:00.0", 5, PM_OK, 3, NULL},
      {"00000000-0300-0000-0000-00000000000A", 5, PM_OK, 2, NULL},
      {"5", 5, PM_ERR_ARGUMENT, 0, "this machine has 5"},
      {"Voodoo", 5, PM_ERR_ARGUMENT, 0, "Voodoo"},
      {"old", 5, PM_ERR_UNSUPPORTED, 0, "too old"},
      {"4", 5, PM_ERR_UNSUPPORTED, 0, "too old"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint32_t index = 99;
    pm_status status = pm_gpu_choose(probes, cases[i].n, cases[i].wanted, &index);
    if (status != cases[i].status) fail_msg("case %zu: status %d, expected %d", i, status, cases[i].status);
    if (!status && index != cases[i].index) fail_msg("case %zu: device %u, expected %u", i, index, cases[i].index);
    if (cases[i].says && !strstr(pm_fail_message(), cases[i].says))
      fail_msg("case %zu: \"%s\" does not say \"%s\"", i, pm_fail_message(), cases[i].says);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(packs_without_overlap), cmocka_unit_test(refuses_what_cannot_be_packed), cmocka_unit_test(plans_a_program),
      cmocka_unit_test(orders_by_tensor),      cmocka_unit_test(never_misses_a_hazard),         cmocka_unit_test(rounds_rows_up),
      cmocka_unit_test(chooses_a_device),
  };
  return cmocka_run_group_tests_name("gpu_plan", tests, NULL, NULL);
}
