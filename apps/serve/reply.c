#include "reply.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "server.h"
#include "terminal.h"

void pm_reply_id(char id[40], const char *prefix) {
  static atomic_ullong counter;
  uint64_t bits[2] = {(uint64_t)time(NULL), atomic_fetch_add(&counter, 1)};
  if (getrandom(bits, sizeof bits, GRND_NONBLOCK) != sizeof bits) bits[0] ^= bits[1] * 0x9E3779B97F4A7C15u;
  snprintf(id, 40, "%s%016llx%08llx", prefix, (unsigned long long)bits[0], (unsigned long long)(bits[1] & UINT32_MAX));
}

void pm_reply_init(pm_reply *r, const pm_reply_format *format, const pm_request *request, const char *model) {
  *r = (pm_reply){.format = format, .request = request, .created = (int64_t)time(NULL), .began = pm_seconds()};
  pm_reply_id(r->id, format->dialect == PM_DIALECT_CHAT ? "chatcmpl-" : "cmpl-");
  snprintf(r->model, sizeof r->model, "%s", *model || !request->model ? model : request->model);
  r->choices = pm_resize(NULL, request->n_choice, sizeof *r->choices);
  for (uint32_t i = 0; i < request->n_choice; i++) {
    r->choices[i] = (pm_choice){.reply = r, .index = i};
    pm_text_clear(&r->choices[i].text);
    pm_text_clear(&r->choices[i].thinking);
  }
}

void pm_reply_finish(pm_reply *r) {
  for (uint32_t i = 0; i < r->request->n_choice; i++) {
    pm_choice *c = &r->choices[i];
    pm_text_free(&c->text);
    pm_text_free(&c->thinking);
    json_decref(c->probs);
    json_decref(c->tokens);
    json_decref(c->tools);
  }
  free(r->choices);
}
