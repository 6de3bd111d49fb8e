// serve_client PORT SECONDS THREADS SEED: clients that behave in many ways, most of them badly, until the time is over. Prints how many
// requests of each kind were sent and how many had the answer that belongs to the kind; fails if one had not.
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef enum manner { READ_ALL, LEAVE_AT_ONCE, LEAVE_MIDWAY, READ_SLOWLY, SEND_HALF } manner;

#define QUESTION "{\"messages\":[{\"role\":\"user\",\"content\":\"What is %u + %u?\"}],\"max_tokens\":%u,\"stream\":%s}"

static const struct kind {
  const char *name, *path, *body;  // a body of NULL: GET; four numbers go into it
  manner manner;
  const char *wants;  // is in the answer, unless the server is busy; NULL: anything
} kinds[] = {
    {"streamed", "/v1/chat/completions", QUESTION, READ_ALL, "data: [DONE]"},
    {"whole", "/v1/chat/completions",
     "{\"messages\":[{\"role\":\"user\",\"content\":\"Spell 'w%u%u'.\"}],\"max_tokens\":%u,\"top_k\":3}%.0s", READ_ALL, "\"usage\":{"},
    {"leaves at once", "/v1/chat/completions", QUESTION, LEAVE_AT_ONCE, NULL},
    {"leaves midway", "/v1/chat/completions", QUESTION, LEAVE_MIDWAY, NULL},
    {"reads slowly", "/v1/chat/completions", QUESTION, READ_SLOWLY, "data: [DONE]"},
    {"bad JSON", "/v1/chat/completions", "{\"messages\":[%u,%u,%u,%s", READ_ALL, "HTTP/1.1 400"},
    {"wrong field", "/v1/chat/completions", "{\"messages\":[],\"max_tokens\":%u,\"n\":%u,\"top_k\":%u}%.0s", READ_ALL, "HTTP/1.1 400"},
    {"huge body", "/v1/chat/completions", NULL, SEND_HALF, NULL},
    {"tokens", "/tokenize", "{\"content\":\"%u %u %u %s\"}", READ_ALL, "{\"tokens\":["},
    {"health", "/health", NULL, READ_ALL, "\"status\":\"ok\""},
    {"metrics", "/metrics", NULL, READ_ALL, "pumice_ready 1"},
    {"nowhere", "/nowhere", NULL, READ_ALL, "HTTP/1.1 404"},
    {"ollama", "/api/chat", "{\"messages\":[{\"role\":\"user\",\"content\":\"%u%u\"}],\"options\":{\"num_predict\":%u}}%.0s", READ_ALL,
     "\"done\":true"},
};
enum { N_KIND = sizeof kinds / sizeof *kinds, MAX_ANSWER = 1 << 20 };

static uint16_t port;
static time_t end_time;
static atomic_uint sent[N_KIND], busy[N_KIND], wrong[N_KIND];

static void pause_ms(unsigned ms) { nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL); }

static int connect_server(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 60}, sizeof(struct timeval));
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

static size_t make_request(const struct kind *k, unsigned *seed, char *out, size_t size) {
  char body[512] = "";
  unsigned a = (unsigned)rand_r(seed) % 400, b = (unsigned)rand_r(seed) % 400, limit = 1 + (unsigned)rand_r(seed) % 30;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  if (k->body) snprintf(body, sizeof body, k->body, a, b, limit, k->manner == READ_ALL && rand_r(seed) % 2 && !k->wants ? "false" : "true");
#pragma GCC diagnostic pop
  size_t claimed = k->manner == SEND_HALF ? 50000000 : strlen(body);
  int n = snprintf(out, size, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                   k->body || k->manner == SEND_HALF ? "POST" : "GET", k->path, claimed, body);
  return (size_t)n;
}

// Reads in the manner of the kind; the answer is terminated.
static void read_answer(int fd, const struct kind *k, unsigned *seed, char *answer) {
  size_t n = 0, enough = k->manner == LEAVE_MIDWAY ? 300 + (size_t)rand_r(seed) % 2000 : MAX_ANSWER - 1;
  while (n < enough) {
    size_t most = k->manner == READ_SLOWLY ? 200 : enough - n;
    ssize_t got = recv(fd, answer + n, most < enough - n ? most : enough - n, 0);
    if (got <= 0) break;
    n += (size_t)got;
    if (k->manner == READ_SLOWLY) pause_ms(5);
  }
  answer[n] = 0;
}

static void run_one(unsigned *seed, char *answer) {
  unsigned i = (unsigned)rand_r(seed) % N_KIND;
  const struct kind *k = &kinds[i];
  char request[1024];
  size_t n = make_request(k, seed, request, sizeof request);
  int fd = connect_server();
  *answer = 0;
  atomic_fetch_add(&sent[i], 1);
  if (fd >= 0) {
    bool good = send(fd, request, n, MSG_NOSIGNAL) == (ssize_t)n;
    if (k->manner == LEAVE_AT_ONCE || k->manner == SEND_HALF) pause_ms((unsigned)rand_r(seed) % 50);
    if (good && k->manner != LEAVE_AT_ONCE && k->manner != SEND_HALF) read_answer(fd, k, seed, answer);
    close(fd);
  }
  if (strstr(answer, "HTTP/1.1 503")) {
    atomic_fetch_add(&busy[i], 1);
    pause_ms(100);
  } else if (k->wants && !strstr(answer, k->wants) && atomic_fetch_add(&wrong[i], 1) < 3) {
    printf("# %s: no %s in: %.400s\n", k->name, k->wants, answer);
  }
}

static void *client(void *user) {
  unsigned seed = *(unsigned *)user;
  char *answer = malloc(MAX_ANSWER);
  while (answer && time(NULL) < end_time) run_one(&seed, answer);
  free(answer);
  return NULL;
}

int main(int argc, char **argv) {
  enum { MAX_THREAD = 64 };
  pthread_t threads[MAX_THREAD];
  unsigned seeds[MAX_THREAD], all = 0, bad = 0, n = argc == 5 ? (unsigned)atoi(argv[3]) : 0;
  if (n < 1 || n > MAX_THREAD) return 2;
  port = (uint16_t)atoi(argv[1]);
  end_time = time(NULL) + atoi(argv[2]);
  for (unsigned i = 0; i < n; i++) {
    seeds[i] = (unsigned)atoi(argv[4]) + i * 7919;
    if (pthread_create(&threads[i], NULL, client, &seeds[i])) return 2;
  }
  for (unsigned i = 0; i < n; i++) pthread_join(threads[i], NULL);
  for (unsigned i = 0; i < N_KIND; i++) {
    printf("# %-14s %5u sent, %u told to come again, %u wrong\n", kinds[i].name, sent[i], busy[i], wrong[i]);
    all += sent[i], bad += wrong[i];
  }
  printf("# %u requests\n", all);
  return bad > 0 || all < n;
}
