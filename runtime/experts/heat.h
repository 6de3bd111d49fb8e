// What was used, kept between runs of a model: a warm start. Layout, little-endian: "PMHEAT1", u64 fingerprint of the model, u32 n,
// u32 FNV-1a sum of the scores, then the scores u32 [n] (pm_slots_heat).
#ifndef PM_HEAT_H
#define PM_HEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "status.h"

// Replaces `heat` [n] by what the file says, all of it or nothing. False if there is no such file, or if it is damaged or of another
// model: a start without it is only less warm.
bool pm_heat_read(const char *path, uint64_t fingerprint, uint32_t n, uint32_t *heat);

// The file appears whole or not at all.
pm_status pm_heat_write(const char *path, uint64_t fingerprint, uint32_t n, const uint32_t *heat) PM_MUST_USE;

// heat = a quarter of the past and three of what is new, each taken relative to its own sum, so that a long run does not drown a short one
// nor the other way round. The sum of the result is that of `heat`.
void pm_heat_merge(uint32_t *heat, const uint32_t *past, uint32_t n);

#endif
