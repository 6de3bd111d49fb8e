// What the files behind pumice.h share: checking of arguments, structs that grow.
#ifndef PM_PUBLIC_H
#define PM_PUBLIC_H

#include <string.h>

#include "pumice.h"
#include "status.h"

struct pumice_model {
  struct pm_engine *engine;
  uint64_t allocations;   // before it was opened
  struct pm_part *parts;  // [n_session] of a call for several
  pumice_progress_fn *progress;
  void *user;
};

static inline pumice_status public_status(pm_status s) { return (pumice_status)s; }

// Leaves the function unless the condition holds.
#define REQUIRE(condition, what) \
  if (!(condition)) return public_status(pm_fail(PM_ERR_ARGUMENT, "%s: %s", __func__, what))

// Structs may be shorter than this build's (an older caller): these copy what both know.
static inline void copy_in(void *dst, size_t dst_size, const void *src) {
  uint32_t n = 0;
  if (src) memcpy(&n, src, sizeof n);
  if (n > dst_size) n = (uint32_t)dst_size;
  if (src) memcpy(dst, src, n);
}

static inline void copy_out(void *dst, const void *src, size_t src_size) {
  uint32_t n, kept;
  memcpy(&kept, dst, sizeof kept);
  n = kept < src_size ? kept : (uint32_t)src_size;
  memcpy(dst, src, n);
  memcpy(dst, &kept, sizeof kept);
}

#endif
