#include "rounding_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pick.h"
#include "test_seed.h"

typedef struct tally {
  uint32_t n;
  double worst;
} tally;

static bool on_case(void *user, const pm_case_result *r) {
  tally *t = user;
  if (!r->passed) fail_msg("%s: %s", r->name, r->detail);
  t->n++, t->worst = r->nmse > t->worst ? r->nmse : t->worst;
  return true;
}

static pm_status make_gpu(void *user, pm_backend **out) { return pm_gpu_create(user, out); }

void rounding_rows_check(const rounding_rows *f, const char *op, const pm_case *cases, uint32_t n_case, uint32_t n_most) {
  pm_gpu_desc desc = f->desc;
  pm_case_target target = f->limits;
  target.make = make_gpu, target.user = &desc;
  uint32_t n_row = 0;
  for (uint32_t row = 0; row < pm_gpu_pick_count() && n_row < n_most; row++) {
    const char *text = pm_gpu_pick_text(row);
    if (strncmp(text, op, strlen(op)) || !strstr(text, f->class)) continue;
    tally t = {0};
    pm_case_group g = {text, cases, n_case, f->steps, f->n_step, 16};
    pm_gpu_pick_force(row);
    pm_status status = pm_cases_run(&g, &target, NULL, test_seed() + row, on_case, &t);
    pm_gpu_pick_force(UINT32_MAX);
    if (status) fail_msg("%s: %s", text, pm_fail_message());
    assert_int_equal(t.n, n_case * f->n_step);
    assert_true(t.worst > f->least);
    print_message("# %s: %u cases, worst error %.1e\n", text, t.n, t.worst);
    n_row++;
  }
  assert_true(n_row > 0);
}
