#include "hf_folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gguf_write.h"
#include "model_file.h"

#define MUST(ok) \
  if (!(ok)) fprintf(stderr, "%s:%d: %s; %s\n", __FILE__, __LINE__, #ok, pm_fail_message()), abort()

enum { MAX_MATRIX = 4096, SQUARE = 128 };

typedef struct matrix {
  char name[96];  // of Hugging Face
  uint32_t rows, cols, n_dim;
  float *values;  // as they are after rounding
  bool plain;     // never FP8
  uint64_t at;    // of its data in the shard, and of its scales
  uint64_t scales_at;
  float *scales;  // FP8 only
} matrix;

typedef struct writer {
  pm_model_file *source;
  const hf_options *o;
  matrix m[MAX_MATRIX];
  uint32_t n;
  uint32_t n_layer, n_mtp, n_head, n_nope, n_value, n_latent, n_rope, n_expert;
} writer;

static uint32_t number(const pm_model_file *f, const char *key, uint32_t otherwise) {
  char full[96];
  snprintf(full, sizeof full, "deepseek2.%s", key);
  MUST(pm_meta_u32(f, full, 0, &otherwise) == PM_OK);
  return otherwise;
}

static double real(const pm_model_file *f, const char *key, float otherwise) {
  char full[96];
  snprintf(full, sizeof full, "deepseek2.%s", key);
  MUST(pm_meta_f32(f, full, 0, &otherwise) == PM_OK);
  return (double)otherwise;
}

// ---- rounding ------------------------------------------------------------------------------------------------------

static float to_bf16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
  memcpy(&x, &bits, 4);
  return x;
}

// The nearest number with three bits behind the point, in steps of at least 2^-9; ties to even.
static double to_e4m3(double x) {
  int e;
  frexp(x, &e);
  double step = ldexp(1, (e > -5 ? e : -5) - 4), y = nearbyint(x / step) * step;
  return fabs(y) > 448 ? copysign(448, y) : y;
}

static uint8_t e4m3_code(double x) {
  uint8_t sign = signbit(x) ? 0x80 : 0;
  int e;
  if (fabs(x) < 0x1p-6) return sign | (uint8_t)(fabs(x) * 512);
  double m = frexp(fabs(x), &e);  // 0.5 .. 1
  return sign | (uint8_t)((e + 6) << 3) | (uint8_t)(m * 16 - 8);
}

static uint32_t squares(uint32_t n) { return (n + SQUARE - 1) / SQUARE; }

static void round_fp8(matrix *m) {
  uint32_t wide = squares(m->cols);
  m->scales = calloc((size_t)wide * squares(m->rows), sizeof *m->scales);
  for (int pass = 0; pass < 2; pass++)
    for (uint32_t r = 0; r < m->rows; r++)
      for (uint32_t c = 0; c < m->cols; c++) {
        float *scale = &m->scales[r / SQUARE * wide + c / SQUARE], *x = &m->values[(size_t)r * m->cols + c];
        if (pass == 0)
          *scale = fmaxf(*scale, fabsf(*x) / 400 + 1e-9f);
        else
          *x = (float)(to_e4m3((double)(*x / *scale)) * (double)*scale);
      }
}

static bool is_fp8(const writer *w, const matrix *m) { return w->o->weights == HF_FP8 && m->n_dim == 2 && !m->plain; }

static bool is_f32(const writer *w, const matrix *m) {
  return strstr(m->name, "e_score_correction_bias") || (w->o->weights == HF_F32 && m->n_dim == 2);
}

static void round_matrix(const writer *w, matrix *m) {
  if (is_fp8(w, m)) {
    round_fp8(m);
  } else if (!is_f32(w, m)) {
    for (size_t i = 0; i < (size_t)m->rows * m->cols; i++) m->values[i] = to_bf16(m->values[i]);
  }
}

// ---- names ---------------------------------------------------------------------------------------------------------

static const char *const NAMES[][2] = {
    // of GGUF and of Hugging Face
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
    {"attn_norm.weight", "input_layernorm.weight"},
    {"attn_q.weight", "self_attn.q_proj.weight"},
    {"attn_q_a.weight", "self_attn.q_a_proj.weight"},
    {"attn_q_a_norm.weight", "self_attn.q_a_layernorm.weight"},
    {"attn_q_b.weight", "self_attn.q_b_proj.weight"},
    {"attn_kv_a_mqa.weight", "self_attn.kv_a_proj_with_mqa.weight"},
    {"attn_kv_a_norm.weight", "self_attn.kv_a_layernorm.weight"},
    {"attn_kv_b.weight", "self_attn.kv_b_proj.weight"},
    {"attn_output.weight", "self_attn.o_proj.weight"},
    {"ffn_norm.weight", "post_attention_layernorm.weight"},
    {"ffn_gate.weight", "mlp.gate_proj.weight"},
    {"ffn_up.weight", "mlp.up_proj.weight"},
    {"ffn_down.weight", "mlp.down_proj.weight"},
    {"ffn_gate_inp.weight", "mlp.gate.weight"},
    {"exp_probs_b.bias", "mlp.gate.e_score_correction_bias"},
    {"ffn_gate_shexp.weight", "mlp.shared_experts.gate_proj.weight"},
    {"ffn_up_shexp.weight", "mlp.shared_experts.up_proj.weight"},
    {"ffn_down_shexp.weight", "mlp.shared_experts.down_proj.weight"},
    {"ffn_gate_exps.weight", "mlp.experts.%u.gate_proj.weight"},
    {"ffn_up_exps.weight", "mlp.experts.%u.up_proj.weight"},
    {"ffn_down_exps.weight", "mlp.experts.%u.down_proj.weight"},
    {"nextn.eh_proj.weight", "eh_proj.weight"},
    {"nextn.enorm.weight", "enorm.weight"},
    {"nextn.hnorm.weight", "hnorm.weight"},
    {"nextn.embed_tokens.weight", "embed_tokens.weight"},
    {"nextn.shared_head_head.weight", "shared_head.head.weight"},
    {"nextn.shared_head_norm.weight", "shared_head.norm.weight"},
};

static const char *name_of(const char *gguf) {
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
    if (!strcmp(NAMES[i][0], gguf)) return NAMES[i][1];
  fprintf(stderr, "no name for %s\n", gguf);
  abort();
}

static matrix *add(writer *w, const char *name, uint32_t rows, uint32_t cols, uint32_t n_dim) {
  MUST(w->n < MAX_MATRIX);
  matrix *m = &w->m[w->n++];
  snprintf(m->name, sizeof m->name, "%s", name);
  m->rows = rows, m->cols = cols, m->n_dim = n_dim;
  m->values = malloc((size_t)rows * cols * sizeof *m->values);
  m->plain = strstr(name, "embed_tokens") || strstr(name, "lm_head") || strstr(name, "mlp.gate.weight");
  return m;
}

// kv_b from the two halves of the newer form: a head's keys, turned, then its values.
static void join_kv_b(writer *w, const char *name, const pm_file_tensor *k, const pm_file_tensor *v) {
  uint32_t head_rows = w->n_nope + w->n_value, n_latent = w->n_latent;
  matrix *m = add(w, name, w->n_head * head_rows, n_latent, 2);
  float *keys = malloc((size_t)w->n_nope * n_latent * sizeof *keys);
  for (uint32_t h = 0; h < w->n_head; h++) {
    float *to = m->values + (size_t)h * head_rows * n_latent;
    pm_file_tensor_floats(k, h, 0, n_latent, keys);
    for (uint32_t d = 0; d < w->n_nope; d++)
      for (uint32_t r = 0; r < n_latent; r++) to[d * n_latent + r] = keys[r * w->n_nope + d];
    pm_file_tensor_floats(v, h, 0, w->n_value, to + (size_t)w->n_nope * n_latent);
  }
  free(keys);
}

static void collect(writer *w, const pm_file_tensor *t) {
  const char *rest = t->name;
  char name[96], prefix[32] = "";
  unsigned layer = 0;
  int used = 0;
  if (sscanf(t->name, "blk.%u.%n", &layer, &used) == 1 && used) {
    rest = t->name + used;
    snprintf(prefix, sizeof prefix, "model.layers.%u.", layer);
  }
  if (!strcmp(rest, "attn_v_b.weight")) return;
  if (!strcmp(rest, "attn_k_b.weight")) {
    char other[64];
    snprintf(name, sizeof name, "%s%s", prefix, name_of("attn_kv_b.weight"));
    snprintf(other, sizeof other, "blk.%u.attn_v_b.weight", layer);
    join_kv_b(w, name, t, pm_model_file_find_tensor(w->source, other));
    return;
  }
  const char *hf = name_of(rest), *each = strstr(hf, "%u");
  for (uint32_t e = 0; e < t->ne[2]; e++) {
    if (each)
      snprintf(name, sizeof name, "%s%.*s%u%s", prefix, (int)(each - hf), hf, e, each + 2);
    else
      snprintf(name, sizeof name, "%s%s", prefix, hf);
    matrix *m = add(w, name, (uint32_t)t->ne[1], (uint32_t)t->ne[0], t->n_dim > 1 ? 2 : 1);
    pm_file_tensor_floats(t, e, 0, t->ne[1], m->values);
  }
}

// ---- the folder ----------------------------------------------------------------------------------------------------

static FILE *create(const char *folder, const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "wb");
  MUST(f);
  return f;
}

static void put_text(FILE *f, const char *text, size_t n) {
  fputc('"', f);
  for (size_t i = 0; i < n; i++)
    if ((uint8_t)text[i] < 0x20 || text[i] == '"' || text[i] == '\\')
      fprintf(f, "\\u%04x", (uint8_t)text[i]);
    else
      fputc(text[i], f);
  fputc('"', f);
}

static void shard_name(const writer *w, uint32_t shard, char *name, size_t n) {
  if (w->o->n_shard == 1)
    snprintf(name, n, "model.safetensors");
  else
    snprintf(name, n, "model-%05u-of-%05u.safetensors", shard + 1, w->o->n_shard);
}

static uint32_t value_bytes(const writer *w, const matrix *m) { return is_fp8(w, m) ? 1 : is_f32(w, m) ? 4 : 2; }

static void put_values(FILE *f, const writer *w, const matrix *m) {
  uint32_t bytes = value_bytes(w, m);
  for (size_t i = 0; i < (size_t)m->rows * m->cols; i++) {
    float x = m->values[i];
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if (bytes == 2) bits >>= 16;
    if (bytes == 1) {
      float scale = m->scales[i / m->cols / SQUARE * squares(m->cols) + i % m->cols / SQUARE];
      bits = e4m3_code(to_e4m3((double)(x / scale)));
    }
    fwrite(&bits, bytes, 1, f);
  }
}

// F32 first, bytes last, so that everything is aligned as it should be. pass 0: places and header; pass 1: data.
static void write_shard(writer *w, const char *folder, uint32_t shard) {
  char name[64], header_name[64] = "header.tmp";
  static char header[1 << 20];
  uint64_t at = 0;
  shard_name(w, shard, name, sizeof name);
  FILE *f = create(folder, name), *h = create(folder, header_name);
  fprintf(h, "{\"__metadata__\":{\"format\":\"pt\"}");
  for (uint32_t bytes = 4; bytes; bytes /= 2)
    for (uint32_t i = shard; i < w->n; i += w->o->n_shard) {
      matrix *m = &w->m[i];
      uint64_t n = (uint64_t)m->rows * m->cols;
      if (bytes == 4 && m->scales) {
        uint32_t high = squares(m->rows), wide = squares(m->cols);
        m->scales_at = at;
        fprintf(h, ",\"%s_scale_inv\":{\"dtype\":\"F32\",\"shape\":[%u,%u],\"data_offsets\":[%llu,%llu]}", m->name, high, wide,
                (unsigned long long)at, (unsigned long long)(at + 4ull * high * wide));
        at += 4ull * high * wide;
      }
      if (value_bytes(w, m) != bytes) continue;
      fprintf(h, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%u", m->name,
              bytes == 4   ? "F32"
              : bytes == 2 ? "BF16"
                           : "F8_E4M3",
              m->n_dim == 2 ? m->rows : m->cols);
      if (m->n_dim == 2) fprintf(h, ",%u", m->cols);
      fprintf(h, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at, (unsigned long long)(at + n * bytes));
      at += n * bytes;
    }
  while (ftell(h) % 8 != 7) fputc(' ', h);
  fputc('}', h);
  fclose(h);
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, header_name);
  h = fopen(path, "rb");
  uint64_t n = fread(header, 1, sizeof header, h);
  MUST(n < sizeof header);
  fclose(h);
  remove(path);
  fwrite(&n, 8, 1, f);
  fwrite(header, 1, n, f);
  for (uint32_t bytes = 4; bytes; bytes /= 2)
    for (uint32_t i = shard; i < w->n; i += w->o->n_shard) {
      const matrix *m = &w->m[i];
      if (bytes == 4 && m->scales) fwrite(m->scales, 4, (size_t)squares(m->rows) * squares(m->cols), f);
      if (value_bytes(w, m) == bytes) put_values(f, w, m);
    }
  MUST(fclose(f) == 0);
}

static void write_index(const writer *w, const char *folder) {
  FILE *f = create(folder, "model.safetensors.index.json");
  fprintf(f, "{\"metadata\":{\"total_size\":1},\"weight_map\":{");
  for (uint32_t i = 0; i < w->n; i++) {
    char name[64];
    shard_name(w, i % w->o->n_shard, name, sizeof name);
    fprintf(f, "%s\n\"%s\":\"%s\"", i ? "," : "", w->m[i].name, name);
    if (w->m[i].scales) fprintf(f, ",\n\"%s_scale_inv\":\"%s\"", w->m[i].name, name);
  }
  fprintf(f, "}}");
  MUST(fclose(f) == 0);
}

static void write_config(const writer *w, const char *folder) {
  const pm_model_file *s = w->source;
  FILE *f = create(folder, "config.json");
  uint32_t sigmoid = number(s, "expert_gating_func", 1) == 2, groups = number(s, "expert_group_count", 1);
  fprintf(f, "{\"model_type\": \"%s\", \"max_position_embeddings\": %u, \"hidden_size\": %u, \"intermediate_size\": %u,\n",
          sigmoid ? "deepseek_v3" : "deepseek_v2", number(s, "context_length", 0), number(s, "embedding_length", 0),
          number(s, "feed_forward_length", 0));
  fprintf(f, "\"moe_intermediate_size\": %u, \"num_hidden_layers\": %u, \"first_k_dense_replace\": %u, \"num_attention_heads\": %u,\n",
          number(s, "expert_feed_forward_length", 0), w->n_layer, number(s, "leading_dense_block_count", 0), w->n_head);
  fprintf(f, "\"n_routed_experts\": %u, \"num_experts_per_tok\": %u, \"n_shared_experts\": %u, \"routed_scaling_factor\": %.9g,\n",
          w->n_expert, number(s, "expert_used_count", 0), number(s, "expert_shared_count", 0), real(s, "expert_weights_scale", 1));
  bool norm = false;
  MUST(pm_meta_bool(s, "deepseek2.expert_weights_norm", 0, &norm) == PM_OK);
  fprintf(f, "\"norm_topk_prob\": %s, \"n_group\": %u, \"topk_group\": %u, \"topk_method\": \"%s\", \"scoring_func\": \"%s\",\n",
          norm ? "true" : "false", groups, number(s, "expert_group_used_count", 1),
          sigmoid      ? "noaux_tc"
          : groups > 1 ? "group_limited_greedy"
                       : "greedy",
          sigmoid ? "sigmoid" : "softmax");
  fprintf(f, "\"rms_norm_eps\": %.9g, \"kv_lora_rank\": %u, \"qk_nope_head_dim\": %u, \"qk_rope_head_dim\": %u, \"v_head_dim\": %u,\n",
          real(s, "attention.layer_norm_rms_epsilon", 0), w->n_latent, w->n_nope, w->n_rope, w->n_value);
  uint32_t lora = number(s, "attention.q_lora_rank", 0);
  if (lora) fprintf(f, "\"q_lora_rank\": %u,\n", lora);
  if (!lora) fprintf(f, "\"q_lora_rank\": null,\n");
  double mscale = real(s, "rope.scaling.yarn_log_multiplier", 0) * 10, theta = real(s, "rope.freq_base", 10000);
  fprintf(
      f,
      w->o->newer ? "\"rope_parameters\": {\"rope_theta\": %.9g, \"rope_type\": " : "\"rope_theta\": %.9g, \"rope_scaling\": {\"type\": ",
      theta);
  if (mscale > 0)
    fprintf(f, "\"yarn\", \"factor\": %.9g, \"original_max_position_embeddings\": %u, \"mscale\": %.9g, \"mscale_all_dim\": %.9g},\n",
            real(s, "rope.scaling.factor", 1), number(s, "rope.scaling.original_context_length", 0), mscale, mscale);
  else
    fprintf(f, "\"default\"},\n");
  fprintf(f, "\"num_nextn_predict_layers\": %u,\n", w->n_mtp);
  if (w->o->weights == HF_FP8)
    fprintf(f, "\"quantization_config\": {\"quant_method\": \"fp8\", \"fmt\": \"e4m3\", \"weight_block_size\": [128, 128]},\n");
  fprintf(f, "\"hidden_act\": \"silu\", \"vocab_size\": %u, \"bos_token_id\": 0, \"eos_token_id\": [1]}\n", number(s, "vocab_size", 0));
  MUST(fclose(f) == 0);
}

static void put_merge(FILE *f, const char *text, size_t n, bool pair) {
  const char *space = memchr(text + 1, ' ', n - 1);
  if (!pair) {
    put_text(f, text, n);
    return;
  }
  fputc('[', f);
  put_text(f, text, (size_t)(space - text));
  fputc(',', f);
  put_text(f, space + 1, n - (size_t)(space - text) - 1);
  fputc(']', f);
}

// Newer folders have the template in a file of its own.
static void write_template(const writer *w, const char *folder, const char *text, size_t n) {
  FILE *f = create(folder, "tokenizer_config.json");
  fprintf(f, "{\"bos_token\": {\"content\": \"<|bos|>\"}, \"add_bos_token\": true");
  if (!w->o->newer) fprintf(f, ", \"chat_template\": "), put_text(f, text, n);
  fprintf(f, "}\n");
  MUST(fclose(f) == 0);
  if (!w->o->newer) return;
  f = create(folder, "chat_template.jinja");
  MUST(fwrite(text, 1, n, f) == n);
  MUST(fclose(f) == 0);
}

static void write_tokenizer(const writer *w, const char *folder) {
  static const char SPLIT[] =
      "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": "
      "\"\\\\p{N}{1,3}\"}},\n"
      "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"[\\u4e00-\\u9fa5\\u3040-\\u309f\\u30a0-\\u30ff]+\"}}, {\"type\": \"Split\", "
      "\"pattern\": {\"Regex\": \"[!\\\"#$%&'()*+,\\\\-./:;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\\\p{L}\\\\p{P}\\\\p{S}]?"
      "[\\\\p{L}\\\\p{M}]+| ?[\\\\p{P}\\\\p{S}]+[\\r\\n]*|\\\\s*[\\r\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}}, {\"type\": \"ByteLevel\"}]},\n";
  const pm_model_file *s = w->source;
  FILE *f = create(folder, "tokenizer.json");
  const char *text;
  size_t n;
  uint64_t n_token = pm_model_file_find_meta(s, "tokenizer.ggml.tokens")->count;
  for (int pass = 0; pass < 2; pass++) {
    fprintf(f, pass ? "],\n%s\"model\": {\"type\": \"BPE\", \"vocab\": {" : "{\"added_tokens\": [", SPLIT);
    bool first = true;
    for (uint64_t i = 0; i < n_token; i++) {
      int64_t type = 1;
      MUST(pm_meta_i64(s, "tokenizer.ggml.token_type", i, &type) == PM_OK);
      MUST(pm_meta_string(s, "tokenizer.ggml.tokens", i, &text, &n) == PM_OK);
      if (type == 5 || (type == 1) != pass) continue;
      fprintf(f, first ? "\n" : ",\n");
      if (!pass) fprintf(f, "{\"id\": %u, \"special\": %s, \"content\": ", (unsigned)i, type == 3 ? "true" : "false");
      put_text(f, text, n);
      if (pass) fprintf(f, ": %u", (unsigned)i);
      if (!pass) fputc('}', f);
      first = false;
    }
  }
  fprintf(f, "}, \"merges\": [");
  const pm_meta *merges = pm_model_file_find_meta(s, "tokenizer.ggml.merges");
  for (uint64_t i = 0; merges && i < merges->count; i++) {
    MUST(pm_meta_string(s, "tokenizer.ggml.merges", i, &text, &n) == PM_OK);
    fprintf(f, i ? ",\n" : "\n");
    put_merge(f, text, n, w->o->newer);
  }
  fprintf(f, "]}}\n");
  MUST(fclose(f) == 0);
  text = "{{ bos_token }}\n", n = strlen(text);
  if (pm_model_file_find_meta(s, "tokenizer.chat_template")) MUST(pm_meta_string(s, "tokenizer.chat_template", 0, &text, &n) == PM_OK);
  write_template(w, folder, text, n);
}

// ---- the twin ------------------------------------------------------------------------------------------------------

static void copy_strings(pm_gguf_writer *g, const pm_model_file *s, const pm_meta *m) {
  const char **texts = calloc(m->count, sizeof *texts);
  for (uint64_t i = 0; i < m->count; i++) {
    const char *text;
    size_t n;
    MUST(pm_meta_string(s, m->key, i, &text, &n) == PM_OK);
    texts[i] = strndup(text, n);
  }
  if (m->type == PM_META_ARRAY)
    pm_gguf_put_strings(g, m->key, texts, m->count);
  else
    pm_gguf_put_string(g, m->key, texts[0]);
  for (uint64_t i = 0; i < m->count; i++) free((char *)texts[i]);
  free(texts);
}

static void copy_numbers(pm_gguf_writer *g, const pm_model_file *s, const pm_meta *m) {
  int32_t *values = calloc(m->count, sizeof *values);
  for (uint64_t i = 0; i < m->count; i++) {
    int64_t value;
    MUST(pm_meta_i64(s, m->key, i, &value) == PM_OK);
    values[i] = (int32_t)value;
  }
  pm_gguf_put_i32s(g, m->key, values, m->count);
  free(values);
}

static void copy_meta(pm_gguf_writer *g, const pm_model_file *s, const pm_meta *m) {
  static const char *const legacy[] = {"head_count_kv", "key_length", "value_length", "key_length_mla", "value_length_mla"};
  for (size_t i = 0; i < sizeof legacy / sizeof *legacy; i++)
    if (!strncmp(m->key, "deepseek2.attention.", 20) && !strcmp(m->key + 20, legacy[i])) return;
  uint32_t u = 0;
  float x = 0;
  bool b = false;
  switch (m->type) {
    case PM_META_U32:
      MUST(pm_meta_u32(s, m->key, 0, &u) == PM_OK);
      pm_gguf_put_u32(g, m->key, u);
      break;
    case PM_META_F32:
      MUST(pm_meta_f32(s, m->key, 0, &x) == PM_OK);
      pm_gguf_put_f32(g, m->key, x);
      break;
    case PM_META_BOOL:
      MUST(pm_meta_bool(s, m->key, 0, &b) == PM_OK);
      pm_gguf_put_bool(g, m->key, b);
      break;
    case PM_META_STRING: copy_strings(g, s, m); break;
    default:
      if (m->type == PM_META_ARRAY && m->element == PM_META_STRING) copy_strings(g, s, m);
      if (m->type == PM_META_ARRAY && m->element == PM_META_I32) copy_numbers(g, s, m);
  }
}

// Name of a matrix in GGUF; experts of a layer have the same.
static void twin_name(const matrix *m, char *name, size_t n) {
  unsigned layer, expert;
  int used = 0;
  const char *rest = m->name;
  char pattern[96];
  bool in_layer = sscanf(rest, "model.layers.%u.%n", &layer, &used) == 1 && used;
  if (in_layer) rest += used;
  snprintf(pattern, sizeof pattern, "%s", rest);
  used = 0;
  if (sscanf(rest, "mlp.experts.%u.%n", &expert, &used) == 1 && used) snprintf(pattern, sizeof pattern, "mlp.experts.%%u.%s", rest + used);
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
    if (!strcmp(NAMES[i][1], pattern)) {
      if (in_layer)
        snprintf(name, n, "blk.%u.%s", layer, NAMES[i][0]);
      else
        snprintf(name, n, "%s", NAMES[i][0]);
      return;
    }
  abort();
}

static void write_twin(const writer *w, const char *path) {
  pm_gguf_writer *g;
  MUST(pm_gguf_writer_open(path, &g) == PM_OK);
  for (uint64_t i = 0; i < pm_model_file_n_meta(w->source); i++) copy_meta(g, w->source, pm_model_file_meta(w->source, i));
  pm_gguf_put_u32(g, "deepseek2.attention.head_count_kv", w->n_head);
  pm_gguf_put_u32(g, "deepseek2.attention.key_length", w->n_nope + w->n_rope);
  pm_gguf_put_u32(g, "deepseek2.attention.value_length", w->n_value);
  for (int pass = 0; pass < 2; pass++)
    for (uint32_t i = 0, n; i < w->n; i += n) {
      const matrix *m = &w->m[i];
      char name[64];
      twin_name(m, name, sizeof name);
      n = strstr(m->name, ".experts.") ? w->n_expert : 1;
      const uint64_t ne[3] = {m->cols, m->rows, n};
      if (!pass) pm_gguf_put_tensor(g, name, PM_TYPE_F32, n > 1 ? 3 : m->n_dim, ne);
      for (uint32_t e = 0; pass && e < n; e++) pm_gguf_put_data(g, m[e].values, 4ull * m->rows * m->cols);
    }
  MUST(pm_gguf_writer_commit(g) == PM_OK);
}

void hf_write(const char *source, const char *folder, const hf_options *o, const char *twin) {
  writer *w = calloc(1, sizeof *w);
  w->o = o;
  MUST(pm_model_file_open(source, NULL, &w->source) == PM_OK);
  const pm_model_file *s = w->source;
  w->n_mtp = number(s, "nextn_predict_layers", 0), w->n_layer = number(s, "block_count", 0) - w->n_mtp;
  w->n_head = number(s, "attention.head_count", 0), w->n_expert = number(s, "expert_count", 0);
  w->n_latent = number(s, "attention.kv_lora_rank", 0), w->n_rope = number(s, "rope.dimension_count", 0);
  w->n_nope = number(s, "attention.key_length_mla", number(s, "attention.key_length", 0)) - w->n_rope;
  w->n_value = number(s, "attention.value_length_mla", number(s, "attention.value_length", 0));
  for (uint64_t i = 0; i < pm_model_file_n_tensor(s); i++) collect(w, pm_model_file_tensor(s, i));
  for (uint32_t i = 0; i < w->n; i++) round_matrix(w, &w->m[i]);
  mkdir(folder, 0755);
  for (uint32_t i = 0; i < o->n_shard; i++) write_shard(w, folder, i);
  if (o->n_shard > 1) write_index(w, folder);
  write_config(w, folder);
  write_tokenizer(w, folder);
  if (twin) write_twin(w, twin);
  for (uint32_t i = 0; i < w->n; i++) free(w->m[i].values), free(w->m[i].scales);
  pm_model_file_close(w->source);
  free(w);
}
