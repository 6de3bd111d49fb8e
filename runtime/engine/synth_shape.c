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

typedef enum tensor_class { EMBED, OUTPUT, ATTENTION, VALUE, GATE_UP, DOWN, PLAIN, ONES, N_CLASS } tensor_class;

// The type of each class. VALUE and DOWN suffer most from coarse types: layers that are `favoured` get `more` for them.
struct pm_synth_mix_row {
  const char *name;
  uint32_t file_type;  // general.file_type
  pm_type type[PLAIN];
  pm_type more;
};
#define ALL(T) {PM_TYPE_##T, PM_TYPE_##T, PM_TYPE_##T, PM_TYPE_##T, PM_TYPE_##T, PM_TYPE_##T}, PM_TYPE_##T
#define WITH_Q6_K(T) {PM_TYPE_##T, PM_TYPE_Q6_K, PM_TYPE_##T, PM_TYPE_##T, PM_TYPE_##T, PM_TYPE_##T}, PM_TYPE_Q6_K
static const pm_synth_mix_row MIXES[] = {
    {"Q4_K_M", 15, WITH_Q6_K(Q4_K)},
    {"Q5_K_M", 17, WITH_Q6_K(Q5_K)},
    {"Q6_K", 18, ALL(Q6_K)},
    {"Q8_0", 7, ALL(Q8_0)},
    {"Q4_0", 2, {PM_TYPE_Q4_0, PM_TYPE_Q6_K, PM_TYPE_Q4_0, PM_TYPE_Q4_0, PM_TYPE_Q4_0, PM_TYPE_Q4_0}, PM_TYPE_Q4_0},
    {"F16", 1, ALL(F16)},
    {"BF16", 32, ALL(BF16)},
    {"F32", 0, ALL(F32)},
};

// What a quantizer takes instead where rows are not whole blocks.
static const struct substitute {
  pm_type wanted, instead;
} SUBSTITUTES[] = {
    {PM_TYPE_Q4_K, PM_TYPE_Q5_0}, {PM_TYPE_Q5_K, PM_TYPE_Q5_1}, {PM_TYPE_Q6_K, PM_TYPE_Q8_0}, {PM_TYPE_Q4_0, PM_TYPE_F16},
    {PM_TYPE_Q5_0, PM_TYPE_F16},  {PM_TYPE_Q8_0, PM_TYPE_F16},  {PM_TYPE_Q5_1, PM_TYPE_F16},
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
  tensor_class class;
  uint32_t when;  // conditions that must all hold
  dim ne[3];
} tensor_row;

static const tensor_row GLOBALS[] = {
    {"token_embd.weight", EMBED, 0, {MODEL, VOCAB}},
    {"output_norm.weight", ONES, 0, {MODEL}},
    {"output.weight", OUTPUT, 0, {MODEL, VOCAB}},
};

static const tensor_row LAYER[] = {
    {"attn_norm.weight", ONES, 0, {MODEL}},
    {"attn_q.weight", ATTENTION, NO_LORA, {MODEL, QUERY}},
    {"attn_q_a.weight", ATTENTION, LORA, {MODEL, Q_LORA}},
    {"attn_q_a_norm.weight", ONES, LORA, {Q_LORA}},
    {"attn_q_b.weight", ATTENTION, LORA, {Q_LORA, QUERY}},
    {"attn_kv_a_mqa.weight", ATTENTION, 0, {MODEL, LATENT_ROPE}},
    {"attn_kv_a_norm.weight", ONES, 0, {LATENT}},
    {"attn_k_b.weight", ATTENTION, 0, {NOPE, LATENT, HEADS}},
    {"attn_v_b.weight", VALUE, 0, {LATENT, HEAD_VALUE, HEADS}},
    {"attn_output.weight", ATTENTION, 0, {HEAD_VALUES, MODEL}},
    {"ffn_norm.weight", ONES, 0, {MODEL}},
    {"ffn_gate.weight", GATE_UP, DENSE, {MODEL, FF}},
    {"ffn_up.weight", GATE_UP, DENSE, {MODEL, FF}},
    {"ffn_down.weight", DOWN, DENSE, {FF, MODEL}},
    {"ffn_gate_inp.weight", PLAIN, MOE, {MODEL, EXPERTS}},
    {"exp_probs_b.bias", PLAIN, MOE | BIAS, {EXPERTS}},
    {"ffn_gate_exps.weight", GATE_UP, MOE, {MODEL, EXPERT_FF, EXPERTS}},
    {"ffn_up_exps.weight", GATE_UP, MOE, {MODEL, EXPERT_FF, EXPERTS}},
    {"ffn_down_exps.weight", DOWN, MOE, {EXPERT_FF, MODEL, EXPERTS}},
    {"ffn_gate_shexp.weight", GATE_UP, MOE, {MODEL, SHARED_FF}},
    {"ffn_up_shexp.weight", GATE_UP, MOE, {MODEL, SHARED_FF}},
    {"ffn_down_shexp.weight", DOWN, MOE, {SHARED_FF, MODEL}},
};
enum {
  N_MODEL = sizeof MODELS / sizeof *MODELS,
  N_MIX = sizeof MIXES / sizeof *MIXES,
  N_GLOBAL = sizeof GLOBALS / sizeof *GLOBALS,
  N_LAYER_ROW = sizeof LAYER / sizeof *LAYER
};

const char *pm_synth_shape(uint32_t i) { return i < N_MODEL ? MODELS[i].name : NULL; }

const char *pm_synth_mix(uint32_t i) { return i < N_MIX ? MIXES[i].name : NULL; }

const pm_synth_model *pm_synth_model_find(const char *name) {
  for (uint32_t i = 0; i < N_MODEL; i++)
    if (!strcmp(MODELS[i].name, name)) return &MODELS[i];
  return NULL;
}

const pm_synth_mix_row *pm_synth_mix_find(const char *name) {
  for (uint32_t i = 0; i < N_MIX; i++)
    if (!strcmp(MIXES[i].name, name)) return &MIXES[i];
  return NULL;
}

// ---- tensors -------------------------------------------------------------------------------------------------------

// The first and last eighth of the layers, and every third of those between: half of them in all.
static bool favoured(uint32_t layer, uint32_t n_layer) {
  uint32_t edge = n_layer / 8;
  return layer < edge || layer >= n_layer - edge || (layer - edge) % 3 == 2;
}

static pm_type choose_type(const pm_synth_mix_row *mix, tensor_class class, bool more, uint64_t row) {
  if (class >= PLAIN) return PM_TYPE_F32;
  pm_type type = more && (class == VALUE || class == DOWN) ? mix->more : mix->type[class];
  for (uint32_t i = 0; i < sizeof SUBSTITUTES / sizeof *SUBSTITUTES;) {
    const pm_format *format = pm_format_get(type);
    if (row % format->block_elements == 0 && format->random) break;
    bool found = SUBSTITUTES[i].wanted == type;
    type = found ? SUBSTITUTES[i].instead : type;
    i = found ? 0 : i + 1;
  }
  return type;
}

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

static pm_synth_tensor make_tensor(const tensor_row *row, const pm_synth_mix_row *mix, const uint64_t *dims, bool more) {
  pm_synth_tensor t = {.ne = {dims[row->ne[0]], dims[row->ne[1]], dims[row->ne[2]]}};
  t.n_dim = row->ne[2] ? 3 : row->ne[1] ? 2 : 1;
  t.type = choose_type(mix, row->class, more, t.ne[0]);
  t.deviation = row->class == ONES ? 0 : 1 / sqrtf((float)t.ne[0]);  // keeps sums of ne[0] products near 1
  return t;
}

pm_synth_tensor *pm_synth_tensors(const pm_synth_model *m, const pm_synth_mix_row *mix, uint32_t n_layer, pm_arena *arena, uint32_t *n) {
  uint64_t dims[N_DIM];
  fill_dims(m, dims);
  *n = 0;
  pm_synth_tensor *out = pm_arena_alloc(arena, (N_GLOBAL + (size_t)n_layer * N_LAYER_ROW) * sizeof *out);
  if (!out) return NULL;
  for (uint32_t i = 0; i < N_GLOBAL; i++) {
    out[*n] = make_tensor(&GLOBALS[i], mix, dims, false);
    snprintf(out[(*n)++].name, sizeof out->name, "%s", GLOBALS[i].name);
  }
  for (uint32_t layer = 0; layer < n_layer; layer++) {
    uint32_t holds = (m->q_lora ? LORA : NO_LORA) | (layer < m->n_dense ? DENSE : MOE) | (m->sigmoid ? BIAS : 0);
    for (uint32_t i = 0; i < N_LAYER_ROW; i++) {
      if ((LAYER[i].when & holds) != LAYER[i].when) continue;
      out[*n] = make_tensor(&LAYER[i], mix, dims, favoured(layer, n_layer));
      snprintf(out[(*n)++].name, sizeof out->name, "blk.%u.%s", layer, LAYER[i].name);
    }
  }
  return out;
}

// ---- metadata ------------------------------------------------------------------------------------------------------

void pm_synth_put_metadata(pm_gguf_writer *w, const pm_synth_model *m, const pm_synth_mix_row *mix, uint32_t n_layer) {
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
