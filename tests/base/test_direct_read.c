// Reads past the page cache, through io_uring and through threads, direct and plain: any place and length, files that are too short,
// missing files, failing reads, and how much of the page cache is left.
#define _GNU_SOURCE  // mincore
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
// cmocka needs some of the above
#include <cmocka.h>

#include "direct_read.h"
#include "file.h"
#include "memory.h"
#include "rng.h"

enum { N_FILE = 2, FILE_BYTES = 5 * 1000 * 1000 + 77, N_READ = 60 };

static char folder[] = "/tmp/pm-direct-XXXXXX", paths[N_FILE][64];
static const char *path_list[N_FILE] = {paths[0], paths[1]};
static uint8_t *content[N_FILE];

// Where O_DIRECT or io_uring does not work here, a row says so in its first words and takes the other way.
static const struct way { bool no_uring, no_direct; } WAYS[] = {{false, false}, {false, true}, {true, false}, {true, true}};
enum { N_WAY = sizeof WAYS / sizeof *WAYS };

static pm_direct *open_reader(int way, uint32_t depth) {
  pm_direct *d;
  pm_direct_desc desc = {
      .paths = path_list, .n_path = N_FILE, .depth = depth, .no_uring = WAYS[way].no_uring, .no_direct = WAYS[way].no_direct};
  if (pm_direct_open(&desc, &d)) fail_msg("%s", pm_fail_message());
  return d;
}

static void draw_reads(pm_rng *rng, pm_direct_read reads[N_READ]) {
  for (int i = 0; i < N_READ; i++) {
    uint64_t bytes = pm_rng_next(rng) % (i % 4 ? 9000 : 3500000), offset = pm_rng_next(rng) % (FILE_BYTES - bytes);
    if (i % 5 == 0) offset = offset / 4096 * 4096;
    if (i == 7) bytes = 0;
    if (i == 8) offset = FILE_BYTES - bytes;
    uint8_t *dst = malloc(bytes + 2);
    dst[bytes] = dst[bytes + 1] = 0x5a;
    reads[i] = (pm_direct_read){.file = (uint32_t)(pm_rng_next(rng) % N_FILE), .offset = offset, .bytes = bytes, .dst = dst};
  }
}

static void free_reads(pm_direct_read reads[N_READ]) {
  for (int i = 0; i < N_READ; i++) free(reads[i].dst);
}

static void any_place_and_length(void **state) {
  (void)state;
  pm_rng rng = pm_rng_seed(5);
  for (int way = 0; way < N_WAY; way++) {
    pm_direct *d = open_reader(way, way == 1 ? 3 : 0);
    print_message("# %s\n", pm_direct_way(d));
    if (WAYS[way].no_uring) assert_non_null(strstr(pm_direct_way(d), "threads"));
    if (WAYS[way].no_direct) assert_non_null(strstr(pm_direct_way(d), "page cache"));
    for (int round = 0; round < 2; round++) {
      pm_direct_read reads[N_READ];
      draw_reads(&rng, reads);
      uint64_t before = pm_alloc_count();
      if (pm_direct_run(d, reads, N_READ)) fail_msg("%s", pm_fail_message());
      assert_int_equal(pm_alloc_count(), before);
      for (int i = 0; i < N_READ; i++) {
        const uint8_t *dst = reads[i].dst;
        assert_memory_equal(dst, content[reads[i].file] + reads[i].offset, reads[i].bytes);
        assert_true(dst[reads[i].bytes] == 0x5a && dst[reads[i].bytes + 1] == 0x5a);
      }
      free_reads(reads);
    }
    assert_int_equal(pm_direct_run(d, NULL, 0), PM_OK);
    pm_direct_close(d);
  }
}

// Pages of a file that the system holds.
static size_t cached_pages(const char *path) {
  pm_file *f;
  const uint8_t *map;
  static unsigned char held[FILE_BYTES / 4096 + 1];
  size_t n = 0;
  assert_int_equal(pm_file_open(path, &f), PM_OK);
  assert_int_equal(pm_file_map(f, &map), PM_OK);
  assert_int_equal(mincore((void *)(uintptr_t)map, FILE_BYTES, held), 0);
  for (size_t i = 0; i < sizeof held; i++) n += held[i] & 1;
  pm_file_close(f);
  return n;
}

static void leaves_the_page_cache_alone(void **state) {
  (void)state;
  uint8_t *all = malloc(FILE_BYTES);
  for (int way = 0; way < N_WAY; way++) {
    pm_file *f;
    assert_int_equal(pm_file_open(paths[0], &f), PM_OK);
    pm_file_dont_need(f, 0, FILE_BYTES);
    pm_file_close(f);
    if (cached_pages(paths[0]) > 0) {
      print_message("skip: this file system keeps its pages\n");
      free(all);
      skip();
    }
    pm_direct *d = open_reader(way, 0);
    assert_int_equal(pm_direct_run(d, &(pm_direct_read){.bytes = FILE_BYTES, .dst = all}, 1), PM_OK);
    assert_memory_equal(all, content[0], FILE_BYTES);
    assert_in_range(cached_pages(paths[0]), 0, 64);  // the system may have read ahead a little
    pm_direct_close(d);
  }
  free(all);
}

static void shorter_than_expected(void **state) {
  (void)state;
  static const struct {
    uint64_t offset;
    size_t bytes;
  } CASES[] = {
      {FILE_BYTES - 10, 11}, {FILE_BYTES, 1}, {FILE_BYTES + 100000, 5}, {0, FILE_BYTES + 1}, {(FILE_BYTES / 4096 - 2) * 4096, 12288}};
  uint8_t *all = malloc(FILE_BYTES + 1);
  for (int way = 0; way < N_WAY; way++) {
    pm_direct *d = open_reader(way, 4);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
      pm_direct_read r = {.file = 1, .offset = CASES[i].offset, .bytes = CASES[i].bytes, .dst = all};
      assert_int_equal(pm_direct_run(d, &r, 1), PM_ERR_IO);
      assert_non_null(strstr(pm_fail_message(), paths[1]));
      assert_non_null(strstr(pm_fail_message(), "ends there"));
    }
    assert_int_equal(pm_direct_run(d, &(pm_direct_read){.bytes = 9, .dst = all}, 1), PM_OK);  // none of that lasts
    pm_direct_close(d);
  }
  free(all);
}

static void missing_files(void **state) {
  (void)state;
  pm_direct *d;
  const char *list[] = {paths[0], "/nonexistent/model.gguf"};
  assert_int_equal(pm_direct_open(&(pm_direct_desc){.paths = list, .n_path = 2}, &d), PM_ERR_IO);
  assert_null(d);
  assert_non_null(strstr(pm_fail_message(), "/nonexistent/model.gguf"));
}

static void failing_reads(void **state) {
  (void)state;
  for (int way = 0; way < N_WAY; way++) {
    pm_direct *d = open_reader(way, 5);
    pm_rng rng = pm_rng_seed(9);
    pm_status status = PM_ERR_IO;
    uint64_t k = 0;
    while (status) {
      pm_direct_read reads[N_READ];
      draw_reads(&rng, reads);
      pm_direct_fail_at(k += 9);
      status = pm_direct_run(d, reads, N_READ);
      pm_direct_fail_at(0);
      if (status) {
        assert_int_equal(status, PM_ERR_IO);
        assert_non_null(strstr(pm_fail_message(), folder));
      }
      for (int i = 0; i < N_READ && !status; i++)
        assert_memory_equal(reads[i].dst, content[reads[i].file] + reads[i].offset, reads[i].bytes);
      free_reads(reads);
    }
    assert_true(k > N_READ);
    pm_direct_close(d);
  }
}

static void failed_allocations(void **state) {
  (void)state;
  for (int way = 0; way < N_WAY; way++) {
    pm_direct_desc desc = {.paths = path_list, .n_path = N_FILE, .no_uring = WAYS[way].no_uring, .no_direct = WAYS[way].no_direct};
    pm_status status = PM_ERR_MEMORY;
    uint64_t k = 0;
    while (status) {
      pm_direct *d;
      pm_alloc_fail_at(++k);
      status = pm_direct_open(&desc, &d);
      pm_alloc_fail_at(0);
      assert_int_equal(status, d ? PM_OK : PM_ERR_MEMORY);
      pm_direct_close(d);
    }
    assert_true(k > 5);
  }
}

static int make_files(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return 1;
  pm_rng rng = pm_rng_seed(1);
  for (int i = 0; i < N_FILE; i++) {
    snprintf(paths[i], sizeof paths[i], "%s/%d", folder, i);
    content[i] = malloc(FILE_BYTES);
    for (size_t k = 0; k < FILE_BYTES; k++) content[i][k] = (uint8_t)pm_rng_next(&rng);
    pm_file_writer *w;
    if (pm_file_writer_open(paths[i], &w) || pm_file_writer_append(w, content[i], FILE_BYTES) || pm_file_writer_commit(w)) return 1;
  }
  return 0;
}

static int remove_files(void **state) {
  (void)state;
  for (int i = 0; i < N_FILE; i++) {
    unlink(paths[i]);
    free(content[i]);
  }
  return rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(any_place_and_length),  cmocka_unit_test(leaves_the_page_cache_alone),
                                     cmocka_unit_test(shorter_than_expected), cmocka_unit_test(missing_files),
                                     cmocka_unit_test(failing_reads),         cmocka_unit_test(failed_allocations)};
  return cmocka_run_group_tests(tests, make_files, remove_files);
}
