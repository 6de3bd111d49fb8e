#include <stdio.h>
#include <string.h>

#include "synth_shape.h"

enum { NORMAL = 1, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5 };  // token_type

typedef struct special {
  uint32_t id;
  int32_t type;
  const char *text;
} special;

// A vocabulary is its special tokens, the 256 bytes, the merged tokens, and padding, each taking the lowest ids still free.
typedef struct vocab {
  const char *name, *pre;
  uint32_t bos, eos;
  bool add_bos;
  special specials[8];
  const char *chat_template;
} vocab;

#define BOS_TEXT "<｜begin▁of▁sentence｜>"
#define EOS_TEXT "<｜end▁of▁sentence｜>"
#define TURN(role, text) "{% if message['role'] == '" role "' %}" text "{% endif %}"
#define LOOP(turns) "{% for message in messages %}" turns "{% endfor %}"
#define DEEPSEEK_V3_TEMPLATE                                                                                                \
  "{{ bos_token }}" LOOP(TURN("system", "{{ message['content'] }}") TURN("user", "{{ '<｜User｜>' + message['content'] }}") \
                             TURN("assistant", "{{ '<｜Assistant｜>' + message['content'] + '" EOS_TEXT                     \
                                               "' }}")) "{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %}"

static const vocab VOCABS[] = {
    {"deepseek-llm",
     "deepseek-llm",
     100000,
     100001,
     true,
     {{100000, CONTROL, BOS_TEXT}, {100001, CONTROL, EOS_TEXT}},
     "{{ bos_token }}" LOOP(
         TURN("system", "{{ message['content'] + '\\n\\n' }}") TURN("user", "{{ 'User: ' + message['content'] + '\\n\\n' }}")
             TURN("assistant",
                  "{{ 'Assistant: ' + message['content'] + eos_token }}")) "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"},
    {"deepseek-v3",
     "deepseek-v3",
     0,
     1,
     true,
     {{0, CONTROL, BOS_TEXT},
      {1, CONTROL, EOS_TEXT},
      {2, CONTROL, "<｜▁pad▁｜>"},
      {128798, USER_DEFINED, "<think>"},
      {128799, USER_DEFINED, "</think>"},
      {128803, CONTROL, "<｜User｜>"},
      {128804, CONTROL, "<｜Assistant｜>"}},
     DEEPSEEK_V3_TEMPLATE},
    {"kimi-k2",
     "kimi-k2",
     163584,
     163586,
     false,
     {{163584, CONTROL, "[BOS]"},
      {163585, CONTROL, "[EOS]"},
      {163586, CONTROL, "<|im_end|>"},
      {163587, CONTROL, "<|im_user|>"},
      {163588, CONTROL, "<|im_assistant|>"},
      {163594, CONTROL, "<|im_system|>"},
      {163601, CONTROL, "<|im_middle|>"}},
     LOOP(TURN("system", "<|im_system|>system<|im_middle|>") TURN("user", "<|im_user|>user<|im_middle|>") TURN(
         "assistant", "<|im_assistant|>assistant<|im_middle|>") "{{ message['content'] }}<|im_end|>") "{% if add_generation_prompt "
                                                                                                      "%}<|im_assistant|>assistant<|im_"
                                                                                                      "middle|>{% endif %}"},
    {"tiny",
     "deepseek-v3",
     0,
     1,
     true,
     {{0, CONTROL, BOS_TEXT},
      {1, CONTROL, EOS_TEXT},
      {2, CONTROL, "<｜▁pad▁｜>"},
      {3, CONTROL, "<｜User｜>"},
      {4, CONTROL, "<｜Assistant｜>"},
      {5, USER_DEFINED, "<think>"},
      {6, USER_DEFINED, "</think>"}},
     DEEPSEEK_V3_TEMPLATE},
};

// "Ġ" is how byte-level BPE writes a space.
static const char *const MERGES[] = {"h e", "i n", "r e", "o n", "e r", "a t", "o r",  "e n",  "i s",   "i t",   "o u",
                                     "a n", "Ġ t", "Ġ a", "Ġ o", "Ġ w", "Ġ s", "an d", "in g", "Ġt he", "Ġa nd", "Ġo f"};
enum { N_MERGE = sizeof MERGES / sizeof *MERGES, N_BYTE = 256 };

// The byte-level alphabet: printable Latin-1 stands for itself, the other 68 bytes for U+0100 and up, in order.
static uint32_t byte_code_point(uint32_t byte) {
  uint32_t n_before = 0;
  for (uint32_t b = 0;; b++) {
    bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
    if (b == byte) return printable ? b : 0x100 + n_before;
    n_before += !printable;
  }
}

static const char *byte_text(pm_arena *arena, uint32_t byte) {
  uint32_t c = byte_code_point(byte);  // below U+0800: one or two bytes of UTF-8
  if (c < 0x80) return pm_arena_printf(arena, "%c", (int)c);
  return pm_arena_printf(arena, "%c%c", (int)(0xc0 | c >> 6), (int)(0x80 | (c & 0x3f)));
}

static const char *merged_text(pm_arena *arena, const char *merge) {
  int left = (int)(strchr(merge, ' ') - merge);
  return pm_arena_printf(arena, "%.*s%s", left, merge, merge + left + 1);
}

static const char *token_text(pm_arena *arena, uint32_t id, uint32_t i) {
  if (i < N_BYTE) return byte_text(arena, i);
  if (i < N_BYTE + N_MERGE) return merged_text(arena, MERGES[i - N_BYTE]);
  return pm_arena_printf(arena, "[PAD%u]", id);
}

static pm_status put_tokens(pm_gguf_writer *w, const vocab *v, uint32_t n_vocab, pm_arena *arena) {
  const char **texts = pm_arena_alloc(arena, n_vocab * sizeof *texts);
  int32_t *types = pm_arena_alloc(arena, n_vocab * sizeof *types);
  if (!texts || !types) PM_FAIL(PM_ERR_MEMORY, "out of memory: a vocabulary of %u tokens", n_vocab);
  for (uint32_t i = 0; i < sizeof v->specials / sizeof *v->specials && v->specials[i].text; i++) {
    texts[v->specials[i].id] = v->specials[i].text;
    types[v->specials[i].id] = v->specials[i].type;
  }
  for (uint32_t id = 0, i = 0; id < n_vocab; id++) {
    if (texts[id]) continue;
    types[id] = i < N_BYTE + N_MERGE ? NORMAL : UNUSED;
    texts[id] = token_text(arena, id, i++);
    if (!texts[id]) PM_FAIL(PM_ERR_MEMORY, "out of memory: a vocabulary of %u tokens", n_vocab);
  }
  pm_gguf_put_strings(w, "tokenizer.ggml.tokens", texts, n_vocab);
  pm_gguf_put_i32s(w, "tokenizer.ggml.token_type", types, n_vocab);
  return PM_OK;
}

pm_status pm_synth_put_vocab(pm_gguf_writer *w, const char *name, uint32_t n_vocab) {
  const vocab *v = VOCABS;
  while (strcmp(v->name, name) != 0) v++;
  pm_gguf_put_string(w, "tokenizer.ggml.model", "gpt2");
  pm_gguf_put_string(w, "tokenizer.ggml.pre", v->pre);
  pm_arena arena = {0};
  pm_status status = put_tokens(w, v, n_vocab, &arena);
  pm_arena_finish(&arena);
  PM_TRY(status);
  pm_gguf_put_strings(w, "tokenizer.ggml.merges", MERGES, N_MERGE);
  pm_gguf_put_u32(w, "tokenizer.ggml.bos_token_id", v->bos);
  pm_gguf_put_u32(w, "tokenizer.ggml.eos_token_id", v->eos);
  pm_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", v->add_bos);
  pm_gguf_put_string(w, "tokenizer.chat_template", v->chat_template);
  return PM_OK;
}
