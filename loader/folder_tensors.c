// Hugging Face names to GGUF names. A matrix per expert there is one tensor of all experts of a layer here, whose slabs stay where they
// are in their files.
#include <stdio.h>
#include <string.h>

#include "folder.h"

enum { N_MATRIX = 3, SCALE_SQUARE = PM_FP8_BLOCK };

typedef struct rename {
  const char *from, *to;
} rename_rule;

static const rename_rule GLOBALS[] = {
    {"model.embed_tokens.weight", "token_embd.weight"},
    {"model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
};

static const rename_rule LAYER[] = {
    // after "model.layers.<i>." and "blk.<i>."
    {"input_layernorm.weight", "attn_norm.weight"},
    {"self_attn.q_proj.weight", "attn_q.weight"},
    {"self_attn.q_a_proj.weight", "attn_q_a.weight"},
    {"self_attn.q_a_layernorm.weight", "attn_q_a_norm.weight"},
    {"self_attn.q_b_proj.weight", "attn_q_b.weight"},
    {"self_attn.kv_a_proj_with_mqa.weight", "attn_kv_a_mqa.weight"},
    {"self_attn.kv_a_layernorm.weight", "attn_kv_a_norm.weight"},
    {"self_attn.kv_b_proj.weight", "attn_kv_b.weight"},
    {"self_attn.o_proj.weight", "attn_output.weight"},
    {"post_attention_layernorm.weight", "ffn_norm.weight"},
    {"mlp.gate_proj.weight", "ffn_gate.weight"},
    {"mlp.up_proj.weight", "ffn_up.weight"},
    {"mlp.down_proj.weight", "ffn_down.weight"},
    {"mlp.gate.weight", "ffn_gate_inp.weight"},
    {"mlp.gate.e_score_correction_bias", "exp_probs_b.bias"},
    {"mlp.shared_experts.gate_proj.weight", "ffn_gate_shexp.weight"},
    {"mlp.shared_experts.up_proj.weight", "ffn_up_shexp.weight"},
    {"mlp.shared_experts.down_proj.weight", "ffn_down_shexp.weight"},
    {"eh_proj.weight", "nextn.eh_proj.weight"},
    {"enorm.weight", "nextn.enorm.weight"},
    {"hnorm.weight", "nextn.hnorm.weight"},
    {"embed_tokens.weight", "nextn.embed_tokens.weight"},
    {"shared_head.head.weight", "nextn.shared_head_head.weight"},
    {"shared_head.norm.weight", "nextn.shared_head_norm.weight"},
};

static const rename_rule EXPERT[N_MATRIX] = {
    // after "model.layers.<i>.mlp.experts.<e>." and "blk.<i>."
    {"gate_proj.weight", "ffn_gate_exps.weight"},
    {"up_proj.weight", "ffn_up_exps.weight"},
    {"down_proj.weight", "ffn_down_exps.weight"},
};

typedef struct maker {
  pm_folder *d;
  const pm_raw_tensor **experts;  // [layer][matrix][expert]
  const char *path;               // of the shard of the tensor being made, for messages
} maker;

// ---- one tensor ----------------------------------------------------------------------------------------------------

static void *keep(const maker *k, size_t bytes) { return pm_arena_alloc(&k->d->f->arena, bytes); }

static pm_status out_of_memory(const maker *k) { PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: the names of tensors", k->d->path); }

// The scales of an FP8 matrix lie beside it as another tensor: "x.weight_scale_inv", which is multiplied all the same.
static pm_status find_scales(const maker *k, const pm_raw_tensor *t, pm_file_place *out) {
  char name[320];
  snprintf(name, sizeof name, "%s_scale_inv", t->name);
  const pm_raw_tensor *s = pm_folder_find_raw(k->d, name);
  if (!s)
    PM_FAIL(PM_ERR_UNSUPPORTED, "%s: tensor %s: FP8 without %s: only scales of squares of 128 can be computed with", k->path, t->name,
            name);
  uint64_t wide = (t->ne[0] + SCALE_SQUARE - 1) / SCALE_SQUARE, high = (t->ne[1] + SCALE_SQUARE - 1) / SCALE_SQUARE;
  if (s->type != PM_TYPE_F32 || s->ne[0] != wide || s->ne[1] != high || s->n_dim > 2)
    PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: shape [%llu, %llu] of %s, expected [%llu, %llu] of F32: one for each square of 128",
            k->d->f->shards[s->shard].path, s->name, (unsigned long long)s->ne[1], (unsigned long long)s->ne[0], s->dtype,
            (unsigned long long)high, (unsigned long long)wide);
  *out = (pm_file_place){s->shard, s->offset};
  return PM_OK;
}

static pm_status check_raw(maker *k, const pm_raw_tensor *t, const pm_raw_tensor *first) {
  k->path = k->d->f->shards[t->shard].path;
  if (t->type == PM_TYPE_NONE)
    PM_FAIL(PM_ERR_UNSUPPORTED, "%s: tensor %s: dtype %.20s cannot be computed with; BF16, F16, F32 and F8_E4M3 can", k->path, t->name,
            t->dtype);
  if (t->n_dim > 2) PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: shape: a matrix or a vector was expected", k->path, t->name);
  if (t->type != PM_TYPE_FP8 && t->offset % pm_format_get(t->type)->block_bytes)
    PM_FAIL(PM_ERR_UNSUPPORTED,
            "%s: tensor %s: its data lies at byte %llu, which is no multiple of its type's size; write the file again "
            "with a current safetensors library",
            k->path, t->name, (unsigned long long)t->offset);
  if (t->type == first->type && t->ne[0] == first->ne[0] && t->ne[1] == first->ne[1]) return PM_OK;
  PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: dtype or shape is not that of %s", k->path, t->name, first->name);
}

// Vectors become floats, which is what norms and biases are computed as; so do FP8 matrices whose rows are no whole blocks.
static pm_type type_of(const pm_raw_tensor *t) {
  bool ragged = t->type == PM_TYPE_FP8 && t->ne[0] % PM_FP8_BLOCK;
  return t->n_dim == 1 || ragged ? PM_TYPE_F32 : t->type;
}

// Appends a tensor whose slabs are `parts`.
static pm_status add(maker *k, const char *name, const pm_raw_tensor *const *parts, uint32_t n) {
  pm_model_file *f = k->d->f;
  const pm_raw_tensor *first = parts[0];
  pm_file_place *data = keep(k, n * sizeof *data), *scales = first->type == PM_TYPE_FP8 ? keep(k, n * sizeof *scales) : NULL;
  if (!name || !data || (first->type == PM_TYPE_FP8 && !scales)) return out_of_memory(k);
  for (uint32_t i = 0; i < n; i++) {
    PM_TRY(check_raw(k, parts[i], first));
    data[i] = (pm_file_place){parts[i]->shard, parts[i]->offset};
    if (scales) PM_TRY(find_scales(k, parts[i], &scales[i]));
  }
  pm_type type = type_of(first);
  bool whole = n == 1 && type == first->type && !scales;
  pm_file_tensor *t = &f->tensors[f->n_tensor];
  *t = (pm_file_tensor){.name = name,
                        .type = type,
                        .n_dim = n > 1 ? 3 : first->n_dim,
                        .ne = {first->ne[0], first->ne[1], n, 1},
                        .shard = data->shard,
                        .offset = data->offset,
                        .bytes = pm_format_bytes(type, first->ne[0]) * first->ne[1] * n,
                        .places = whole || type != first->type ? NULL : data};
  f->sources[f->n_tensor++] = (pm_source){.stored = first->type, .n = n, .data = data, .scales = scales};
  return PM_OK;
}

// ---- names ---------------------------------------------------------------------------------------------------------

static const char *find_rule(const rename_rule *rules, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (!strcmp(rules[i].from, name)) return rules[i].to;
  return NULL;
}

// Reads `prefix`, a number below `limit` and a dot; *name is then what follows.
static bool take_index(const char **name, const char *prefix, uint32_t limit, uint32_t *out) {
  size_t n = strlen(prefix);
  if (strncmp(*name, prefix, n) != 0) return false;
  const char *c = *name + n;
  uint32_t value = 0;
  if (*c < '0' || *c > '9' || (*c == '0' && c[1] != '.')) return false;
  for (; *c >= '0' && *c <= '9' && value < limit; c++) value = value * 10 + (uint32_t)(*c - '0');
  if (*c != '.' || value >= limit) return false;
  *name = c + 1, *out = value;
  return true;
}

static pm_status name_one(maker *k, const pm_raw_tensor *raw) {
  const pm_folder *d = k->d;
  const char *rest = raw->name, *to = find_rule(GLOBALS, sizeof GLOBALS / sizeof *GLOBALS, rest);
  uint32_t layer, expert;
  if (to) return add(k, to, &raw, 1);
  if (!take_index(&rest, "model.layers.", d->n_layer + d->n_mtp, &layer)) return PM_OK;
  if (take_index(&rest, "mlp.experts.", d->n_expert, &expert)) {
    for (uint32_t m = 0; m < N_MATRIX; m++)
      if (!strcmp(rest, EXPERT[m].from)) k->experts[(layer * N_MATRIX + m) * d->n_expert + expert] = raw;
    return PM_OK;
  }
  to = find_rule(LAYER, sizeof LAYER / sizeof *LAYER, rest);
  return to ? add(k, pm_arena_printf(&d->f->arena, "blk.%u.%s", layer, to), &raw, 1) : PM_OK;
}

static pm_status join_experts(maker *k, uint32_t layer, uint32_t m) {
  const pm_folder *d = k->d;
  const pm_raw_tensor **parts = &k->experts[(layer * N_MATRIX + m) * d->n_expert];
  uint32_t n = 0;
  for (uint32_t e = 0; e < d->n_expert; e++) n += parts[e] != NULL;
  if (!n) return PM_OK;  // a dense layer; whether it should be one is for the model's family to say
  for (uint32_t e = 0; e < d->n_expert; e++)
    if (!parts[e]) PM_FAIL(PM_ERR_FORMAT, "%s: tensor model.layers.%u.mlp.experts.%u.%s is missing", d->path, layer, e, EXPERT[m].from);
  return add(k, pm_arena_printf(&d->f->arena, "blk.%u.%s", layer, EXPERT[m].to), parts, d->n_expert);
}

pm_status pm_folder_name_tensors(pm_folder *d) {
  maker k = {.d = d};
  uint32_t n_layer = d->n_layer + d->n_mtp;
  k.experts = pm_arena_alloc(&d->scratch, (size_t)n_layer * N_MATRIX * d->n_expert * sizeof *k.experts);
  d->f->tensors = keep(&k, d->n_raw * sizeof *d->f->tensors);
  d->f->sources = keep(&k, d->n_raw * sizeof *d->f->sources);
  if (!k.experts || !d->f->tensors || !d->f->sources) return out_of_memory(&k);
  for (uint64_t i = 0; i < d->n_raw; i++) PM_TRY(name_one(&k, &d->raw[i]));
  for (uint32_t i = 0; i < n_layer; i++)
    for (uint32_t m = 0; m < N_MATRIX; m++) PM_TRY(join_experts(&k, i, m));
  return PM_OK;
}
