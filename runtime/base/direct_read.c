#define _GNU_SOURCE  // O_DIRECT
#include "direct_read.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"
#include "thread.h"
#include "uring.h"

enum { PIECE = PM_DIRECT_PIECE, ALIGN = 4096, BUFFERS_ALIGN = 2 << 20 };

typedef struct file {
  int fd;
  atomic_bool direct;
  char *path;
} file;

// One read of the system. It covers the wanted bytes; in a direct read also what is before and after them up to aligned places.
typedef struct piece {
  file *from;
  bool direct;
  uint8_t *buffer;   // PIECE bytes, aligned
  uint64_t at;       // place in the file of buffer[0]
  size_t n;          // bytes to read there
  size_t got;        // of which are there
  size_t skip, use;  // the wanted ones: buffer[skip .. skip + use)
  uint8_t *dst;
} piece;

struct pm_direct {
  file *files;
  uint32_t n_file, depth;
  uint8_t *buffers;
  piece *pieces;   // [depth]
  pm_uring *ring;  // NULL: the team reads
  pm_team *team;
  pthread_mutex_t mutex;  // of what follows, when the team reads

  const pm_direct_read *next, *end;  // of the run in progress
  size_t done;                       // bytes of `next` that pieces were made for
  pm_status status;
  int error;  // 0: the file is shorter
  const file *failed;
  uint64_t failed_at;
};

static atomic_uint_fast64_t n_ended, fail_at;

void pm_direct_fail_at(uint64_t k) { atomic_store(&fail_at, k ? atomic_load(&n_ended) + k : 0); }

static bool fails_now(void) { return atomic_fetch_add(&n_ended, 1) + 1 == atomic_load(&fail_at); }

// ---- what both ways of reading share -------------------------------------------------------------------------------

// Cuts the next piece from the run. Pieces end at aligned places, so that none is read twice.
static bool next_piece(pm_direct *d, piece *p) {
  while (d->next < d->end && d->done == d->next->bytes) d->next++, d->done = 0;
  if (d->status || d->next == d->end) return false;
  const pm_direct_read *r = d->next;
  uint64_t first = r->offset + d->done, end = r->offset + r->bytes, at = first / ALIGN * ALIGN;
  if (end > at + PIECE) end = at + PIECE;
  p->from = &d->files[r->file];
  p->direct = atomic_load(&p->from->direct);
  p->at = at, p->got = 0;
  p->skip = (size_t)(first - at), p->use = (size_t)(end - first);
  p->n = (p->skip + p->use + ALIGN - 1) / ALIGN * ALIGN;
  p->dst = (uint8_t *)r->dst + d->done;
  d->done += p->use;
  return true;
}

static void fail_piece(pm_direct *d, const piece *p, int error) {
  if (d->status) return;  // the first failure is the one to tell
  d->status = PM_ERR_IO, d->error = error, d->failed = p->from, d->failed_at = p->at + p->got;
}

// Some file systems take O_DIRECT at opening and refuse it at reading.
static bool make_plain(piece *p) {
  int flags = fcntl(p->from->fd, F_GETFL);
  if (!p->direct || flags < 0 || fcntl(p->from->fd, F_SETFL, flags & ~O_DIRECT) != 0) return false;
  p->direct = false;
  atomic_store(&p->from->direct, false);
  return true;
}

typedef enum verdict { ENDED, AGAIN, FAILED } verdict;

// What a read of a piece's remainder came to. Failures are left in *error.
static verdict judge(piece *p, int64_t result, int *error) {
  *error = result < 0 ? (int)-result : 0;
  if (*error == EINTR || *error == EAGAIN) return AGAIN;
  if (*error == EINVAL && make_plain(p)) return AGAIN;
  if (fails_now()) {
    *error = EIO;
    return FAILED;
  }
  if (*error) return FAILED;
  size_t before = p->got;
  p->got += (size_t)result;
  if (p->got >= p->skip + p->use) return ENDED;
  p->got = p->got / ALIGN * ALIGN;  // a direct read goes on at an aligned place
  return p->got > before ? AGAIN : FAILED;
}

// Pages that the wanted bytes share with their neighbours stay: others may be using those.
static void deliver(const piece *p) {
  memcpy(p->dst, p->buffer + p->skip, p->use);
  if (p->direct) return;
  uint64_t first = p->at + (p->skip ? ALIGN : 0), end = (p->at + p->skip + p->use) / ALIGN * ALIGN;
  if (end > first) (void)posix_fadvise(p->from->fd, (off_t)first, (off_t)(end - first), POSIX_FADV_DONTNEED);
}

// ---- io_uring ------------------------------------------------------------------------------------------------------

static void start(pm_direct *d, const piece *p) {
  pm_uring_read(d->ring, p->from->fd, p->buffer + p->got, (uint32_t)(p->n - p->got), p->at + p->got, (uint64_t)(p - d->pieces));
}

// Every buffer that is in flight comes back before this returns, also after a failure.
static pm_status run_ring(pm_direct *d) {
  uint32_t n_flight = 0;
  while (n_flight < d->depth && next_piece(d, &d->pieces[n_flight])) start(d, &d->pieces[n_flight++]);
  while (n_flight) {
    uint64_t i;
    int32_t result;
    PM_TRY(pm_uring_wait(d->ring, &i, &result));
    piece *p = &d->pieces[i];
    int error;
    verdict v = judge(p, result, &error);
    if (v == AGAIN) {
      start(d, p);
      continue;
    }
    if (v == ENDED) deliver(p);
    if (v == FAILED) fail_piece(d, p, error);
    if (next_piece(d, p)) {
      start(d, p);
    } else {
      n_flight--;
    }
  }
  return PM_OK;
}

// ---- threads -------------------------------------------------------------------------------------------------------

static bool next_locked(pm_direct *d, piece *p) {
  pthread_mutex_lock(&d->mutex);
  bool more = next_piece(d, p);
  pthread_mutex_unlock(&d->mutex);
  return more;
}

static void read_pieces(void *arg, uint32_t thread, uint32_t n_thread) {
  (void)n_thread;
  pm_direct *d = arg;
  piece *p = &d->pieces[thread];
  while (next_locked(d, p)) {
    verdict v;
    int error;
    do {
      ssize_t result = pread(p->from->fd, p->buffer + p->got, p->n - p->got, (off_t)(p->at + p->got));
      v = judge(p, result < 0 ? -errno : result, &error);
    } while (v == AGAIN);
    if (v == ENDED) {
      deliver(p);
    } else {
      pthread_mutex_lock(&d->mutex);
      fail_piece(d, p, error);
      pthread_mutex_unlock(&d->mutex);
    }
  }
}

// ---- opening and running -------------------------------------------------------------------------------------------

static pm_status open_file(file *f, const char *path, bool no_direct) {
  f->path = pm_strdup(path);
  if (!f->path) PM_FAIL(PM_ERR_MEMORY, "out of memory: opening %s", path);
  if (!no_direct) f->fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
  atomic_store(&f->direct, f->fd >= 0);
  if (f->fd < 0) f->fd = open(path, O_RDONLY | O_CLOEXEC);
  if (f->fd < 0) PM_FAIL(PM_ERR_IO, "cannot open %s: %s", path, strerror(errno));
  (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_RANDOM);  // plain reads are exactly what is asked for: nothing is read ahead
  return PM_OK;
}

static pm_status open_files(pm_direct *d, const pm_direct_desc *desc) {
  PM_NEW(&d->files, desc->n_path, "files to read from");
  for (; d->n_file < desc->n_path; d->n_file++) {
    file *f = &d->files[d->n_file];
    f->fd = -1;
    pm_status status = open_file(f, desc->paths[d->n_file], desc->no_direct);
    if (status) {
      pm_free(f->path);
      return status;
    }
  }
  return PM_OK;
}

static pm_status open_reader(pm_direct *d, const pm_direct_desc *desc) {
  d->depth = desc->depth ? desc->depth : PM_DIRECT_DEPTH;
  PM_TRY(open_files(d, desc));
  PM_NEW(&d->pieces, d->depth, "pieces of files");
  d->buffers = pm_alloc_aligned((size_t)d->depth * PIECE, BUFFERS_ALIGN);
  if (!d->buffers) PM_FAIL(PM_ERR_MEMORY, "out of memory: buffers for reading, %zu bytes", (size_t)d->depth * PIECE);
  for (uint32_t i = 0; i < d->depth; i++) d->pieces[i].buffer = d->buffers + (size_t)i * PIECE;
  if (!desc->no_uring) {
    pm_status status = pm_uring_create(d->depth, &d->ring);
    if (status != PM_ERR_UNSUPPORTED) return status;
  }
  return pm_team_create(d->depth, &d->team);
}

pm_status pm_direct_open(const pm_direct_desc *desc, pm_direct **out) {
  *out = NULL;
  pm_direct *d;
  PM_NEW(&d, 1, "a reader of files");
  pthread_mutex_init(&d->mutex, NULL);
  pm_status status = open_reader(d, desc);
  if (status) {
    pm_direct_close(d);
    return status;
  }
  *out = d;
  return PM_OK;
}

void pm_direct_close(pm_direct *d) {
  if (!d) return;
  pm_uring_destroy(d->ring);
  pm_team_destroy(d->team);
  for (uint32_t i = 0; i < d->n_file; i++) {
    close(d->files[i].fd);
    pm_free(d->files[i].path);
  }
  pthread_mutex_destroy(&d->mutex);
  pm_free(d->files);
  pm_free(d->pieces);
  pm_free(d->buffers);
  pm_free(d);
}

pm_status pm_direct_run(pm_direct *d, const pm_direct_read *reads, uint32_t n) {
  d->next = reads, d->end = reads + n, d->done = 0, d->status = PM_OK;
  if (d->ring) {
    PM_TRY(run_ring(d));
  } else {
    pm_team_run(d->team, read_pieces, d);
  }
  if (!d->status) return PM_OK;
  PM_FAIL(d->status, "cannot read %s at byte %llu: %s", d->failed->path, (unsigned long long)d->failed_at,
          d->error ? strerror(d->error) : "the file ends there");
}

const char *pm_direct_way(const pm_direct *d) {
  bool direct = true;
  for (uint32_t i = 0; i < d->n_file; i++) direct = direct && atomic_load(&d->files[i].direct);
  if (d->ring) return direct ? "io_uring, direct" : "io_uring, page cache";
  return direct ? "threads, direct" : "threads, page cache";
}
