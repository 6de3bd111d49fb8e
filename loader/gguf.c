// One GGUF file, versions 2 and 3: every number in it is a claim that is checked against the bytes that are there before it is used.
#include <stdio.h>
#include <string.h>

#include "directory.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF is little-endian and read in place");

enum {
  MIN_META_BYTES = 8 + 1 + 4 + 1,            // key length, key, type, value
  MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8,  // name length, name, dimensions, one of them, type, offset
  MAX_META = 1 << 16,                        // real files have fewer than 200
  MAX_TENSOR = 1 << 18,                      // real files have up to a few thousand
  MAX_NAME = 63,                             // bytes of a tensor's name
  MAX_KEY = 1 << 10,
  DEFAULT_ALIGNMENT = 32,
  MIN_ALIGNMENT = 8,
  MAX_ALIGNMENT = 1 << 16,
};
static const uint64_t MAX_COUNT = 1u << 30;  // bytes of a string, elements of an array

typedef struct reader {
  pm_model_file *f;
  const pm_shard *shard;
  uint32_t shard_index;
  uint64_t at;
  char where[96];  // the record being read: "metadata key 3 (general.name)"
} reader;

static uint64_t remaining(const reader *r) { return r->shard->n_bytes - r->at; }

static pm_status take(reader *r, void *dst, size_t bytes, const char *field) {
  if (bytes > remaining(r))
    PM_FAIL(PM_ERR_FORMAT, "%s: %s: the file ends at byte %llu inside %s", r->shard->path, r->where, (unsigned long long)r->shard->n_bytes,
            field);
  memcpy(dst, r->shard->bytes + r->at, bytes);
  r->at += bytes;
  return PM_OK;
}

// A length-prefixed text. Leaves the reader after it; *text points into the file and is not terminated.
static pm_status take_string(reader *r, const char *field, const char **text, uint64_t *bytes) {
  PM_TRY(take(r, bytes, 8, field));
  if (*bytes > MAX_COUNT || *bytes > remaining(r))
    PM_FAIL(PM_ERR_FORMAT, "%s: %s: %s has %llu bytes, at most %llu were expected", r->shard->path, r->where, field,
            (unsigned long long)*bytes, (unsigned long long)(remaining(r) < MAX_COUNT ? remaining(r) : MAX_COUNT));
  *text = (const char *)r->shard->bytes + r->at;
  r->at += *bytes;
  return PM_OK;
}

// A key or a tensor's name: 1 to `max` bytes, none of them a control character (they end up in messages and on terminals).
static pm_status take_name(reader *r, const char *field, uint64_t max, const char **out) {
  const char *text;
  uint64_t n;
  PM_TRY(take_string(r, field, &text, &n));
  if (n < 1 || n > max)
    PM_FAIL(PM_ERR_FORMAT, "%s: %s: %s has %llu bytes, 1 to %llu were expected", r->shard->path, r->where, field, (unsigned long long)n,
            (unsigned long long)max);
  for (uint64_t i = 0; i < n; i++)
    if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f)
      PM_FAIL(PM_ERR_FORMAT, "%s: %s: byte %llu of %s is 0x%02x, expected a printable character", r->shard->path, r->where,
              (unsigned long long)i, field, (uint8_t)text[i]);
  char *copy = pm_arena_alloc(&r->f->arena, n + 1);
  if (!copy) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: names", r->shard->path);
  *out = memcpy(copy, text, n);
  return PM_OK;
}

// ---- metadata ------------------------------------------------------------------------------------------------------

static pm_status check_value_type(const reader *r, uint32_t type, bool in_array) {
  if (type < PM_META_TYPE_COUNT && !(in_array && type == PM_META_ARRAY)) return PM_OK;
  PM_FAIL(PM_ERR_FORMAT, "%s: %s: %s type %u, expected 0 to %d%s", r->shard->path, r->where, in_array ? "element" : "value", type,
          PM_META_TYPE_COUNT - 1, in_array ? " and no array of arrays" : "");
}

// Remembers where each string begins: a vocabulary is read by index.
static pm_status index_strings(reader *r, pm_meta_entry *e) {
  uint64_t *starts = pm_arena_alloc(&r->f->arena, e->meta.count * sizeof *starts);
  if (!starts) PM_FAIL(PM_ERR_MEMORY, "%s: %s: out of memory: %llu strings", r->shard->path, r->where, (unsigned long long)e->meta.count);
  for (uint64_t i = 0; i < e->meta.count; i++) {
    const char *text;
    uint64_t n;
    starts[i] = r->at;
    PM_TRY(take_string(r, "a string of the array", &text, &n));
  }
  e->strings = starts;
  return PM_OK;
}

static pm_status read_array(reader *r, pm_meta_entry *e) {
  uint32_t element;
  PM_TRY(take(r, &element, 4, "the element type"));
  PM_TRY(check_value_type(r, element, true));
  PM_TRY(take(r, &e->meta.count, 8, "the element count"));
  e->meta.element = (pm_meta_type)element;
  uint64_t bytes = pm_meta_type_bytes(e->meta.element), fit = remaining(r) / bytes, most = fit < MAX_COUNT ? fit : MAX_COUNT;
  if (e->meta.count > most)
    PM_FAIL(PM_ERR_FORMAT, "%s: %s: element count %llu, at most %llu were expected", r->shard->path, r->where,
            (unsigned long long)e->meta.count, (unsigned long long)most);
  e->at = r->at;
  if (element == PM_META_STRING) return index_strings(r, e);
  r->at += e->meta.count * bytes;
  return PM_OK;
}

static pm_status read_meta(reader *r, pm_meta_entry *e) {
  PM_TRY(take_name(r, "the key", MAX_KEY, &e->meta.key));
  size_t used = strlen(r->where);
  snprintf(r->where + used, sizeof r->where - used, " (%.60s)", e->meta.key);
  uint32_t type;
  PM_TRY(take(r, &type, 4, "the value type"));
  PM_TRY(check_value_type(r, type, false));
  e->meta.type = (pm_meta_type)type, e->meta.count = 1, e->shard = r->shard_index, e->at = r->at;
  if (type == PM_META_ARRAY) return read_array(r, e);
  if (type == PM_META_STRING) {
    const char *text;
    uint64_t n;
    return take_string(r, "the value", &text, &n);
  }
  uint64_t value;
  return take(r, &value, pm_meta_type_bytes((pm_meta_type)type), "the value");
}

// ---- tensors -------------------------------------------------------------------------------------------------------

static pm_status tensor_size(const reader *r, pm_file_tensor *t) {
  const pm_format *format = t->type < PM_TYPE_OWN ? pm_format_find(t->type) : NULL;
  if (!format)
    PM_FAIL(PM_ERR_UNSUPPORTED, "%s: tensor %s: type id %u is not known here; the file needs another runtime", r->shard->path, t->name,
            t->type);
  uint64_t n = 1;
  for (uint32_t i = 0; i < 4; i++) {
    if (t->ne[i] == 0) PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: dimension %u is 0, at least 1 was expected", r->shard->path, t->name, i);
    if (t->ne[i] > INT64_MAX / n)
      PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: dimension %u is %llu, the number of values does not fit in 63 bits", r->shard->path, t->name,
              i, (unsigned long long)t->ne[i]);
    n *= t->ne[i];
  }
  if (t->ne[0] % format->block_elements)
    PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: dimension 0 is %llu, expected a multiple of %u for type %s", r->shard->path, t->name,
            (unsigned long long)t->ne[0], format->block_elements, format->name);
  uint64_t n_block = n / format->block_elements;
  if (n_block > (uint64_t)PTRDIFF_MAX / format->block_bytes)
    PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: %llu values of type %s are more bytes than this machine can address", r->shard->path, t->name,
            (unsigned long long)n, format->name);
  t->bytes = n_block * format->block_bytes;
  return PM_OK;
}

// Leaves t->offset relative to the data.
static pm_status read_tensor(reader *r, pm_file_tensor *t) {
  PM_TRY(take_name(r, "the name", MAX_NAME, &t->name));
  size_t used = strlen(r->where);
  snprintf(r->where + used, sizeof r->where - used, " (%s)", t->name);
  PM_TRY(take(r, &t->n_dim, 4, "the number of dimensions"));
  if (t->n_dim < 1 || t->n_dim > 4)
    PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: %u dimensions, 1 to 4 were expected", r->shard->path, t->name, t->n_dim);
  for (uint32_t i = 0; i < 4; i++) t->ne[i] = 1;
  PM_TRY(take(r, t->ne, t->n_dim * sizeof t->ne[0], "the dimensions"));
  PM_TRY(take(r, &t->type, 4, "the type"));
  PM_TRY(take(r, &t->offset, 8, "the offset"));
  t->shard = r->shard_index;
  return tensor_size(r, t);
}

static pm_status read_alignment(const reader *r, const pm_gguf_part *part, uint64_t *alignment) {
  int64_t value = DEFAULT_ALIGNMENT;
  const pm_name *key = pm_name_find(part->meta_names, part->n_meta, "general.alignment");
  if (key) PM_TRY(pm_meta_entry_i64(r->f, &part->metas[key->index], 0, &value));
  if (value < MIN_ALIGNMENT || value > MAX_ALIGNMENT || (value & (value - 1)))
    PM_FAIL(PM_ERR_FORMAT, "%s: general.alignment is %lld, expected a power of two from %d to %d", r->shard->path, (long long)value,
            MIN_ALIGNMENT, MAX_ALIGNMENT);
  *alignment = (uint64_t)value;
  return PM_OK;
}

// Makes the offsets relative to the file. That they lie inside it is checked by model_file.c, for every file type.
static pm_status place_tensors(const reader *r, const pm_gguf_part *part) {
  uint64_t alignment = DEFAULT_ALIGNMENT;
  PM_TRY(read_alignment(r, part, &alignment));
  uint64_t data = (r->at + alignment - 1) & ~(alignment - 1);
  for (uint64_t i = 0; i < part->n_tensor; i++) {
    pm_file_tensor *t = &part->tensors[i];
    if (t->offset & (alignment - 1))
      PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: offset %llu, expected a multiple of %llu", r->shard->path, t->name,
              (unsigned long long)t->offset, (unsigned long long)alignment);
    if (t->offset > INT64_MAX - data)
      PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: offset %llu is outside any file", r->shard->path, t->name, (unsigned long long)t->offset);
    t->offset += data;
  }
  return PM_OK;
}

// ---- the file ------------------------------------------------------------------------------------------------------

bool pm_gguf_matches(const pm_shard *shard) { return shard->n_bytes >= 4 && memcmp(shard->bytes, "GGUF", 4) == 0; }

static pm_status check_version(const reader *r, uint32_t version) {
  if (version == 2 || version == 3) return PM_OK;
  if (version == 0) PM_FAIL(PM_ERR_FORMAT, "%s: header: GGUF version 0, expected 2 or 3", r->shard->path);
  if ((version & 0xffff) == 0)
    PM_FAIL(PM_ERR_UNSUPPORTED, "%s: header: the file was written for big-endian machines; only little-endian GGUF can be read",
            r->shard->path);
  PM_FAIL(PM_ERR_UNSUPPORTED, "%s: header: GGUF version %u, expected 2 or 3%s", r->shard->path, version,
          version == 1 ? "; convert the model again" : "");
}

static pm_status check_count(const reader *r, const char *field, uint64_t count, uint64_t record_bytes, uint64_t max) {
  uint64_t fit = remaining(r) / record_bytes, most = fit < max ? fit : max;
  if (count <= most) return PM_OK;
  PM_FAIL(PM_ERR_FORMAT, "%s: header: %s is %llu, at most %llu was expected in a file of %llu bytes", r->shard->path, field,
          (unsigned long long)count, (unsigned long long)most, (unsigned long long)r->shard->n_bytes);
}

pm_status pm_gguf_parse(pm_model_file *f, uint32_t shard, pm_gguf_part *part) {
  reader r = {.f = f, .shard = &f->shards[shard], .shard_index = shard, .at = 4, .where = "header"};
  if (!pm_gguf_matches(r.shard)) PM_FAIL(PM_ERR_FORMAT, "%s: header: not a GGUF file", r.shard->path);
  uint32_t version;
  PM_TRY(take(&r, &version, 4, "the version"));
  PM_TRY(check_version(&r, version));
  PM_TRY(take(&r, &part->n_tensor, 8, "the tensor count"));
  PM_TRY(take(&r, &part->n_meta, 8, "the metadata count"));
  PM_TRY(check_count(&r, "tensor count", part->n_tensor, MIN_TENSOR_BYTES, MAX_TENSOR));
  PM_TRY(check_count(&r, "metadata count", part->n_meta, MIN_META_BYTES, MAX_META));
  part->metas = pm_arena_alloc(&f->arena, part->n_meta * sizeof *part->metas);
  part->meta_names = pm_arena_alloc(&f->arena, part->n_meta * sizeof *part->meta_names);
  part->tensors = pm_arena_alloc(&f->arena, part->n_tensor * sizeof *part->tensors);
  if (!part->metas || !part->meta_names || !part->tensors)
    PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: %llu tensors", r.shard->path, (unsigned long long)part->n_tensor);
  for (uint64_t i = 0; i < part->n_meta; i++) {
    snprintf(r.where, sizeof r.where, "metadata key %llu", (unsigned long long)i);
    PM_TRY(read_meta(&r, &part->metas[i]));
    part->meta_names[i] = (pm_name){.text = part->metas[i].meta.key, .index = (uint32_t)i};
  }
  PM_TRY(pm_name_sort(part->meta_names, part->n_meta, r.shard->path, "metadata key"));
  for (uint64_t i = 0; i < part->n_tensor; i++) {
    snprintf(r.where, sizeof r.where, "tensor %llu", (unsigned long long)i);
    PM_TRY(read_tensor(&r, &part->tensors[i]));
  }
  return place_tensors(&r, part);
}
