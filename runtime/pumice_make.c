// The public API: making files. Checks arguments and forwards to the engine.
#include "imatrix.h"
#include "public.h"
#include "quantize.h"
#include "quantize_mix.h"
#include "synth.h"

const char *pumice_quantize_mix(uint32_t i, const char **summary) {
  const pm_mix *m = pm_mix_row(i);
  if (m && summary) *summary = m->summary;
  return m ? m->name : NULL;
}

bool pumice_quantize_wants_imatrix(const char *mix) {
  const pm_mix *m = mix ? pm_mix_find(mix) : NULL;
  return m && m->wants_importances;
}

// Adapts the public callbacks.
static bool quantize_progress(void *user, float done) {
  const pumice_quantize_options *o = user;
  return o->progress(o->user, "write", done);
}

static void quantize_row(void *user, const pm_quantize_row *r) {
  const pumice_quantize_options *o = user;
  pumice_quantize_row row = {.size = sizeof row,
                             .name = r->name,
                             .from = r->from,
                             .to = r->to,
                             .n_value = r->n_value,
                             .from_bytes = r->from_bytes,
                             .to_bytes = r->to_bytes,
                             .fallback = r->fallback,
                             .weighted = r->weighted};
  o->row(o->user, &row);
}

pumice_status pumice_quantize(const char *from, const char *to, const pumice_quantize_options *options) {
  REQUIRE(from && options && options->mix, "from, options or the mix is NULL");
  pumice_quantize_options o = {0};
  copy_in(&o, sizeof o, options);
  REQUIRE(to || o.dry_run, "to is NULL");
  pm_quantize_options q = {.mix = o.mix,
                           .imatrix = o.imatrix,
                           .n_thread = o.n_thread,
                           .dry_run = o.dry_run,
                           .row = o.row ? quantize_row : NULL,
                           .progress = o.progress ? quantize_progress : NULL,
                           .user = &o};
  return public_status(pm_quantize(from, to, &q));
}

static bool imatrix_progress(void *user, float done) {
  const pumice_imatrix_options *o = user;
  return o->progress(o->user, "measure", done);
}

pumice_status pumice_imatrix(const char *model, const char *text, size_t bytes, const char *to, const pumice_imatrix_options *options,
                             pumice_imatrix_info *info) {
  REQUIRE(model && text && to, "model, text or to is NULL");
  pumice_imatrix_options o = {0};
  copy_in(&o, sizeof o, options);
  pm_imatrix_options i = {.dataset = o.dataset,
                          .n_ctx = o.n_ctx,
                          .n_chunk = o.n_chunk,
                          .n_thread = o.n_thread,
                          .progress = o.progress ? imatrix_progress : NULL,
                          .user = &o};
  pm_imatrix_result r = {0};
  pm_status status = pm_imatrix_make(model, text, bytes, to, &i, &r);
  pumice_imatrix_info out = {.n_chunk = r.n_chunk,
                             .n_chunk_text = r.n_chunk_text,
                             .n_weight = r.n_entry,
                             .n_expert = r.n_expert,
                             .n_expert_seen = r.n_expert_seen};
  if (info) copy_out(info, &out, sizeof out);
  return public_status(status);
}

// Adapts the public progress callback for synth.
static bool synth_progress(void *user, float done) {
  const pumice_synth_options *o = user;
  return o->progress(o->user, "write", done);
}

pumice_status pumice_synth(const char *path, const pumice_synth_options *options) {
  REQUIRE(path && options && options->shape, "path, options or the shape is NULL");
  pumice_synth_options o = {0};
  copy_in(&o, sizeof o, options);
  pm_synth_options s = {
      .shape = o.shape, .mix = o.mix, .n_layer = o.n_layer, .seed = o.seed, .progress = o.progress ? synth_progress : NULL, .user = &o};
  return public_status(pm_synth(path, &s));
}

const char *pumice_synth_shape(uint32_t i) { return pm_synth_shape(i); }
const char *pumice_synth_mix(uint32_t i) { return pm_synth_mix(i); }
