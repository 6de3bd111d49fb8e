// Ops that treat rows one by one: embed, norm, rope, cache, route; and what all ops share.
#include <stdio.h>

#include "layout.h"
#include "ops.h"
#include "route.h"
#include "rows.h"

pm_gpu_op_fn *const pm_gpu_op_table[PM_OP_COUNT] = {
#define PM_OP(NAME, member, text) [PM_OP_##NAME] = pm_gpu_op_##member,
#include "ops.def"
#undef PM_OP
};

pm_push_view pm_gpu_push_view(const pm_view *v) {
  return (pm_push_view){.at = pm_gpu_word(v->tensor) + v->offset, .row = v->stride_row, .batch = v->stride_batch};
}

pm_push_weight pm_gpu_push_weight(const pm_tensor *w) {
  uint32_t row = (uint32_t)(pm_gpu_row_bytes(w->type, w->ne[0]) / 16);
  return (pm_push_weight){
      .arena = w->place.arena,
      .at = (uint32_t)(w->place.offset / 16),
      .row = row,
      .slab = row * (uint32_t)w->ne[1],
      .n_unit = pm_gpu_row_units(w->ne[0]),
      .n_in = (uint32_t)w->ne[0],
      .n_out = (uint32_t)w->ne[1],
  };
}

bool pm_gpu_is_wide(const pm_view *v) {
  return v->n % 4 == 0 && v->offset % 4 == 0 && v->stride_row % 4 == 0 && (v->n_batch == 1 || v->stride_batch % 4 == 0);
}

pm_push_view pm_gpu_push_input(pm_gpu_recorder *r, const pm_view *x) {
  if (!pm_gpu_is_wide(x))
    pm_gpu_record_fail(r, pm_fail(PM_ERR_UNSUPPORTED, "%s: products on Vulkan read rows whose width, offset and strides are multiples of 4",
                                  x->tensor->name));
  return pm_gpu_push_view(x);
}

pm_gpu_name pm_gpu_kernel_name(const char *kernel, pm_type type) {
  pm_gpu_name name;
  snprintf(name.text, sizeof name.text, "%s.%s", kernel, pm_format_get(type)->name);
  return name;
}

void pm_gpu_op_embed(pm_gpu_recorder *r, const pm_op *op) {
  const pm_op_embed *a = &op->embed;
  uint32_t n_row = pm_gpu_rows(r, PM_ROWS_ALL);
  pm_gpu_pick pick = pm_gpu_pick_find(r, (pm_gpu_shape){PM_OP_EMBED, n_row, .type = a->table->type});
  pm_push_view y = pm_gpu_push_view(&a->out);
  pm_push_embed push = {.table = pm_gpu_push_weight(a->table), .y_at = y.at, .y_row = y.row};
  pm_gpu_record_write(r, a->out.tensor);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = pm_gpu_kernel_name(pick.kernel, a->table->type).text,
                                               .constants = &pick.workgroup,
                                               .n_constant = 1,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {pm_gpu_groups(push.table.n_unit, pick.workgroup), n_row, 1},
                                               .cost = 4.0 * n_row * a->out.n});
}

void pm_gpu_op_norm(pm_gpu_recorder *r, const pm_op *op) {
  const pm_op_norm *a = &op->norm;
  uint32_t n_row = pm_gpu_rows(r, a->rows);
  pm_gpu_pick pick = pm_gpu_pick_find(r, (pm_gpu_shape){PM_OP_NORM, n_row});
  pm_push_view x = pm_gpu_push_view(&a->x), y = pm_gpu_push_view(&a->y);
  pm_push_norm push = {
      .weight_arena = a->weight->place.arena,
      .weight_at = pm_gpu_word(a->weight),
      .x_at = x.at,
      .x_row = x.row,
      .y_at = y.at,
      .y_row = y.row,
      .n = a->x.n,
      .eps = a->eps,
      .logits = a->rows == PM_ROWS_LOGITS,
  };
  pm_gpu_record_read(r, a->x.tensor);
  pm_gpu_record_write(r, a->y.tensor);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = pick.kernel,
                                               .constants = &pick.workgroup,
                                               .n_constant = 1,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {n_row, 1, 1},
                                               .cost = 8.0 * n_row * a->x.n});
}

void pm_gpu_op_rope(pm_gpu_recorder *r, const pm_op *op) {
  const pm_op_rope *a = &op->rope;
  uint32_t n_row = pm_gpu_rows(r, PM_ROWS_ALL);
  pm_gpu_pick pick = pm_gpu_pick_find(r, (pm_gpu_shape){PM_OP_ROPE, n_row});
  pm_push_rope push = {.x = pm_gpu_push_view(&a->x), .y = pm_gpu_push_view(&a->y), .n_pair = a->x.n / 2, .n_batch = a->x.n_batch};
  pm_gpu_record_read(r, a->x.tensor);
  pm_gpu_record_write(r, a->y.tensor);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = pick.kernel,
                                               .constants = &pick.workgroup,
                                               .n_constant = 1,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {pm_gpu_groups((uint64_t)push.n_pair * push.n_batch, pick.workgroup), n_row, 1},
                                               .cost = 8.0 * n_row * a->x.n * a->x.n_batch});
}

void pm_gpu_op_mla_cache(pm_gpu_recorder *r, const pm_op *op) {
  const pm_op_mla_cache *a = &op->mla_cache;
  uint32_t n_row = pm_gpu_rows(r, PM_ROWS_ALL);
  pm_gpu_pick pick = pm_gpu_pick_find(r, (pm_gpu_shape){PM_OP_MLA_CACHE, n_row});
  pm_push_view x = pm_gpu_push_view(&a->x);
  pm_push_mla_cache push = {
      .weight_arena = a->weight->place.arena,
      .weight_at = pm_gpu_word(a->weight),
      .x_at = x.at,
      .x_row = x.row,
      .kv_arena = a->kv->place.arena,
      .kv_at = pm_gpu_word(a->kv),
      .kv_row = (uint32_t)(pm_tensor_row_bytes(a->kv) / 4),
      .n_latent = a->n_latent,
      .n_rope = a->x.n - a->n_latent,
      .eps = a->eps,
  };
  uint32_t constants[] = {pick.workgroup, a->kv->type == PM_TYPE_F16};
  pm_gpu_record_read(r, a->x.tensor);
  pm_gpu_record_write(r, a->kv);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = pick.kernel,
                                               .constants = constants,
                                               .n_constant = 2,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {n_row, 1, 1},
                                               .cost = 8.0 * n_row * a->x.n});
}

void pm_gpu_op_route(pm_gpu_recorder *r, const pm_op *op) {
  const pm_op_route *a = &op->route;
  uint32_t n_row = pm_gpu_rows(r, PM_ROWS_ALL);
  pm_gpu_pick pick = pm_gpu_pick_find(r, (pm_gpu_shape){PM_OP_ROUTE, n_row});
  pm_push_view logits = pm_gpu_push_view(&a->logits), ids = pm_gpu_push_view(&a->ids), weights = pm_gpu_push_view(&a->weights);
  pm_push_route push = {
      .logits_at = logits.at,
      .logits_row = logits.row,
      .ids_at = ids.at,
      .ids_row = ids.row,
      .weights_at = weights.at,
      .weights_row = weights.row,
      .bias_arena = a->bias ? a->bias->place.arena : 0,
      .bias_at = a->bias ? pm_gpu_word(a->bias) : 0,
      .n_expert = a->logits.n,
      .n_used = a->ids.n,
      .n_group = a->n_group,
      .n_group_used = a->n_group_used,
      .scale = a->scale,
  };
  uint32_t constants[] = {pick.workgroup, a->gating, a->bias != NULL, a->normalize};
  pm_gpu_record_read(r, a->logits.tensor);
  pm_gpu_record_write(r, a->ids.tensor);
  pm_gpu_record_write(r, a->weights.tensor);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = pick.kernel,
                                               .constants = constants,
                                               .n_constant = 4,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {n_row, 1, 1},
                                               .cost = 1.0 * n_row * a->logits.n * a->logits.n / 16});
}
