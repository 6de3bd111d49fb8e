#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "model_options.h"
#include "server.h"
#include "terminal.h"
#include "worker.h"

enum { MAX_KEYS = 64 };

static struct {
  const char *host, *alias, *key, *key_file, *origins, *slot_dir;
  uint32_t port, parallel, queue, connections;
  uint64_t max_body;
} args = {.host = "127.0.0.1", .port = 8080, .parallel = 4, .queue = 32, .connections = 256, .max_body = 16 << 20};

static const pm_option rows[] = {
    {"host", 0, "ADDRESS", PM_TEXT, &args.host, "where to listen; 0.0.0.0 is every address of this machine (default: 127.0.0.1)"},
    {"port", 'p', "N", PM_U32, &args.port, "0 is a free one (default: 8080)", 0, 65535},
    {"parallel", 'P', "N", PM_U32, &args.parallel, "conversations at a time, each with a context of its own (default: 4)", 1, PM_MAX_SLOT},
    {"queue", 0, "N", PM_U32, &args.queue, "requests that may wait for one of them; more are told to try again later (default: 32)", 0,
     1024},
    {"api-key", 0, "KEY", PM_TEXT, &args.key, "only answer requests with this key; several with commas"},
    {"api-key-file", 0, "FILE", PM_TEXT, &args.key_file, "the same, a key per line: other users cannot see it in the list of processes"},
    {"origins", 0, "LIST", PM_TEXT, &args.origins,
     "web pages that may call besides those of this machine, e.g. https://chat.example.org, with commas; * is any"},
    {"alias", 0, "NAME", PM_TEXT, &args.alias, "what the model is called (default: its file's name)"},
    {"slot-dir", 0, "FOLDER", PM_TEXT, &args.slot_dir, "where POST /slots/N?action=save keeps conversations (default: nowhere)"},
    {"max-body", 0, "BYTES", PM_BYTES, &args.max_body, "largest body of a request (default: 16M)"},
    {"connections", 0, "N", PM_U32, &args.connections, "clients connected at a time (default: 256)", 1, 10000},
    {0}};
static const pm_option_group serve_group = {"server", rows};

// Keys from both places, ends with NULL; they are parts of *text.
static int read_keys(pm_text *text, char *keys[MAX_KEYS + 1]) {
  uint32_t n = 0;
  if (args.key) pm_text_append(text, args.key, strlen(args.key));
  pm_text_append(text, "\n", 1);
  if (args.key_file && !pm_text_read_file(text, args.key_file)) return pm_file_failed(args.key_file);
  for (char *key = strtok(text->data, ",\r\n"); key; key = strtok(NULL, ",\r\n")) {
    if (n == MAX_KEYS) return pm_wrong_use(&pm_cmd_serve, "more than %d keys", MAX_KEYS);
    keys[n++] = key;
  }
  keys[n] = NULL;
  if (!n && (args.key || args.key_file)) return pm_wrong_use(&pm_cmd_serve, "there is no key in --api-key or --api-key-file");
  return PM_EXIT_OK;
}

static int describe_folder(const char *path, pm_model_folder *folder) {
  struct stat st;
  if (stat(path, &st)) return pm_file_failed(path);
  *folder = (pm_model_folder){.path = path, .is_folder = S_ISDIR(st.st_mode) && !pm_model_is_checkpoint(path), .alias = args.alias};
  if (folder->is_folder && args.alias) return pm_wrong_use(&pm_cmd_serve, "--alias is for one model, %s is a folder", path);
  return PM_EXIT_OK;
}

static void announce(const pm_server *server) {
  bool ipv6 = strchr(args.host, ':') != NULL;
  printf("listening on http://%s%s%s:%u\n", ipv6 ? "[" : "", args.host, ipv6 ? "]" : "", pm_server_port(server));
  fflush(stdout);
  if (strncmp(args.host, "127.", 4) && strcmp(args.host, "localhost") && strcmp(args.host, "::1") && !server->desc.keys[0])
    fprintf(stderr, "pumice: whoever can reach %s can use this server; --api-key asks for a key\n", args.host);
}

static int serve(const pm_server_desc *desc) {
  pm_server *server = pm_resize(NULL, 1, sizeof *server);
  pm_worker *worker = pm_resize(NULL, 1, sizeof *worker);
  pm_model_entry first;
  *worker = (pm_worker){.mail = &server->mail, .board = &server->board, .n_queue = args.queue, .must_load = !desc->folder.is_folder};
  int code = pm_model_options_get(0, &worker->options);
  worker->options.n_session = args.parallel;
  bool named = worker->must_load && !code;
  if (named) {
    size_t n;
    pm_model_entry *entries = pm_model_folder_list(&desc->folder, &n);
    first = entries[0];
    free(entries);
  }
  if (!code && !pm_server_init(server, desc)) code = PM_EXIT_WRONG_USE;
  if (!code && pm_worker_start(worker, named ? &first : NULL)) {
    announce(server);
    pm_server_run(server);
    pm_mailbox_stop(&server->mail);
    code = pm_worker_join(worker);
  }
  pm_server_finish(server);
  free(worker);
  free(server);
  return code;
}

static int run(char **arguments, uint32_t n) {
  (void)n;
  pm_text key_text = {0};
  char *keys[MAX_KEYS + 1];
  pm_server_desc desc = {.host = args.host,
                         .port = (uint16_t)args.port,
                         .keys = keys,
                         .origins = args.origins,
                         .max_connections = args.connections,
                         .max_body = args.max_body,
                         .slot_folder = args.slot_dir,
                         .sampling = pm_sampling_get()};
  int code = read_keys(&key_text, keys);
  if (!code) code = describe_folder(arguments[0], &desc.folder);
  if (!code) code = serve(&desc);
  pm_text_free(&key_text);
  return code;
}

const pm_command pm_cmd_serve = {
    .name = "serve",
    .arguments = "MODEL|FOLDER",
    .summary = "answer programs that speak the OpenAI API, and a page for browsers",
    .details =
        "An HTTP server for a model, or for a folder of them, of which one at a time is loaded: when it is asked for, or by POST "
        "/models/load. Programs find the OpenAI API under /v1, Ollama's under /api, and browsers a page to try it at /.\n"
        "\n"
        "It says 'listening on http://ADDRESS:PORT' on standard output when it does; /health tells how far loading is. The sampling "
        "options "
        "are for requests that do not say. Ctrl-C ends it.",
    .min_argument = 1,
    .max_argument = 1,
    .groups = {&serve_group, &pm_sampling_group, &pm_model_group},
    .run = run,
};
