#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "memory.h"

enum { WRITE_BUFFER = 1 << 20, MAX_IO = 1 << 30 };  // Linux moves at most 2 GiB - 4 KiB at once

struct pm_file {
  int fd;
  uint64_t bytes;
  const uint8_t *map;
  char path[];
};

pm_status pm_file_open(const char *path, pm_file **out) {
  *out = NULL;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe must not make us wait
  if (fd < 0) PM_FAIL(PM_ERR_IO, "cannot open %s: %s", path, strerror(errno));
  struct stat info;
  pm_status status = PM_OK;
  if (fstat(fd, &info) != 0) {
    status = pm_fail(PM_ERR_IO, "cannot read %s: %s", path, strerror(errno));
  } else if (S_ISDIR(info.st_mode)) {
    status = pm_fail(PM_ERR_IO, "%s is a directory, a file was expected", path);
  } else if (!S_ISREG(info.st_mode)) {
    status = pm_fail(PM_ERR_IO, "%s is a device or a pipe, a file was expected", path);
  }
  pm_file *file = NULL;
  if (status == PM_OK) {
    size_t n = strlen(path) + 1;
    file = pm_alloc(sizeof *file + n);
    if (!file)
      status = pm_fail(PM_ERR_MEMORY, "out of memory: opening %s", path);
    else
      *file = (pm_file){.fd = fd, .bytes = (uint64_t)info.st_size}, memcpy(file->path, path, n);
  }
  if (status != PM_OK) close(fd);
  *out = file;
  return status;
}

void pm_file_close(pm_file *file) {
  if (!file) return;
  if (file->map) munmap((void *)file->map, file->bytes);
  close(file->fd);
  pm_free(file);
}

uint64_t pm_file_bytes(const pm_file *file) { return file->bytes; }

const char *pm_file_path(const pm_file *file) { return file->path; }

bool pm_file_is_folder(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

pm_status pm_file_read(pm_file *file, uint64_t offset, void *dst, size_t bytes) {
  uint8_t *to = dst;
  for (size_t done = 0; done < bytes;) {
    size_t want = bytes - done < MAX_IO ? bytes - done : MAX_IO;
    ssize_t got = pread(file->fd, to + done, want, (off_t)(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) PM_FAIL(PM_ERR_IO, "cannot read %s at byte %llu: %s", file->path, (unsigned long long)(offset + done), strerror(errno));
    if (got == 0)
      PM_FAIL(PM_ERR_IO, "%s ends at byte %llu, %zu more bytes were expected", file->path, (unsigned long long)(offset + done),
              bytes - done);
    done += (size_t)got;
  }
  return PM_OK;
}

pm_status pm_file_map(pm_file *file, const uint8_t **out) {
  if (!file->map && file->bytes) {
    void *p = file->bytes > SIZE_MAX ? MAP_FAILED : mmap(NULL, (size_t)file->bytes, PROT_READ, MAP_SHARED, file->fd, 0);
    if (p == MAP_FAILED) PM_FAIL(PM_ERR_IO, "cannot map %s, %llu bytes: %s", file->path, (unsigned long long)file->bytes, strerror(errno));
    file->map = p;
    // Weights are read through the mapping at the rate of memory, of which small pages cost a quarter. Some file systems have huge ones.
    (void)madvise(p, (size_t)file->bytes, MADV_HUGEPAGE);
  }
  *out = file->map;
  return PM_OK;
}

void pm_file_will_need(pm_file *file, uint64_t offset, uint64_t bytes) {
  (void)posix_fadvise(file->fd, (off_t)offset, (off_t)bytes, POSIX_FADV_WILLNEED);
}

// Only whole pages: the neighbours of a range are somebody else's.
void pm_file_dont_need(pm_file *file, uint64_t offset, uint64_t bytes) {
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), end = offset + bytes;
  offset = (offset + page - 1) & ~(page - 1);
  if (end < file->bytes) end &= ~(page - 1);
  if (end <= offset) return;
  if (file->map) (void)madvise((void *)(file->map + offset), (size_t)(end - offset), MADV_DONTNEED);
  (void)posix_fadvise(file->fd, (off_t)offset, (off_t)(end - offset), POSIX_FADV_DONTNEED);
}

// ---- writing -------------------------------------------------------------------------------------------------------

struct pm_file_writer {
  int fd;
  char *path, *temporary;
  size_t used;
  uint8_t buffer[WRITE_BUFFER];
};

// A temporary belongs to whoever holds its lock. One that nobody holds is what is left of a program that was killed.
static void remove_if_left(const char *path) {
  int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) (void)unlink(path);
  close(fd);
}

// Temporaries of a path that nobody writes any more: PATH.part-NUMBER-NUMBER.
static void remove_left_ones(const char *path) {
  char other[PATH_MAX];
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  size_t n_folder = (size_t)(name - path), n = strlen(name);
  snprintf(other, sizeof other, "%.*s", (int)n_folder, path);
  DIR *folder = opendir(n_folder ? other : ".");
  for (struct dirent *e; folder && (e = readdir(folder));) {
    long process;
    int number, end = 0;
    if (strncmp(e->d_name, name, n) || sscanf(e->d_name + n, ".part-%ld-%d%n", &process, &number, &end) != 2 || e->d_name[n + (size_t)end])
      continue;
    int length = snprintf(other, sizeof other, "%.*s%s", (int)n_folder, path, e->d_name);
    if (length > 0 && (size_t)length < sizeof other) remove_if_left(other);
  }
  if (folder) closedir(folder);
}

// Whoever removes temporaries may have found this one before its lock was taken.
static bool keep_locked(int fd) {
  struct stat info;
  (void)flock(fd, LOCK_EX);  // where files cannot be locked, nobody removes them either
  return fstat(fd, &info) == 0 && info.st_nlink > 0;
}

static pm_status open_temporary(pm_file_writer *w, const char *path) {
  size_t n = strlen(path) + 40;
  w->path = pm_strdup(path);
  w->temporary = pm_alloc(n);
  if (w->temporary) w->temporary[0] = 0;
  if (!w->path || !w->temporary) PM_FAIL(PM_ERR_MEMORY, "out of memory: writing %s", path);
  struct stat info;
  if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) PM_FAIL(PM_ERR_IO, "cannot write %s: it is a directory", path);
  remove_left_ones(path);
  for (int i = 0; i < 100 && w->fd < 0; i++) {
    snprintf(w->temporary, n, "%s.part-%ld-%d", path, (long)getpid(), i);
    w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (w->fd < 0 && errno != EEXIST) break;
    if (w->fd < 0 || keep_locked(w->fd)) continue;
    close(w->fd);
    w->fd = -1, errno = EEXIST;
  }
  if (w->fd >= 0) return PM_OK;
  pm_status status = pm_fail(PM_ERR_IO, "cannot create %s: %s", w->temporary, strerror(errno));
  w->temporary[0] = 0;  // not ours to remove
  return status;
}

static pm_status open_log(pm_file_writer *w, const char *path) {
  w->path = pm_strdup(path);
  if (!w->path) PM_FAIL(PM_ERR_MEMORY, "out of memory: writing %s", path);
  w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (w->fd < 0) PM_FAIL(PM_ERR_IO, "cannot create %s: %s", path, strerror(errno));
  return PM_OK;
}

static pm_status open_writer(const char *path, pm_status (*open_file)(pm_file_writer *w, const char *path), pm_file_writer **out) {
  *out = NULL;
  pm_file_writer *w = pm_alloc(sizeof *w);
  if (!w) PM_FAIL(PM_ERR_MEMORY, "out of memory: writing %s", path);
  w->fd = -1, w->used = 0, w->path = w->temporary = NULL;
  pm_status status = open_file(w, path);
  if (status != PM_OK) {
    pm_file_writer_abandon(w);
    return status;
  }
  *out = w;
  return PM_OK;
}

pm_status pm_file_writer_open(const char *path, pm_file_writer **out) { return open_writer(path, open_temporary, out); }
pm_status pm_file_writer_open_log(const char *path, pm_file_writer **out) { return open_writer(path, open_log, out); }

static pm_status write_all(pm_file_writer *w, const uint8_t *src, size_t bytes) {
  while (bytes) {
    ssize_t put = write(w->fd, src, bytes < MAX_IO ? bytes : MAX_IO);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) PM_FAIL(PM_ERR_IO, "cannot write %s: %s", w->temporary ? w->temporary : w->path, strerror(errno));
    src += put, bytes -= (size_t)put;
  }
  return PM_OK;
}

pm_status pm_file_writer_flush(pm_file_writer *w) {
  size_t n = w->used;
  w->used = 0;
  return write_all(w, w->buffer, n);
}

pm_status pm_file_writer_append(pm_file_writer *w, const void *src, size_t bytes) {
  if (!bytes) return PM_OK;
  if (bytes > WRITE_BUFFER - w->used) PM_TRY(pm_file_writer_flush(w));
  if (bytes > WRITE_BUFFER) return write_all(w, src, bytes);
  memcpy(w->buffer + w->used, src, bytes);
  w->used += bytes;
  return PM_OK;
}

// A rename is on the disk for sure only when its folder is. Not every file system lets a folder be synced; nothing is lost then.
static void sync_folder(char *path) {
  char *slash = strrchr(path, '/');
  if (slash) slash[slash == path] = 0;
  int fd = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  (void)fsync(fd);
  close(fd);
}

static pm_status finish_file(pm_file_writer *w) {
  PM_TRY(pm_file_writer_flush(w));
  if (fsync(w->fd) != 0) PM_FAIL(PM_ERR_IO, "cannot write %s: %s", w->temporary, strerror(errno));
  int failed = close(w->fd);
  w->fd = -1;
  if (failed) PM_FAIL(PM_ERR_IO, "cannot write %s: %s", w->temporary, strerror(errno));
  if (rename(w->temporary, w->path) != 0) PM_FAIL(PM_ERR_IO, "cannot rename %s to %s: %s", w->temporary, w->path, strerror(errno));
  w->temporary[0] = 0;
  sync_folder(w->path);
  return PM_OK;
}

pm_status pm_file_writer_commit(pm_file_writer *w) {
  pm_status status = finish_file(w);
  pm_file_writer_abandon(w);
  return status;
}

void pm_file_writer_abandon(pm_file_writer *w) {
  if (!w) return;
  if (w->fd >= 0) close(w->fd);
  if (w->temporary && w->temporary[0]) (void)unlink(w->temporary);
  pm_free(w->path);
  pm_free(w->temporary);
  pm_free(w);
}

// ---- folders -------------------------------------------------------------------------------------------------------

pm_status pm_file_make_dirs(const char *path) {
  char part[PATH_MAX];
  size_t n = strlen(path);
  if (n >= sizeof part) PM_FAIL(PM_ERR_ARGUMENT, "cannot make the folder %.64s...: its name has %zu bytes", path, n);
  memcpy(part, path, n + 1);
  for (size_t i = 1; i <= n; i++) {
    if (part[i] != '/' && part[i]) continue;
    part[i] = 0;
    struct stat info;
    if (mkdir(part, 0777) != 0 && (errno != EEXIST || stat(part, &info) != 0 || !S_ISDIR(info.st_mode)))
      PM_FAIL(PM_ERR_IO, "cannot make the folder %s: %s", part, strerror(errno));
    if (i < n) part[i] = '/';
  }
  return PM_OK;
}

bool pm_file_exists(const char *path) { return access(path, F_OK) == 0; }

bool pm_file_same(const char *a, const char *b) {
  struct stat x, y;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

uint64_t pm_file_room(const char *path) {
  char folder[PATH_MAX];
  struct statvfs info;
  const char *slash = strrchr(path, '/');
  size_t n = !slash ? 0 : slash == path ? 1 : (size_t)(slash - path);
  if (n >= sizeof folder) return 0;
  snprintf(folder, sizeof folder, "%.*s", (int)(n ? n : 1), n ? path : ".");
  return statvfs(folder, &info) == 0 ? (uint64_t)info.f_bavail * info.f_frsize : 0;
}

// ---- memory of the machine -----------------------------------------------------------------------------------------

// The number after `key` at the start of a line ("" = the first line) of a small system file; `otherwise` if it is not there.
static uint64_t system_number(const char *path, const char *key, uint64_t otherwise) {
  FILE *f = fopen(path, "r");
  if (!f) return otherwise;
  char line[256];
  unsigned long long value;
  size_t n = strlen(key);
  uint64_t result = otherwise;
  while (fgets(line, sizeof line, f)) {
    if (strncmp(line, key, n) != 0) continue;
    if (sscanf(line + n, "%llu", &value) == 1) result = value;
    break;
  }
  fclose(f);
  return result;
}

// The group of processes (cgroups(7)) whose memory is limited together with ours: its folder, and the names that its version has for
// things.
typedef struct memory_group {
  const char *limit, *used, *stat, *cached;
  const char *root;
  char folder[PATH_MAX];
} memory_group;

static const memory_group GROUP_V2 = {
    .limit = "memory.max", .used = "memory.current", .stat = "memory.stat", .cached = "file ", .root = "/sys/fs/cgroup"};
static const memory_group GROUP_V1 = {.limit = "memory.limit_in_bytes",
                                      .used = "memory.usage_in_bytes",
                                      .stat = "memory.stat",
                                      .cached = "total_cache ",
                                      .root = "/sys/fs/cgroup/memory"};

// Lines are "number:controllers:/path"; version 2 has number 0 and no controllers. Without a namespace of its own a container sees a path
// that is not mounted here: its limit is then at the root.
static bool find_group(memory_group *g) {
  FILE *f = fopen("/proc/self/cgroup", "r");
  if (!f) return false;
  char line[PATH_MAX];
  bool found = false;
  while (!found && fgets(line, sizeof line, f)) {
    char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
    if (!path) continue;
    *path++ = 0;
    path[strcspn(path, "\n")] = 0;
    bool v2 = !strcmp(line, "0:"), v1 = strstr(names, "memory");
    if (!v2 && !v1) continue;
    *g = v1 ? GROUP_V1 : GROUP_V2;
    snprintf(g->folder, sizeof g->folder, "%s%s", g->root, strcmp(path, "/") ? path : "");
    found = v1 || access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
  }
  fclose(f);
  return found;
}

static uint64_t group_number(const memory_group *g, const char *file, const char *key, uint64_t otherwise) {
  char path[PATH_MAX + 32];
  snprintf(path, sizeof path, "%s/%s", g->folder, file);
  return system_number(path, key, otherwise);
}

// The least that the group and those around it may hold, and may still take; pages of files can be dropped. UINT64_MAX without a limit.
static void container_limits(uint64_t *total, uint64_t *left) {
  memory_group g;
  *total = *left = UINT64_MAX;
  if (!find_group(&g)) return;
  for (;;) {
    uint64_t limit = group_number(&g, g.limit, "", UINT64_MAX), used = group_number(&g, g.used, "", 0);
    uint64_t cached = group_number(&g, g.stat, g.cached, 0), held = used > cached ? used - cached : 0;
    if (limit < *total) *total = limit;
    if (limit != UINT64_MAX && (limit > held ? limit - held : 0) < *left) *left = limit > held ? limit - held : 0;
    char *slash = strrchr(g.folder, '/');
    if (strlen(g.folder) <= strlen(g.root) || !slash) return;
    *slash = 0;
  }
}

uint64_t pm_memory_total(void) {
  uint64_t all = system_number("/proc/meminfo", "MemTotal:", 0) * 1024, total, left;
  container_limits(&total, &left);
  return total < all ? total : all;
}

uint64_t pm_memory_available(void) {
  uint64_t available = system_number("/proc/meminfo", "MemAvailable:", 0) * 1024, total, left;
  container_limits(&total, &left);
  return left < available ? left : available;
}
