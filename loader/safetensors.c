// One safetensors file: 8 bytes of length, a JSON header of that length, data. As with GGUF, every number is a claim to be checked.
#include <stdlib.h>
#include <string.h>

#include "folder.h"
#include "memory.h"

static const uint64_t MAX_HEADER = 100u << 20;
enum { MAX_NAME = 255, MAX_TENSOR = 1 << 18 };

static const struct dtype {
  const char *name;
  uint32_t bytes;
  pm_type type;
} DTYPES[] = {
    {"BF16", 2, PM_TYPE_BF16}, {"F8_E4M3", 1, PM_TYPE_FP8}, {"F32", 4, PM_TYPE_F32},      {"F16", 2, PM_TYPE_F16},
    {"F64", 8, PM_TYPE_NONE},  {"I64", 8, PM_TYPE_NONE},    {"U64", 8, PM_TYPE_NONE},     {"I32", 4, PM_TYPE_NONE},
    {"U32", 4, PM_TYPE_NONE},  {"I16", 2, PM_TYPE_NONE},    {"U16", 2, PM_TYPE_NONE},     {"I8", 1, PM_TYPE_NONE},
    {"U8", 1, PM_TYPE_NONE},   {"BOOL", 1, PM_TYPE_NONE},   {"F8_E5M2", 1, PM_TYPE_NONE}, {"F8_E8M0", 1, PM_TYPE_NONE},
};

typedef struct header {
  pm_folder *d;
  const pm_shard *shard;
  uint32_t shard_index;
  uint64_t data, data_bytes;  // where the data begins, and how much there is (as far as that matters)
} header;

static const struct dtype *find_dtype(const char *name) {
  for (size_t i = 0; i < sizeof DTYPES / sizeof *DTYPES; i++)
    if (!strcmp(DTYPES[i].name, name)) return &DTYPES[i];
  return NULL;
}

// Names end up in messages and on terminals.
static pm_status check_name(const header *h, const char *name) {
  size_t n = strlen(name);
  if (n < 1 || n > MAX_NAME)
    PM_FAIL(PM_ERR_FORMAT, "%s: a tensor's name has %zu bytes, 1 to %d were expected", h->shard->path, n, MAX_NAME);
  for (const char *c = name; *c; c++)
    if ((uint8_t)*c < 0x20 || *c == 0x7f) PM_FAIL(PM_ERR_FORMAT, "%s: a tensor's name has a control character", h->shard->path);
  return PM_OK;
}

static pm_status read_shape(const header *h, const pm_value *shape, pm_raw_tensor *t) {
  const pm_list *dims = pm_json_list(shape);
  if (!shape || shape->kind != PM_LIST || dims->n > 4)
    PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: shape: a list of at most 4 numbers was expected", h->shard->path, t->name);
  t->n_dim = dims->n ? (uint32_t)dims->n : 1;
  for (int i = 0; i < 4; i++) t->ne[i] = 1;
  uint64_t n = 1;
  for (size_t i = 0; i < dims->n; i++) {
    uint64_t *ne = &t->ne[dims->n - 1 - i];
    if (!pm_json_whole(&dims->items[i], ne) || !*ne || *ne > INT64_MAX / 8 / n)
      PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: shape: expected dimensions of at least 1, whose product fits in 60 bits", h->shard->path,
              t->name);
    n *= *ne;
  }
  return PM_OK;
}

static pm_status read_range(const header *h, const pm_list *offsets, const struct dtype *dtype, pm_raw_tensor *t) {
  uint64_t begin = 0, end = 0;
  if (offsets->n != 2 || !pm_json_whole(&offsets->items[0], &begin) || !pm_json_whole(&offsets->items[1], &end) || begin > end)
    PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: data_offsets: expected two numbers, begin and end", h->shard->path, t->name);
  if (end > h->data_bytes)
    PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: data_offsets: its data ends at byte %llu of %llu; is the file still being downloaded?",
            h->shard->path, t->name, (unsigned long long)end, (unsigned long long)h->data_bytes);
  t->offset = h->data + begin, t->bytes = end - begin;
  uint64_t wanted = t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3] * (dtype ? dtype->bytes : 0);
  if (dtype && t->bytes != wanted)
    PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: data_offsets: %llu bytes, expected %llu by its dtype %s and shape", h->shard->path, t->name,
            (unsigned long long)t->bytes, (unsigned long long)wanted, dtype->name);
  return PM_OK;
}

static pm_status read_tensor(const header *h, const pm_entry *m, pm_raw_tensor *t) {
  *t = (pm_raw_tensor){.name = m->key.text.at, .shard = h->shard_index};
  PM_TRY(check_name(h, t->name));
  t->dtype = pm_json_text(pm_json_find(&m->value, "dtype"));
  if (!t->dtype) PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: dtype: a text was expected", h->shard->path, t->name);
  const struct dtype *dtype = find_dtype(t->dtype);
  t->type = dtype ? dtype->type : PM_TYPE_NONE;
  PM_TRY(read_shape(h, pm_json_find(&m->value, "shape"), t));
  return read_range(h, pm_json_list(pm_json_find(&m->value, "data_offsets")), dtype, t);
}

static int compare_offset(const void *a, const void *b) {
  const pm_raw_tensor *x = a, *y = b;
  return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static pm_status check_overlap(const header *h, pm_raw_tensor *t, uint64_t n) {
  if (n) qsort(t, n, sizeof *t, compare_offset);
  for (uint64_t i = 1; i < n; i++)
    if (t[i - 1].offset + t[i - 1].bytes > t[i].offset)
      PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: its data overlaps that of tensor %s", h->shard->path, t[i].name, t[i - 1].name);
  return PM_OK;
}

static pm_status make_room(const header *h, uint64_t n) {
  pm_folder *d = h->d;
  if (d->n_raw + n > MAX_TENSOR) PM_FAIL(PM_ERR_FORMAT, "%s: more than %d tensors", h->shard->path, MAX_TENSOR);
  if (d->raw && d->n_raw + n <= d->capacity) return PM_OK;
  uint64_t capacity = 2 * d->capacity + n + 1;
  pm_raw_tensor *more = pm_realloc(d->raw, capacity * sizeof *more);
  if (!more) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: %llu tensors", h->shard->path, (unsigned long long)capacity);
  d->raw = more, d->capacity = capacity;
  return PM_OK;
}

pm_status pm_safetensors_read(pm_folder *d, uint32_t shard) {
  header h = {.d = d, .shard = &d->f->shards[shard], .shard_index = shard};
  const pm_shard *s = h.shard;
  uint64_t n = 0;
  if (s->n_bytes >= 8) memcpy(&n, s->bytes, 8);
  if (s->n_bytes < 8 || n < 2 || n > MAX_HEADER || n > s->n_bytes - 8 || s->bytes[8] != '{')
    PM_FAIL(PM_ERR_FORMAT, "%s: header: not a safetensors file, or only the beginning of one", s->path);
  h.data = 8 + n;
  h.data_bytes = d->f->header_only ? INT64_MAX / 2 : s->n_bytes - h.data;
  pm_value root;  // an object: it begins with a brace
  PM_TRY(pm_json_parse_file(&d->json, s->path, (const char *)s->bytes + 8, n, &root));
  PM_TRY(make_room(&h, root.dict->n));
  pm_raw_tensor *first = d->raw + d->n_raw;
  uint64_t n_tensor = 0;
  for (size_t i = 0; i < root.dict->n; i++) {
    const pm_entry *m = &root.dict->entries[i];
    if (!pm_span_is(m->key.text, "__metadata__")) PM_TRY(read_tensor(&h, m, &first[n_tensor++]));
  }
  PM_TRY(check_overlap(&h, first, n_tensor));
  d->n_raw += n_tensor;
  return PM_OK;
}

const pm_raw_tensor *pm_folder_find_raw(const pm_folder *d, const char *name) {
  const pm_name *found = pm_name_find(d->raw_names, d->n_raw, name);
  return found ? &d->raw[found->index] : NULL;
}
