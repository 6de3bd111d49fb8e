// config.json: hyper-parameters in the words of Hugging Face become keys in those of GGUF.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "folder.h"

static const char FILE_NAME[] = "config.json", ARCH[] = "deepseek2";

static const char *const MODEL_TYPES[] = {"deepseek_v2", "deepseek_v3", "kimi_k2"};  // all of them are deepseek2

typedef enum kind { WHOLE, REAL, TRUTH } kind;

typedef struct rule {
  const char *from, *to;  // to: after "deepseek2."
  kind kind;
  bool required;
} rule;

static const rule RULES[] = {
    {"max_position_embeddings", "context_length", WHOLE, true},
    {"hidden_size", "embedding_length", WHOLE, true},
    {"intermediate_size", "feed_forward_length", WHOLE, true},
    {"moe_intermediate_size", "expert_feed_forward_length", WHOLE, true},
    {"first_k_dense_replace", "leading_dense_block_count", WHOLE, false},
    {"num_attention_heads", "attention.head_count", WHOLE, true},
    {"num_attention_heads", "attention.head_count_kv", WHOLE, true},
    {"n_routed_experts", "expert_count", WHOLE, false},
    {"num_experts_per_tok", "expert_used_count", WHOLE, false},
    {"routed_scaling_factor", "expert_weights_scale", REAL, false},
    {"norm_topk_prob", "expert_weights_norm", TRUTH, false},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", REAL, true},
    {"q_lora_rank", "attention.q_lora_rank", WHOLE, false},
    {"kv_lora_rank", "attention.kv_lora_rank", WHOLE, true},
    {"qk_rope_head_dim", "rope.dimension_count", WHOLE, true},
    {"v_head_dim", "attention.value_length", WHOLE, true},
    {"vocab_size", "vocab_size", WHOLE, true},
};

static const rule GROUP_RULES[] = {
    {"n_group", "expert_group_count", WHOLE, false},
    {"topk_group", "expert_group_used_count", WHOLE, false},
};

static const rule THETA_RULES[] = {{"rope_theta", "rope.freq_base", REAL, false}};

static const rule ROPE_RULES[] = {
    {"factor", "rope.scaling.factor", REAL, true},
    {"original_max_position_embeddings", "rope.scaling.original_context_length", WHOLE, false},
    {"beta_fast", "rope.scaling.yarn_beta_fast", REAL, false},
    {"beta_slow", "rope.scaling.yarn_beta_slow", REAL, false},
};

// What is computed in one way only.
static const struct expected {
  const char *key, *value;  // "true" and "false" are those; another value is a text
} EXPECTED[] = {
    {"attention_bias", "false"},
    {"rope_interleave", "true"},
    {"hidden_act", "silu"},
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

static pm_status wrong(const pm_folder *d, const char *key, const char *expected) {
  PM_FAIL(PM_ERR_FORMAT, "%s/%s: %s: expected %s", d->path, FILE_NAME, key, expected);
}

// ---- one value -----------------------------------------------------------------------------------------------------

static bool number(const pm_value *v, double *out) { return v && v->kind != PM_BOOL && pm_value_number(*v, out); }

static pm_status whole(const pm_folder *d, const pm_value *object, const char *key, bool required, uint32_t *out) {
  const pm_value *v = pm_json_find(object, key);
  uint64_t n;
  if (!v && !required) return PM_OK;
  if (!pm_json_whole(v, &n) || n > UINT32_MAX) return wrong(d, key, "a whole number of 32 bits");
  *out = (uint32_t)n;
  return PM_OK;
}

static pm_status put(pm_folder *d, const pm_value *object, const rule *r) {
  char key[96];
  snprintf(key, sizeof key, "%s.%s", ARCH, r->to);
  const pm_value *v = pm_json_find(object, r->from);
  uint32_t n = 0;
  double real = 0;
  if (!v && !r->required) return PM_OK;
  switch (r->kind) {
    case WHOLE:
      PM_TRY(whole(d, object, r->from, true, &n));
      pm_gguf_put_u32(d->metas, key, n);
      return PM_OK;
    case REAL:
      if (!number(v, &real) || !isfinite((float)real)) return wrong(d, r->from, "a number");
      pm_gguf_put_f32(d->metas, key, (float)real);
      return PM_OK;
    default:
      if (!v || v->kind != PM_BOOL) return wrong(d, r->from, "true or false");
      pm_gguf_put_bool(d->metas, key, v->truth);
      return PM_OK;
  }
}

static pm_status put_all(pm_folder *d, const pm_value *object, const rule *rules, size_t n) {
  for (size_t i = 0; i < n; i++) PM_TRY(put(d, object, &rules[i]));
  return PM_OK;
}

// Index of the text at `key` in a list; `absent` if it is not there.
static pm_status choose(const pm_folder *d, const pm_value *object, const char *key, const char *const *names, size_t n, uint32_t absent,
                        uint32_t *out) {
  const pm_value *v = pm_json_find(object, key);
  const char *text = pm_json_text(v);
  char known[160] = "one of";
  *out = absent;
  if (!v) return PM_OK;
  for (size_t i = 0; i < n; i++) {
    if (text && !strcmp(text, names[i])) return *out = (uint32_t)i, PM_OK;
    size_t used = strlen(known);
    snprintf(known + used, sizeof known - used, "%s %s", i ? "," : "", names[i]);
  }
  PM_FAIL(PM_ERR_UNSUPPORTED, "%s/%s: %s: '%.40s' is not supported, %s is expected", d->path, FILE_NAME, key, text ? text : "?", known);
}

// ---- the shape -----------------------------------------------------------------------------------------------------

// FP8 with scales of squares of 128 is the one form besides plain floats.
static pm_status check_quantization(const pm_folder *d) {
  static const char *const methods[] = {"fp8"}, *const forms[] = {"e4m3"};
  const pm_value *q = pm_json_find(d->config, "quantization_config"), *squares = pm_json_find(q, "weight_block_size");
  uint32_t index;
  uint64_t high = 0, wide = 0;
  PM_TRY(choose(d, q, "quant_method", methods, COUNT(methods), 0, &index));
  PM_TRY(choose(d, q, "fmt", forms, COUNT(forms), 0, &index));
  if (!squares) return PM_OK;
  const pm_list *sides = pm_json_list(squares);
  bool pair = sides->n == 2 && pm_json_whole(&sides->items[0], &high) && pm_json_whole(&sides->items[1], &wide);
  return pair && wide == PM_FP8_BLOCK && high == PM_FP8_BLOCK ? PM_OK : wrong(d, "quantization_config.weight_block_size", "[128, 128]");
}

static pm_status check_expected(const pm_folder *d) {
  for (size_t i = 0; i < COUNT(EXPECTED); i++) {
    const pm_value *v = pm_json_find(d->config, EXPECTED[i].key);
    const char *is = !v ? EXPECTED[i].value : v->kind == PM_BOOL ? (v->truth ? "true" : "false") : pm_json_text(v);
    if (!is || strcmp(is, EXPECTED[i].value) != 0) return wrong(d, EXPECTED[i].key, EXPECTED[i].value);
  }
  uint32_t step = 1;
  PM_TRY(whole(d, d->config, "moe_layer_freq", false, &step));
  return step == 1 ? PM_OK : wrong(d, "moe_layer_freq", "1");
}

pm_status pm_folder_read_shape(pm_folder *d) {
  uint32_t type, n_mtp = 0;
  PM_TRY(choose(d, d->config, "model_type", MODEL_TYPES, COUNT(MODEL_TYPES), COUNT(MODEL_TYPES), &type));
  if (type == COUNT(MODEL_TYPES)) return wrong(d, "model_type", "deepseek_v2, deepseek_v3 or kimi_k2");
  PM_TRY(check_quantization(d));
  PM_TRY(check_expected(d));
  PM_TRY(whole(d, d->config, "num_hidden_layers", true, &d->n_layer));
  PM_TRY(whole(d, d->config, "num_nextn_predict_layers", false, &n_mtp));
  PM_TRY(whole(d, d->config, "n_routed_experts", false, &d->n_expert));
  if (!d->n_layer || d->n_layer > 512 || n_mtp > 16)
    return wrong(d, "num_hidden_layers", "1 to 512, and num_nextn_predict_layers at most 16");
  if (d->n_expert > 512) return wrong(d, "n_routed_experts", "at most 512");
  char probe[64];  // checkpoints may say that there is a layer that they do not have
  snprintf(probe, sizeof probe, "model.layers.%u.eh_proj.weight", d->n_layer);
  d->n_mtp = pm_folder_find_raw(d, probe) ? n_mtp : 0;
  return PM_OK;
}

// ---- the rest ------------------------------------------------------------------------------------------------------

static pm_status put_routing(pm_folder *d) {
  static const char *const scores[] = {"softmax", "sigmoid"}, *const methods[] = {"greedy", "group_limited_greedy", "noaux_tc"};
  uint32_t score, method, n_shared = 0;
  PM_TRY(choose(d, d->config, "scoring_func", scores, COUNT(scores), 0, &score));
  PM_TRY(choose(d, d->config, "topk_method", methods, COUNT(methods), 0, &method));
  PM_TRY(whole(d, d->config, "n_shared_experts", false, &n_shared));
  pm_gguf_put_u32(d->metas, "deepseek2.expert_gating_func", score + 1);
  pm_gguf_put_u32(d->metas, "deepseek2.expert_shared_count", n_shared);
  return method ? put_all(d, d->config, GROUP_RULES, COUNT(GROUP_RULES)) : PM_OK;
}

// The magnitude of YaRN goes into the attention scale (mscale_all_dim) where both factors are the same, as in every released model.
static pm_status put_yarn(pm_folder *d, const pm_value *rope) {
  const pm_value *all = pm_json_find(rope, "mscale_all_dim"), *m = pm_json_find(rope, "mscale");
  double a = 0, b = 0;
  bool same = number(all, &a) && number(m, &b) && a == b && a > 0;
  if (!same) return wrong(d, "rope_scaling", "mscale and mscale_all_dim, the same positive number");
  pm_gguf_put_f32(d->metas, "deepseek2.rope.scaling.yarn_log_multiplier", (float)(0.1 * a));
  return PM_OK;
}

static pm_status put_rope(pm_folder *d) {
  static const char *const types[] = {"default", "none", "linear", "yarn"};
  static const char *const names[] = {"none", "none", "linear", "yarn"};
  const pm_value *newer = pm_json_find(d->config, "rope_parameters"), *rope = newer ? newer : pm_json_find(d->config, "rope_scaling");
  uint32_t type;
  PM_TRY(put_all(d, pm_json_find(newer, "rope_theta") ? newer : d->config, THETA_RULES, COUNT(THETA_RULES)));
  PM_TRY(choose(d, rope, pm_json_find(rope, "type") ? "type" : "rope_type", types, COUNT(types), 0, &type));
  pm_gguf_put_string(d->metas, "deepseek2.rope.scaling.type", names[type]);
  if (type < 2) return PM_OK;
  PM_TRY(put_all(d, rope, ROPE_RULES, COUNT(ROPE_RULES)));
  return type == 3 ? put_yarn(d, rope) : PM_OK;
}

pm_status pm_folder_put_config(pm_folder *d) {
  const char *slash = strrchr(d->path, '/');
  uint32_t n_nope = 0, n_rope = 0;
  PM_TRY(whole(d, d->config, "qk_nope_head_dim", true, &n_nope));
  PM_TRY(whole(d, d->config, "qk_rope_head_dim", true, &n_rope));
  if (n_nope > 1 << 16 || n_rope > 1 << 16) return wrong(d, "qk_nope_head_dim and qk_rope_head_dim", "at most 65536");
  pm_gguf_put_string(d->metas, "general.architecture", ARCH);
  pm_gguf_put_string(d->metas, "general.name", slash && slash[1] ? slash + 1 : d->path);
  pm_gguf_put_u32(d->metas, "deepseek2.block_count", d->n_layer + d->n_mtp);
  pm_gguf_put_u32(d->metas, "deepseek2.nextn_predict_layers", d->n_mtp);
  pm_gguf_put_u32(d->metas, "deepseek2.attention.key_length", n_nope + n_rope);
  PM_TRY(put_all(d, d->config, RULES, COUNT(RULES)));
  PM_TRY(put_routing(d));
  return put_rope(d);
}
