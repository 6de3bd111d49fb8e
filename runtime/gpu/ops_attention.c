// Attention over the latent cache: one dispatch, or two where the context is split among workgroups.
#include "mla_attention.h"

#include "ops.h"

// Cells that the estimate of the cost assumes: the recording does not know the positions.
enum { COST_CELLS = 4096 };

// Heads per workgroup: blocks of equal size, a multiple of 4, at most `most`.
static uint32_t head_block(uint32_t n_head, uint32_t most) {
  uint32_t n_block = pm_gpu_groups(n_head, most);
  return 4 * pm_gpu_groups(pm_gpu_groups(n_head, n_block), 4);
}

void pm_gpu_op_mla_attention(pm_gpu_recorder *r, const pm_op *op) {
  const pm_op_mla_attention *a = &op->mla_attention;
  uint32_t n_row = pm_gpu_rows(r, PM_ROWS_ALL), n_head = a->q.n_batch;
  pm_gpu_pick pick = pm_gpu_pick_find(r, (pm_gpu_shape){PM_OP_MLA_ATTENTION, n_row, 0, n_head * a->n_latent});
  uint32_t heads = head_block(n_head, pick.a), n_split = pick.b;
  pm_push_mla_attention push = {
      .q = pm_gpu_push_view(&a->q),
      .y = pm_gpu_push_view(&a->y),
      .kv_arena = a->kv->place.arena,
      .kv_at = pm_gpu_word(a->kv),
      .kv_row = (uint32_t)(pm_tensor_row_bytes(a->kv) / 4),
      .n_head = n_head,
      .n_latent = a->n_latent,
      .n_rope = a->q.n - a->n_latent,
      .scale = a->scale,
  };
  pm_tensor *partial = NULL;
  if (n_split > 1) {
    partial = pm_gpu_temp(r, "attention.partial", (uint64_t)n_row * n_head * n_split * (a->n_latent + 2));
    push.partial_at = pm_gpu_word(partial);
  }
  bool wide = pm_gpu_is_wide(&a->q) && a->q.n % 8 == 0 && push.kv_row % 4 == 0;
  uint32_t constants[] = {pick.workgroup,
                          n_split,
                          heads,
                          pm_gpu_groups(a->n_latent / 2, pick.workgroup),
                          a->kv->type == PM_TYPE_F16,
                          wide,
                          pm_gpu_traits_of(r)->subgroup};
  pm_gpu_record_read(r, a->q.tensor);
  pm_gpu_record_read(r, a->kv);
  pm_gpu_record_write(r, partial ? partial : a->y.tensor);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = pick.kernel,
                                               .constants = constants,
                                               .n_constant = 7,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {n_split, pm_gpu_groups(n_head, heads), n_row},
                                               .cost = (double)n_row * n_head * COST_CELLS * (2.0 * a->n_latent) / 16});
  if (!partial) return;
  uint32_t combine[] = {pick.workgroup, n_split, pick.workgroup};
  pm_gpu_record_read(r, partial);
  pm_gpu_record_write(r, a->y.tensor);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = "mla_combine",
                                               .constants = combine,
                                               .n_constant = 3,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {1, n_head, n_row},
                                               .cost = 4.0 * n_row * n_head * n_split * a->n_latent});
}
