// DeepSeek-V2, V2-Lite, V3, R1 and the models built like them (Moonlight, Kimi-K2, GLM-4.7-Flash): MLA and a MoE with shared experts.
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "bind.h"
#include "config.h"
#include "memory.h"

static const char arch_name[] = "deepseek2";

// ---- hyper-parameters ----

typedef struct keys {  // as they stand in the file
  uint32_t n_ctx_train, d_model, n_block, n_mtp, n_dense, d_ff, d_ff_expert, n_expert, n_used, n_shared, gating, n_group, n_group_used;
  uint32_t n_head, q_lora, n_latent, key, value, key_mla, value_mla, n_rope, n_ctx_orig;
  float scale, eps, theta, factor, attn_factor, log_multiplier, beta_fast, beta_slow, temperature;
  bool norm;
} keys;

#define KEY(name, kind, required, field) \
  { name, PM_KEY_##kind, required, offsetof(keys, field) }
static const pm_config_key key_table[] = {
    KEY("context_length", U32, true, n_ctx_train),
    KEY("embedding_length", U32, true, d_model),
    KEY("block_count", U32, true, n_block),
    KEY("nextn_predict_layers", U32, false, n_mtp),
    KEY("leading_dense_block_count", U32, false, n_dense),
    KEY("feed_forward_length", U32, false, d_ff),
    KEY("expert_feed_forward_length", U32, true, d_ff_expert),
    KEY("expert_count", U32, false, n_expert),
    KEY("expert_used_count", U32, false, n_used),
    KEY("expert_shared_count", U32, true, n_shared),
    KEY("expert_weights_scale", F32, false, scale),
    KEY("expert_weights_norm", BOOL, false, norm),
    KEY("expert_gating_func", U32, false, gating),
    KEY("expert_group_count", U32, false, n_group),
    KEY("expert_group_used_count", U32, false, n_group_used),
    KEY("attention.head_count", U32, true, n_head),
    KEY("attention.layer_norm_rms_epsilon", F32, true, eps),
    KEY("attention.q_lora_rank", U32, false, q_lora),
    KEY("attention.kv_lora_rank", U32, true, n_latent),
    KEY("attention.key_length", U32, false, key),
    KEY("attention.value_length", U32, false, value),
    KEY("attention.key_length_mla", U32, false, key_mla),
    KEY("attention.value_length_mla", U32, false, value_mla),
    KEY("attention.temperature_scale", F32, false, temperature),
    KEY("rope.dimension_count", U32, true, n_rope),
    KEY("rope.freq_base", F32, false, theta),
    KEY("rope.scaling.factor", F32, false, factor),
    KEY("rope.scaling.original_context_length", U32, false, n_ctx_orig),
    KEY("rope.scaling.attn_factor", F32, false, attn_factor),
    KEY("rope.scaling.yarn_log_multiplier", F32, false, log_multiplier),
    KEY("rope.scaling.yarn_beta_fast", F32, false, beta_fast),
    KEY("rope.scaling.yarn_beta_slow", F32, false, beta_slow),
};
#undef KEY

static bool string_is(const pm_model_file *f, const char *key, const char *wanted) {
  const char *s = NULL;
  size_t n = 0;
  return pm_meta_string(f, key, 0, &s, &n) == PM_OK && s && n == strlen(wanted) && !memcmp(s, wanted, n);
}

static pm_status read_rope(const pm_model_file *f, const keys *k, pm_config *c) {
  bool none = string_is(f, "deepseek2.rope.scaling.type", "none");
  pm_rope_config r = {.n_rope = k->n_rope,
                      .base = k->theta,
                      .factor = none || k->factor == 0 ? 1 : k->factor,
                      .yarn = string_is(f, "deepseek2.rope.scaling.type", "yarn"),
                      .n_ctx_orig = k->n_ctx_orig ? k->n_ctx_orig : k->n_ctx_train,
                      .log_multiplier = k->log_multiplier,
                      .attn_factor = k->attn_factor,
                      .beta_fast = k->beta_fast,
                      .beta_slow = k->beta_slow};
  if (string_is(f, "deepseek2.rope.scaling.type", "longrope"))
    PM_FAIL(PM_ERR_UNSUPPORTED, "%s: rope.scaling.type longrope is not supported", pm_model_file_path(f));
  // Kimi-K2 was trained with both betas 1; its files may lack the keys
  bool kimi = r.yarn && string_is(f, "tokenizer.ggml.pre", "kimi-k2");
  if (r.beta_fast == 0) r.beta_fast = kimi ? 1 : 32;
  if (r.beta_slow == 0) r.beta_slow = 1;
  double factor;
  pm_status status = pm_rope_init(&c->rope, &r, &factor);
  if (status) return pm_fail_prefix(status, "%s", pm_model_file_path(f));
  c->attention_scale = factor / sqrt((double)c->n_nope + c->n_rope);
  return PM_OK;
}

static pm_status check_ranges(const pm_model_file *f, const keys *k, const pm_config *c) {
  const struct {
    const char *key;
    uint64_t value, first, last;
  } ranges[] = {
      {"block_count", k->n_block, 1, 512},
      {"nextn_predict_layers", k->n_mtp, 0, k->n_block ? k->n_block - 1 : 0},
      {"embedding_length", k->d_model, 1, 1u << 20},
      {"context_length", k->n_ctx_train, 1, 1u << 30},
      {"attention.head_count", k->n_head, 1, 1024},
      {"attention.kv_lora_rank", k->n_latent, 1, 4096},
      {"attention.q_lora_rank", k->q_lora, 0, 1u << 16},
      {"rope.dimension_count", k->n_rope, 2, 2 * PM_MAX_ROPE_PAIRS},
      {"attention.key_length (nope part)", c->n_nope, 1, 4096},
      {"attention.value_length", c->n_value, 1, 4096},
      {"feed_forward_length", k->d_ff, k->n_dense || !k->n_expert ? 1 : 0, 1u << 20},
      {"expert_count", k->n_expert, 0, 512},
      {"expert_used_count", k->n_used, k->n_expert ? 1 : 0, k->n_expert},
      {"expert_feed_forward_length", k->d_ff_expert, k->n_expert ? 1 : 0, 1u << 20},
      {"expert_shared_count", k->n_shared, 0, 64},
      {"expert_gating_func", c->gating, PM_GATING_SOFTMAX, PM_GATING_SOFTMAX_CHOSEN},
      {"expert_group_count", k->n_group, 0, k->n_expert ? k->n_expert - 1 : 1},
      {"vocabulary (tokenizer.ggml.tokens)", c->n_vocab, 1, 1u << 24},
  };
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
    PM_TRY(pm_config_range(f, arch_name, ranges[i].key, ranges[i].value, ranges[i].first, ranges[i].last));
  if (k->n_group <= 1) return PM_OK;
  if (k->n_expert % k->n_group)
    PM_FAIL(PM_ERR_FORMAT, "%s: %u experts do not divide into %u groups", pm_model_file_path(f), k->n_expert, k->n_group);
  PM_TRY(pm_config_range(f, arch_name, "expert_group_used_count", k->n_group_used, 1, k->n_group - 1));
  uint64_t open = (uint64_t)k->n_expert / k->n_group * k->n_group_used;  // experts that can be chosen
  return pm_config_range(f, arch_name, "expert_used_count", k->n_used, 1, open);
}

static pm_status configure(const pm_model_file *f, pm_config *c) {
  keys k = {.theta = 10000, .attn_factor = 1};
  PM_TRY(pm_config_read(f, arch_name, key_table, sizeof key_table / sizeof *key_table, &k));
  const pm_meta *tokens = pm_model_file_find_meta(f, "tokenizer.ggml.tokens");
  if (!tokens || tokens->type != PM_META_ARRAY)
    PM_FAIL(PM_ERR_FORMAT, "%s: key tokenizer.ggml.tokens is missing or not an array", pm_model_file_path(f));
  if (k.temperature != 0)
    PM_FAIL(PM_ERR_UNSUPPORTED, "%s: attention.temperature_scale is not supported for this family", pm_model_file_path(f));
  bool latent = k.key_mla && k.value_mla;
  uint64_t n_qk = latent ? k.key_mla : k.key, n_value = latent ? k.value_mla : k.value;
  *c = (pm_config){.n_layer = k.n_block - k.n_mtp,
                   .n_layer_file = k.n_block,
                   .n_ctx_train = k.n_ctx_train,
                   .d_model = k.d_model,
                   .n_head = k.n_head,
                   .d_ff = k.d_ff,
                   .n_vocab = tokens->count > UINT32_MAX ? UINT32_MAX : (uint32_t)tokens->count,
                   .q_lora = k.q_lora,
                   .n_latent = k.n_latent,
                   .n_rope = k.n_rope,
                   .n_nope = n_qk > k.n_rope ? (uint32_t)n_qk - k.n_rope : 0,
                   .n_value = (uint32_t)n_value,
                   .n_layer_dense = k.n_dense,
                   .n_expert = k.n_expert,
                   .n_expert_used = k.n_used,
                   .n_expert_shared = k.n_shared,
                   .d_ff_expert = k.d_ff_expert,
                   .n_group = k.n_group,
                   .n_group_used = k.n_group_used,
                   .gating = (pm_gating)k.gating,
                   .expert_normalize = k.norm,
                   .latent_file = latent,
                   .expert_scale = k.scale == 0 ? 1 : k.scale,
                   .eps = k.eps};
  // Files without the key: GLM-4.7-Flash uses sigmoid, everything older softmax
  if (!k.gating) c->gating = (k.n_block == 47 || k.n_block == 48) && c->n_vocab == 154880 ? PM_GATING_SIGMOID : PM_GATING_SOFTMAX;
  if (!k.n_expert) c->n_layer_dense = c->n_layer;
  PM_TRY(check_ranges(f, &k, c));
  return read_rope(f, &k, c);
}

// ---- tensors ----

enum {
  ONE,
  D_MODEL,
  N_VOCAB,
  Q_OUT,
  Q_LORA,
  KV_ROW,
  LATENT,
  NOPE,
  VALUE,
  HEADS,
  HEAD_OUT,
  D_FF,
  N_EXPERT,
  D_FF_EXPERT,
  D_FF_SHARED,
  N_DIM
};
enum { WITH_Q_LORA = 1, WITHOUT_Q_LORA = 2, DENSE = 4, MOE = 8, SHARED = 16, SEPARATE_GATE_UP = 32, LATENT_FORM = 64 };

typedef struct globals {
  const pm_tensor *token_embd, *output_norm, *output;
} globals;

typedef struct layer {
  pm_mla mla;
  const pm_tensor *ffn_norm;
  pm_ffn dense;
  pm_moe moe;
} layer;

static const pm_weight_rule global_rules[] = {
    {"token_embd.weight", 0, false, false, {D_MODEL, N_VOCAB}, offsetof(globals, token_embd)},
    {"output_norm.weight", 0, false, true, {D_MODEL}, offsetof(globals, output_norm)},
    {"output.weight", 0, true, false, {D_MODEL, N_VOCAB}, offsetof(globals, output)},
};

static const pm_weight_rule layer_rules[] = {
    {"attn_norm.weight", 0, false, true, {D_MODEL}, offsetof(layer, mla.norm)},
    {"attn_q.weight", WITHOUT_Q_LORA, false, false, {D_MODEL, Q_OUT}, offsetof(layer, mla.q)},
    {"attn_q_a.weight", WITH_Q_LORA, false, false, {D_MODEL, Q_LORA}, offsetof(layer, mla.q_a)},
    {"attn_q_a_norm.weight", WITH_Q_LORA, false, true, {Q_LORA}, offsetof(layer, mla.q_a_norm)},
    {"attn_q_b.weight", WITH_Q_LORA, false, false, {Q_LORA, Q_OUT}, offsetof(layer, mla.q_b)},
    {"attn_kv_a_mqa.weight", 0, false, false, {D_MODEL, KV_ROW}, offsetof(layer, mla.kv_a)},
    {"attn_kv_a_norm.weight", 0, false, true, {LATENT}, offsetof(layer, mla.kv_a_norm)},
    {"attn_k_b.weight", LATENT_FORM, false, false, {NOPE, LATENT, HEADS}, offsetof(layer, mla.k_b)},
    {"attn_v_b.weight", LATENT_FORM, false, false, {LATENT, VALUE, HEADS}, offsetof(layer, mla.v_b)},
    {"attn_output.weight", 0, false, false, {HEAD_OUT, D_MODEL}, offsetof(layer, mla.out)},
    {"ffn_norm.weight", 0, false, true, {D_MODEL}, offsetof(layer, ffn_norm)},
    {"ffn_gate.weight", DENSE, false, false, {D_MODEL, D_FF}, offsetof(layer, dense.gate)},
    {"ffn_up.weight", DENSE, false, false, {D_MODEL, D_FF}, offsetof(layer, dense.up)},
    {"ffn_down.weight", DENSE, false, false, {D_FF, D_MODEL}, offsetof(layer, dense.down)},
    {"ffn_gate_inp.weight", MOE, false, false, {D_MODEL, N_EXPERT}, offsetof(layer, moe.router)},
    {"exp_probs_b.bias", MOE, true, true, {N_EXPERT}, offsetof(layer, moe.bias)},
    {"ffn_gate_exps.weight", MOE | SEPARATE_GATE_UP, false, false, {D_MODEL, D_FF_EXPERT, N_EXPERT}, offsetof(layer, moe.gate)},
    {"ffn_up_exps.weight", MOE | SEPARATE_GATE_UP, false, false, {D_MODEL, D_FF_EXPERT, N_EXPERT}, offsetof(layer, moe.up)},
    {"ffn_down_exps.weight", MOE, false, false, {D_FF_EXPERT, D_MODEL, N_EXPERT}, offsetof(layer, moe.down)},
    {"ffn_gate_shexp.weight", MOE | SHARED, false, false, {D_MODEL, D_FF_SHARED}, offsetof(layer, moe.shared.gate)},
    {"ffn_up_shexp.weight", MOE | SHARED, false, false, {D_MODEL, D_FF_SHARED}, offsetof(layer, moe.shared.up)},
    {"ffn_down_shexp.weight", MOE | SHARED, false, false, {D_FF_SHARED, D_MODEL}, offsetof(layer, moe.shared.down)},
};

// One tensor whose slabs hold the gate rows, then the up rows, of an expert: read as two weights.
static pm_status bind_gate_up(const pm_binder *b, const pm_file_tensor *t, pm_moe *m) {
  uint64_t fused[3] = {b->dims[D_MODEL], 2 * b->dims[D_FF_EXPERT], b->dims[N_EXPERT]}, half[3] = {fused[0], fused[1] / 2, fused[2]};
  PM_TRY(pm_bind_check(b, t, fused, false));
  size_t half_bytes = pm_format_bytes((pm_type)t->type, half[0]) * half[1];
  const char *up = t->data ? (const char *)t->data + half_bytes : NULL;
  m->gate = pm_program_weight(b->program, t->name, (pm_type)t->type, half, t->data, 2 * half_bytes);
  m->up = pm_program_weight(b->program, t->name, (pm_type)t->type, half, up, 2 * half_bytes);
  return PM_OK;
}

// attn_k_b from the legacy attn_kv_b {latent, heads * (nope + value)}: head h's nope rows, transposed, so that the absorbed product runs
// along contiguous values. Decoded, because quantization blocks cannot be transposed.
static pm_status transpose_k_b(const pm_binder *b, const pm_file_tensor *t, const pm_config *c, pm_type type, const void **out) {
  size_t slab = (size_t)c->n_nope * c->n_latent;
  char *made = pm_bind_alloc(b, pm_format_bytes(type, slab * c->n_head));
  float *row = pm_alloc(sizeof *row * c->n_latent), *turned = pm_alloc(sizeof *turned * slab);
  for (uint32_t h = 0; made && row && turned && h < c->n_head; h++) {
    for (uint32_t d = 0; d < c->n_nope; d++) {
      pm_file_tensor_floats(t, 0, (uint64_t)h * (c->n_nope + c->n_value) + d, 1, row);
      for (uint32_t r = 0; r < c->n_latent; r++) turned[(size_t)r * c->n_nope + d] = row[r];
    }
    pm_format_get(type)->encode(turned, NULL, made + pm_format_bytes(type, slab * h), slab);
  }
  bool ok = made && row && turned;
  pm_free(row);
  pm_free(turned);
  if (!ok) PM_FAIL(PM_ERR_MEMORY, "out of memory while converting %s", t->name);
  *out = made;
  return PM_OK;
}

// The value rows of a head are whole rows of the stored tensor: used where they are.
static pm_status bind_values(const pm_binder *b, const pm_file_tensor *t, const pm_config *c, pm_mla *m) {
  uint64_t value[3] = {c->n_latent, c->n_value, c->n_head}, n_head_row = (uint64_t)c->n_nope + c->n_value;
  size_t row_bytes = pm_format_bytes((pm_type)t->type, c->n_latent);
  const char *values = t->data ? (const char *)t->data + row_bytes * c->n_nope : NULL;
  pm_tensor *w = pm_program_weight(b->program, t->name, (pm_type)t->type, value, values, row_bytes * n_head_row);
  m->v_b = w;
  if (!t->slabs) return PM_OK;
  pm_slab *slabs = pm_bind_alloc(b, c->n_head * sizeof *slabs);
  if (!slabs) PM_FAIL(PM_ERR_MEMORY, "out of memory while converting %s", t->name);
  for (uint32_t h = 0; h < c->n_head; h++) {
    uint64_t row = h * n_head_row + c->n_nope;
    slabs[h] = (pm_slab){.data = (const char *)t->slabs->data + row * c->n_latent, .scales = t->slabs->scales, .first_row = row};
  }
  w->slabs = slabs;
  return PM_OK;
}

static pm_status bind_legacy_kv_b(const pm_binder *b, const pm_config *c, pm_mla *m) {
  const pm_file_tensor *t = pm_bind_find(b, "attn_kv_b.weight");
  if (!t)
    PM_FAIL(PM_ERR_FORMAT, "%s: blk.%d has neither attn_k_b and attn_v_b of the expected shapes nor attn_kv_b",
            pm_model_file_path(b->model->file), (int)b->layer);
  uint64_t stored[3] = {c->n_latent, (uint64_t)c->n_head * (c->n_nope + c->n_value), 1};
  PM_TRY(pm_bind_check(b, t, stored, false));
  uint64_t key[3] = {c->n_nope, c->n_latent, c->n_head};
  pm_type key_type = b->model->exact ? PM_TYPE_F32 : PM_TYPE_F16;
  const void *turned = NULL;  // stays so where only the header was read
  if (t->data || t->slabs) PM_TRY(transpose_k_b(b, t, c, key_type, &turned));
  m->k_b = pm_program_weight(b->program, t->name, key_type, key, turned, 0);
  return bind_values(b, t, c, m);
}

// Some converters leave 2-D k_b and v_b beside a legacy kv_b; only the 3-D form means what is needed here.
static bool has_latent_form(const pm_binder *b, const pm_config *c) {
  const pm_file_tensor *k = pm_bind_find(b, "attn_k_b.weight"), *v = pm_bind_find(b, "attn_v_b.weight");
  bool legacy_there = pm_bind_find(b, "attn_kv_b.weight") != NULL;
  if (!legacy_there) return k || v || c->latent_file;
  return k && v && k->ne[0] == c->n_nope && k->ne[1] == c->n_latent && k->ne[2] == c->n_head && v->ne[0] == c->n_latent &&
         v->ne[1] == c->n_value && v->ne[2] == c->n_head;
}

static pm_status bind_layer(pm_binder *b, const pm_config *c, pm_type kv_type, uint32_t n_cell, layer *l) {
  bool dense = (uint32_t)b->layer < c->n_layer_dense, latent = has_latent_form(b, c);
  const pm_file_tensor *fused = pm_bind_find(b, "ffn_gate_up_exps.weight");
  b->conditions = (c->q_lora ? WITH_Q_LORA : WITHOUT_Q_LORA) | (dense ? DENSE : MOE) | (c->n_expert_shared ? SHARED : 0) |
                  (fused ? 0 : SEPARATE_GATE_UP) | (latent ? LATENT_FORM : 0);
  *l = (layer){.mla = {.n_head = c->n_head,
                       .n_latent = c->n_latent,
                       .n_rope = c->n_rope,
                       .n_nope = c->n_nope,
                       .n_value = c->n_value,
                       .eps = c->eps,
                       .scale = (float)c->attention_scale},
               .moe = {.n_used = c->n_expert_used,
                       .n_group = c->n_group,
                       .n_group_used = c->n_group_used,
                       .gating = c->gating,
                       .normalize = c->expert_normalize,
                       .scale = c->expert_scale}};
  PM_TRY(pm_bind(b, layer_rules, sizeof layer_rules / sizeof *layer_rules, l));
  if (!latent) PM_TRY(bind_legacy_kv_b(b, c, &l->mla));
  if (fused && !dense) PM_TRY(bind_gate_up(b, fused, &l->moe));
  char name[32];
  snprintf(name, sizeof name, "kv.%d", (int)b->layer);
  l->mla.kv = pm_program_kv(b->program, name, kv_type, c->n_latent + c->n_rope, n_cell);
  return PM_OK;
}

// ---- the step ----

static pm_status build(pm_model *m, pm_type kv_type, uint32_t n_cell, pm_program *p) {
  const pm_config *c = &m->config;
  const uint64_t dims[N_DIM] = {[ONE] = 1,
                                [D_MODEL] = c->d_model,
                                [N_VOCAB] = c->n_vocab,
                                [Q_OUT] = (uint64_t)c->n_head * (c->n_nope + c->n_rope),
                                [Q_LORA] = c->q_lora,
                                [KV_ROW] = c->n_latent + c->n_rope,
                                [LATENT] = c->n_latent,
                                [NOPE] = c->n_nope,
                                [VALUE] = c->n_value,
                                [HEADS] = c->n_head,
                                [HEAD_OUT] = (uint64_t)c->n_head * c->n_value,
                                [D_FF] = c->d_ff,
                                [N_EXPERT] = c->n_expert,
                                [D_FF_EXPERT] = c->d_ff_expert,
                                [D_FF_SHARED] = (uint64_t)c->d_ff_expert * c->n_expert_shared};
  pm_binder b = {.model = m, .program = p, .dims = dims, .layer = -1};
  globals g = {0};
  PM_TRY(pm_bind(&b, global_rules, sizeof global_rules / sizeof *global_rules, &g));

  pm_tensor *x = pm_program_scratch(p, "x", c->d_model);
  p->logits = pm_program_output(p, "logits", PM_TYPE_F32, c->n_vocab, p->max_logits);
  pm_program_append(p, (pm_op){PM_OP_EMBED, -1, .embed = {g.token_embd, pm_view_rows(x)}});
  for (b.layer = 0; b.layer < (int32_t)c->n_layer; b.layer++) {
    layer l;
    PM_TRY(bind_layer(&b, c, kv_type, n_cell, &l));
    if (p->error) break;
    pm_block_mla(p, b.layer, &l.mla, x);
    if (l.dense.gate) {
      pm_block_ffn(p, b.layer, l.ffn_norm, c->eps, &l.dense, x);
    } else {
      pm_block_moe(p, b.layer, l.ffn_norm, c->eps, &l.moe, x);
    }
  }
  bool own = g.output != NULL;  // else the head is tied
  pm_block_head(p, g.output_norm, c->eps, own ? g.output : g.token_embd, own, x);
  return PM_OK;
}

const pm_arch pm_arch_deepseek2 = {arch_name, configure, build};
