// A Hugging Face folder: config.json, tokenizer.json, and weights in one safetensors file or in several that an index names. What the two
// JSON files say becomes the header of a GGUF file, in memory, so that everybody above sees one kind of metadata.
#include "folder.h"

#include <string.h>

#include "memory.h"

static const uint64_t MAX_JSON = 256u << 20, MAX_JSON_MEMORY = 1u << 30;  // a vocabulary takes tens of megabytes
enum { MAX_SHARD = 4096 };

static const char CONFIG[] = "config.json", INDEX[] = "model.safetensors.index.json", SINGLE[] = "model.safetensors";

// ---- files ---------------------------------------------------------------------------------------------------------

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

bool pm_folder_matches(const pm_shard *shard) { return shard->file && !strcmp(base_name(shard->path), CONFIG); }

static pm_status join_path(pm_folder *d, const char *name, const char **out) {
  *out = pm_arena_printf(&d->scratch, "%s/%s", d->path, name);
  if (!*out) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: the name of a file", d->path);
  return PM_OK;
}

static pm_status parse_file(pm_folder *d, pm_file *file, const pm_value **out) {
  uint64_t n = pm_file_bytes(file);
  if (n > MAX_JSON) PM_FAIL(PM_ERR_FORMAT, "%s: %llu bytes of JSON are too many", pm_file_path(file), (unsigned long long)n);
  const uint8_t *text;
  pm_value *root = pm_arena_alloc(&d->scratch, sizeof *root);
  if (!root) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: its values", pm_file_path(file));
  PM_TRY(pm_file_map(file, &text));
  PM_TRY(pm_json_parse_file(&d->json, pm_file_path(file), (const char *)text, (size_t)n, root));
  *out = root;
  if (root->kind != PM_DICT) PM_FAIL(PM_ERR_FORMAT, "%s: an object was expected", pm_file_path(file));
  return PM_OK;
}

pm_status pm_folder_json(pm_folder *d, const char *name, const pm_value **out) {
  *out = NULL;
  const char *path;
  PM_TRY(join_path(d, name, &path));
  if (!pm_file_exists(path)) return PM_OK;
  pm_file *file;
  PM_TRY(pm_file_open(path, &file));
  pm_status status = parse_file(d, file, out);
  pm_file_close(file);
  return status;
}

// ---- weights -------------------------------------------------------------------------------------------------------

static pm_status add_shard(pm_folder *d, const char *name) {
  const char *path;
  PM_TRY(join_path(d, name, &path));
  if (d->f->n_shard > MAX_SHARD) PM_FAIL(PM_ERR_FORMAT, "%s: more than %d files of weights", d->path, MAX_SHARD);
  PM_TRY(pm_model_file_add_shard(d->f, path));
  return pm_safetensors_read(d, d->f->n_shard - 1);
}

// Names in the index are of files in this folder and nowhere else.
static pm_status check_file_name(const pm_folder *d, const pm_entry *m) {
  const char *name = pm_json_text(&m->value), *end = name ? strrchr(name, '.') : NULL;
  if (name && name[0] != '.' && !strpbrk(name, "/\\") && end && !strcmp(end, ".safetensors")) return PM_OK;
  PM_FAIL(PM_ERR_FORMAT, "%s/%s: weight_map: the file of %.80s: the name of a .safetensors file of this folder was expected", d->path,
          INDEX, m->key.text.at);
}

// Every file that the index names, once each.
static pm_status add_indexed_shards(pm_folder *d, const pm_dict *map) {
  pm_name *files = pm_arena_alloc(&d->scratch, map->n * sizeof *files);
  if (!files) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: its index", d->path);
  uint32_t n = 0;
  for (size_t i = 0; i < map->n; i++) {
    PM_TRY(check_file_name(d, &map->entries[i]));
    const char *name = map->entries[i].value.text.at;
    if (!n || strcmp(files[n - 1].text, name) != 0) files[n++].text = name;  // the usual order
  }
  pm_name_order(files, n);
  for (uint32_t i = 0; i < n; i++)
    if (!i || strcmp(files[i - 1].text, files[i].text) != 0) PM_TRY(add_shard(d, files[i].text));
  return PM_OK;
}

static pm_status check_index(const pm_folder *d, const pm_dict *map) {
  for (size_t i = 0; i < map->n; i++) {
    const char *name = map->entries[i].key.text.at, *file = map->entries[i].value.text.at;
    const pm_raw_tensor *t = pm_folder_find_raw(d, name);
    if (!t || strcmp(base_name(d->f->shards[t->shard].path), file) != 0)
      PM_FAIL(PM_ERR_FORMAT, "%s/%s: weight_map: tensor %.80s is not in %s", d->path, INDEX, name, file);
  }
  return PM_OK;
}

static pm_status sort_raw(pm_folder *d) {
  d->raw_names = pm_arena_alloc(&d->scratch, d->n_raw * sizeof *d->raw_names);
  if (!d->raw_names) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: %llu tensors", d->path, (unsigned long long)d->n_raw);
  for (uint64_t i = 0; i < d->n_raw; i++) d->raw_names[i] = (pm_name){.text = d->raw[i].name, .index = (uint32_t)i};
  return pm_name_sort(d->raw_names, d->n_raw, d->path, "tensor");
}

static pm_status read_weights(pm_folder *d) {
  const pm_value *index, *map;
  PM_TRY(pm_folder_json(d, INDEX, &index));
  map = pm_json_find(index, "weight_map");
  if (index && (!map || map->kind != PM_DICT)) PM_FAIL(PM_ERR_FORMAT, "%s/%s: weight_map: an object was expected", d->path, INDEX);
  PM_TRY(map ? add_indexed_shards(d, map->dict) : add_shard(d, SINGLE));
  PM_TRY(sort_raw(d));
  return map ? check_index(d, map->dict) : PM_OK;
}

// ---- metadata ------------------------------------------------------------------------------------------------------

// The header takes the place of shard 0, which config.json had until now.
static pm_status take_metas(pm_folder *d) {
  pm_shard *s = &d->f->shards[0];
  uint8_t *bytes;
  size_t n;
  pm_gguf_writer *w = d->metas;
  d->metas = NULL;
  PM_TRY(pm_gguf_writer_take_header(w, &bytes, &n));
  pm_file_close(s->file);
  s->file = NULL, s->bytes = s->copy = bytes, s->n_bytes = n;
  pm_gguf_part part = {0};
  PM_TRY(pm_gguf_parse(d->f, 0, &part));
  d->f->metas = part.metas, d->f->meta_names = part.meta_names, d->f->n_meta = part.n_meta;
  return PM_OK;
}

// ---- the whole -----------------------------------------------------------------------------------------------------

static pm_status find_folder(pm_folder *d) {
  const char *config = d->f->shards[0].path, *base = base_name(config);
  char *path = pm_arena_strdup(&d->f->arena, base == config ? "." : config);
  if (!path) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: its folder", config);
  if (base != config) path[base - config - (base - config > 1)] = 0;  // "/" stays
  d->path = d->f->path = path;
  return PM_OK;
}

static pm_status read_all(pm_folder *d) {
  PM_TRY(find_folder(d));
  PM_TRY(pm_folder_json(d, CONFIG, &d->config));
  PM_TRY(read_weights(d));
  PM_TRY(pm_folder_read_shape(d));
  PM_TRY(pm_folder_name_tensors(d));
  PM_TRY(pm_gguf_writer_open(NULL, &d->metas));
  PM_TRY(pm_folder_put_config(d));
  PM_TRY(pm_folder_put_tokenizer(d));
  return take_metas(d);
}

pm_status pm_folder_read(pm_model_file *f) {
  pm_folder d = {.f = f, .scratch = {.block_bytes = 1 << 20}, .json = {.arena = {.block_bytes = 1 << 20}, .limit = MAX_JSON_MEMORY}};
  pm_status status = read_all(&d);
  if (d.metas) pm_gguf_writer_abandon(d.metas);
  pm_free(d.raw);
  pm_heap_finish(&d.json);
  pm_arena_finish(&d.scratch);
  return status;
}

// ---- data ----------------------------------------------------------------------------------------------------------

static const void *at(const pm_model_file *f, pm_file_place p) { return f->shards[p.shard].bytes + p.offset; }

static pm_slab slab_of(const pm_model_file *f, const pm_source *s, uint32_t i) {
  return (pm_slab){.data = at(f, s->data[i]), .scales = s->scales ? at(f, s->scales[i]) : NULL};
}

static pm_status make_floats(pm_model_file *f, pm_file_tensor *t, const pm_source *s) {
  float *made = pm_arena_alloc(&f->arena, t->bytes);
  if (!made) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: tensor %s as floats", f->path, t->name);
  t->data = made;
  for (uint32_t i = 0; i < s->n; i++, made += t->ne[0] * t->ne[1]) {
    pm_slab slab = slab_of(f, s, i);
    if (slab.scales)
      pm_fp8_unpack(&slab, t->ne[0], 0, t->ne[1], made);
    else
      pm_format_get(s->stored)->decode(slab.data, made, t->ne[0] * t->ne[1]);
  }
  return PM_OK;
}

pm_status pm_folder_attach(pm_model_file *f) {
  for (uint64_t i = 0; i < f->n_tensor; i++) {
    pm_file_tensor *t = &f->tensors[i];
    const pm_source *s = &f->sources[i];
    if (!t->places && t->type == s->stored && s->n == 1) {
      t->data = at(f, *s->data);
    } else if (!t->places) {
      PM_TRY(make_floats(f, t, s));
    } else {
      pm_slab *slabs = pm_arena_alloc(&f->arena, s->n * sizeof *slabs);
      if (!slabs) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: tensor %s", f->path, t->name);
      for (uint32_t k = 0; k < s->n; k++) slabs[k] = slab_of(f, s, k);
      t->slabs = slabs;
    }
  }
  return PM_OK;
}
