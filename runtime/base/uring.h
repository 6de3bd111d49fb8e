// Reads in flight through Linux's io_uring (io_uring(7)), by its system calls. Internal to runtime/base: direct_read.h is for everybody.
#ifndef PM_URING_H
#define PM_URING_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

typedef struct pm_uring pm_uring;

// PM_ERR_UNSUPPORTED where the system has no io_uring, forbids it (containers do) or cannot read with it (before Linux 5.6).
pm_status pm_uring_create(uint32_t depth, pm_uring **out) PM_MUST_USE;
void pm_uring_destroy(pm_uring *u);  // nothing may be in flight

// Queues a read; at most `depth` may be in flight. It starts with the next pm_uring_wait.
void pm_uring_read(pm_uring *u, int fd, void *dst, uint32_t bytes, uint64_t offset, uint64_t user);

// Starts what is queued and waits for one read to end; *result is the number of bytes or -errno.
pm_status pm_uring_wait(pm_uring *u, uint64_t *user, int32_t *result) PM_MUST_USE;

#endif
