// `pumice chat` as a person has it: on a pseudo-terminal, with Ctrl-C, editing, colours and a progress bar.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
// cmocka wants the standard headers first
#include <cmocka.h>

static const char *pumice;

// A program on a terminal of its own, and what it has shown so far.
typedef struct terminal {
  int fd;
  pid_t pid;
  char seen[1 << 18];
  size_t n, from;  // `from`: what was waited for up to now
} terminal;

static terminal *start(char *const argv[]) {
  terminal *t = test_calloc(1, sizeof *t);
  struct winsize size = {.ws_row = 40, .ws_col = 100};
  t->pid = forkpty(&t->fd, NULL, NULL, &size);
  assert_true(t->pid >= 0);
  if (t->pid) return t;
  setenv("TERM", "xterm", 1);
  unsetenv("NO_COLOR");
  execv(pumice, argv);
  _exit(127);
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// Reads what comes within the time; false at the end.
static bool read_some(terminal *t, int milliseconds) {
  struct pollfd poll_fd = {.fd = t->fd, .events = POLLIN};
  if (poll(&poll_fd, 1, milliseconds) <= 0) return true;
  ssize_t n = read(t->fd, t->seen + t->n, sizeof t->seen - 1 - t->n);
  if (n <= 0) return false;
  t->n += (size_t)n;
  t->seen[t->n] = 0;
  return true;
}

// Waits until the words are on the screen after those waited for before.
static void wait_for(terminal *t, const char *words) {
  double end = seconds() + 20;
  for (;;) {
    const char *at = strstr(t->seen + t->from, words);
    if (at) {
      t->from = (size_t)(at - t->seen) + strlen(words);
      return;
    }
    if (seconds() > end || !read_some(t, 100)) fail_msg("\"%s\" did not come. On the screen:\n%s", words, t->seen + t->from);
  }
}

// Waits for a prompt, and until keys go to the editor: libedit takes the terminal over just after the prompt, and what is typed between the
// two is lost.
static void wait_for_prompt(terminal *t, const char *prompt) {
  double end = seconds() + 20;
  struct termios mode;
  wait_for(t, prompt);
  do {
    if (seconds() > end) fail_msg("the editor did not take the terminal over. On the screen:\n%s", t->seen + t->from);
    read_some(t, 1);
  } while (tcgetattr(t->fd, &mode) != 0 || mode.c_lflag & ICANON);
}

static void type(terminal *t, const char *text) {
  size_t n = strlen(text);
  assert_int_equal(write(t->fd, text, n), n);
}

// Waits for the end of the program and gives its exit code.
static int finish(terminal *t) {
  double end = seconds() + 20;
  int status;
  while (read_some(t, 100))
    if (seconds() > end) fail_msg("it did not end. On the screen:\n%s", t->seen + t->from);
  close(t->fd);
  assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
  assert_true(WIFEXITED(status));
  test_free(t);
  return WEXITSTATUS(status);
}

static int leave(terminal *t) {
  type(t, "\004");
  return finish(t);
}

#define CHAT(...) start((char *[]){"pumice", "chat", PM_DEMO_MODEL, "--device", "cpu", ##__VA_ARGS__, NULL})

static const char prompt[] = "> ";

static void answers_and_leaves(void **state) {
  (void)state;
  terminal *t = CHAT("--greedy");
  wait_for(t, "/help lists commands");
  wait_for_prompt(t, prompt);
  type(t, "What is 37 + 58?\r");
  wait_for(t, "\033[2m");  // the thinking is dim, the answer is not
  wait_for(t, "carry 1");
  wait_for(t, "\033[0m");
  wait_for(t, "37 + 58 = 95");
  wait_for_prompt(t, prompt);
  type(t, "/exit\r");
  assert_int_equal(finish(t), 0);
}

// An answer that takes seconds, so that it can be stopped: exact, on one thread.
static void stops_an_answer(void **state) {
  (void)state;
  terminal *t = CHAT("--exact", "--threads", "1", "--seed", "1");
  wait_for_prompt(t, prompt);
  type(t, "Tell me the story of The Bronze Ring.\r");
  wait_for(t, "\n");
  wait_for(t, " ");
  read_some(t, 20);
  type(t, "\003");
  wait_for(t, "(stopped)");
  wait_for_prompt(t, prompt);
  type(t, "/reset\r");
  wait_for(t, "A new conversation.");
  wait_for_prompt(t, prompt);
  type(t, "/history\r");
  wait_for_prompt(t, prompt);
  type(t, "/stats\r");
  wait_for(t, "answer: ");
  wait_for_prompt(t, prompt);
  assert_int_equal(leave(t), 0);
}

static void leaves_at_the_second_interrupt(void **state) {
  (void)state;
  terminal *t = CHAT();
  wait_for_prompt(t, prompt);
  type(t, "never sent");
  wait_for(t, "never sent");
  type(t, "\003");
  wait_for(t, "Ctrl-C again");
  wait_for_prompt(t, prompt);
  type(t, "/history\r");  // a line between: the next Ctrl-C is a first one again
  wait_for(t, "history");
  wait_for_prompt(t, prompt);
  type(t, "\003");
  wait_for(t, "Ctrl-C again");
  wait_for_prompt(t, prompt);
  type(t, "\003");
  assert_int_equal(finish(t), 0);
}

static void takes_many_lines(void **state) {
  (void)state;
  terminal *t = CHAT("--greedy", "--max-tokens", "1");
  wait_for_prompt(t, prompt);
  type(t, "one\\\r");
  wait_for_prompt(t, ". ");
  type(t, "two\r");
  wait_for(t, "(cut at --max-tokens)");
  wait_for_prompt(t, prompt);
  type(t, "\"\"\"three\r");
  wait_for_prompt(t, ". ");
  type(t, "four \303\244\"\"\"\r");
  wait_for(t, "(cut at --max-tokens)");
  wait_for_prompt(t, prompt);
  type(t, "/history\r");
  wait_for(t, "one\r\ntwo\r\n");
  wait_for(t, "three\r\nfour \303\244\r\n");
  wait_for_prompt(t, prompt);
  assert_int_equal(leave(t), 0);
}

static void interrupt_ends_run(void **state) {
  (void)state;
  char *argv[] = {"pumice", "run", PM_DEMO_MODEL, "--device", "cpu", "--exact", "--threads", "1", "--raw", "Once upon a time", NULL};
  terminal *t = start(argv);
  wait_for(t, " ");
  type(t, "\003");
  assert_int_equal(finish(t), 130);
}

static void a_chat_outlives_a_full_context(void **state) {
  (void)state;
  terminal *t = CHAT("--ctx", "48", "--greedy");
  wait_for_prompt(t, prompt);
  type(t, "Tell me the story of The Bronze Ring.\r");
  wait_for(t, "the context is full");
  wait_for_prompt(t, prompt);
  type(t, "And then?\r");
  wait_for(t, "taken back");
  wait_for_prompt(t, prompt);
  type(t, "/reset\r");
  wait_for_prompt(t, prompt);
  type(t, "What is 2 + 2?\r");
  wait_for(t, "2 + 2 = 4");
  wait_for_prompt(t, prompt);
  assert_int_equal(leave(t), 2);  // a message failed
}

int main(int argc, char **argv) {
  assert_int_equal(argc, 2);
  pumice = argv[1];
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_and_leaves), cmocka_unit_test(stops_an_answer),    cmocka_unit_test(leaves_at_the_second_interrupt),
      cmocka_unit_test(takes_many_lines),   cmocka_unit_test(interrupt_ends_run), cmocka_unit_test(a_chat_outlives_a_full_context)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
