#include <string.h>

#include "chat.h"

static const char *const marks[2] = {"<think>", "</think>"};
enum { MARK_BYTES = 8 };  // of the longer one

void pm_think_stream_init(pm_think_stream *s, bool open) { *s = (pm_think_stream){.thinking = open, .after_mark = open}; }

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// Thinking ends at </think>. It begins at a <think> before which the answer has nothing to show: an answer may well speak of <think> later.
static bool mark_counts(const pm_think_stream *s, int closing) { return !s->started || (s->thinking && closing); }

// What the held bytes are once white space at their front is left out.
typedef enum held_kind { SPACES, BEGINS_MARK, IS_MARK, IS_TEXT } held_kind;

static held_kind classify(const pm_think_stream *s, int *closing) {
  uint32_t n_space = 0;
  while (n_space < s->n_held && is_space(s->held[n_space])) n_space++;
  uint32_t n = s->n_held - n_space;
  if (n == 0) return SPACES;
  for (*closing = 0; *closing < 2; (*closing)++) {
    if (!mark_counts(s, *closing) || strncmp(marks[*closing], s->held + n_space, n) != 0) continue;
    return n == strlen(marks[*closing]) ? IS_MARK : BEGINS_MARK;
  }
  return IS_TEXT;
}

// Shows what is held.
static bool release(pm_think_stream *s, pm_think_fn *emit, void *user) {
  size_t n = s->n_held;
  s->n_held = 0, s->started = true, s->after_mark = false;
  return emit(user, s->thinking, s->held, n);
}

// White space and whatever may be part of a mark is held; all else is shown in as few pieces as possible. Held bytes are ASCII, so
// characters stay whole.
bool pm_think_stream_push(pm_think_stream *s, const char *text, size_t bytes, bool end, pm_think_fn *emit, void *user) {
  for (size_t i = 0; i < bytes;) {
    size_t n = 0;  // bytes from i that are text for certain
    if (s->n_held == 0)
      while (i + n < bytes && ((s->started && !s->thinking) || (text[i + n] != '<' && !is_space(text[i + n])))) n++;
    if (n) {
      s->started = true, s->after_mark = false;
      if (!emit(user, s->thinking, text + i, n)) return false;
      i += n;
      continue;
    }
    s->held[s->n_held++] = text[i];
    int closing;
    switch (classify(s, &closing)) {
      case SPACES:
        if (s->after_mark) s->n_held = 0;
        if (s->n_held + MARK_BYTES == sizeof s->held && !release(s, emit, user)) return false;
        break;
      case BEGINS_MARK: break;
      case IS_MARK: *s = (pm_think_stream){.thinking = !closing, .after_mark = true}; break;
      case IS_TEXT:  // by this byte, which is looked at again on its own: it may begin something
        s->n_held--;
        if (!release(s, emit, user)) return false;
        continue;
    }
    i++;
  }
  return !end || s->n_held == 0 || release(s, emit, user);
}
