#include "uring.h"

#include "memory.h"

#if defined(__linux__)
#include <errno.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// The kernel reads and writes the heads and tails of the rings beside us; what lies between them belongs to one side at a time.
struct pm_uring {
  int fd;
  uint8_t *ring;  // submissions and completions in one mapping
  size_t ring_bytes;
  struct io_uring_sqe *entries;
  size_t entries_bytes;
  _Atomic uint32_t *submit_tail, *done_head, *done_tail;
  uint32_t *submit_order, submit_mask, done_mask;
  struct io_uring_cqe *done;
  uint32_t n_queued;
};

static pm_status map_rings(pm_uring *u, const struct io_uring_params *p) {
  size_t submit_bytes = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
  size_t done_bytes = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
  u->ring_bytes = submit_bytes > done_bytes ? submit_bytes : done_bytes;
  u->entries_bytes = p->sq_entries * sizeof *u->entries;
  void *ring = mmap(NULL, u->ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, u->fd, IORING_OFF_SQ_RING);
  void *entries = mmap(NULL, u->entries_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, u->fd, IORING_OFF_SQES);
  u->ring = ring == MAP_FAILED ? NULL : ring;
  u->entries = entries == MAP_FAILED ? NULL : entries;
  if (!u->ring || !u->entries) PM_FAIL(PM_ERR_UNSUPPORTED, "io_uring: its rings cannot be mapped: %s", strerror(errno));
  u->submit_tail = (void *)(u->ring + p->sq_off.tail);
  u->submit_order = (void *)(u->ring + p->sq_off.array);
  u->submit_mask = p->sq_entries - 1;
  u->done_head = (void *)(u->ring + p->cq_off.head);
  u->done_tail = (void *)(u->ring + p->cq_off.tail);
  u->done = (void *)(u->ring + p->cq_off.cqes);
  u->done_mask = p->cq_entries - 1;
  return PM_OK;
}

static pm_status check_reads(const pm_uring *u) {
  enum { N_OP = IORING_OP_READ + 1 };
  _Alignas(struct io_uring_probe) uint8_t bytes[sizeof(struct io_uring_probe) + N_OP * sizeof(struct io_uring_probe_op)] = {0};
  struct io_uring_probe *probe = (void *)bytes;
  if (syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_PROBE, probe, N_OP) != 0 || probe->ops_len < N_OP ||
      !(probe->ops[IORING_OP_READ].flags & IO_URING_OP_SUPPORTED))
    PM_FAIL(PM_ERR_UNSUPPORTED, "io_uring: this kernel cannot read with it");
  return PM_OK;
}

static pm_status open_rings(pm_uring *u, uint32_t depth) {
  struct io_uring_params p = {0};
  u->fd = (int)syscall(SYS_io_uring_setup, depth, &p);
  if (u->fd < 0) PM_FAIL(PM_ERR_UNSUPPORTED, "io_uring: %s", strerror(errno));
  if (!(p.features & IORING_FEAT_SINGLE_MMAP)) PM_FAIL(PM_ERR_UNSUPPORTED, "io_uring: this kernel is too old");
  PM_TRY(check_reads(u));
  return map_rings(u, &p);
}

pm_status pm_uring_create(uint32_t depth, pm_uring **out) {
  *out = NULL;
  pm_uring *u;
  PM_NEW(&u, 1, "io_uring");
  pm_status status = open_rings(u, depth);
  if (status) {
    pm_uring_destroy(u);
    return status;
  }
  *out = u;
  return PM_OK;
}

void pm_uring_destroy(pm_uring *u) {
  if (!u) return;
  if (u->ring) munmap(u->ring, u->ring_bytes);
  if (u->entries) munmap(u->entries, u->entries_bytes);
  if (u->fd >= 0) close(u->fd);
  pm_free(u);
}

void pm_uring_read(pm_uring *u, int fd, void *dst, uint32_t bytes, uint64_t offset, uint64_t user) {
  uint32_t tail = atomic_load_explicit(u->submit_tail, memory_order_relaxed), i = tail & u->submit_mask;
  u->entries[i] = (struct io_uring_sqe){
      .opcode = IORING_OP_READ, .fd = fd, .addr = (uint64_t)(uintptr_t)dst, .len = bytes, .off = offset, .user_data = user};
  u->submit_order[i] = i;
  atomic_store_explicit(u->submit_tail, tail + 1, memory_order_release);
  u->n_queued++;
}

pm_status pm_uring_wait(pm_uring *u, uint64_t *user, int32_t *result) {
  uint32_t head = atomic_load_explicit(u->done_head, memory_order_relaxed);
  while (u->n_queued || atomic_load_explicit(u->done_tail, memory_order_acquire) == head) {
    uint32_t wait = atomic_load_explicit(u->done_tail, memory_order_acquire) == head;
    long n = syscall(SYS_io_uring_enter, u->fd, u->n_queued, wait, wait ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
    if (n >= 0) {
      u->n_queued -= (uint32_t)n;
    } else if (errno != EINTR && errno != EAGAIN && errno != EBUSY) {
      PM_FAIL(PM_ERR_IO, "io_uring: %s", strerror(errno));
    }
  }
  const struct io_uring_cqe *e = &u->done[head & u->done_mask];
  *user = e->user_data, *result = e->res;
  atomic_store_explicit(u->done_head, head + 1, memory_order_release);
  return PM_OK;
}

#else
pm_status pm_uring_create(uint32_t depth, pm_uring **out) {
  (void)depth;
  *out = NULL;
  PM_FAIL(PM_ERR_UNSUPPORTED, "io_uring: not on this system");
}
void pm_uring_destroy(pm_uring *u) { (void)u; }
void pm_uring_read(pm_uring *u, int fd, void *dst, uint32_t bytes, uint64_t offset, uint64_t user) {
  (void)u, (void)fd, (void)dst, (void)bytes, (void)offset, (void)user;
}
pm_status pm_uring_wait(pm_uring *u, uint64_t *user, int32_t *result) {
  (void)u, (void)user, (void)result;
  PM_FAIL(PM_ERR_UNSUPPORTED, "io_uring: not on this system");
}
#endif
