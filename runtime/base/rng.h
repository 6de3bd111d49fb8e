// xoshiro256** (Blackman and Vigna 2018), seeded through splitmix64: the same stream on every machine.
#ifndef PM_RNG_H
#define PM_RNG_H

#include <stdint.h>

typedef struct pm_rng {
  uint64_t s[4];
} pm_rng;

static inline pm_rng pm_rng_seed(uint64_t seed) {
  pm_rng r;
  for (int i = 0; i < 4; i++) {
    uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    r.s[i] = z ^ z >> 31;
  }
  return r;
}

static inline uint64_t pm_rng_next(pm_rng *r) {
  uint64_t *s = r->s, x = s[1] * 5, t = s[1] << 17;
  uint64_t result = (x << 7 | x >> 57) * 9;
  s[2] ^= s[0], s[3] ^= s[1], s[1] ^= s[2], s[0] ^= s[3], s[2] ^= t;
  s[3] = s[3] << 45 | s[3] >> 19;
  return result;
}

// Uniform in [0, 1), 53 bits.
static inline double pm_rng_uniform(pm_rng *r) { return (double)(pm_rng_next(r) >> 11) * 0x1p-53; }

#endif
