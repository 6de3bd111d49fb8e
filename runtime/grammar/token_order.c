#include "token_order.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

typedef struct entry {
  const char *bytes;
  uint32_t n, id;
  uint32_t same;  // bytes that it begins with as the entry before does
} entry;

struct pm_token_order {
  entry *entries;
  uint32_t n;
  uint32_t *states;  // [longest + 1] after the first i bytes of an entry
};

static int compare(const void *a, const void *b) {
  const entry *x = a, *y = b;
  int order = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);
  if (order) return order;
  if (x->n != y->n) return x->n < y->n ? -1 : 1;
  return (x->id > y->id) - (x->id < y->id);
}

static uint32_t n_same(const entry *a, const entry *b) {
  uint32_t n = 0;
  while (n < a->n && n < b->n && a->bytes[n] == b->bytes[n]) n++;
  return n;
}

static pm_status create_into(pm_token_order *o, const pm_tokenizer *t) {
  uint32_t n_token = pm_tokenizer_n_vocab(t), longest = 0;
  PM_NEW(&o->entries, n_token, "order of tokens");
  for (uint32_t id = 0; id < n_token; id++) {
    size_t n;
    const char *bytes = pm_token_bytes(t, (int32_t)id, false, &n);
    if (!n || pm_token_is_end(t, (int32_t)id)) continue;
    o->entries[o->n++] = (entry){.bytes = bytes, .n = (uint32_t)n, .id = id};
    if (n > longest) longest = (uint32_t)n;
  }
  qsort(o->entries, o->n, sizeof *o->entries, compare);
  for (uint32_t i = 1; i < o->n; i++) o->entries[i].same = n_same(&o->entries[i - 1], &o->entries[i]);
  PM_NEW(&o->states, longest + 1, "order of tokens");
  return PM_OK;
}

pm_status pm_token_order_create(const pm_tokenizer *t, pm_token_order **out) {
  *out = NULL;
  pm_token_order *o;
  PM_NEW(&o, 1, "order of tokens");
  pm_status status = create_into(o, t);
  if (status) return pm_token_order_destroy(o), status;
  *out = o;
  return PM_OK;
}

void pm_token_order_destroy(pm_token_order *o) {
  if (!o) return;
  pm_free(o->entries);
  pm_free(o->states);
  pm_free(o);
}

void pm_token_order_allow(const pm_token_order *o, pm_matcher *m, uint64_t *allowed, uint32_t n_vocab) {
  memset(allowed, 0, (n_vocab + 63) / 64 * sizeof *allowed);
  uint32_t known = 0;  // bytes of the entry before that the grammar has taken
  o->states[0] = pm_matcher_look(m);
  for (const entry *e = o->entries; e < o->entries + o->n; e++) {
    if (e->same > known) continue;  // begins with what was refused
    for (known = e->same; known < e->n; known++) {
      o->states[known + 1] = pm_matcher_step(m, o->states[known], (uint8_t)e->bytes[known]);
      if (o->states[known + 1] == PM_MATCHER_DEAD) break;
    }
    if (known == e->n && e->id < n_vocab) allowed[e->id / 64] |= 1ull << e->id % 64;
  }
}
