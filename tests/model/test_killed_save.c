// A program that is killed while it saves a session leaves the file as it was before, or as it was to become: never something between.
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

#include <cmocka.h>

#include "session.h"

enum { N_LONG = 90, N_SHORT = 60, N_KILL = 12 };

#define RUN(call) \
  if (call) fail_msg("%s: %s", #call, pm_fail_message())

static const char *program;

static pm_status open_session(pm_engine **e, pm_session **s) {
  pm_engine_desc d = {.device = "cpu", .exact = true, .n_ctx = 128, .n_thread = 1};
  PM_TRY(pm_engine_open(PM_TEST_DATA "/models/mini-v3.gguf", &d, e));
  return pm_session_create(*e, s);
}

static pm_status eval(pm_session *s) {
  int32_t tokens[N_LONG];
  for (int i = 0; i < N_LONG; i++) tokens[i] = i % 7 + 1;
  return pm_session_eval(s, tokens, N_LONG, NULL, NULL);
}

// Saves a long and a short session in turn until somebody ends it. A byte on standard output says that the first one is there.
static int save_for_ever(const char *path) {
  pm_engine *e;
  pm_session *s;
  if (open_session(&e, &s) || eval(s) || pm_session_save(s, path)) return 1;
  if (write(STDOUT_FILENO, "!", 1) != 1) return 1;
  for (;;) {
    if (pm_session_rewind(s, N_SHORT) || pm_session_save(s, path)) return 1;
    if (pm_session_rewind(s, 0) || eval(s) || pm_session_save(s, path)) return 1;
  }
}

// Starts the program above, and kills it some microseconds after its first save.
static void save_and_die(const char *path, unsigned microseconds) {
  int ready[2], status;
  char c;
  assert_int_equal(pipe(ready), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (!child) {
    dup2(ready[1], STDOUT_FILENO);
    execl(program, program, "save", path, (char *)NULL);
    _exit(127);
  }
  close(ready[1]);
  assert_int_equal(read(ready[0], &c, 1), 1);
  usleep(microseconds);
  assert_int_equal(kill(child, SIGKILL), 0);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  close(ready[0]);
}

static void killed_saves(void **state) {
  (void)state;
  char folder[] = "/tmp/pumice-killed-XXXXXX", path[64], command[128];
  pm_engine *e;
  pm_session *s;
  int n_short = 0;
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/session", folder);
  RUN(open_session(&e, &s));
  for (unsigned i = 0; i < N_KILL; i++) {
    save_and_die(path, i * i * 150);
    RUN(pm_session_load(s, path));
    assert_true(s->length == N_LONG || s->length == N_SHORT);
    for (uint32_t k = 0; k < s->length; k++) assert_int_equal(s->tokens[k], k % 7 + 1);
    n_short += s->length == N_SHORT;
  }
  print_message("# %d of %d times the short one was there\n", n_short, N_KILL);
  pm_session_destroy(s);
  pm_engine_close(e);
  snprintf(command, sizeof command, "rm -r %s", folder);
  assert_int_equal(system(command), 0);
}

int main(int argc, char **argv) {
  program = argv[0];
  if (argc == 3 && !strcmp(argv[1], "save")) return save_for_ever(argv[2]);
  const struct CMUnitTest tests[] = {cmocka_unit_test(killed_saves)};
  return cmocka_run_group_tests_name("saves that are killed", tests, NULL, NULL);
}
