#include "conversation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text_buffer.h"

static const char first_line[] = "pumice chat 1\n";
static const char *const roles[] = {"system", "user", "assistant"};

static const char *known_role(const char *role) {
  for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
    if (!strcmp(role, roles[i])) return roles[i];
  return NULL;
}

static char *copy(const char *s) {
  size_t n = strlen(s) + 1;
  return memcpy(pm_resize(NULL, n, 1), s, n);
}

void pm_conversation_add(pm_conversation *c, const char *role, const char *content) {
  if (c->n == c->capacity) {
    c->capacity = c->capacity * 2 + 8;
    c->messages = pm_resize(c->messages, c->capacity, sizeof *c->messages);
  }
  c->messages[c->n++] = (pumice_message){known_role(role), copy(content)};
}

void pm_conversation_truncate(pm_conversation *c, size_t n) {
  while (c->n > n) free((char *)c->messages[--c->n].content);
}

void pm_conversation_set_system(pm_conversation *c, const char *content) {
  bool has = c->n && !strcmp(c->messages[0].role, "system");
  char *text = copy(content);
  if (has) {
    free((char *)c->messages[0].content);
    memmove(c->messages, c->messages + 1, --c->n * sizeof *c->messages);
  }
  if (*text) {
    pm_conversation_add(c, "system", text);
    pumice_message m = c->messages[c->n - 1];
    memmove(c->messages + 1, c->messages, (c->n - 1) * sizeof m);
    c->messages[0] = m;
  }
  free(text);
}

bool pm_conversation_last_is(const pm_conversation *c, const char *role) { return c->n && !strcmp(c->messages[c->n - 1].role, role); }

size_t pm_conversation_find_last(const pm_conversation *c, const char *role) {
  for (size_t i = c->n; i-- > 0;)
    if (!strcmp(c->messages[i].role, role)) return i;
  return c->n;
}

void pm_conversation_free(pm_conversation *c) {
  pm_conversation_truncate(c, 0);
  free(c->messages);
  *c = (pm_conversation){0};
}

// ---- files -------------------------------------------------------------------------------------------------------------------------

static bool write_messages(const pm_conversation *c, FILE *f) {
  fputs(first_line, f);
  for (size_t i = 0; i < c->n; i++) fprintf(f, "%s %zu\n%s\n", c->messages[i].role, strlen(c->messages[i].content), c->messages[i].content);
  return fflush(f) == 0 && !ferror(f);
}

bool pm_conversation_save(const pm_conversation *c, const char *path) {
  size_t size = strlen(path) + 16;
  char *temporary = pm_resize(NULL, size, 1);
  snprintf(temporary, size, "%s.XXXXXX", path);
  int fd = mkstemp(temporary);
  FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
  bool ok = f && write_messages(c, f);
  int e = errno;
  if (f && fclose(f) && ok) ok = false, e = errno;
  if (ok && rename(temporary, path)) ok = false, e = errno;
  if (!ok && fd >= 0) unlink(temporary);
  free(temporary);
  errno = e;
  return ok;
}

// One message at *s, which ends at `end`; moves *s past it.
static bool read_message(pm_conversation *c, char **s, char *end) {
  char *line_end = memchr(*s, '\n', (size_t)(end - *s));
  char *space = line_end ? memchr(*s, ' ', (size_t)(line_end - *s)) : NULL;
  if (!space) return false;
  *space = 0;
  char *number_end;
  unsigned long long n = strtoull(space + 1, &number_end, 10);
  char *content = line_end + 1;
  if (!known_role(*s) || number_end != line_end || n >= (size_t)(end - content) || content[n] != '\n') return false;
  if (c->n && !strcmp(*s, "system")) return false;  // only the first may be one
  content[n] = 0;
  if (strlen(content) != n) return false;
  pm_conversation_add(c, *s, content);
  *s = content + n + 1;
  return true;
}

bool pm_conversation_load(pm_conversation *c, const char *path) {
  pm_text file = {0};
  pm_conversation loaded = {0};
  bool ok = pm_text_read_file(&file, path);
  int e = errno;
  if (ok && (file.n < sizeof first_line - 1 || memcmp(file.data, first_line, sizeof first_line - 1))) ok = false, e = EINVAL;
  for (char *s = ok ? file.data + sizeof first_line - 1 : NULL; ok && s < file.data + file.n;)
    if (!read_message(&loaded, &s, file.data + file.n)) ok = false, e = EINVAL;
  pm_text_free(&file);
  if (ok) {
    pm_conversation_free(c);
    *c = loaded;
  } else {
    pm_conversation_free(&loaded);
  }
  errno = e;
  return ok;
}
