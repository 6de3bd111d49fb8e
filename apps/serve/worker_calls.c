// Jobs that run between two steps.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "worker.h"

static bool need_model(pm_worker *w, pm_job *job) {
  if (!w->model) pm_job_fail(w->mail, job, 503, "no model is loaded");
  return w->model != NULL;
}

// The entry is a pm_model_entry.
json_t *pm_call_load(pm_worker *w, pm_job *job, void *entry) {
  (void)job;
  atomic_store(&w->mail->hurry, false);
  pm_worker_load(w, entry);
  return json_pack("{s:b}", "success", w->model != NULL);
}

json_t *pm_call_unload(pm_worker *w, pm_job *job, void *unused) {
  (void)job, (void)unused;
  atomic_store(&w->mail->hurry, false);
  pm_worker_unload(w, "the model was unloaded");
  pm_board_state *state = pm_board_begin(w->board);
  state->phase = PM_PHASE_EMPTY;
  state->model[0] = state->path[0] = state->message[0] = 0;
  pm_board_end(w->board);
  return json_pack("{s:b}", "success", 1);
}

// The argument of the following three is a pm_text with a JSON body.
static json_t *parse(void *body) { return json_loads(body, 0, NULL); }

static json_t *piece_of(const pumice_model *model, int32_t token) {
  size_t n;
  const char *bytes = pumice_token_bytes(model, token, true, &n);
  json_t *text = json_stringn(bytes, n);
  if (text) return text;
  text = json_array();  // no whole characters: numbers of bytes
  for (size_t i = 0; i < n; i++) json_array_append_new(text, json_integer((unsigned char)bytes[i]));
  return text;
}

// {"content", "add_special", "parse_special", "with_pieces"}
json_t *pm_call_tokenize(pm_worker *w, pm_job *job, void *argument) {
  if (!need_model(w, job)) return NULL;
  json_t *body = parse(argument), *content = json_object_get(body, "content"), *special = json_object_get(body, "parse_special");
  uint32_t flags = (json_is_true(json_object_get(body, "add_special")) ? PUMICE_ADD_BOS : 0) |
                   (json_is_false(special) ? 0 : PUMICE_PARSE_SPECIAL);
  bool pieces = json_is_true(json_object_get(body, "with_pieces"));
  int32_t *tokens = NULL;
  size_t n = 0;
  json_t *answer = NULL;
  if (pm_tokens(w->model, json_string_value(content), json_string_length(content), flags, &tokens, &n) == PUMICE_OK) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
      json_array_append_new(
          list, pieces ? json_pack("{s:i, s:o}", "id", tokens[i], "piece", piece_of(w->model, tokens[i])) : json_integer(tokens[i]));
    answer = json_pack("{s:o}", "tokens", list);
  } else {
    pm_job_fail(w->mail, job, 400, "%s", pumice_error());
  }
  free(tokens);
  json_decref(body);
  return answer;
}

// {"tokens": [...]}
json_t *pm_call_detokenize(pm_worker *w, pm_job *job, void *argument) {
  if (!need_model(w, job)) return NULL;
  json_t *body = parse(argument), *token;
  size_t i;
  pm_text text = {0};
  bool good = true;
  pm_text_clear(&text);
  json_array_foreach(json_object_get(body, "tokens"), i, token) {
    json_int_t id = json_integer_value(token);
    good = good && json_is_integer(token) && id >= 0 && id < (json_int_t)w->info.n_vocab;
    size_t n = 0;
    const char *bytes = good ? pumice_token_bytes(w->model, (int32_t)id, true, &n) : "";
    pm_text_append(&text, bytes, n);
  }
  if (!good) pm_job_fail(w->mail, job, 400, "the field 'tokens' takes token numbers below %u", w->info.n_vocab);
  json_t *answer = good ? json_pack("{s:o}", "content", pm_json_lossy(text.data, text.n)) : NULL;
  pm_text_free(&text);
  json_decref(body);
  return answer;
}

// The job's request is a chat; nothing is generated.
json_t *pm_call_template(pm_worker *w, pm_job *job, void *unused) {
  (void)unused;
  if (!need_model(w, job)) return NULL;
  pm_text text = {0};
  char why[512];
  bool good = pm_prompt_render(w->model, job->request, &text, why);
  if (!good) pm_job_fail(w->mail, job, 400, "%s", why);
  json_t *answer = good ? json_pack("{s:o}", "prompt", pm_json_lossy(text.data, text.n)) : NULL;
  pm_text_free(&text);
  return answer;
}

json_t *pm_call_slot(pm_worker *w, pm_job *job, void *argument) {
  const pm_slot_action *a = argument;
  if (!need_model(w, job)) return NULL;
  if (a->index >= (int)w->n_slot || w->slots[a->index].job) {
    pm_job_fail(w->mail, job, a->index >= (int)w->n_slot ? 404 : 503, "slot %d %s", a->index,
                a->index >= (int)w->n_slot ? "is not there" : "is busy");
    return NULL;
  }
  pm_slot *slot = &w->slots[a->index];
  size_t before = pm_slot_held(slot);
  bool restore = !strcmp(a->name, "restore");
  pumice_status status = !strcmp(a->name, "save") ? pumice_session_save(slot->session, a->path)
                         : restore                ? pumice_session_load(slot->session, a->path)
                                                  : pumice_session_rewind(slot->session, 0);
  if (status != PUMICE_OK) {
    pm_job_fail(w->mail, job, 400, "%s", pumice_error());
    return NULL;
  }
  return json_pack("{s:i, s:s, s:I}", "id_slot", a->index, "action", a->name, "n_tokens",
                   (json_int_t)(restore ? pm_slot_held(slot) : before));
}
