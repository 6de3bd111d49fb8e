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

// At most so many fills of a step whose rows choose n_used experts each.
static uint32_t most_fills(pm_gpu_recorder *r, const pm_expert_table *t, uint32_t n_used, const pm_gpu_board *board) {
  uint64_t n_pair = (uint64_t)pm_gpu_rows(r, PM_ROWS_ALL) * n_used;
  return board->ahead || n_pair > t->n_expert ? t->n_expert : (uint32_t)n_pair;
}

// Tables that are brought ahead take turns with two lists: one is read while the next is found.
static const pm_tensor *fill_list(pm_gpu_recorder *r, const pm_expert_table *t, const pm_gpu_board *board) {
  return pm_gpu_temp(r, board->ahead && board->index % 2 ? "experts.fills.1" : "experts.fills", PM_FILL_WORDS(t->n_expert));
}

void pm_gpu_record_resolve(pm_gpu_recorder *r, const pm_expert_table *t, const pm_view *ids) {
  pm_gpu_board board;
  if (!pm_gpu_board_find(r, t, &board)) return;
  uint32_t workgroup = pm_gpu_traits_of(r)->max_invocations;
  if (workgroup > 256) workgroup = 256;
  const pm_tensor *fills = fill_list(r, t, &board);
  pm_push_resolve push = {
      .n_expert = t->n_expert,
      .all = !ids,
      .few = board.few,
      .wave = board.wave,
      .n_half = board.n_half,
      .first_pass = !board.ahead,
      .board_at = board.at,
      .max_victim = board.max_victim,
      .table_at = pm_gpu_table_first(r, t),
      .up_at = (uint32_t)(pm_gpu_slot_at(t, 1) / 16),
      .down_at = (uint32_t)(pm_gpu_slot_at(t, 2) / 16),
      .fills_at = pm_gpu_word(fills),
  };
  if (ids) {
    pm_push_view from = pm_gpu_push_view(ids);
    push.ids_at = from.at, push.ids_row = from.row, push.n_used = ids->n;
    pm_gpu_record_read(r, ids->tensor);
  }
  pm_gpu_record_write(r, fills);
  pm_gpu_record_write(r, board.entries);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = "experts_resolve",
                                               .constants = &workgroup,
                                               .n_constant = 1,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {1, 1, 1},
                                               .cost = 64.0 * t->n_expert});
}

// Blocks that a workgroup takes at a time: about 4 KiB of the file's row, and a multiple of 16.
static uint32_t chunk_blocks(uint32_t block_bytes) {
  uint32_t n = 4096 / block_bytes / 16 * 16;
  return n ? n : 16;
}

// A part of a list of fills.
typedef struct part {
  const pm_tensor *fills;
  uint32_t first, n_fill;  // n_fill: at most
  const pm_tensor *slots;  // [3] to declare as written; NULL: barriers do not follow from that (pm_gpu_record_fence)
} part;

static void record_matrix(pm_gpu_recorder *r, const pm_expert_table *t, const part *p, int matrix) {
  enum { WORKGROUP = 128, WORDS = 4 };  // WORDS: that an invocation copies at a time
  const pm_tensor *w = pm_expert_matrix(t, matrix);
  const pm_format *f = pm_format_get(w->type);
  const pm_gpu_traits *traits = pm_gpu_traits_of(r);
  uint32_t n_block = (uint32_t)(w->ne[0] / f->block_elements), chunk = chunk_blocks(f->block_bytes);
  pm_push_fill push = {
      .fills_at = pm_gpu_word(p->fills),
      .first = p->first,
      .n_fill = p->n_fill,
      .home_at = (uint32_t)pm_gpu_home_at(t, matrix),
      .home_row = (uint32_t)pm_tensor_row_bytes(w),
      .slot_at = (uint32_t)(pm_gpu_slot_at(t, matrix) / 16),
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
  if (p->slots) pm_gpu_record_write(r, &p->slots[matrix]);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = "experts_fill",
                                               .constants = constants,
                                               .n_constant = sizeof constants / sizeof *constants,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {items < most ? (uint32_t)items : most, 1, 1},
                                               .cost = (double)p->n_fill * push.home_row * push.n_row});
}

void pm_gpu_record_fill(pm_gpu_recorder *r, const pm_expert_table *t, uint32_t n_used, uint32_t wave, int first, int end) {
  pm_gpu_board board;
  if (!pm_gpu_board_find(r, t, &board)) return;
  part p = {.fills = fill_list(r, t, &board), .n_fill = most_fills(r, t, n_used, &board), .slots = board.slots};
  if (!board.few) p.first = wave * board.wave, p.n_fill = board.wave;
  for (int m = first; m < end; m++) record_matrix(r, t, &p, m);
}

void pm_gpu_record_fills(pm_gpu_recorder *r, const pm_expert_table *t, const pm_tensor *fills, uint32_t n_fill) {
  pm_gpu_board board;
  if (!pm_gpu_board_find(r, t, &board)) return;
  for (int m = 0; m < 3; m++) record_matrix(r, t, &(part){.fills = fills, .n_fill = n_fill, .slots = board.slots}, m);
}

void pm_gpu_record_read_experts(pm_gpu_recorder *r, const pm_expert_table *t, int first, int end) {
  pm_gpu_board board;
  if (!pm_gpu_board_find(r, t, &board)) return;
  pm_gpu_record_read(r, board.entries);
  for (int m = first; m < end && board.slots; m++) pm_gpu_record_read(r, &board.slots[m]);
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
