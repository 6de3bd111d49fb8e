#include "tokenizer_special.h"

#include <stdlib.h>
#include <string.h>

static int by_preference(const void *a, const void *b) {
  const pm_special *x = a, *y = b;
  if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
  return x->id < y->id ? -1 : x->id > y->id;
}

static int by_text(const void *a, const void *b) {
  const pm_special *x = a, *y = b;
  int order = memcmp(x->text, y->text, x->bytes < y->bytes ? x->bytes : y->bytes);
  if (order) return order;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
  return x->rank < y->rank ? -1 : x->rank > y->rank;
}

pm_status pm_special_set_init(pm_special_set *set, const pm_vocab *v, bool control) {
  uint32_t n = 0;
  for (uint32_t id = 0; id < v->n_token; id++) n += pm_vocab_is_special(v, id);
  PM_NEW(&set->sorted, n, "special tokens");
  PM_NEW(&set->by_rank, n, "special tokens");
  for (uint32_t id = 0; id < v->n_token; id++) {
    size_t bytes;
    const char *text = pm_vocab_text(v, id, &bytes);
    if (bytes == 0 || !(control ? pm_vocab_is_special(v, id) : v->type[id] == PM_TOKEN_USER_DEFINED)) continue;
    set->sorted[set->n++] = (pm_special){.text = text, .bytes = (uint32_t)bytes, .id = id};
  }
  qsort(set->sorted, set->n, sizeof *set->sorted, by_preference);
  for (uint32_t i = 0; i < set->n; i++) set->sorted[i].rank = i;
  qsort(set->sorted, set->n, sizeof *set->sorted, by_text);
  for (uint32_t i = 0; i < set->n; i++) {
    set->by_rank[set->sorted[i].rank] = &set->sorted[i];
    set->first[(unsigned char)set->sorted[i].text[0] + 1]++;
  }
  for (int b = 0; b < 256; b++) set->first[b + 1] += set->first[b];
  return PM_OK;
}

void pm_special_set_finish(pm_special_set *set) {
  pm_free(set->sorted);
  pm_free(set->by_rank);
}

// The first of sorted[low] to sorted[high - 1] whose byte at `depth` is at least b; all share what comes before and are longer.
static uint32_t lower_bound(const pm_special_set *set, uint32_t low, uint32_t high, uint32_t depth, int b) {
  while (low < high) {
    uint32_t mid = low + (high - low) / 2;
    if ((unsigned char)set->sorted[mid].text[depth] < b)
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

// The longest token that begins text and has at most `most` bytes; NULL if there is none. Narrows the range byte by byte.
static const pm_special *longest_at(const pm_special_set *set, const char *text, size_t most) {
  if (most == 0) return NULL;
  int b = (unsigned char)text[0];
  uint32_t low = set->first[b], high = set->first[b + 1];
  const pm_special *found = NULL;
  for (uint32_t depth = 1; low < high; depth++) {
    if (set->sorted[low].bytes == depth) found = &set->sorted[low];
    while (low < high && set->sorted[low].bytes == depth) low++;  // the same text may stand there several times
    if (depth == most) break;
    b = (unsigned char)text[depth];
    if (low == high) break;
    if ((unsigned char)set->sorted[low].text[depth] != b) low = lower_bound(set, low, high, depth, b);
    if (low < high && (unsigned char)set->sorted[high - 1].text[depth] != b) high = lower_bound(set, low, high, depth, b + 1);
  }
  return found;
}

const pm_special *pm_special_get(const pm_special_set *set, const char *text, size_t bytes) {
  const pm_special *s = longest_at(set, text, bytes);
  return s && s->bytes == bytes ? s : NULL;
}

static pm_status push_candidate(const pm_special_set *set, const char *text, size_t at, size_t most, pm_key_heap *candidates) {
  const pm_special *s = longest_at(set, text + at, most);
  return s ? pm_key_heap_push(candidates, (uint64_t)s->rank << 32 | at) : PM_OK;
}

// Takes candidates in the order of preference. None is longer than what was taken before, so it overlaps that only if its first or its last
// byte is taken; in the latter case a shorter token may still fit before.
static pm_status take(const pm_special_set *set, const char *text, pm_key_heap *candidates, char *taken, pm_key_heap *hits) {
  for (uint64_t key; pm_key_heap_pop(candidates, &key);) {
    uint32_t at = (uint32_t)key, rank = (uint32_t)(key >> 32);
    const pm_special *s = set->by_rank[rank];
    if (taken[at]) continue;
    if (taken[at + s->bytes - 1]) {
      size_t room = (size_t)((char *)memchr(taken + at, 1, s->bytes) - (taken + at));
      PM_TRY(push_candidate(set, text, at, room, candidates));
      continue;
    }
    memset(taken + at, 1, s->bytes);
    PM_TRY(pm_key_heap_push(hits, (uint64_t)at << 32 | rank));
  }
  return PM_OK;
}

pm_status pm_special_cut(const pm_special_set *set, const char *text, size_t bytes, pm_key_heap *hits) {
  pm_key_heap candidates = {0};
  pm_status status = PM_OK;
  for (size_t at = 0; at < bytes && status == PM_OK; at++) {
    unsigned char b = (unsigned char)text[at];
    if (set->first[b] != set->first[b + 1]) status = push_candidate(set, text, at, bytes - at, &candidates);
  }
  char *taken = NULL;
  if (status == PM_OK && candidates.n) {
    taken = pm_alloc_zero(bytes, 1);
    status = taken ? take(set, text, &candidates, taken, hits) : pm_fail(PM_ERR_MEMORY, "out of memory: %zu bytes while tokenizing", bytes);
  }
  pm_free(taken);
  pm_key_heap_finish(&candidates);
  return status;
}
