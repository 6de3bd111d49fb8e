#include "synth_shape.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "synth.h"

// ---- tables --------------------------------------------------------------------------------------------------------

// From the published config.json of each model. The tiny ones are for tests: "tiny" is small, but with everything DeepSeek-V3 has, and
// "tiny-v2-lite" has V2-Lite's heads and experts, narrow ones.
static const pm_synth_model MODELS[] = {
    {"deepseek-v2-lite", "deepseek-llm",    .n_vocab = 102400,   .n_ctx = 163840, .n_layer = 27,     .n_dense = 1,  .d_model = 2048,
     .n_head = 16,       .n_latent = 512,   .n_nope = 128,       .n_rope = 64,    .n_value = 128,    .d_ff = 10944, .d_ff_expert = 1408,
     .n_expert = 64,     .n_used = 6,       .n_shared = 2,       .n_group = 1,    .n_group_used = 1, .scale = 1,    .eps = 1e-6f,
     .theta = 10000,     .yarn_factor = 40, .yarn_log = 0.0707f, .yarn_ctx = 4096},
    {"moonlight",       "kimi-k2",           .n_vocab = 163840, .n_ctx = 8192, .n_layer = 27, .n_dense = 1,
     .d_model = 2048,   .n_head = 16,        .n_latent = 512,   .n_nope = 128, .n_rope = 64,  .n_value = 128,
     .d_ff = 11264,     .d_ff_expert = 1408, .n_expert = 64,    .n_used = 6,   .n_shared = 2, .n_group = 1,
     .n_group_used = 1, .sigmoid = true,     .scale = 2.446f,   .eps = 1e-5f,  .theta = 50000},
    {"deepseek-v3",       "deepseek-v3",   .n_vocab = 129280, .n_ctx = 163840,   .n_layer = 61,    .n_dense = 3,      .d_model = 7168,
     .n_head = 128,       .q_lora = 1536,  .n_latent = 512,   .n_nope = 128,     .n_rope = 64,     .n_value = 128,    .d_ff = 18432,
     .d_ff_expert = 2048, .n_expert = 256, .n_used = 8,       .n_shared = 1,     .n_group = 8,     .n_group_used = 4, .sigmoid = true,
     .scale = 2.5f,       .eps = 1e-6f,    .theta = 10000,    .yarn_factor = 40, .yarn_log = 0.1f, .yarn_ctx = 4096},
    {"tiny",           "tiny",         .n_vocab = 320, .n_ctx = 4096,  .n_layer = 3,
     .n_dense = 1,     .d_model = 256, .n_head = 4,    .q_lora = 64,   .n_latent = 64,
     .n_nope = 32,     .n_rope = 16,   .n_value = 32,  .d_ff = 256,    .d_ff_expert = 32,
     .n_expert = 8,    .n_used = 2,    .n_shared = 1,  .n_group = 4,   .n_group_used = 2,
     .sigmoid = true,  .scale = 2.5f,  .eps = 1e-6f,   .theta = 10000, .yarn_factor = 16,
     .yarn_log = 0.1f, .yarn_ctx = 256},
    {"tiny-v2-lite", "tiny",         .n_vocab = 320,    .n_ctx = 4096,       .n_layer = 3,
     .n_dense = 1,   .d_model = 256, .n_head = 16,      .n_latent = 64,      .n_nope = 32,
     .n_rope = 16,   .n_value = 32,  .d_ff = 352,       .d_ff_expert = 96,   .n_expert = 64,
     .n_used = 6,    .n_shared = 2,  .n_group = 1,      .n_group_used = 1,   .scale = 1,
     .eps = 1e-6f,   .theta = 10000, .yarn_factor = 16, .yarn_log = 0.0707f, .yarn_ctx = 256},
};

typedef enum dim {
  ONE,
  MODEL,
  VOCAB,
  Q_LORA,
  QUERY,
  LATENT,
  LATENT_ROPE,
  NOPE,
  HEAD_VALUE,
  HEADS,
  HEAD_VALUES,
  FF,
  EXPERT_FF,
  SHARED_FF,
  EXPERTS,
  N_DIM
} dim;
typedef enum condition { LORA = 1, NO_LORA = 2, DENSE = 4, MOE = 8, BIAS = 16 } condition;

typedef struct tensor_row {
  const char *name;
  uint32_t when;  // conditions that must all hold
  dim ne[3];
} tensor_row;

static const tensor_row GLOBALS[] = {
    {"token_embd.weight", 0, {MODEL, VOCAB}},
    {"output_norm.weight", 0, {MODEL}},
    {"output.weight", 0, {MODEL, VOCAB}},
};

static const tensor_row LAYER[] = {
    {"attn_norm.weight", 0, {MODEL}},
    {"attn_q.weight", NO_LORA, {MODEL, QUERY}},
    {"attn_q_a.weight", LORA, {MODEL, Q_LORA}},
    {"attn_q_a_norm.weight", LORA, {Q_LORA}},
    {"attn_q_b.weight", LORA, {Q_LORA, QUERY}},
    {"attn_kv_a_mqa.weight", 0, {MODEL, LATENT_ROPE}},
    {"attn_kv_a_norm.weight", 0, {LATENT}},
    {"attn_k_b.weight", 0, {NOPE, LATENT, HEADS}},
    {"attn_v_b.weight", 0, {LATENT, HEAD_VALUE, HEADS}},
    {"attn_output.weight", 0, {HEAD_VALUES, MODEL}},
    {"ffn_norm.weight", 0, {MODEL}},
    {"ffn_gate.weight", DENSE, {MODEL, FF}},
    {"ffn_up.weight", DENSE, {MODEL, FF}},
    {"ffn_down.weight", DENSE, {FF, MODEL}},
    {"ffn_gate_inp.weight", MOE, {MODEL, EXPERTS}},
    {"exp_probs_b.bias", MOE | BIAS, {EXPERTS}},
    {"ffn_gate_exps.weight", MOE, {MODEL, EXPERT_FF, EXPERTS}},
    {"ffn_up_exps.weight", MOE, {MODEL, EXPERT_FF, EXPERTS}},
    {"ffn_down_exps.weight", MOE, {EXPERT_FF, MODEL, EXPERTS}},
    {"ffn_gate_shexp.weight", MOE, {MODEL, SHARED_FF}},
    {"ffn_up_shexp.weight", MOE, {MODEL, SHARED_FF}},
    {"ffn_down_shexp.weight", MOE, {SHARED_FF, MODEL}},
};
enum { N_MODEL = sizeof MODELS / sizeof *MODELS, N_GLOBAL = sizeof GLOBALS / sizeof *GLOBALS, N_LAYER_ROW = sizeof LAYER / sizeof *LAYER };

const char *pm_synth_shape(uint32_t i) { return i < N_MODEL ? MODELS[i].name : NULL; }

const char *pm_synth_mix(uint32_t i) { return pm_mix_row(i) ? pm_mix_row(i)->name : NULL; }

const pm_synth_model *pm_synth_model_find(const char *name) {
  for (uint32_t i = 0; i < N_MODEL; i++)
    if (!strcmp(MODELS[i].name, name)) return &MODELS[i];
  return NULL;
}

// ---- tensors -------------------------------------------------------------------------------------------------------

static void fill_dims(const pm_synth_model *m, uint64_t dims[N_DIM]) {
  const uint64_t values[N_DIM] = {
      [ONE] = 1,
      [MODEL] = m->d_model,
      [VOCAB] = m->n_vocab,
      [Q_LORA] = m->q_lora,
      [QUERY] = (uint64_t)m->n_head * (m->n_nope + m->n_rope),
      [LATENT] = m->n_latent,
      [LATENT_ROPE] = m->n_latent + m->n_rope,
      [NOPE] = m->n_nope,
      [HEAD_VALUE] = m->n_value,
      [HEADS] = m->n_head,
      [HEAD_VALUES] = (uint64_t)m->n_head * m->n_value,
      [FF] = m->d_ff,
      [EXPERT_FF] = m->d_ff_expert,
      [SHARED_FF] = (uint64_t)m->d_ff_expert * m->n_shared,
      [EXPERTS] = m->n_expert,
  };
  memcpy(dims, values, sizeof values);
}

// As a quantizer would have it from a file of floats.
static void append_tensor(const tensor_row *row, const char *prefix, const pm_mix *mix, const pm_mix_model *model, const uint64_t *dims,
                          pm_synth_tensor *t) {
  *t = (pm_synth_tensor){.n_dim = row->ne[2] ? 3 : row->ne[1] ? 2 : 1, .ne = {dims[row->ne[0]], dims[row->ne[1]], dims[row->ne[2]]}};
  snprintf(t->name, sizeof t->name, "%s%s", prefix, row->name);
  pm_file_tensor source = {.name = t->name, .type = PM_TYPE_F32, .n_dim = t->n_dim, .ne = {t->ne[0], t->ne[1], t->ne[2], 1}};
  t->type = pm_mix_choose(mix, model, &source, NULL);
  t->deviation = strstr(row->name, "norm") ? 0 : 1 / sqrtf((float)t->ne[0]);  // keeps sums of ne[0] products near 1
}

pm_synth_tensor *pm_synth_tensors(const pm_synth_model *m, const pm_mix *mix, uint32_t n_layer, pm_arena *arena, uint32_t *n) {
  const pm_mix_model model = {.n_layer = n_layer};
  uint64_t dims[N_DIM];
  fill_dims(m, dims);
  *n = 0;
  pm_synth_tensor *out = pm_arena_alloc(arena, (N_GLOBAL + (size_t)n_layer * N_LAYER_ROW) * sizeof *out);
  if (!out) return NULL;
  for (uint32_t i = 0; i < N_GLOBAL; i++) append_tensor(&GLOBALS[i], "", mix, &model, dims, &out[(*n)++]);
  for (uint32_t layer = 0; layer < n_layer; layer++) {
    uint32_t holds = (m->q_lora ? LORA : NO_LORA) | (layer < m->n_dense ? DENSE : MOE) | (m->sigmoid ? BIAS : 0);
    char prefix[16];
    snprintf(prefix, sizeof prefix, "blk.%u.", layer);
    for (uint32_t i = 0; i < N_LAYER_ROW; i++)
      if ((LAYER[i].when & holds) == LAYER[i].when) append_tensor(&LAYER[i], prefix, mix, &model, dims, &out[(*n)++]);
  }
  return out;
}

// ---- metadata ------------------------------------------------------------------------------------------------------

void pm_synth_put_metadata(pm_gguf_writer *w, const pm_synth_model *m, const pm_mix *mix, uint32_t n_layer) {
  enum { GATING_SOFTMAX = 1, GATING_SIGMOID = 2 };
  char name[96];
  snprintf(name, sizeof name, "%s shape, random weights", m->name);
  pm_gguf_put_string(w, "general.architecture", "deepseek2");
  pm_gguf_put_string(w, "general.name", name);
  pm_gguf_put_u32(w, "general.file_type", mix->file_type);
  pm_gguf_put_u32(w, "general.quantization_version", 2);
  const struct {
    const char *key;
    uint32_t value;
  } numbers[] = {
      {"deepseek2.vocab_size", m->n_vocab},
      {"deepseek2.context_length", m->n_ctx},
      {"deepseek2.embedding_length", m->d_model},
      {"deepseek2.block_count", n_layer},
      {"deepseek2.leading_dense_block_count", m->n_dense < n_layer ? m->n_dense : n_layer},
      {"deepseek2.feed_forward_length", m->d_ff},
      {"deepseek2.expert_feed_forward_length", m->d_ff_expert},
      {"deepseek2.expert_count", m->n_expert},
      {"deepseek2.expert_used_count", m->n_used},
      {"deepseek2.expert_shared_count", m->n_shared},
      {"deepseek2.expert_gating_func", m->sigmoid ? GATING_SIGMOID : GATING_SOFTMAX},
      {"deepseek2.expert_group_count", m->n_group},
      {"deepseek2.expert_group_used_count", m->n_group_used},
      {"deepseek2.attention.head_count", m->n_head},
      {"deepseek2.attention.head_count_kv", 1},  // one latent row for all heads
      {"deepseek2.attention.kv_lora_rank", m->n_latent},
      {"deepseek2.attention.key_length", m->n_latent + m->n_rope},
      {"deepseek2.attention.value_length", m->n_latent},
      {"deepseek2.attention.key_length_mla", m->n_nope + m->n_rope},
      {"deepseek2.attention.value_length_mla", m->n_value},
      {"deepseek2.rope.dimension_count", m->n_rope},
  };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) pm_gguf_put_u32(w, numbers[i].key, numbers[i].value);
  if (m->q_lora) pm_gguf_put_u32(w, "deepseek2.attention.q_lora_rank", m->q_lora);
  pm_gguf_put_f32(w, "deepseek2.attention.layer_norm_rms_epsilon", m->eps);
  pm_gguf_put_f32(w, "deepseek2.expert_weights_scale", m->scale);
  pm_gguf_put_bool(w, "deepseek2.expert_weights_norm", m->sigmoid);
  pm_gguf_put_f32(w, "deepseek2.rope.freq_base", m->theta);
  if (m->yarn_factor == 0) return;
  pm_gguf_put_string(w, "deepseek2.rope.scaling.type", "yarn");
  pm_gguf_put_f32(w, "deepseek2.rope.scaling.factor", m->yarn_factor);
  pm_gguf_put_u32(w, "deepseek2.rope.scaling.original_context_length", m->yarn_ctx);
  pm_gguf_put_f32(w, "deepseek2.rope.scaling.yarn_log_multiplier", m->yarn_log);
}
