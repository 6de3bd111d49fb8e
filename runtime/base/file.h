// Files as the loader and the engine need them. Every message names the path and what the system said.
#ifndef PM_FILE_H
#define PM_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

typedef struct pm_file pm_file;  // an open file for reading

pm_status pm_file_open(const char *path, pm_file **out) PM_MUST_USE;  // refuses directories
void pm_file_close(pm_file *file);
uint64_t pm_file_bytes(const pm_file *file);
const char *pm_file_path(const pm_file *file);
bool pm_file_is_folder(const char *path);

// Reads exactly `bytes` at `offset` (thread-safe); PM_ERR_IO if the file is shorter.
pm_status pm_file_read(pm_file *file, uint64_t offset, void *dst, size_t bytes) PM_MUST_USE;

// Maps the whole file read-only; the mapping lives until pm_file_close. *out is NULL for an empty file.
pm_status pm_file_map(pm_file *file, const uint8_t **out) PM_MUST_USE;

// Asks the system to read a range of the mapping ahead / to drop it from this process and the page cache.
void pm_file_will_need(pm_file *file, uint64_t offset, uint64_t bytes);
void pm_file_dont_need(pm_file *file, uint64_t offset, uint64_t bytes);

// Writes a file so that it appears whole or not at all: a temporary beside it, then rename. Temporaries of the same path that a killed
// program left are removed when it is opened.
typedef struct pm_file_writer pm_file_writer;
pm_status pm_file_writer_open(const char *path, pm_file_writer **out) PM_MUST_USE;
pm_status pm_file_writer_append(pm_file_writer *w, const void *src, size_t bytes) PM_MUST_USE;
pm_status pm_file_writer_commit(pm_file_writer *w) PM_MUST_USE;  // flush, fsync, rename; frees w in any case
void pm_file_writer_abandon(pm_file_writer *w);                  // removes the temporary; NULL is fine

// A log is written in place: what was flushed stays, whatever becomes of the program. It ends with pm_file_writer_abandon.
pm_status pm_file_writer_open_log(const char *path, pm_file_writer **out) PM_MUST_USE;
pm_status pm_file_writer_flush(pm_file_writer *w) PM_MUST_USE;

// Makes the directory and its parents.
pm_status pm_file_make_dirs(const char *path) PM_MUST_USE;
bool pm_file_exists(const char *path);
bool pm_file_same(const char *a, const char *b);  // both exist and are one file

// Bytes that this user may still write where `path` is or would be; 0 if unknown.
uint64_t pm_file_room(const char *path);

// Physical memory of the machine and what of it can be used without swapping, in bytes; 0 if unknown.
uint64_t pm_memory_total(void);
uint64_t pm_memory_available(void);

#endif
