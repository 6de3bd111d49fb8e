// Files: reading, mapping, and writing that is whole or not at all.
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
// cmocka needs some of the above
#include <cmocka.h>

#include "file.h"
#include "memory.h"

static char folder[] = "/tmp/pm-file-XXXXXX";

static const char *in_folder(const char *name) {
  static char path[16][256];
  static int turn;
  char *p = path[turn++ % 16];
  snprintf(p, sizeof path[0], "%s/%s", folder, name);
  return p;
}

static int count_files(void) {
  DIR *d = opendir(folder);
  assert_non_null(d);
  int n = 0;
  for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
  closedir(d);
  return n;
}

static void write_file(const char *path, const void *bytes, size_t n) {
  pm_file_writer *w;
  assert_int_equal(pm_file_writer_open(path, &w), PM_OK);
  assert_int_equal(pm_file_writer_append(w, bytes, n), PM_OK);
  assert_int_equal(pm_file_writer_commit(w), PM_OK);
}

static void assert_content(const char *path, const void *bytes, size_t n) {
  pm_file *f;
  assert_int_equal(pm_file_open(path, &f), PM_OK);
  assert_int_equal(pm_file_bytes(f), n);
  const uint8_t *map;
  assert_int_equal(pm_file_map(f, &map), PM_OK);
  if (n) assert_memory_equal(map, bytes, n);
  pm_file_close(f);
}

static void refuses_what_is_no_file(void **state) {
  (void)state;
  static const struct {
    const char *path, *word;
  } CASES[] = {{"/tmp", "directory"}, {"/nonexistent/file", "No such file"}, {"/dev/null", "device"}, {"", "No such file"}};
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
    pm_file *f;
    assert_int_equal(pm_file_open(CASES[i].path, &f), PM_ERR_IO);
    assert_null(f);
    assert_non_null(strstr(pm_fail_message(), CASES[i].path));
    assert_non_null(strstr(pm_fail_message(), CASES[i].word));
  }
  const char *pipe = in_folder("pipe");
  assert_int_equal(mkfifo(pipe, 0600), 0);
  pm_file *f;
  assert_int_equal(pm_file_open(pipe, &f), PM_ERR_IO);
  unlink(pipe);
}

static void reads_and_maps(void **state) {
  (void)state;
  enum { N = 3000000 };  // more than the writer's buffer
  uint8_t *bytes = malloc(N), *back = malloc(N);
  for (int i = 0; i < N; i++) bytes[i] = (uint8_t)(i * 7 + i / 1000);
  const char *path = in_folder("big");
  pm_file_writer *w;
  assert_int_equal(pm_file_writer_open(path, &w), PM_OK);
  for (size_t at = 0, step = 1; at < N; at += step, step = step * 3 + 1) {
    if (step > N - at) step = N - at;
    assert_int_equal(pm_file_writer_append(w, bytes + at, step), PM_OK);
  }
  assert_int_equal(pm_file_writer_commit(w), PM_OK);
  assert_content(path, bytes, N);

  pm_file *f;
  const uint8_t *map;
  assert_int_equal(pm_file_open(path, &f), PM_OK);
  assert_string_equal(pm_file_path(f), path);
  assert_int_equal(pm_file_read(f, 12345, back, N - 12345), PM_OK);
  assert_memory_equal(back, bytes + 12345, N - 12345);
  assert_int_equal(pm_file_read(f, N - 5, back, 6), PM_ERR_IO);
  assert_non_null(strstr(pm_fail_message(), path));
  assert_int_equal(pm_file_read(f, (uint64_t)N * 10, back, 1), PM_ERR_IO);
  assert_int_equal(pm_file_map(f, &map), PM_OK);
  pm_file_will_need(f, 100000, 500000);
  pm_file_dont_need(f, 5, N - 5);  // dropped pages come back from the file
  assert_memory_equal(map, bytes, N);
  pm_file_close(f);
  pm_file_close(NULL);
  free(bytes), free(back);
  unlink(path);
}

static void empty_file(void **state) {
  (void)state;
  const char *path = in_folder("empty");
  write_file(path, "", 0);
  pm_file *f;
  const uint8_t *map = (const uint8_t *)"";
  assert_int_equal(pm_file_open(path, &f), PM_OK);
  assert_int_equal(pm_file_bytes(f), 0);
  assert_int_equal(pm_file_map(f, &map), PM_OK);
  assert_null(map);
  pm_file_close(f);
  unlink(path);
}

static void writing_is_all_or_nothing(void **state) {
  (void)state;
  const char *path = in_folder("target");
  write_file(path, "old", 3);
  pm_file_writer *w;
  assert_int_equal(pm_file_writer_open(path, &w), PM_OK);
  assert_int_equal(pm_file_writer_append(w, "new!", 4), PM_OK);
  assert_content(path, "old", 3);
  assert_int_equal(count_files(), 2);
  pm_file_writer_abandon(w);
  assert_content(path, "old", 3);
  assert_int_equal(count_files(), 1);

  pm_file_writer *first, *second;  // two at once do not mix; the later commit wins
  assert_int_equal(pm_file_writer_open(path, &first), PM_OK);
  assert_int_equal(pm_file_writer_open(path, &second), PM_OK);
  assert_int_equal(pm_file_writer_append(first, "first", 5), PM_OK);
  assert_int_equal(pm_file_writer_append(second, "second", 6), PM_OK);
  assert_int_equal(pm_file_writer_commit(second), PM_OK);
  assert_content(path, "second", 6);
  assert_int_equal(pm_file_writer_commit(first), PM_OK);
  assert_content(path, "first", 5);
  assert_int_equal(count_files(), 1);
  unlink(path);
  pm_file_writer_abandon(NULL);
}

static void what_a_killed_writer_left_goes(void **state) {
  (void)state;
  const char *path = in_folder("saved");
  pm_file_writer *alive, *w;
  assert_int_equal(pm_file_writer_open(path, &alive), PM_OK);
  pid_t child = fork();
  if (!child) {
    if (pm_file_writer_open(path, &w) || pm_file_writer_append(w, "half", 4) || pm_file_writer_flush(w)) _exit(1);
    raise(SIGKILL);
  }
  int how;
  assert_int_equal(waitpid(child, &how, 0), child);
  assert_true(WIFSIGNALED(how));
  write_file(in_folder("saved.part-x-1"), "mine", 4);  // the name is another's
  assert_int_equal(count_files(), 3);
  assert_int_equal(pm_file_writer_open(path, &w), PM_OK);
  assert_int_equal(count_files(), 3);  // the killed one's is gone, the new one's is there
  pm_file_writer_abandon(w);
  assert_int_equal(pm_file_writer_commit(alive), PM_OK);  // who lives keeps his
  assert_int_equal(count_files(), 2);
  unlink(path);
  unlink(in_folder("saved.part-x-1"));
}

static void writing_fails_cleanly(void **state) {
  (void)state;
  pm_file_writer *w;
  assert_int_equal(pm_file_writer_open(folder, &w), PM_ERR_IO);
  assert_null(w);
  assert_int_equal(pm_file_writer_open("/nonexistent/file", &w), PM_ERR_IO);
  assert_non_null(strstr(pm_fail_message(), "/nonexistent/file"));
  const char *path = in_folder("sub/target");
  assert_int_equal(pm_file_make_dirs(in_folder("sub")), PM_OK);
  assert_int_equal(pm_file_writer_open(path, &w), PM_OK);
  assert_int_equal(mkdir(path, 0777), 0);  // the target turns into a folder while we write
  assert_int_equal(mkdir(in_folder("sub/target/x"), 0777), 0);
  assert_int_equal(pm_file_writer_commit(w), PM_ERR_IO);
  assert_non_null(strstr(pm_fail_message(), path));
  rmdir(in_folder("sub/target/x")), rmdir(path);
  assert_int_equal(rmdir(in_folder("sub")), 0);  // empty: no temporary was left
}

static void no_memory_for_a_file(void **state) {
  (void)state;
  const char *path = in_folder("k");
  write_file(path, "x", 1);
  for (uint64_t k = 1, failures = 0;; k++) {
    pm_file *f = NULL;
    pm_file_writer *w = NULL;
    pm_alloc_fail_at(k);
    pm_status opened = pm_file_open(path, &f), writing = pm_file_writer_open(path, &w);
    pm_alloc_fail_at(0);
    assert_true((opened == PM_OK) == (f != NULL) && (writing == PM_OK) == (w != NULL));
    pm_file_close(f);
    pm_file_writer_abandon(w);
    assert_int_equal(count_files(), 1);
    failures += opened == PM_ERR_MEMORY || writing == PM_ERR_MEMORY;
    if (opened == PM_OK && writing == PM_OK) {
      assert_true(failures == k - 1 && failures >= 2);
      break;
    }
  }
  unlink(path);
}

static void folders(void **state) {
  (void)state;
  const char *deep = in_folder("a/b/c");
  assert_int_equal(pm_file_make_dirs(deep), PM_OK);
  assert_int_equal(pm_file_make_dirs(deep), PM_OK);
  assert_true(pm_file_exists(deep));
  write_file(in_folder("a/file"), "x", 1);
  assert_int_equal(pm_file_make_dirs(in_folder("a/file/c")), PM_ERR_IO);
  assert_false(pm_file_exists(in_folder("a/none")));
  unlink(in_folder("a/file")), rmdir(deep), rmdir(in_folder("a/b")), rmdir(in_folder("a"));
  char *path = calloc(1, 10000);
  memset(path, 'x', 9999);
  assert_int_equal(pm_file_make_dirs(path), PM_ERR_ARGUMENT);
  free(path);
}

// One file by two names; room where a file is to be.
static void files_and_their_folders(void **state) {
  (void)state;
  const char *a = in_folder("a"), *b = in_folder("b"), *link = in_folder("link");
  write_file(a, "x", 1), write_file(b, "x", 1);
  assert_int_equal(symlink(a, link), 0);
  assert_true(pm_file_same(a, a) && pm_file_same(a, link) && pm_file_same(link, a));
  assert_false(pm_file_same(a, b) || pm_file_same(a, in_folder("none")) || pm_file_same(in_folder("none"), in_folder("none")));
  unlink(a), unlink(b), unlink(link);
  assert_true(pm_file_room(a) > 0 && pm_file_room("a-file-beside") > 0 && pm_file_room("/a-file-at-the-root") > 0);
  assert_true(pm_file_room(in_folder("none/a")) == 0);
}

static void machine_memory(void **state) {
  (void)state;
  uint64_t total = pm_memory_total(), available = pm_memory_available();
  assert_true(total > 64u << 20 && available > 0 && available <= total);
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state) {
  (void)state;
  return rmdir(folder);  // fails if a test left something
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refuses_what_is_no_file),
      cmocka_unit_test(reads_and_maps),
      cmocka_unit_test(empty_file),
      cmocka_unit_test(writing_is_all_or_nothing),
      cmocka_unit_test(what_a_killed_writer_left_goes),
      cmocka_unit_test(files_and_their_folders),
      cmocka_unit_test(writing_fails_cleanly),
      cmocka_unit_test(no_memory_for_a_file),
      cmocka_unit_test(folders),
      cmocka_unit_test(machine_memory),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
