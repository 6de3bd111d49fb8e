// Large reads past the page cache: what is kept is kept by the caller, and the system's copy would be a second one.
//
// Files are opened with O_DIRECT; reads then go through aligned buffers and are copied to where they belong. Where a file system refuses
// that, reads are plain and the pages are given back at once. Many pieces are in flight together, through io_uring or, where a system does
// not have or allow it, through threads.
#ifndef PM_DIRECT_READ_H
#define PM_DIRECT_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

enum { PM_DIRECT_PIECE = 1 << 20, PM_DIRECT_DEPTH = 16 };

typedef struct pm_direct pm_direct;

typedef struct pm_direct_desc {
  const char *const *paths;
  uint32_t n_path;
  uint32_t depth;  // pieces in flight, each with a buffer; 0 = PM_DIRECT_DEPTH
  bool no_uring;   // threads even where io_uring works
  bool no_direct;  // plain reads even where O_DIRECT works
} pm_direct_desc;

// Any alignment of offset, bytes and dst.
typedef struct pm_direct_read {
  uint32_t file;  // index of a path
  uint64_t offset;
  size_t bytes;
  void *dst;
} pm_direct_read;

pm_status pm_direct_open(const pm_direct_desc *desc, pm_direct **out) PM_MUST_USE;
void pm_direct_close(pm_direct *d);

// Does all reads, starting them in order, and returns when the last has ended. After a failure (PM_ERR_IO with the path, the place and what
// the system said; also if a file is shorter) no more are started, and what the destinations hold is undefined. Allocates nothing.
pm_status pm_direct_run(pm_direct *d, const pm_direct_read *reads, uint32_t n) PM_MUST_USE;

// How it reads, for people: "io_uring, direct", "threads, page cache".
const char *pm_direct_way(const pm_direct *d);

// Test hook: the k-th piece that ends from now on (1 = the next), over all readers, is a failure; 0 turns it off.
void pm_direct_fail_at(uint64_t k);

#endif
