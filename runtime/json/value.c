#include "value.h"

#include <string.h>

// Deeper trees compare as different: JSON texts are not that deep, and templates that build such trees are not meant well.
enum { MAX_DEPTH = 100, INDEX_FROM = 8, MAX_PROBES = 1024 };

void *pm_heap_alloc(pm_heap *h, size_t bytes) {
  if (h->limit && (bytes > h->limit || h->used > h->limit - bytes)) return NULL;
  h->used += bytes;
  void *p = pm_arena_alloc(&h->arena, bytes ? bytes : 1);
  h->failed |= !p;
  return p;
}

void pm_heap_finish(pm_heap *h) {
  pm_arena_finish(&h->arena);
  h->used = 0;
}

static pm_status full(const pm_heap *h) { PM_FAIL(PM_ERR_MEMORY, "values take more than %zu bytes", h->limit ? h->limit : h->used); }

pm_status pm_value_copy_text(pm_heap *h, const char *at, size_t n, pm_value *out) {
  char *copy;
  if (!(copy = pm_heap_alloc(h, n + 1))) return full(h);
  if (n) memcpy(copy, at, n);
  *out = pm_value_text((pm_span){copy, n});
  return PM_OK;
}

// ---- lists ---------------------------------------------------------------------------------------------------------

pm_status pm_list_create(pm_heap *h, size_t capacity, pm_value *out) {
  pm_list *l;
  if (!(l = pm_heap_alloc(h, sizeof *l))) return full(h);
  if (capacity && !(l->items = pm_heap_alloc(h, capacity * sizeof *l->items))) return full(h);
  l->capacity = capacity;
  *out = (pm_value){.kind = PM_LIST, .list = l};
  return PM_OK;
}

pm_status pm_list_append(pm_heap *h, pm_list *l, pm_value v) {
  if (l->n == l->capacity) {
    size_t wanted = l->capacity ? 2 * l->capacity : 4;
    pm_value *bigger;
    if (!(bigger = pm_heap_alloc(h, wanted * sizeof *bigger))) return full(h);
    if (l->n) memcpy(bigger, l->items, l->n * sizeof *bigger);
    l->items = bigger, l->capacity = wanted;
  }
  l->items[l->n++] = v;
  return PM_OK;
}

// ---- dicts ---------------------------------------------------------------------------------------------------------

static bool number_of(pm_value v, double *out) {
  switch (v.kind) {
    case PM_BOOL: return *out = v.truth, true;
    case PM_INT: return *out = (double)v.integer, true;
    case PM_FLOAT: return *out = v.number, true;
    default: return false;
  }
}

bool pm_value_number(pm_value v, double *out) { return number_of(v, out); }

// FNV-1a. Equal keys hash alike: numbers by their value.
static uint32_t hash_of(pm_value key) {
  double number = 0;
  pm_span bytes = {(const char *)&number, sizeof number};
  if (key.kind == PM_STRING)
    bytes = key.text;
  else if (number_of(key, &number))
    number += 0.0;  // -0 is 0
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < bytes.n; i++) hash = (hash ^ (unsigned char)bytes.at[i]) * 16777619u;
  return hash;
}

pm_status pm_dict_create(pm_heap *h, pm_value *out) {
  pm_dict *d;
  if (!(d = pm_heap_alloc(h, sizeof *d))) return full(h);
  *out = (pm_value){.kind = PM_DICT, .dict = d};
  return PM_OK;
}

static pm_entry *find_entry(const pm_dict *d, pm_value key, uint32_t hash) {
  if (!d->index) {
    for (size_t i = 0; i < d->n; i++)
      if (d->entries[i].hash == hash && pm_value_equal(d->entries[i].key, key, NULL)) return &d->entries[i];
    return NULL;
  }
  for (size_t i = hash & (d->n_index - 1); d->index[i]; i = (i + 1) & (d->n_index - 1)) {
    pm_entry *e = &d->entries[d->index[i] - 1];
    if (e->hash == hash && pm_value_equal(e->key, key, NULL)) return e;
  }
  return NULL;
}

// A table that is at most half full has no run of MAX_PROBES entries, unless somebody looked for keys that collide.
static pm_status index_entry(pm_dict *d, size_t entry) {
  size_t i = d->entries[entry].hash & (d->n_index - 1);
  for (int probes = 0; d->index[i]; i = (i + 1) & (d->n_index - 1))
    if (++probes > MAX_PROBES) PM_FAIL(PM_ERR_FORMAT, "an object whose keys were chosen to make it slow");
  d->index[i] = (uint32_t)entry + 1;
  return PM_OK;
}

static pm_status grow(pm_heap *h, pm_dict *d) {
  size_t wanted = d->capacity ? 2 * d->capacity : 4;
  if (wanted > UINT32_MAX / 4) PM_FAIL(PM_ERR_MEMORY, "an object with more than %zu keys", d->n);
  pm_entry *bigger;
  if (!(bigger = pm_heap_alloc(h, wanted * sizeof *bigger))) return full(h);
  if (d->n) memcpy(bigger, d->entries, d->n * sizeof *bigger);
  d->entries = bigger, d->capacity = wanted;
  if (wanted <= INDEX_FROM) return PM_OK;
  d->n_index = 2 * wanted;
  if (!(d->index = pm_heap_alloc(h, d->n_index * sizeof *d->index))) return full(h);
  for (size_t i = 0; i < d->n; i++) PM_TRY(index_entry(d, i));
  return PM_OK;
}

pm_status pm_dict_set(pm_heap *h, pm_dict *d, pm_value key, pm_value value) {
  uint32_t hash = hash_of(key);
  pm_entry *e = find_entry(d, key, hash);
  if (e) return e->value = value, PM_OK;
  if (d->n == d->capacity) PM_TRY(grow(h, d));
  d->entries[d->n++] = (pm_entry){key, value, hash};
  return d->index ? index_entry(d, d->n - 1) : PM_OK;
}

const pm_value *pm_dict_find(const pm_dict *d, pm_value key) {
  const pm_entry *e = find_entry(d, key, hash_of(key));
  return e ? &e->value : NULL;
}

const pm_value *pm_dict_find_text(const pm_dict *d, const char *key) { return pm_dict_find(d, pm_value_text(pm_span_of(key))); }

// ---- what values are to each other ---------------------------------------------------------------------------------

bool pm_value_truth(pm_value v) {
  switch (v.kind) {
    case PM_UNDEFINED:
    case PM_NONE: return false;
    case PM_BOOL: return v.truth;
    case PM_INT: return v.integer != 0;
    case PM_FLOAT: return v.number != 0;
    case PM_STRING: return v.text.n > 0;
    case PM_LIST: return v.list->n > 0;
    case PM_DICT: return v.dict->name_space || v.dict->n > 0;
    case PM_OBJECT: return true;
  }
  return false;
}

static bool equal(pm_value a, pm_value b, int depth, size_t *steps);

static bool dicts_equal(const pm_dict *a, const pm_dict *b, int depth, size_t *steps) {
  if (a == b) return true;
  if (a->name_space || b->name_space || a->n != b->n) return false;
  for (size_t i = 0; i < a->n; i++) {
    const pm_value *other = pm_dict_find(b, a->entries[i].key);
    if (!other || !equal(a->entries[i].value, *other, depth, steps)) return false;
  }
  return true;
}

static bool equal(pm_value a, pm_value b, int depth, size_t *steps) {
  double x, y;
  *steps += 1;
  if (depth > MAX_DEPTH) return false;
  if (a.kind == PM_INT && b.kind == PM_INT) return a.integer == b.integer;
  if (number_of(a, &x) && number_of(b, &y)) return x == y;
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case PM_UNDEFINED:
    case PM_NONE: return true;
    case PM_STRING: *steps += a.text.n / 16; return pm_span_equal(a.text, b.text);
    case PM_LIST:
      if (a.list->n != b.list->n || a.list->tuple != b.list->tuple) return false;
      for (size_t i = 0; i < a.list->n; i++)
        if (!equal(a.list->items[i], b.list->items[i], depth + 1, steps)) return false;
      return true;
    case PM_DICT: return dicts_equal(a.dict, b.dict, depth + 1, steps);
    default: return a.object == b.object;
  }
}

bool pm_value_equal(pm_value a, pm_value b, size_t *steps) {
  size_t unused = 0;
  return equal(a, b, 0, steps ? steps : &unused);
}

static bool order(pm_value a, pm_value b, int *out, int depth) {
  double x, y;
  if (depth > MAX_DEPTH) return false;
  if (a.kind == PM_INT && b.kind == PM_INT) return *out = (a.integer > b.integer) - (a.integer < b.integer), true;
  if (number_of(a, &x) && number_of(b, &y)) return *out = (x > y) - (x < y), true;
  if (a.kind != b.kind) return false;
  if (a.kind == PM_STRING) {  // bytes of UTF-8 are in the order of code points
    size_t n = a.text.n < b.text.n ? a.text.n : b.text.n;
    int c = n ? memcmp(a.text.at, b.text.at, n) : 0;
    return *out = c ? c : (a.text.n > b.text.n) - (a.text.n < b.text.n), true;
  }
  if (a.kind != PM_LIST) return false;
  for (size_t i = 0; i < a.list->n && i < b.list->n; i++) {
    if (!order(a.list->items[i], b.list->items[i], out, depth + 1)) return false;
    if (*out) return true;
  }
  return *out = (a.list->n > b.list->n) - (a.list->n < b.list->n), true;
}

bool pm_value_order(pm_value a, pm_value b, int *out) { return order(a, b, out, 0); }

const char *pm_value_type(pm_value v) {
  static const char *const names[] = {"undefined", "none", "boolean", "integer", "float", "string", "list", "mapping", "function"};
  return names[v.kind];
}
