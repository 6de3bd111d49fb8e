#include <math.h>

#include "config.h"

// Pair index at which a wavelength makes `turns` rotations over the original context.
static double correction(const pm_rope_config *c, double turns) {
  return c->n_rope * log(c->n_ctx_orig / (2 * 3.14159265358979323846 * turns)) / (2 * log(c->base));
}

pm_status pm_rope_init(pm_rope_table *t, const pm_rope_config *c, double *attention_factor) {
  if (c->n_rope % 2 || c->n_rope / 2 > PM_MAX_ROPE_PAIRS || !c->n_rope)
    PM_FAIL(PM_ERR_FORMAT, "rope.dimension_count is %u, expected an even number up to %d", c->n_rope, 2 * PM_MAX_ROPE_PAIRS);
  if (!(c->base > 1) || !(c->factor > 0) || !isfinite(c->base) || !isfinite(c->factor))
    PM_FAIL(PM_ERR_FORMAT, "rope.freq_base %g and rope.scaling.factor %g: expected a base over 1 and a positive factor", (double)c->base,
            (double)c->factor);
  if (c->yarn && (!c->n_ctx_orig || !(c->beta_fast > 0) || !(c->beta_slow > 0)))
    PM_FAIL(PM_ERR_FORMAT, "rope.scaling: YaRN needs an original context length and positive betas");

  double low = 0, high = 0;
  if (c->yarn) {
    low = fmax(0, floor(correction(c, c->beta_fast)));
    high = fmin(c->n_rope - 1, ceil(correction(c, c->beta_slow)));
  }
  t->n_pair = c->n_rope / 2;
  for (uint32_t i = 0; i < t->n_pair; i++) {
    double kept = c->yarn ? 1 - fmin(1, fmax(0, (i - low) / fmax(0.001, high - low)))
                          : 0;  // share of the frequency that is not interpolated
    t->inv_freq[i] = pow(c->base, -2.0 * i / c->n_rope) * ((1 - kept) / c->factor + kept);
  }

  double log_s = c->factor > 1 ? log(c->factor) : 0, stretch = 1 + 0.1 * log_s;
  double g = c->log_multiplier / 0.1;
  double magnitude = c->attn_factor;
  if (c->yarn && g != 0) magnitude /= stretch;  // files with the multiplier carry the magnitude in the attention scale instead
  t->magnitude = c->yarn ? magnitude * stretch : magnitude;
  double m = magnitude * stretch * (1 + 0.1 * g * log_s);
  *attention_factor = m * m;
  return PM_OK;
}

void pm_rope_fill(const pm_rope_table *r, uint32_t pos, float *out) {
  for (uint32_t i = 0; i < r->n_pair; i++) {
    double angle = pos * r->inv_freq[i];
    out[2 * i] = (float)(cos(angle) * r->magnitude);
    out[2 * i + 1] = (float)(sin(angle) * r->magnitude);
  }
}
