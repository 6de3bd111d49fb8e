// Answers of llama.cpp's own /completion, which many of its tools speak.
#include "reply_parts.h"

static json_t *chunk(pm_choice *c, json_t *content, uint64_t n_answer) {
  const pm_outcome *o = c->outcome;
  json_t *piece = json_pack("{s:i, s:o, s:o, s:b, s:I, s:I, s:I}", "index", 0, "content", content, "tokens", pm_reply_take_tokens(c),
                            "stop", 0, "id_slot", (json_int_t)o->slot, "tokens_predicted", (json_int_t)n_answer, "tokens_evaluated",
                            (json_int_t)o->n_prompt);
  if (c->probs) json_object_set_new(piece, "completion_probabilities", c->probs);
  c->probs = NULL;
  return piece;
}

static json_t *piece(pm_choice *c, const pm_event *event) {
  if (event->kind == PM_EVENT_PROMPT) {
    json_t *progress = chunk(c, json_string(""), 0);
    json_object_set(progress, "prompt_progress", event->json);
    return progress;
  }
  pm_text text = {0};
  pm_reply_inline(c, event->kind == PM_EVENT_THINKING, event->text, event->n, &text);
  json_t *p = chunk(c, pm_json_lossy(text.data, text.n), event->n_answer);
  pm_text_free(&text);
  if (c->reply->request->timings_per_token)
    json_object_set_new(p, "timings", pm_reply_timings(c->outcome, event->n_answer, event->answer_seconds));
  return p;
}

static void add_end(const pm_choice *c, json_t *p) {
  static const char *const stops[] = {[PUMICE_STOP_END] = "eos", [PUMICE_STOP_LENGTH] = "limit", [PUMICE_STOP_CALLER] = "none"};
  const pm_outcome *o = c->outcome;
  json_object_set_new(p, "stop", json_true());
  json_object_set_new(p, "model", pm_json_words(c->reply->model));
  json_object_set_new(p, "stop_type", json_string(*o->stop_text ? "word" : stops[o->stop]));
  json_object_set_new(p, "stopping_word", pm_json_words(o->stop_text));
  json_object_set_new(p, "truncated", json_false());
  json_object_set_new(p, "tokens_cached", json_integer((json_int_t)o->n_cached));
  json_object_set_new(p, "timings", pm_reply_timings(o, o->n_answer, o->answer_seconds));
}

static json_t *end(pm_choice *c) {
  json_t *p = chunk(c, json_string(""), c->outcome->n_answer);
  add_end(c, p);
  return p;
}

static json_t *whole(pm_reply *r) {
  pm_choice *c = r->choices;
  json_t *p = chunk(c, pm_reply_inline_whole(c), c->outcome->n_answer);
  add_end(c, p);
  return p;
}

static json_t *wrap_error(json_t *error) { return json_pack("{s:o}", "error", error); }

const pm_reply_format pm_reply_native = {.dialect = PM_DIALECT_NATIVE,
                                         .type = "text/event-stream",
                                         .before = "data: ",
                                         .after = "\n\n",
                                         .piece = piece,
                                         .end = end,
                                         .whole = whole,
                                         .error = wrap_error};
