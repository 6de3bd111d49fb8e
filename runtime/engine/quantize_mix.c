#include "quantize_mix.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

// ---- mixes ---------------------------------------------------------------------------------------------------------

#define TYPES(base, embedding, output) PM_TYPE_##base, PM_TYPE_##embedding, PM_TYPE_##output, PM_TYPE_NONE
static const pm_mix MIXES[] = {
    {"F32", 0, TYPES(F32, F32, F32), false, "32 bits: everything as it is"},
    {"F16", 1, TYPES(F16, F16, F16), false, "16 bits, a large mantissa"},
    {"BF16", 32, TYPES(BF16, BF16, BF16), false, "16 bits, a large exponent"},
    {"Q8_0", 7, TYPES(Q8_0, Q8_0, Q8_0), false, "8.5 bits a weight: nothing to be seen of the loss"},
    {"Q6_K", 18, TYPES(Q6_K, Q6_K, Q6_K), false, "6.6 bits"},
    {"Q5_K_M", 17, TYPES(Q5_K, Q5_K, Q6_K), false, "5.7 bits"},
    {"Q5_K_S", 16, TYPES(Q5_K, Q5_K, Q6_K), false, "5.5 bits"},
    {"Q4_K_M", 15, TYPES(Q4_K, Q4_K, Q6_K), false, "4.8 bits: the usual choice"},
    {"Q4_K_S", 14, TYPES(Q4_K, Q4_K, Q6_K), false, "4.5 bits"},
    {"IQ4_XS", 30, TYPES(IQ4_XS, IQ4_XS, Q6_K), false, "4.3 bits"},
    {"IQ4_NL", 25, TYPES(IQ4_NL, IQ4_NL, Q6_K), false, "4.5 bits, in blocks of 32"},
    {"Q3_K_L", 13, TYPES(Q3_K, Q3_K, Q6_K), false, "4.1 bits"},
    {"Q3_K_M", 12, TYPES(Q3_K, Q3_K, Q6_K), false, "3.8 bits"},
    {"Q3_K_S", 11, TYPES(Q3_K, Q3_K, Q6_K), false, "3.5 bits"},
    {"IQ3_M", 27, TYPES(IQ3_S, IQ3_S, Q6_K), false, "3.5 bits, better with importances"},
    {"IQ3_S", 26, TYPES(IQ3_S, IQ3_S, Q6_K), false, "3.4 bits, better with importances"},
    {"IQ3_XS", 22, TYPES(IQ3_S, IQ3_S, Q6_K), false, "3.3 bits, better with importances"},
    {"IQ3_XXS", 23, TYPES(IQ3_XXS, IQ3_S, Q5_K), false, "3.1 bits, better with importances"},
    {"Q2_K", 10, TYPES(Q2_K, Q2_K, Q6_K), false, "2.9 bits"},
    {"Q2_K_S", 21, TYPES(Q2_K, Q2_K, Q6_K), true, "2.7 bits, wants importances"},
    {"IQ2_M", 29, TYPES(IQ2_S, IQ3_S, Q5_K), true, "2.6 bits, wants importances"},
    {"IQ2_S", 28, TYPES(IQ2_XS, IQ3_S, Q5_K), true, "2.4 bits, wants importances"},
    {"IQ2_XS", 20, TYPES(IQ2_XS, Q2_K, Q5_K), true, "2.3 bits, wants importances"},
    {"IQ2_XXS", 19, TYPES(IQ2_XXS, Q2_K, Q5_K), true, "2.1 bits, wants importances"},
    {"IQ1_M", 31, TYPES(IQ1_M, Q2_K, Q5_K), true, "1.8 bits, wants importances"},
    {"IQ1_S", 24, TYPES(IQ1_S, Q2_K, Q5_K), true, "1.6 bits, wants importances"},
    {"MXFP4_MOE", 38, PM_TYPE_Q8_0, PM_TYPE_Q8_0, PM_TYPE_Q8_0, PM_TYPE_MXFP4, false, "4.3 bits for experts, 8.5 for the rest"},
    {"TQ2_0", 37, TYPES(TQ2_0, Q4_K, Q6_K), false, "2.1 bits, for models trained to three values"},
    {"TQ1_0", 36, TYPES(TQ1_0, Q4_K, Q6_K), false, "1.7 bits, for models trained to three values"},
    {"Q5_1", 9, TYPES(Q5_1, Q5_1, Q6_K), false, "6 bits, in blocks of 32"},
    {"Q5_0", 8, TYPES(Q5_0, Q5_0, Q6_K), false, "5.5 bits, in blocks of 32"},
    {"Q4_1", 3, TYPES(Q4_1, Q4_1, Q6_K), false, "5 bits, in blocks of 32"},
    {"Q4_0", 2, TYPES(Q4_0, Q4_0, Q6_K), false, "4.5 bits, in blocks of 32"},
};
enum { N_MIX = sizeof MIXES / sizeof *MIXES };

// ---- parts of a model ----------------------------------------------------------------------------------------------

typedef enum model_part { OTHER, EMBEDDING, OUTPUT, VALUE, QUERY, ATTENTION_OUTPUT, DOWN, GATE_UP, KEPT } model_part;

// First match wins. A name ends with "*" if anything may follow.
static const struct part_row {
  const char *name;  // after "blk.<layer>."
  model_part part;
} PARTS[] = {
    {"token_embd.weight", EMBEDDING},
    {"output.weight", OUTPUT},
    {"ffn_gate_inp.weight", KEPT},  // the router: small, and every choice hangs on it
    {"attn_v.weight", VALUE},
    {"attn_kv_b.weight", VALUE},
    {"attn_q.weight", QUERY},
    {"attn_output.weight", ATTENTION_OUTPUT},
    {"ffn_down*", DOWN},
    {"ffn_gate*", GATE_UP},
    {"ffn_up*", GATE_UP},
};

static bool matches(const char *name, const char *pattern) {
  size_t n = strlen(pattern);
  return pattern[n - 1] == '*' ? !strncmp(name, pattern, n - 1) : !strcmp(name, pattern);
}

static bool ends_with(const char *name, const char *end) {
  size_t n = strlen(name), m = strlen(end);
  return n >= m && !strcmp(name + n - m, end);
}

// Matrices called "...weight" are quantized; vectors, norms, biases and the router are not.
static model_part part_of(const pm_file_tensor *t, uint32_t *layer) {
  const char *name = t->name;
  int n = 0;
  *layer = 0;
  if (sscanf(name, "blk.%9u.%n", layer, &n) == 1 && n) name += n;
  if (t->n_dim < 2 || t->ne[1] * t->ne[2] * t->ne[3] == 1 || !ends_with(name, ".weight") || ends_with(name, "norm.weight")) return KEPT;
  for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++)
    if (matches(name, PARTS[i].name)) return PARTS[i].part;
  return OTHER;
}

// ---- rules ---------------------------------------------------------------------------------------------------------

// Which layers of n. FAVOURED: the first and the last eighth and every third between, half of them in all.
typedef enum span { ALL, FIRST_2, FIRST_4, FIRST_SIXTEENTH, FIRST_TWELFTH, FIRST_EIGHTH, FAVOURED, MIDDLE } span;

static bool in_span(span s, uint32_t layer, uint32_t n) {
  bool edge = layer < n / 8 || layer >= 7 * n / 8;
  switch (s) {
    case ALL: return true;
    case FIRST_2: return layer < 2;
    case FIRST_4: return layer < 4;
    case FIRST_SIXTEENTH: return layer < n / 16;
    case FIRST_TWELFTH: return layer < n / 12;
    case FIRST_EIGHTH: return layer < n / 8;
    case FAVOURED: return edge || (layer - n / 8) % 3 == 2;
    default: return !edge;
  }
}

typedef enum when { ALWAYS, WITH, WITHOUT } when;  // importances

// Parts that a mix gives another format than its base; the first row that holds. What others usually do, so that a name means the same
// everywhere: these rules reproduce the published files.
static const struct rule {
  const char *mix;
  model_part part;
  span span;
  when when;
  pm_type type;
} RULES[] = {
    {"Q5_K_M", DOWN, FAVOURED, ALWAYS, PM_TYPE_Q6_K},
    {"Q5_K_M", VALUE, FAVOURED, ALWAYS, PM_TYPE_Q6_K},
    {"Q4_K_M", DOWN, FAVOURED, ALWAYS, PM_TYPE_Q6_K},
    {"Q4_K_M", VALUE, FAVOURED, ALWAYS, PM_TYPE_Q6_K},
    {"Q4_K_S", DOWN, FIRST_EIGHTH, ALWAYS, PM_TYPE_Q5_K},
    {"Q4_K_S", VALUE, FIRST_4, ALWAYS, PM_TYPE_Q5_K},
    {"Q3_K_L", DOWN, ALL, ALWAYS, PM_TYPE_Q5_K},
    {"Q3_K_L", VALUE, ALL, ALWAYS, PM_TYPE_Q5_K},
    {"Q3_K_L", ATTENTION_OUTPUT, ALL, ALWAYS, PM_TYPE_Q5_K},
    {"Q3_K_M", DOWN, FIRST_SIXTEENTH, ALWAYS, PM_TYPE_Q5_K},
    {"Q3_K_M", DOWN, ALL, ALWAYS, PM_TYPE_Q4_K},
    {"Q3_K_M", VALUE, FIRST_2, ALWAYS, PM_TYPE_Q5_K},
    {"Q3_K_M", VALUE, ALL, ALWAYS, PM_TYPE_Q4_K},
    {"Q3_K_M", ATTENTION_OUTPUT, ALL, ALWAYS, PM_TYPE_Q4_K},
    {"Q2_K", DOWN, ALL, ALWAYS, PM_TYPE_Q3_K},
    {"Q2_K", VALUE, ALL, ALWAYS, PM_TYPE_Q3_K},
    {"Q2_K", ATTENTION_OUTPUT, ALL, ALWAYS, PM_TYPE_Q3_K},
    {"Q2_K_S", DOWN, FIRST_EIGHTH, ALWAYS, PM_TYPE_Q4_K},
    {"Q4_0", DOWN, FIRST_EIGHTH, WITH, PM_TYPE_Q4_1},
    {"Q5_0", DOWN, FIRST_EIGHTH, WITH, PM_TYPE_Q5_1},
    {"IQ4_XS", DOWN, FIRST_EIGHTH, WITHOUT, PM_TYPE_Q5_K},
    {"IQ4_NL", DOWN, FIRST_EIGHTH, WITHOUT, PM_TYPE_Q5_K},
    {"IQ3_M", DOWN, FIRST_EIGHTH, ALWAYS, PM_TYPE_Q4_K},
    {"IQ3_M", VALUE, ALL, ALWAYS, PM_TYPE_Q4_K},
    {"IQ3_M", ATTENTION_OUTPUT, ALL, ALWAYS, PM_TYPE_Q4_K},
    {"IQ3_XS", GATE_UP, MIDDLE, ALWAYS, PM_TYPE_IQ3_XXS},
    {"IQ3_XS", QUERY, ALL, ALWAYS, PM_TYPE_IQ3_XXS},
    {"IQ3_XXS", DOWN, FIRST_EIGHTH, WITHOUT, PM_TYPE_Q4_K},
    {"IQ3_XXS", DOWN, ALL, WITHOUT, PM_TYPE_Q3_K},
    {"IQ3_XXS", VALUE, ALL, WITHOUT, PM_TYPE_IQ3_S},
    {"IQ3_XXS", QUERY, ALL, ALWAYS, PM_TYPE_IQ2_S},
    {"IQ3_XXS", ATTENTION_OUTPUT, ALL, ALWAYS, PM_TYPE_IQ3_S},
    {"IQ2_M", DOWN, FIRST_TWELFTH, ALWAYS, PM_TYPE_IQ3_S},
    {"IQ2_M", ATTENTION_OUTPUT, ALL, ALWAYS, PM_TYPE_IQ3_S},
    {"IQ2_S", DOWN, FIRST_TWELFTH, ALWAYS, PM_TYPE_IQ3_S},
    {"IQ2_S", ATTENTION_OUTPUT, ALL, ALWAYS, PM_TYPE_IQ3_S},
    {"IQ2_XS", DOWN, FIRST_TWELFTH, ALWAYS, PM_TYPE_Q2_K},
    {"IQ2_XXS", DOWN, FIRST_TWELFTH, ALWAYS, PM_TYPE_Q2_K},
    {"IQ1_M", DOWN, FIRST_TWELFTH, ALWAYS, PM_TYPE_Q2_K},
    {"IQ1_M", ATTENTION_OUTPUT, ALL, ALWAYS, PM_TYPE_IQ2_XXS},
    {"IQ1_S", DOWN, FIRST_TWELFTH, ALWAYS, PM_TYPE_Q2_K},
    {"IQ1_S", ATTENTION_OUTPUT, ALL, ALWAYS, PM_TYPE_IQ2_XXS},
    {"IQ2_M", VALUE, ALL, ALWAYS, PM_TYPE_Q4_K},
    {"IQ2_S", VALUE, ALL, ALWAYS, PM_TYPE_Q4_K},
    {"IQ2_XS", VALUE, ALL, ALWAYS, PM_TYPE_Q4_K},
    {"IQ2_XXS", VALUE, ALL, ALWAYS, PM_TYPE_Q4_K},
    {"IQ1_M", VALUE, ALL, ALWAYS, PM_TYPE_Q4_K},
    {"IQ1_S", VALUE, ALL, ALWAYS, PM_TYPE_Q4_K},
};

// What takes the place of a format whose blocks a row is no multiple of.
static const struct substitute {
  pm_type wanted, instead;
} SUBSTITUTES[] = {
    {PM_TYPE_IQ1_S, PM_TYPE_IQ4_NL}, {PM_TYPE_IQ1_M, PM_TYPE_IQ4_NL}, {PM_TYPE_IQ2_XXS, PM_TYPE_IQ4_NL}, {PM_TYPE_IQ2_XS, PM_TYPE_IQ4_NL},
    {PM_TYPE_IQ2_S, PM_TYPE_IQ4_NL}, {PM_TYPE_IQ3_S, PM_TYPE_IQ4_NL}, {PM_TYPE_IQ3_XXS, PM_TYPE_IQ4_NL}, {PM_TYPE_IQ4_XS, PM_TYPE_IQ4_NL},
    {PM_TYPE_Q2_K, PM_TYPE_Q4_0},    {PM_TYPE_Q3_K, PM_TYPE_Q4_0},    {PM_TYPE_TQ1_0, PM_TYPE_Q4_0},     {PM_TYPE_TQ2_0, PM_TYPE_Q4_0},
    {PM_TYPE_Q4_K, PM_TYPE_Q5_0},    {PM_TYPE_Q5_K, PM_TYPE_Q5_1},    {PM_TYPE_Q6_K, PM_TYPE_Q8_0},
};

static bool fits(pm_type type, uint64_t row) { return row % pm_format_get(type)->block_elements == 0; }

static pm_type whole_blocks(pm_type type, uint64_t row) {
  if (fits(type, row)) return type;
  for (size_t i = 0; i < sizeof SUBSTITUTES / sizeof *SUBSTITUTES; i++)
    if (SUBSTITUTES[i].wanted == type && fits(SUBSTITUTES[i].instead, row)) return SUBSTITUTES[i].instead;
  return PM_TYPE_F16;
}

static pm_type wanted_type(const pm_mix *m, const pm_mix_model *model, model_part part, uint32_t layer, bool is_stacked) {
  if (part == OUTPUT || (part == EMBEDDING && model->tied)) return m->output;
  if (part == EMBEDDING) return m->embedding;
  if (is_stacked && m->stacked != PM_TYPE_NONE) return m->stacked;
  for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++) {
    const struct rule *r = &RULES[i];
    bool holds = r->when == ALWAYS || (r->when == WITH) == model->imatrix;
    if (r->part == part && holds && !strcmp(r->mix, m->name) && in_span(r->span, layer, model->n_layer)) return r->type;
  }
  return m->base;
}

// Tensors that are not quantized are kept, but that runtimes want vectors in 32 bits.
static pm_type kept_type(const pm_file_tensor *t) {
  bool plain = t->type == PM_TYPE_F16 || t->type == PM_TYPE_BF16 || t->type >= PM_TYPE_OWN;
  return plain ? PM_TYPE_F32 : (pm_type)t->type;
}

pm_type pm_mix_choose(const pm_mix *m, const pm_mix_model *model, const pm_file_tensor *t, bool *fallback) {
  uint32_t layer;
  model_part part = part_of(t, &layer);
  if (fallback) *fallback = false;
  if (part == KEPT || !pm_format_get((pm_type)t->type)->decode) return kept_type(t);
  pm_type wanted = wanted_type(m, model, part, layer, t->n_dim > 2), type = whole_blocks(wanted, t->ne[0]);
  if (fallback) *fallback = type != wanted;
  return type;
}

// ---- lookups -------------------------------------------------------------------------------------------------------

const pm_mix *pm_mix_row(uint32_t i) { return i < N_MIX ? &MIXES[i] : NULL; }

const pm_mix *pm_mix_find(const char *name) {
  for (uint32_t i = 0; i < N_MIX; i++)
    if (!strcasecmp(MIXES[i].name, name)) return &MIXES[i];
  return NULL;
}
