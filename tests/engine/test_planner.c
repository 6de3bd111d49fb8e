// Plans: within every budget, the better the more memory there is, from a header alone, never across memory that is one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "memory.h"
#include "plan.h"
#include "rng.h"
#include "synth.h"

static const uint64_t GIB = 1ull << 30, MIB = 1u << 20;

typedef struct subject {
  uint8_t *header;
  pm_model_file *file;
  pm_model model;
  pm_program program;
  pm_plan_sizes sizes;
} subject;

static void open_shape(const char *shape, subject *s) {
  *s = (subject){0};
  pm_model_file_desc how = {.header_only = true};
  assert_int_equal(pm_synth_header(shape, NULL, &s->header, &how.n_bytes), PM_OK);
  how.bytes = s->header;
  assert_int_equal(pm_model_file_open(shape, &how, &s->file), PM_OK);
  assert_int_equal(pm_model_init(&s->model, s->file, false), PM_OK);
  assert_int_equal(pm_plan_build(&s->model, &s->sizes, &s->program), PM_OK);
}

static void close_shape(subject *s) {
  pm_program_finish(&s->program);
  pm_model_finish(&s->model);
  pm_model_file_close(s->file);
  pm_free(s->header);
}

static pm_plan_desc describe(subject *s, uint64_t vram, uint64_t ram) {
  pm_plan_desc d = {.program = &s->program, .sizes = s->sizes, .machine = pm_machine_typical()};
  d.machine.vram = vram, d.machine.ram = ram;
  return d;
}

static uint64_t count_all(const pm_program *p) {
  uint64_t n = 0;
  for (uint32_t i = 0; i < p->n_table; i++) n += p->tables[i]->n_expert;
  return n;
}

// What must hold of every plan.
static void check_plan(const pm_plan_desc *d, const pm_plan *plan) {
  if (!plan->fits) {
    assert_true(*plan->reason != 0);
    return;
  }
  uint64_t device = pm_plan_total(&plan->device), host = pm_plan_total(&plan->host) + plan->host.page_cache;
  assert_true(device <= plan->device_budget && host <= plan->host_budget);
  assert_true(d->cpu || plan->device_budget <= d->machine.vram);
  assert_true(plan->host_budget < d->machine.ram);
  assert_true((!d->vram_limit || plan->device_budget <= d->vram_limit) && (!d->ram_limit || plan->host_budget <= d->ram_limit));
  if (plan->unified) assert_true(device + host <= plan->device_budget && !plan->tiered);
  assert_int_equal(plan->in_slots.n_expert + plan->in_homes.n_expert + plan->on_disk.n_expert, count_all(d->program));
  assert_true(plan->decode.seconds > 0 && plan->prompt.seconds > 0);
  if (!plan->tiered) {
    assert_true(plan->on_disk.n_expert == 0 && plan->device.ring == 0 && plan->host.homes == 0);
    return;
  }
  uint64_t slots = 0, ring = 0, homes = 0, n_slot = 0;
  for (uint32_t c = 0; c < plan->experts.n_class; c++) {
    const pm_expert_class *class = &plan->experts.classes[c];
    slots += class->n_slot * class->slot_bytes, ring += class->n_ring * class->slot_bytes, homes += class->n_home * class->home_bytes;
    n_slot += class->n_slot;
    assert_true(d->cpu ? class->n_slot == 0 && class->n_ring == 0 : class->n_ring >= 2);
  }
  assert_true(slots == plan->device.slots && ring == plan->device.ring && homes == plan->host.homes);
  assert_int_equal(n_slot, plan->in_slots.n_expert);
  assert_true(plan->mode == PM_PLAN_CPU || !d->stream_only || plan->mode == PM_PLAN_STREAM);
}

static void test_budgets(void **state) {
  (void)state;
  static const char *const shapes[] = {"tiny", "deepseek-v2-lite", "deepseek-v3"};
  pm_rng rng = pm_rng_seed(7);
  uint32_t modes[PM_PLAN_CPU + 1] = {0}, n_refused = 0, n_disk = 0, n_shorter = 0;
  for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
    subject s;
    open_shape(shapes[k], &s);
    for (int i = 0; i < 400; i++) {
      uint64_t most = k ? 512 * GIB : 2 * GIB;  // sizes over five powers of two, each equally likely
      uint64_t vram = (most >> (pm_rng_next(&rng) % 10)) / 1024 * (1 + pm_rng_next(&rng) % 1024),
               ram = (most >> (pm_rng_next(&rng) % 6)) * 2;
      pm_plan_desc d = describe(&s, vram, ram);
      d.cpu = pm_rng_next(&rng) % 4 == 0;
      d.machine.unified = pm_rng_next(&rng) % 4 == 0;
      d.stream_only = pm_rng_next(&rng) % 2 == 0;
      if (pm_rng_next(&rng) % 4 == 0) d.vram_limit = vram / 2;
      if (pm_rng_next(&rng) % 4 == 0) d.ram_limit = ram / 2;
      if (pm_rng_next(&rng) % 2 == 0) d.expert_bits = 2.3;
      pm_plan plan;
      assert_int_equal(pm_plan_make(&d, &plan), PM_OK);
      check_plan(&d, &plan);
      if (plan.fits) modes[plan.mode]++;
      n_refused += !plan.fits, n_disk += plan.on_disk.n_expert > 0, n_shorter += *plan.note != 0;
      pm_plan_finish(&plan);
    }
    close_shape(&s);
  }
  assert_true(n_refused > 20 && n_disk > 20 && n_shorter > 5);  // the sweep went everywhere
  assert_true(modes[PM_PLAN_RESIDENT] > 20 && modes[PM_PLAN_STREAM] > 20 && modes[PM_PLAN_SPLIT] > 20 && modes[PM_PLAN_CPU] > 20);
}

static void test_monotone(void **state) {
  (void)state;
  subject s;
  open_shape("deepseek-v3", &s);
  for (uint64_t ram = 64; ram <= 1024; ram *= 4) {
    double before = 1e30, hit = 0;
    for (uint64_t vram = 12 * 4; vram < 500 * 4; vram += 7) {
      pm_plan_desc d = describe(&s, vram * GIB / 4, ram * GIB);
      d.sizes.keep_ctx = d.sizes.keep_batch = true;
      pm_plan plan;
      assert_int_equal(pm_plan_make(&d, &plan), PM_OK);
      if (!plan.fits || plan.hit < hit ||
          plan.decode.seconds > before * 1.08)  // a card and a processor that read side by side are a little sooner
        fail_msg("%.2f GiB beside %d GiB: %s, hit rate %.4f after %.4f, %.4f s after %.4f s", (double)d.machine.vram / (double)GIB,
                 (int)ram, plan.reason, plan.hit, hit, plan.decode.seconds, before);
      before = plan.decode.seconds < before ? plan.decode.seconds : before, hit = plan.hit;
      pm_plan_finish(&plan);
    }
    assert_true(hit == 1);  // all of it fits in the end
  }
  close_shape(&s);
}

static void test_context(void **state) {
  (void)state;
  subject s;
  open_shape("deepseek-v3", &s);
  pm_plan_desc d = describe(&s, 12 * GIB, 256 * GIB);
  pm_plan plan;
  assert_int_equal(pm_plan_make(&d, &plan), PM_OK);
  assert_true(plan.fits && plan.n_ctx == 4096 && plan.n_batch == 512 && !*plan.note);
  uint64_t always = plan.device.weights + plan.device.kv + plan.device.scratch;
  pm_plan_finish(&plan);

  d = describe(&s, 64 * GIB, 256 * GIB);
  d.vram_limit = always + 64 * MIB;  // no room for a ring
  assert_int_equal(pm_plan_make(&d, &plan), PM_OK);
  assert_true(plan.fits && plan.n_ctx == 4096 && plan.n_batch < 512 && strstr(plan.note, "context of 4096 tokens"));
  assert_int_equal(s.program.max_rows, plan.n_batch);
  pm_plan_finish(&plan);

  d = describe(&s, 64 * GIB, 256 * GIB);
  d.vram_limit = always - 100 * MIB, d.sizes.keep_batch = true;
  assert_int_equal(pm_plan_make(&d, &plan), PM_OK);
  assert_true(!plan.fits && strstr(plan.reason, "GiB may be used"));
  pm_plan_finish(&plan);
  close_shape(&s);
}

static void test_larger_steps(void **state) {
  (void)state;
  subject s;
  open_shape("deepseek-v3", &s);
  pm_plan plan, kept;
  for (uint64_t vram = 16; vram <= 48; vram += 8) {
    pm_plan_desc d = describe(&s, vram * GIB, 384 * GIB);
    d.sizes.keep_batch = true;
    assert_int_equal(pm_plan_make(&d, &kept), PM_OK);
    assert_true(kept.fits && kept.n_batch == 512);
    d.sizes.keep_batch = false;
    assert_int_equal(pm_plan_make(&d, &plan), PM_OK);
    check_plan(&d, &plan);
    assert_true(plan.n_batch == 1024 || plan.n_batch == 2048);
    assert_int_equal(s.program.max_rows, plan.n_batch);
    assert_true(plan.decode.seconds < 1.05 * kept.decode.seconds);
    assert_true(plan.prompt.seconds / plan.n_batch < 0.6 * kept.prompt.seconds / kept.n_batch);
    pm_plan_finish(&plan);
    pm_plan_finish(&kept);
  }
  pm_plan_desc d = describe(&s, 768 * GIB, 768 * GIB);  // nothing streams
  assert_int_equal(pm_plan_make(&d, &plan), PM_OK);
  assert_true(plan.mode == PM_PLAN_RESIDENT && plan.n_batch == 512 && s.program.max_rows == 512);
  pm_plan_finish(&plan);
  close_shape(&s);
}

// A ring for the experts of one token is enough for all that passes through it.
static void test_least_ring(void **state) {
  (void)state;
  subject s;
  open_shape("deepseek-v3", &s);
  pm_plan_desc d = describe(&s, 12 * GIB, 512 * GIB);
  d.stream_only = true, d.expert_bits = 4.5;
  pm_plan plan;
  assert_int_equal(pm_plan_make(&d, &plan), PM_OK);
  check_plan(&d, &plan);
  assert_true(plan.fits && plan.n_ctx == 4096 && plan.mode == PM_PLAN_STREAM);
  assert_int_equal(plan.experts.classes[0].n_ring, s.model.config.n_expert_used);
  pm_plan_finish(&plan);
  close_shape(&s);
}

static void test_unified(void **state) {
  (void)state;
  subject s;
  open_shape("deepseek-v2-lite", &s);
  for (uint64_t size = 2; size <= 32; size *= 2) {
    pm_plan_desc d = describe(&s, size * GIB, size * GIB);
    d.machine.unified = true;
    pm_plan plan;
    assert_int_equal(pm_plan_make(&d, &plan), PM_OK);
    check_plan(&d, &plan);
    assert_int_equal(plan.fits, size >= 16);
    assert_true(!plan.fits || plan.mode == PM_PLAN_RESIDENT);
    pm_plan_finish(&plan);
    d.apart = true, d.machine.ram *= 4;  // simulated as a card of its own
    assert_int_equal(pm_plan_make(&d, &plan), PM_OK);
    if (plan.unified || !plan.fits) fail_msg("%d GiB apart: %s", (int)size, plan.reason);
    assert_int_equal(plan.tiered, size < 16);
    pm_plan_finish(&plan);
  }
  close_shape(&s);
}

// ---- files ---------------------------------------------------------------------------------------------------------

static void copy_beginning(const char *from, const char *to, size_t bytes) {
  FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
  char *buffer = malloc(bytes);
  assert_true(in && out && buffer && fread(buffer, 1, bytes, in) == bytes && fwrite(buffer, 1, bytes, out) == bytes);
  fclose(in);
  fclose(out);
  free(buffer);
}

static void test_truncated(void **state) {
  (void)state;
  char path[] = "/tmp/pm-planner-XXXXXX";
  close(mkstemp(path));
  pm_plan_answer whole, cut;
  pm_plan_request r = {.path = PM_DEMO_MODEL, .device = "cpu"};
  assert_int_equal(pm_plan_file(&r, &whole), PM_OK);
  copy_beginning(PM_DEMO_MODEL, path, 6000000);
  r.path = path;
  assert_int_equal(pm_plan_file(&r, &cut), PM_OK);
  assert_true(whole.plan.fits && cut.plan.fits && whole.file_bytes == cut.file_bytes);
  assert_memory_equal(&whole.plan.host, &cut.plan.host, sizeof cut.plan.host);
  pm_plan_finish(&cut.plan);
  pm_plan_finish(&whole.plan);
  copy_beginning(PM_DEMO_MODEL, path, 5000);  // inside the header
  assert_int_equal(pm_plan_file(&r, &cut), PM_ERR_FORMAT);
  pm_plan_finish(&cut.plan);
  unlink(path);
}

static void test_requests(void **state) {
  (void)state;
  pm_plan_answer a;
  pm_plan_request r = {.path = "deepseek-v3", .vram = 24 * GIB, .ram = 192 * GIB, .expert_bits = 2.3};
  assert_int_equal(pm_plan_file(&r, &a), PM_OK);
  assert_true(a.plan.fits && a.plan.mode == PM_PLAN_SPLIT && a.plan.on_disk.n_expert == 0);
  pm_plan_finish(&a.plan);
  r.sizes.n_ctx = 1 << 30;
  assert_int_equal(pm_plan_file(&r, &a), PM_ERR_ARGUMENT);
  pm_plan_finish(&a.plan);
  r = (pm_plan_request){.path = "deepseek-v3", .device = "card", .vram = 6 * GIB, .ram = 768 * GIB};
  assert_int_equal(pm_plan_file(&r, &a), PM_OK);
  assert_true(!a.plan.fits);
  pm_plan_finish(&a.plan);
  r.device = NULL;  // whoever has the choice takes the processor
  assert_int_equal(pm_plan_file(&r, &a), PM_OK);
  assert_true(a.plan.fits && a.plan.mode == PM_PLAN_CPU && strstr(a.plan.note, "on the processor: "));
  pm_plan_finish(&a.plan);
  r.vram = 0, r.device = "card";
  assert_int_equal(pm_plan_file(&r, &a), PM_ERR_ARGUMENT);
  pm_plan_finish(&a.plan);
}

static void test_error(void **state) {
  (void)state;
  pm_plan plan = {.tiered = true, .device = {.weights = 100 * MIB, .slots = 60 * MIB, .ring = 40 * MIB}, .host = {.homes = 300 * MIB}};
  pm_memory_use use = {.weights = 100 * MIB, .slots = 100 * MIB, .homes = 300 * MIB};
  const char *worst;
  assert_true(pm_plan_error(&plan, &use, &worst) == 0 && !*worst);
  use.slots = 96 * MIB;
  double error = pm_plan_error(&plan, &use, &worst);
  assert_true(error > 0.041 && error < 0.042);
  assert_string_equal(worst, "slots");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_budgets), cmocka_unit_test(test_monotone),     cmocka_unit_test(test_context),
      cmocka_unit_test(test_unified), cmocka_unit_test(test_truncated),    cmocka_unit_test(test_requests),
      cmocka_unit_test(test_error),   cmocka_unit_test(test_larger_steps), cmocka_unit_test(test_least_ring),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
