#include "generate.h"

#include <string.h>

typedef struct text_out {
  pm_utf8_stream utf8;
  pm_think_stream think;
  pm_think_fn *emit;
  void *user;
} text_out;

// Whether the prompt ended inside a thinking block, as R1's generation prompt does.
static bool prompt_opens_thinking(const pm_session *s) {
  static const char mark[] = "<think>";
  char tail[64];
  size_t n = sizeof tail;  // filled from the end
  for (uint32_t i = s->length; i > 0 && n > 0; i--) {
    size_t bytes;
    const char *text = pm_token_bytes(s->engine->tokenizer, s->tokens[i - 1], true, &bytes);
    size_t k = bytes < n ? bytes : n;
    memcpy(tail + n - k, text + bytes - k, k);
    n -= k;
  }
  size_t end = sizeof tail;
  while (end > n && (tail[end - 1] == '\n' || tail[end - 1] == ' ')) end--;
  return end - n >= sizeof mark - 1 && !memcmp(tail + end - (sizeof mark - 1), mark, sizeof mark - 1);
}

// In pieces, so that no buffer depends on a token's length. False when the receiver has had enough.
static bool emit_bytes(text_out *o, const char *bytes, size_t n, bool end) {
  char text[(32 + 3) * 3];
  do {
    size_t k = n < 32 ? n : 32;
    size_t m = pm_utf8_stream_push(&o->utf8, bytes, k, end && k == n, text);
    if (!pm_think_stream_push(&o->think, text, m, end && k == n, o->emit, o->user)) return false;
    bytes += k, n -= k;
  } while (n);
  return true;
}

static bool emit_token(const pm_tokenizer *t, text_out *o, int32_t id) {
  size_t n;
  bool mark = id == pm_token_find(t, "<think>") || id == pm_token_find(t, "</think>");
  const char *bytes = pm_token_bytes(t, id, mark, &n);
  return emit_bytes(o, bytes, n, false);
}

pm_status pm_generate(pm_session *s, const pm_sampler_desc *d, uint64_t seed, size_t max_tokens, pm_think_fn *emit, void *user,
                      pm_generated *out) {
  *out = (pm_generated){.stop = PM_STOP_LENGTH};
  if (!s->has_logits) PM_FAIL(PM_ERR_ARGUMENT, "the session holds no evaluated prompt to go on from");
  const pm_engine *e = s->engine;
  text_out text = {.emit = emit, .user = user};
  pm_think_stream_init(&text.think, prompt_opens_thinking(s));
  pm_rng rng = pm_rng_seed(seed);
  bool wanted = true;
  while (s->length < e->kv.n_ctx && (!max_tokens || out->n_token < max_tokens)) {
    int32_t id = pm_sample(d, &rng, s->logits, e->model.config.n_vocab, s->tokens, s->length, s->sampler_memory);
    out->n_token++;
    if (pm_token_is_end(e->tokenizer, id)) {
      out->stop = PM_STOP_END;
      break;
    }
    wanted = emit_token(e->tokenizer, &text, id);
    pm_status status = wanted ? pm_session_eval(s, &id, 1, NULL, NULL) : PM_OK;
    if (!wanted || status == PM_ERR_CANCELLED) {
      out->stop = PM_STOP_CALLER;
      break;
    }
    PM_TRY(status);
  }
  if (wanted) emit_bytes(&text, "", 0, true);
  return PM_OK;
}
