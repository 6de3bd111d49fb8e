// A step's work as a flat list of operations. Blocks append, backends run; nothing here computes.
//
// What changes from step to step (rows, tokens, positions, rotation angles) is in pm_step; the program never changes,
// so that a backend can record it once and replay it.
#ifndef PM_OP_H
#define PM_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "status.h"
#include "tensor.h"

typedef enum pm_op_kind {
#define PM_OP(NAME, member, text) PM_OP_##NAME,
#include "ops.def"
#undef PM_OP
  PM_OP_COUNT
} pm_op_kind;

// Over which rows an op runs: all rows of the step, or the compacted list of rows whose logits are wanted.
typedef enum pm_rows { PM_ROWS_ALL, PM_ROWS_LOGITS } pm_rows;

// out[r][:] = decode(table row token[r]).                                   table {d, n_vocab}, out [n_row][d]
typedef struct pm_op_embed {
  const pm_tensor *table;
  pm_view out;
} pm_op_embed;

// y[r] = x[r] / sqrt(mean(x[r]^2) + eps) * weight  (Zhang and Sennrich 2019).  x, y [n_row][d], weight F32 {d}
// With PM_ROWS_LOGITS, x has all rows and y row i is made from x row logit_row[i].
typedef struct pm_op_norm {
  pm_view x, y;
  const pm_tensor *weight;
  float eps;
  pm_rows rows;
} pm_op_norm;

// For every row r and batch item b: y[r][b][o] = sum_i W[b][o][i] x[r][b][i].  W {in, out, n_batch}
// w_up set:    y = silu(W x) * (W_up x), SwiGLU (Shazeer 2020); W_up has the shape of W (its type may differ).
// accumulate:  y += ... (never with w_up).
// precise:     x has outliers that 8-bit activation blocks would drown the rest in; backends keep it in float.
typedef struct pm_op_matmul {
  const pm_tensor *w, *w_up;
  pm_view x, y;
  bool accumulate, precise;
  pm_rows rows;
} pm_op_matmul;

// y[r][b][2i], y[r][b][2i+1] = pair (x[2i], x[2i+1]) rotated by the angle of pair i at row r's position (Su et al. 2021).
// x and y may be different tensors (copying) or the same view.
typedef struct pm_op_rope {
  pm_view x, y;
} pm_op_rope;

// Cache row of row r (cell = base + pos): [ rmsnorm(x[r][0..n_latent)) * weight | rope(x[r][n_latent..)) ].
// x [n_row][n_latent + n_rope], kv {n_latent + n_rope, n_cell} of F16 or F32.  DeepSeek-V2 (arXiv 2405.04434), section 2.1
typedef struct pm_op_mla_cache {
  pm_view x;
  const pm_tensor *weight;
  const pm_tensor *kv;
  uint32_t n_latent;
  float eps;
} pm_op_mla_cache;

// For row r, head h, over cells base .. base + pos (the row's own cell included; causal by construction):
// score_j = scale * q[r][h] . kv[j];  y[r][h] = sum_j softmax(score)_j kv[j][0..n_latent).
// q [n_row][n_head][n_latent + n_rope], y [n_row][n_head][n_latent]
typedef struct pm_op_mla_attention {
  pm_view q, y;
  const pm_tensor *kv;
  uint32_t n_latent;
  float scale;
} pm_op_mla_attention;

typedef enum pm_gating {
  PM_GATING_SOFTMAX = 1,
  PM_GATING_SIGMOID = 2,
  PM_GATING_SOFTMAX_CHOSEN = 3
} pm_gating;  // values of expert_gating_func

// Chooses n_used of n experts for every row; equal scores: the lower index wins. The order is that of falling score.
// probs = softmax or sigmoid of the logits; selection by probs + bias; with n_group > 1 only the n_group_used best groups take
// part (group score: sum of the two best with a bias, the best one without: DeepSeek-V3 arXiv 2412.19437 2.1.2, V2 2.2.2).
// weight = probs of the chosen, divided by their sum (at least 2^-14) if normalize, times scale.
// logits [n_row][n_expert]; ids I32 [n_row][n_used]; weights [n_row][n_used]
typedef struct pm_op_route {
  pm_view logits, ids, weights;
  const pm_tensor *bias;  // F32 {n_expert}, or NULL
  pm_gating gating;
  uint32_t n_group, n_group_used;  // n_group <= 1: no groups
  bool normalize;
  float scale;  // 1 = none
} pm_op_route;

// Where the experts of one layer are: matrix m (gate, up, down) of expert e lies at slab[m][e] on the CPU.
// A backend keeps its own image of this table; a later owner may move an expert and change its entry between steps.
typedef struct pm_expert_table {
  uint32_t n_expert;
  const pm_tensor *gate, *up, *down;  // {d, d_ff, n_expert}, {d, d_ff, n_expert}, {d_ff, d, n_expert}
  const void **slab[3];
} pm_expert_table;

// The matrices of a table in the order of its slabs.
static inline const pm_tensor *pm_expert_matrix(const pm_expert_table *t, int m) { return m == 0 ? t->gate : m == 1 ? t->up : t->down; }

// Bytes of one expert, its three matrices packed as in the file.
static inline uint64_t pm_expert_bytes(const pm_expert_table *t) {
  return pm_tensor_slab_bytes(t->gate) + pm_tensor_slab_bytes(t->up) + pm_tensor_slab_bytes(t->down);
}

// y[r][k] = silu(gate_e x[r]) * (up_e x[r]) with e = ids[r][k].   x [n_row][d], y [n_row][n_used][d_ff]
typedef struct pm_op_experts_glu {
  const pm_expert_table *experts;
  pm_view x, ids, y;
} pm_op_experts_glu;

// y[r] += sum_k weights[r][k] * (down_e x[r][k]) with e = ids[r][k].   x [n_row][n_used][d_ff], y [n_row][d]
typedef struct pm_op_experts_down {
  const pm_expert_table *experts;
  pm_view x, ids, weights, y;
} pm_op_experts_down;

typedef struct pm_op {
  pm_op_kind kind;
  int32_t layer;  // -1 outside the layers; for printing and profiles
  union {
#define PM_OP(NAME, member, text) pm_op_##member member;
#include "ops.def"
#undef PM_OP
  };
} pm_op;

// Sees what a program multiplies, on backends that can show it (the CPU's fast path): values x[w->ne[0]] that meet slab `slab` of weight w.
// Of a product with two weights only the first is named. Called by one thread at a time.
typedef struct pm_observer {
  void *user;
  void (*see)(void *user, const pm_tensor *w, uint64_t slab, const float *x);
} pm_observer;

// A program owns its lists; tensors live in its arena. The first failure of an append is kept and returned by pm_program_check.
typedef struct pm_program {
  pm_arena arena;
  pm_op *ops;
  uint32_t n_op, op_capacity;
  pm_tensor **tensors;  // every tensor that an op names: weights, cache, scratch
  uint32_t n_tensor, tensor_capacity;
  pm_expert_table **tables;
  uint32_t n_table, table_capacity;
  uint32_t max_rows;            // rows of one step
  uint32_t max_logits;          // of which may want logits
  uint32_t n_rope;              // values rotated per head: pm_step.rope holds n_rope / 2 pairs per row
  pm_tensor *logits;            // OUTPUT [max_logits][n_vocab]
  const pm_observer *observer;  // NULL: nobody looks
  pm_status error;
  char message[256];
} pm_program;

void pm_program_init(pm_program *p, uint32_t max_rows, uint32_t max_logits, uint32_t n_rope);
void pm_program_finish(pm_program *p);

// Adds a tensor; the name is copied. Never NULL: after a failure a dummy is returned and the error is latched.
pm_tensor *pm_program_weight(pm_program *p, const char *name, pm_type type, const uint64_t ne[3], const void *host, size_t slab_bytes);
// Cuts a weight {in, out} in two: it keeps its first `n_row` rows, the others become a weight of their own. Before any op names it.
pm_tensor *pm_program_cut(pm_program *p, const pm_tensor *w, uint64_t n_row);
pm_tensor *pm_program_kv(pm_program *p, const char *name, pm_type type, uint64_t n, uint64_t n_cell);
// F32 [max_rows][n]; asking again with the same name and width gives the same tensor, so layers share their scratch.
pm_tensor *pm_program_scratch(pm_program *p, const char *name, uint64_t n);
pm_tensor *pm_program_output(pm_program *p, const char *name, pm_type type, uint64_t n, uint64_t n_row);
pm_expert_table *pm_program_experts(pm_program *p, const pm_tensor *gate, const pm_tensor *up, const pm_tensor *down);

// Whether the tensor is a matrix of an expert table.
bool pm_program_is_expert(const pm_program *p, const pm_tensor *t);

// Groups the tables whose experts have the same types and shapes: class_of[i] is the class of table i, classes are numbered in order of
// their first table. Returns the number of classes.
uint32_t pm_program_expert_classes(const pm_program *p, uint32_t *class_of);

// Changes the sizes of steps and of the cache after the program was built, before a backend has loaded it; at most to those it was
// built with.
void pm_program_resize(pm_program *p, uint32_t max_rows, uint32_t max_logits, uint32_t n_cell);

// Appends an op after checking its shapes.
void pm_program_append(pm_program *p, pm_op op);
pm_status pm_program_check(const pm_program *p) PM_MUST_USE;

const char *pm_op_name(pm_op_kind kind);

// One row of a step. Cache cell of the row: base + pos.
typedef struct pm_row {
  uint32_t token;
  uint32_t pos;   // 0-based position in its sequence
  uint32_t base;  // first cache cell of its sequence
} pm_row;

typedef struct pm_step {
  uint32_t n_row;             // 1 .. max_rows
  uint32_t n_logit;           // 0 .. max_logits
  const pm_row *rows;         // rows of one sequence are in order of position and contiguous
  const uint32_t *logit_row;  // [n_logit] indices into rows
  const float *rope;          // [n_row][n_rope / 2][2]: cosine and sine of each pair's angle, made in double precision
} pm_step;

#endif
