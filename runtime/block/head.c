#include "block.h"

// Some devices bind no more than 128 MiB at once, and the head of a large vocabulary is the one matrix that outgrows that.
static const size_t head_bytes = 96 << 20;

static void append_rows(pm_program *p, const pm_tensor *w, pm_tensor *x, uint32_t first) {
  pm_view y = pm_view_slice(pm_view_rows(p->logits), first, (uint32_t)w->ne[1]);
  pm_program_append(p, (pm_op){PM_OP_MATMUL, -1, .matmul = {.w = w, .x = pm_view_rows(x), .y = y, .rows = PM_ROWS_LOGITS}});
}

void pm_block_head(pm_program *p, const pm_tensor *norm, float eps, const pm_tensor *output, bool own, pm_tensor *x) {
  pm_tensor *last = pm_program_scratch(p, "output_norm", x->ne[0]);
  pm_program_append(p, (pm_op){PM_OP_NORM, -1, .norm = {pm_view_rows(x), pm_view_rows(last), norm, eps, PM_ROWS_LOGITS}});
  uint64_t n = head_bytes / pm_tensor_row_bytes(output) / 64 * 64, first = 0;
  while (own && n && output->ne[1] > n && !p->error) {
    const pm_tensor *rest = pm_program_cut(p, output, n);
    append_rows(p, output, last, (uint32_t)first);
    output = rest, first += n;
  }
  append_rows(p, output, last, (uint32_t)first);
}
