#include <signal.h>
#include <string.h>

#include "commands.h"
#include "pumice.h"
#include "terminal.h"

static const pm_command *const commands[] = {&pm_cmd_run,      &pm_cmd_chat,
#ifdef PM_HAVE_SERVE
                                             &pm_cmd_serve,
#endif
                                             &pm_cmd_eval,     &pm_cmd_bench,   &pm_cmd_inspect, &pm_cmd_plan,
                                             &pm_cmd_replay,   &pm_cmd_devices, &pm_cmd_doctor,  &pm_cmd_tune,
                                             &pm_cmd_quantize, &pm_cmd_imatrix, &pm_cmd_synth,   &pm_cmd_tokenize};
enum { N_COMMAND = sizeof commands / sizeof *commands };

static void print_help(FILE *f) {
  const char *bold = pm_style(f, PM_BOLD), *plain = pm_style(f, PM_PLAIN);
  fprintf(f, "Pumice %s runs large Mixture-of-Experts language models on small graphics cards and on CPUs.\n\n", pumice_version());
  fprintf(f, "%susage:%s pumice COMMAND [options] ...\n\n%scommands:%s\n", bold, plain, bold, plain);
  for (uint32_t i = 0; i < N_COMMAND; i++) fprintf(f, "  %-10s%s\n", commands[i]->name, commands[i]->summary);
  fprintf(f, "  %-10s%s\n", "help", "this text, or 'pumice help COMMAND' for the options of one");
  fprintf(f,
          "\n%sexit codes:%s 0 good, 1 a test failed or a plan does not fit, 2 wrong use or a file that does not do, 3 trouble with a "
          "device, 130 Ctrl-C\n",
          bold, plain);
}

static const pm_command *find_command(const char *name) {
  for (uint32_t i = 0; i < N_COMMAND; i++)
    if (!strcmp(commands[i]->name, name)) return commands[i];
  return NULL;
}

static int refuse_command(const char *name) {
  const char *names[N_COMMAND + 1] = {NULL};
  for (uint32_t i = 0; i < N_COMMAND; i++) names[i] = commands[i]->name;
  const char *near = pm_nearest(name, names);
  if (near)
    fprintf(stderr, "pumice: there is no command '%s' (%s?)\n", name, near);
  else
    fprintf(stderr, "pumice: there is no command '%s'\n", name);
  fprintf(stderr, "Try 'pumice help'.\n");
  return PM_EXIT_WRONG_USE;
}

static int help(const char *name) {
  if (!name) {
    print_help(stdout);
    return PM_EXIT_OK;
  }
  const pm_command *command = find_command(name);
  if (!command) return refuse_command(name);
  pm_command_help(command, stdout);
  return PM_EXIT_OK;
}

static int dispatch(int argc, char **argv) {
  if (argc < 2) {
    print_help(stderr);
    return PM_EXIT_WRONG_USE;
  }
  const char *word = argv[1];
  if (!strcmp(word, "--version") || !strcmp(word, "version")) {
    printf("pumice %s\n", pumice_version());
    return PM_EXIT_OK;
  }
  if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) return help(argv[2]);
  const pm_command *command = find_command(word);
  return command ? pm_command_main(command, argc - 1, argv + 1) : refuse_command(word);
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);  // a reader that has gone shows as a failed write
  return pm_output_finish(dispatch(argc, argv));
}
