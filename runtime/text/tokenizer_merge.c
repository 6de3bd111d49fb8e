#include "tokenizer_merge.h"

#include "half.h"
#include "utf8.h"

#define NONE PM_NO_SYMBOL

// A node of a doubly linked list over the piece; `order` and `result` describe its pair with the next one.
struct pm_merge_symbol {
  uint32_t begin, end;  // bytes of the piece
  uint32_t id;          // symbol; NONE for a character that is none
  uint32_t prev, next;
  uint32_t order;   // lower merges first; NONE: no such merge, or this node is gone
  uint32_t result;  // symbol
};

// Greater scores get lower orders. NaN alone could get NONE, and reading a file refuses it.
static uint32_t order_of_score(float score) {
  uint32_t u = pm_f32_bits(score);
  return u & 0x80000000u ? u : ~(u | 0x80000000u);
}

static void rate_pair(pm_merge_symbol *symbols, const pm_vocab *v, const char *text, uint32_t at) {
  pm_merge_symbol *a = &symbols[at];
  a->order = NONE;
  if (a->next == NONE) return;
  const pm_merge_symbol *b = &symbols[a->next];
  if (v->order == PM_MERGE_BY_RANK) {
    const pm_merge *merge = pm_vocab_find_merge(v, a->id, b->id);
    if (merge) a->order = merge->rank, a->result = merge->result;
    return;
  }
  uint32_t id = pm_vocab_find(v, text + a->begin, b->end - a->begin);
  if (id >= v->n_token) return;
  a->order = v->order == PM_MERGE_BY_ID ? id : order_of_score(v->score[id]);
  a->result = id;
}

static pm_status push_pair(pm_merger *m, uint32_t at) {
  uint32_t order = m->symbols[at].order;
  return order == NONE ? PM_OK : pm_key_heap_push(&m->heap, (uint64_t)order << 32 | at);
}

// One symbol per byte, or for SPM per character.
static uint32_t first_symbols(pm_merge_symbol *symbols, const pm_vocab *v, const char *text, size_t bytes) {
  uint32_t n = 0;
  for (uint32_t i = 0, length; i < bytes; i += length, n++) {
    uint32_t point;
    int scanned = v->order == PM_MERGE_BY_SCORE ? pm_utf8_scan((const unsigned char *)text + i, bytes - i, &point) : 1;
    length = scanned > 0 ? (uint32_t)scanned : 1;
    uint32_t id = v->order == PM_MERGE_BY_SCORE ? pm_vocab_find(v, text + i, length) : v->of_byte[(unsigned char)text[i]];
    symbols[n] = (pm_merge_symbol){.begin = i, .end = i + length, .id = id, .prev = n - 1, .next = n + 1, .order = NONE};
  }
  symbols[n - 1].next = NONE;
  return n;
}

static pm_status merge_all(pm_merger *m, const pm_vocab *v, const char *text, uint32_t n) {
  pm_merge_symbol *symbols = m->symbols;
  m->heap.n = 0;
  for (uint32_t i = 0; i + 1 < n; i++) {
    rate_pair(symbols, v, text, i);
    PM_TRY(push_pair(m, i));
  }
  for (uint64_t key; pm_key_heap_pop(&m->heap, &key);) {
    uint32_t at = (uint32_t)key;
    pm_merge_symbol *a = &symbols[at];
    if (a->order != key >> 32) continue;  // merged since, or paired with another
    pm_merge_symbol *b = &symbols[a->next];
    a->id = a->result, a->end = b->end, a->next = b->next;
    b->order = NONE;
    if (a->next != NONE) symbols[a->next].prev = at;
    rate_pair(symbols, v, text, at);
    PM_TRY(push_pair(m, at));
    if (at == 0) continue;
    rate_pair(symbols, v, text, a->prev);
    PM_TRY(push_pair(m, a->prev));
  }
  return PM_OK;
}

// A symbol that is no token falls back to the tokens of its bytes.
static void append_symbol(const pm_merge_symbol *s, const pm_vocab *v, const char *text, int32_t unknown, pm_token_list *out) {
  if (s->id < v->n_token) {
    pm_token_append(out, s->id);
    return;
  }
  for (uint32_t i = s->begin; i < s->end; i++) {
    uint32_t id = v->of_byte[(unsigned char)text[i]];
    if (id < v->n_token)
      pm_token_append(out, id);
    else if (unknown >= 0)
      pm_token_append(out, (uint32_t)unknown);
  }
}

pm_status pm_merge_piece(pm_merger *m, const pm_vocab *v, const char *text, size_t bytes, int32_t unknown, pm_token_list *out) {
  if (bytes == 0) return PM_OK;
  if (bytes > m->capacity) {
    size_t wanted = bytes < 256 ? 256 : bytes;
    pm_free(m->symbols);
    m->symbols = pm_alloc(wanted * sizeof *m->symbols);
    m->capacity = m->symbols ? wanted : 0;
    if (!m->symbols) PM_FAIL(PM_ERR_MEMORY, "out of memory: %zu bytes while tokenizing", wanted * sizeof *m->symbols);
  }
  PM_TRY(merge_all(m, v, text, first_symbols(m->symbols, v, text, bytes)));
  for (uint32_t i = 0; i != NONE; i = m->symbols[i].next) append_symbol(&m->symbols[i], v, text, unknown, out);
  return PM_OK;
}

void pm_merger_finish(pm_merger *m) {
  pm_free(m->symbols);
  pm_key_heap_finish(&m->heap);
}
