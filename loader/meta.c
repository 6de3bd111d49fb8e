// Metadata values: typed reading and printing.
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "directory.h"

static const struct value_type {
  const char *name;
  uint8_t bytes;
  enum { SIGNED, UNSIGNED, REAL, OTHER } kind;
} TYPES[] = {
    [PM_META_U8] = {"u8", 1, UNSIGNED},     [PM_META_I8] = {"i8", 1, SIGNED},     [PM_META_U16] = {"u16", 2, UNSIGNED},
    [PM_META_I16] = {"i16", 2, SIGNED},     [PM_META_U32] = {"u32", 4, UNSIGNED}, [PM_META_I32] = {"i32", 4, SIGNED},
    [PM_META_F32] = {"f32", 4, REAL},       [PM_META_BOOL] = {"bool", 1, OTHER},  [PM_META_STRING] = {"string", 8, OTHER},
    [PM_META_ARRAY] = {"array", 12, OTHER}, [PM_META_U64] = {"u64", 8, UNSIGNED}, [PM_META_I64] = {"i64", 8, SIGNED},
    [PM_META_F64] = {"f64", 8, REAL},
};

const char *pm_meta_type_name(pm_meta_type t) { return (uint32_t)t < PM_META_TYPE_COUNT ? TYPES[t].name : "?"; }

uint32_t pm_meta_type_bytes(pm_meta_type t) { return TYPES[t].bytes; }

// One element: its type, and where it lies in the file.
typedef struct value {
  pm_meta_type type;
  const uint8_t *bytes;
  uint64_t room;  // bytes from there to the end of the file
} value;

static value value_at(const pm_model_file *f, const pm_meta_entry *e, uint64_t index) {
  const pm_shard *s = &f->shards[e->shard];
  uint64_t at = e->at;
  if (e->meta.type == PM_META_ARRAY) at = e->strings ? e->strings[index] : at + index * TYPES[e->meta.element].bytes;
  return (value){.type = e->meta.type == PM_META_ARRAY ? e->meta.element : e->meta.type, .bytes = s->bytes + at, .room = s->n_bytes - at};
}

static pm_status entry_value(const pm_model_file *f, const pm_meta_entry *e, uint64_t index, value *v) {
  if (e->meta.type == PM_META_ARRAY && index >= e->meta.count)
    PM_FAIL(PM_ERR_FORMAT, "%s: %s has %llu values, at least %llu were expected", f->shards[e->shard].path, e->meta.key,
            (unsigned long long)e->meta.count, (unsigned long long)index + 1);
  *v = value_at(f, e, index);
  return PM_OK;
}

static const pm_meta_entry *find_entry(const pm_model_file *f, const char *key) {
  return (const pm_meta_entry *)pm_model_file_find_meta(f, key);
}

static pm_status wrong_type(const pm_model_file *f, const pm_meta_entry *e, value v, const char *expected) {
  PM_FAIL(PM_ERR_FORMAT, "%s: %s is of type %s, expected %s", f->shards[e->shard].path, e->meta.key, TYPES[v.type].name, expected);
}

static uint64_t unsigned_value(value v) {
  uint64_t u = 0;
  memcpy(&u, v.bytes, TYPES[v.type].bytes);
  return u;
}

static int64_t signed_value(value v) {
  uint32_t unused = 64 - 8 * TYPES[v.type].bytes;
  return (int64_t)(unsigned_value(v) << unused) >> unused;
}

static double real_value(value v) {
  double d;
  float s;
  memcpy(&s, v.bytes, 4);
  if (v.type == PM_META_F32) return s;
  memcpy(&d, v.bytes, 8);
  return d;
}

static const char *string_value(value v, uint64_t *bytes) {
  memcpy(bytes, v.bytes, 8);
  return (const char *)v.bytes + 8;
}

pm_status pm_meta_entry_i64(const pm_model_file *f, const pm_meta_entry *e, uint64_t index, int64_t *out) {
  value v;
  PM_TRY(entry_value(f, e, index, &v));
  if (TYPES[v.type].kind == SIGNED) {
    *out = signed_value(v);
    return PM_OK;
  }
  if (TYPES[v.type].kind != UNSIGNED) return wrong_type(f, e, v, "an integer");
  uint64_t u = unsigned_value(v);
  if (u > INT64_MAX)
    PM_FAIL(PM_ERR_FORMAT, "%s: %s is %llu, expected at most 2^63 - 1", f->shards[e->shard].path, e->meta.key, (unsigned long long)u);
  *out = (int64_t)u;
  return PM_OK;
}

pm_status pm_meta_i64(const pm_model_file *f, const char *key, uint64_t index, int64_t *out) {
  const pm_meta_entry *e = find_entry(f, key);
  return e ? pm_meta_entry_i64(f, e, index, out) : PM_OK;
}

pm_status pm_meta_u32(const pm_model_file *f, const char *key, uint64_t index, uint32_t *out) {
  const pm_meta_entry *e = find_entry(f, key);
  if (!e) return PM_OK;
  int64_t i;
  PM_TRY(pm_meta_entry_i64(f, e, index, &i));
  if (i < 0 || i > UINT32_MAX)
    PM_FAIL(PM_ERR_FORMAT, "%s: %s is %lld, expected 0 to %u", f->shards[e->shard].path, key, (long long)i, UINT32_MAX);
  *out = (uint32_t)i;
  return PM_OK;
}

pm_status pm_meta_f32(const pm_model_file *f, const char *key, uint64_t index, float *out) {
  const pm_meta_entry *e = find_entry(f, key);
  if (!e) return PM_OK;
  value v;
  PM_TRY(entry_value(f, e, index, &v));
  double d;
  switch (TYPES[v.type].kind) {
    case SIGNED: d = (double)signed_value(v); break;
    case UNSIGNED: d = (double)unsigned_value(v); break;
    case REAL: d = real_value(v); break;
    default: return wrong_type(f, e, v, "a number");
  }
  bool score = e->meta.type == PM_META_ARRAY && isinf(d);  // vocabularies may say that a token is never wanted
  if (!score && !(fabs(d) <= FLT_MAX))
    PM_FAIL(PM_ERR_FORMAT, "%s: %s is %g, expected a finite number that fits in 32 bits", f->shards[e->shard].path, key, d);
  *out = (float)d;
  return PM_OK;
}

pm_status pm_meta_bool(const pm_model_file *f, const char *key, uint64_t index, bool *out) {
  const pm_meta_entry *e = find_entry(f, key);
  if (!e) return PM_OK;
  value v;
  PM_TRY(entry_value(f, e, index, &v));
  if (v.type != PM_META_BOOL) return wrong_type(f, e, v, "a bool");
  *out = v.bytes[0] != 0;
  return PM_OK;
}

pm_status pm_meta_string(const pm_model_file *f, const char *key, uint64_t index, const char **out, size_t *bytes) {
  const pm_meta_entry *e = find_entry(f, key);
  if (!e) return PM_OK;
  value v;
  PM_TRY(entry_value(f, e, index, &v));
  if (v.type != PM_META_STRING) return wrong_type(f, e, v, "a string");
  uint64_t n;
  const char *text = string_value(v, &n);
  if (n > v.room - 8)
    PM_FAIL(PM_ERR_FORMAT, "%s: %s has %llu bytes: the file changed while it was open", f->shards[e->shard].path, key,
            (unsigned long long)n);
  *out = text, *bytes = (size_t)n;
  return PM_OK;
}

// ---- printing ------------------------------------------------------------------------------------------------------

typedef struct line {
  char *at;
  size_t room;  // bytes left, the terminator not counted
} line;

// All of it or nothing: a line is cut between characters.
static bool put(line *l, const char *text, size_t bytes) {
  if (bytes > l->room) return false;
  memcpy(l->at, text, bytes);
  l->at += bytes, l->room -= bytes, *l->at = 0;
  return true;
}

// Bytes of the well-formed UTF-8 character at s, 0 if there is none.
static size_t utf8_length(const uint8_t *s, uint64_t n) {
  if (s[0] < 0x80) return 1;
  size_t want = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
  if (s[0] < 0xc2 || s[0] > 0xf4 || want > n) return 0;
  for (size_t i = 1; i < want; i++)
    if ((s[i] & 0xc0) != 0x80) return 0;
  bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
  bool beyond = (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f) ||
                (s[0] == 0xc2 && s[1] < 0xa0);  // surrogates, > 10FFFF, C1 controls
  return overlong || beyond ? 0 : want;
}

static bool put_string(line *l, value v) {
  uint64_t n;
  const uint8_t *s = (const uint8_t *)string_value(v, &n);
  if (n > v.room - 8) return false;
  while (n) {
    size_t length = utf8_length(s, n);
    char escape[8];
    bool plain = length > 1 || (length == 1 && s[0] >= 0x20 && s[0] != 0x7f);
    if (!plain) snprintf(escape, sizeof escape, s[0] == '\n' ? "\\n" : "\\x%02x", s[0]), length = 1;
    if (!put(l, plain ? (const char *)s : escape, plain ? length : strlen(escape))) return false;
    s += length, n -= length;
  }
  return true;
}

static bool put_value(line *l, value v) {
  if (v.type == PM_META_STRING) return put_string(l, v);
  if (v.type == PM_META_BOOL) return put(l, v.bytes[0] ? "true" : "false", v.bytes[0] ? 4 : 5);
  char number[40];
  switch (TYPES[v.type].kind) {
    case SIGNED: snprintf(number, sizeof number, "%lld", (long long)signed_value(v)); break;
    case UNSIGNED: snprintf(number, sizeof number, "%llu", (unsigned long long)unsigned_value(v)); break;
    default: snprintf(number, sizeof number, "%.7g", real_value(v)); break;
  }
  return put(l, number, strlen(number));
}

void pm_meta_print(const pm_model_file *f, const pm_meta *m, char *buf, size_t n) {
  static const char CUT[] = "...";
  if (!n) return;
  buf[0] = 0;
  const pm_meta_entry *e = (const pm_meta_entry *)m;
  line l = {.at = buf, .room = n > sizeof CUT ? n - sizeof CUT : 0};
  bool whole = true;
  if (m->type == PM_META_ARRAY) {
    char head[40];
    snprintf(head, sizeof head, "[%llu] ", (unsigned long long)m->count);
    whole = put(&l, head, strlen(head));
  }
  for (uint64_t i = 0; i < m->count && whole; i++) whole = (i == 0 || put(&l, ", ", 2)) && put_value(&l, value_at(f, e, i));
  l.room = (size_t)(buf + n - 1 - l.at);
  if (!whole) put(&l, CUT, sizeof CUT - 1);
}
