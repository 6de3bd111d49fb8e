// Experts that come and go: which of a table's are where, the records that a step needs first, and what the host computed.
#include "bring.h"
#include "layout.h"
#include "ops.h"

uint64_t pm_gpu_slot_at(const pm_expert_table *t, int matrix) {
  uint64_t at = 0;
  for (int m = 0; m < matrix; m++) {
    const pm_tensor *w = pm_expert_matrix(t, m);
    at += pm_gpu_slab_bytes(w->type, w->ne[0], w->ne[1]);
  }
  return at;
}

uint64_t pm_gpu_home_at(const pm_expert_table *t, int matrix) {
  uint64_t at = 0;
  for (int m = 0; m < matrix; m++) at += pm_tensor_slab_bytes(pm_expert_matrix(t, m));
  return at;
}

// What a pass over a table's misses works on.
typedef struct pass {
  const pm_gpu_bring *a;
  pm_gpu_board board;
  uint32_t n_fill;  // at most
  const pm_tensor *fills;
} pass;

static void record_resolve(pm_gpu_recorder *r, const pass *p) {
  const pm_gpu_bring *a = p->a;
  const pm_gpu_board *board = &p->board;
  uint32_t workgroup = pm_gpu_traits_of(r)->max_invocations, n_expert = a->experts->n_expert;
  if (workgroup > 256) workgroup = 256;
  pm_push_resolve push = {
      .n_expert = n_expert,
      .all = !a->ids,
      .few = a->ids && board->few,
      .first = a->wave * board->n_ring,
      .ring_first = board->few ? 0 : board->ring_first,
      .n_ring = board->n_ring,
      .board_at = board->at,
      .max_victim = board->max_victim,
      .table_at = pm_gpu_table_first(r, a->experts),
      .up_at = (uint32_t)(pm_gpu_slot_at(a->experts, 1) / 16),
      .down_at = (uint32_t)(pm_gpu_slot_at(a->experts, 2) / 16),
      .fills_at = pm_gpu_word(p->fills),
  };
  if (a->ids) {
    pm_push_view ids = pm_gpu_push_view(a->ids);
    push.ids_at = ids.at, push.ids_row = ids.row, push.n_used = a->ids->n;
    pm_gpu_record_read(r, a->ids->tensor);
  }
  pm_gpu_record_write(r, p->fills);
  pm_gpu_record_write(r, board->entries);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = "experts_resolve",
                                               .constants = &workgroup,
                                               .n_constant = 1,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {1, 1, 1},
                                               .cost = 64.0 * n_expert});
}

// Blocks that a workgroup takes at a time: about 4 KiB of the file's row, and a multiple of 16.
static uint32_t chunk_blocks(uint32_t block_bytes) {
  uint32_t n = 4096 / block_bytes / 16 * 16;
  return n ? n : 16;
}

static void record_fill(pm_gpu_recorder *r, const pass *p, int matrix) {
  enum { WORKGROUP = 128, WORDS = 4 };  // WORDS: that an invocation copies at a time
  const pm_tensor *w = pm_expert_matrix(p->a->experts, matrix);
  const pm_format *f = pm_format_get(w->type);
  const pm_gpu_traits *traits = pm_gpu_traits_of(r);
  uint32_t n_block = (uint32_t)(w->ne[0] / f->block_elements), chunk = chunk_blocks(f->block_bytes);
  pm_push_fill push = {
      .fills_at = pm_gpu_word(p->fills),
      .home_at = (uint32_t)pm_gpu_home_at(p->a->experts, matrix),
      .home_row = (uint32_t)pm_tensor_row_bytes(w),
      .slot_at = (uint32_t)(pm_gpu_slot_at(p->a->experts, matrix) / 16),
      .slot_row = (uint32_t)(pm_gpu_row_bytes(w->type, w->ne[0]) / 16),
      .n_block = n_block,
      .n_row = (uint32_t)w->ne[1],
  };
  _Static_assert(sizeof push.part_words / sizeof *push.part_words == PM_GPU_PARTS, "the kernel knows as many parts");
  pm_gpu_part parts[PM_GPU_PARTS + 1];
  pm_gpu_parts(w->type, parts);
  bool plain = !parts[1].bytes && push.home_row == 16 * push.slot_row && push.home_at % 16 == 0;
  uint32_t constants[5 + 2 * PM_GPU_PARTS] = {WORKGROUP, traits->home_arenas, plain, f->block_bytes, chunk};
  for (int i = 0; i < PM_GPU_PARTS; i++) {
    constants[5 + 2 * i] = parts[i].from, constants[6 + 2 * i] = parts[i].bytes;
    push.part_words[i] = (uint32_t)(pm_gpu_part_bytes(w->type, parts[i], w->ne[0]) / 16);
  }
  // Enough workgroups to keep a link busy, which loop over what there is; they are gone at once where there is nothing.
  uint64_t items = p->n_fill * (plain ? pm_gpu_groups((uint64_t)push.slot_row * push.n_row, WORDS * WORKGROUP)
                                      : (uint64_t)push.n_row * pm_gpu_groups(n_block, chunk));
  uint32_t most = traits->software ? 16 : 512;
  pm_gpu_record_read(r, p->fills);
  pm_gpu_record_write(r, &p->board.slots[matrix]);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = "experts_fill",
                                               .constants = constants,
                                               .n_constant = sizeof constants / sizeof *constants,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {items < most ? (uint32_t)items : most, 1, 1},
                                               .cost = (double)p->n_fill * push.home_row * push.n_row});
}

void pm_gpu_record_bring(pm_gpu_recorder *r, const pm_gpu_bring *a) {
  pass p = {.a = a, .n_fill = a->experts->n_expert};
  if (!pm_gpu_board_find(r, a->experts, &p.board) || (a->ids && p.board.ahead)) return;
  if (a->ids && pm_gpu_rows(r, PM_ROWS_ALL) * a->ids->n < p.n_fill) p.n_fill = pm_gpu_rows(r, PM_ROWS_ALL) * a->ids->n;
  if (!(a->ids && p.board.few) && p.board.n_ring < p.n_fill) p.n_fill = p.board.n_ring;
  p.fills = pm_gpu_temp(r, a->ids ? "experts.fills" : "experts.fills.ahead", PM_FILL_WORDS(p.n_fill));
  record_resolve(r, &p);
  for (int m = 0; m < 3; m++) record_fill(r, &p, m);
}

void pm_gpu_record_fills(pm_gpu_recorder *r, const pm_expert_table *t, const pm_tensor *fills, uint32_t n_fill) {
  pass p = {.a = &(pm_gpu_bring){.experts = t}, .n_fill = n_fill, .fills = fills};
  if (!pm_gpu_board_find(r, t, &p.board)) return;
  for (int m = 0; m < 3; m++) record_fill(r, &p, m);
}

void pm_gpu_record_read_experts(pm_gpu_recorder *r, const pm_expert_table *t, int first, int end) {
  pm_gpu_board board;
  if (!pm_gpu_board_find(r, t, &board)) return;
  pm_gpu_record_read(r, board.entries);
  for (int m = first; m < end; m++) pm_gpu_record_read(r, &board.slots[m]);
}

void pm_gpu_record_join(pm_gpu_recorder *r, const pm_expert_table *t, const pm_view *y) {
  enum { WORKGROUP = 64 };
  pm_gpu_board board;
  if (!pm_gpu_board_find(r, t, &board)) return;
  pm_push_view to = pm_gpu_push_view(y);
  uint32_t n_row = pm_gpu_rows(r, PM_ROWS_ALL), workgroup = WORKGROUP;
  pm_push_join push = {.answer_at = board.answer_at, .y_at = to.at, .y_row = to.row, .n = y->n};
  pm_gpu_record_write(r, y->tensor);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = "experts_join",
                                               .constants = &workgroup,
                                               .n_constant = 1,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {pm_gpu_groups(y->n, WORKGROUP), n_row, 1},
                                               .cost = 12.0 * n_row * y->n});
}
