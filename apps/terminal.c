#include "terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "options.h"

bool pm_is_terminal(FILE *f) { return isatty(fileno(f)) == 1; }

const char *pm_style(FILE *f, pm_style_kind style) {
  static const char *const codes[] = {"\033[0m", "\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[33m"};
  const char *no_color = getenv("NO_COLOR");
  return (no_color && *no_color) || !pm_is_terminal(f) ? "" : codes[style];
}

uint32_t pm_terminal_width(void) {
  struct winsize size = {0};
  const char *columns = getenv("COLUMNS");
  long n = columns ? strtol(columns, NULL, 10) : 0;
  if (n <= 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) n = size.ws_col;
  if (n <= 0) n = 100;
  return n < 40 ? 40 : n > 100 ? 100 : (uint32_t)n;
}

double pm_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// ---- Ctrl-C ------------------------------------------------------------------------------------------------------------------------

static volatile sig_atomic_t n_interrupt;
static pumice_session *volatile watched;

static void on_interrupt(int number) {
  if (++n_interrupt >= 3) {
    signal(number, SIG_DFL);
    raise(number);
  }
  if (watched) pumice_session_cancel(watched);  // an atomic store
}

void pm_interrupt_catch(void) {
  struct sigaction action = {.sa_handler = on_interrupt};  // without SA_RESTART: a read at the prompt returns
  sigaction(SIGINT, &action, NULL);
}

void pm_interrupt_watch(pumice_session *session) { watched = session; }
bool pm_interrupted(void) { return n_interrupt > 0; }
void pm_interrupt_clear(void) { n_interrupt = 0; }

// ---- progress ----------------------------------------------------------------------------------------------------------------------

static struct {
  char phase[16];
  double began, drawn;  // seconds; drawn 0 = no bar on the screen
} bar;

void pm_progress_clear(void) {
  if (bar.drawn > 0) fprintf(stderr, "\r\033[K");
  memset(&bar, 0, sizeof bar);
}

bool pm_progress(void *user, const char *phase, float done) {
  (void)user;
  double now = pm_seconds();
  if (strncmp(bar.phase, phase, sizeof bar.phase - 1)) {
    pm_progress_clear();
    snprintf(bar.phase, sizeof bar.phase, "%s", phase);
    bar.began = now;
  }
  if (now - bar.began > 0.3 && now - bar.drawn > 0.05 && pm_is_terminal(stderr)) {
    static const char full[] = "########################################";
    int n = (int)(done * 40 + 0.5f);
    n = n < 0 ? 0 : n > 40 ? 40 : n;
    fprintf(stderr, "\r%-8s [%.*s%*s] %3.0f %%\033[K", phase, n, full, 40 - n, "", (double)done * 100);
    fflush(stderr);
    bar.drawn = now;
  }
  return !pm_interrupted();
}

// ---- output ------------------------------------------------------------------------------------------------------------------------

static int output_errno;

bool pm_output(const char *bytes, size_t n) {
  if (output_errno) return false;
  errno = 0;
  if (fwrite(bytes, 1, n, stdout) != n || fflush(stdout)) output_errno = errno ? errno : EIO;
  return !output_errno;
}

int pm_output_finish(int code) {
  errno = 0;
  if (!output_errno && (fflush(stdout) || ferror(stdout))) output_errno = errno ? errno : EIO;
  if (!output_errno) return code;
  fprintf(stderr, "pumice: cannot write to standard output: %s\n", strerror(output_errno));
  return PM_EXIT_WRONG_USE;
}
