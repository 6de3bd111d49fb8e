#define _GNU_SOURCE  // memfd_create
#include "engine_process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LISTENING "listening on "

struct pm_gui_process {
  GSubprocess *process;
  GDataInputStream *output, *errors;
  pm_gui_process_events events;
  void *user;
  bool stopped;     // nobody is interested any more
  GString *log;     // the caller's; NULL once it is stopped
  char *last_line;  // of its standard error
};

enum { MAX_LOG = 1 << 16 };

static void release(pm_gui_process *p);

static void clear(gpointer data) {
  pm_gui_process *p = data;
  g_clear_object(&p->process);
  g_clear_object(&p->output);
  g_clear_object(&p->errors);
  g_free(p->last_line);
}

static pm_gui_process *acquire(pm_gui_process *p) { return g_rc_box_acquire(p); }
static void release(pm_gui_process *p) { g_rc_box_release_full(p, clear); }

// Adds a line, and takes the oldest away where the log has grown too long.
static void keep(pm_gui_process *p, const char *line) {
  if (!p->log) return;
  g_autofree char *valid = g_utf8_make_valid(line, -1);
  g_string_append_printf(p->log, "%s\n", valid);
  const char *cut = p->log->len > MAX_LOG ? strchr(p->log->str + p->log->len - MAX_LOG, '\n') : NULL;
  if (cut) g_string_erase(p->log, 0, cut + 1 - p->log->str);
}

static void on_output(GObject *stream, GAsyncResult *result, gpointer user) {
  pm_gui_process *p = user;
  g_autofree char *line = g_data_input_stream_read_line_finish_utf8(G_DATA_INPUT_STREAM(stream), result, NULL, NULL);
  const char *url = line ? strstr(line, LISTENING "http://") : NULL;
  if (url && !p->stopped) {
    url += strlen(LISTENING);
    g_autofree char *address = g_strndup(url, strcspn(url, " \r\n"));
    p->events.listening(p->user, address);
  }
  if (line) keep(p, line);
  if (line) g_data_input_stream_read_line_async(p->output, G_PRIORITY_DEFAULT, NULL, on_output, acquire(p));
  release(p);
}

static void on_error_line(GObject *stream, GAsyncResult *result, gpointer user) {
  pm_gui_process *p = user;
  char *line = g_data_input_stream_read_line_finish_utf8(G_DATA_INPUT_STREAM(stream), result, NULL, NULL);
  if (line) keep(p, line);
  if (line) g_data_input_stream_read_line_async(p->errors, G_PRIORITY_DEFAULT, NULL, on_error_line, acquire(p));
  if (line && *line) {
    g_free(p->last_line);
    p->last_line = line;
  } else {
    g_free(line);
  }
  release(p);
}

static void on_end(GObject *source, GAsyncResult *result, gpointer user) {
  pm_gui_process *p = user;
  g_subprocess_wait_finish(G_SUBPROCESS(source), result, NULL);
  if (!p->stopped) {
    bool signaled = g_subprocess_get_if_signaled(p->process);
    int code = signaled ? g_subprocess_get_term_sig(p->process) : g_subprocess_get_exit_status(p->process);
    g_autofree char *how = signaled ? g_strdup_printf("it was ended by signal %d (%s)", code, g_strsignal(code))
                                    : g_strdup_printf("it ended with exit code %d", code);
    p->stopped = true;
    p->events.ended(p->user, p->last_line && !signaled ? p->last_line : how);
  }
  release(p);
}

static void die_with_parent(gpointer user) {
  (void)user;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
}

// A file without a name that holds the keys, for the child alone.
static int key_file(const char *keys) {
  int fd = memfd_create("keys", MFD_CLOEXEC);
  if (fd >= 0 && write(fd, keys, strlen(keys)) != (ssize_t)strlen(keys)) close(fd), fd = -1;
  return fd;
}

pm_gui_process *pm_gui_process_start(char **arguments, const char *keys, GString *log, const pm_gui_process_events *events, void *user,
                                     GError **error) {
  int fd = key_file(keys);
  if (fd < 0) {
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "The engine's keys cannot be kept: %s", g_strerror(errno));
    return NULL;
  }
  GSubprocessLauncher *launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_subprocess_launcher_take_fd(launcher, fd, PM_GUI_KEY_FD);
  g_subprocess_launcher_set_child_setup(launcher, die_with_parent, NULL, NULL);
  GSubprocess *child = g_subprocess_launcher_spawnv(launcher, (const char *const *)arguments, error);
  g_object_unref(launcher);
  if (!child) return NULL;
  pm_gui_process *p = g_rc_box_new0(pm_gui_process);
  p->process = child;
  p->events = *events;
  p->user = user;
  p->log = log;
  p->output = g_data_input_stream_new(g_subprocess_get_stdout_pipe(child));
  p->errors = g_data_input_stream_new(g_subprocess_get_stderr_pipe(child));
  g_data_input_stream_read_line_async(p->output, G_PRIORITY_DEFAULT, NULL, on_output, acquire(p));
  g_data_input_stream_read_line_async(p->errors, G_PRIORITY_DEFAULT, NULL, on_error_line, acquire(p));
  g_subprocess_wait_async(child, NULL, on_end, acquire(p));
  return p;
}

void pm_gui_process_stop(pm_gui_process *p) {
  if (!p) return;
  p->stopped = true;
  p->log = NULL;
  g_subprocess_force_exit(p->process);
  release(p);
}

double pm_gui_process_memory(const pm_gui_process *p) {
  const char *id = p ? g_subprocess_get_identifier(p->process) : NULL;
  g_autofree char *path = id ? g_strdup_printf("/proc/%s/statm", id) : NULL, *text = NULL;
  unsigned long pages;
  if (!path || !g_file_get_contents(path, &text, NULL, NULL) || sscanf(text, "%*u %lu", &pages) != 1) return -1;
  return (double)pages * (double)sysconf(_SC_PAGESIZE);
}
