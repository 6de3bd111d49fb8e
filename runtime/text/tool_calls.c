#include "tool_calls.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "strip.h"

enum { MAX_CALL = 1 << 20, MAX_NAME = 256 };  // bytes; what is longer is text

// A call as a format's parser finds it in the text between the marks.
typedef struct found {
  pm_heap *heap;
  pm_span name, id;   // id empty: none was given
  pm_span arguments;  // the text of a JSON object
} found;

typedef bool parse_fn(found *f, pm_span body);
static parse_fn parse_deepseek, parse_kimi, parse_xml;

static const struct tool_format {
  const char *begin, *end;            // of all calls; end NULL: every call stands alone between its own marks
  const char *call_begin, *call_end;  // of each
  parse_fn *parse;
} formats[] = {
    {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", parse_deepseek},
    {"<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>", "<|tool_call_end|>", parse_kimi},
    {"<tool_call>", NULL, "<tool_call>", "</tool_call>", parse_xml},  // Hermes, Qwen, GLM
};
enum { N_FORMAT = sizeof formats / sizeof *formats, XML = 2 };

uint32_t pm_tool_formats_of(pm_span chat_template) {
  uint32_t set = 0;
  for (int i = 0; i < N_FORMAT; i++)
    if (pm_span_find(chat_template, pm_span_of(formats[i].begin))) set |= 1u << i;
  return set;
}

// ---- what stands between the marks ---------------------------------------------------------------------------------

static pm_span trim(pm_span s) { return pm_span_strip(s, NULL, true, true); }

static bool good_name(pm_span name) {
  for (size_t i = 0; i < name.n; i++)
    if ((unsigned char)name.at[i] <= ' ' || strchr("<>{}\"'`\x7f", name.at[i])) return false;
  return name.n > 0 && name.n <= MAX_NAME;
}

static bool is_object(found *f, pm_span text) {
  pm_value v;
  return pm_json_parse(f->heap, text.at, text.n, &v) == PM_OK && v.kind == PM_DICT;
}

static bool write_object(found *f, pm_value v) {
  static const pm_json_style style = {.indent = -1};
  pm_buffer text = {0};
  pm_value copy;
  const char *kind;
  bool good = pm_json_write(&text, v, &style, &kind) && text.status == PM_OK &&
              pm_value_copy_text(f->heap, text.at, text.n, &copy) == PM_OK;
  f->heap->failed |= text.status != PM_OK;
  pm_buffer_finish(&text);
  if (good) f->arguments = copy.text;
  return good;
}

// The parts of s before and behind the first `mark`.
static bool cut(pm_span s, const char *mark, pm_span *before, pm_span *behind) {
  const char *p = pm_span_find(s, pm_span_of(mark));
  if (!p) return false;
  *before = (pm_span){s.at, (size_t)(p - s.at)};
  *behind = (pm_span){p + strlen(mark), s.n - before->n - strlen(mark)};
  return true;
}

// V3.1: name, mark, object. V3 and R1: "function", mark, name, the object in a fenced block.
static bool parse_deepseek(found *f, pm_span body) {
  static const char fence[] = "```";
  pm_span rest;
  if (!cut(body, "<｜tool▁sep｜>", &f->name, &f->arguments)) return false;
  f->arguments = trim(f->arguments);
  if (f->arguments.n && f->arguments.at[0] != '{') {
    if (!cut(f->arguments, "\n", &f->name, &rest)) return false;
    rest = trim(rest);
    if (pm_span_begins(rest, PM_SPAN(fence))) rest = (pm_span){rest.at + 3, rest.n - 3};
    if (pm_span_begins(rest, PM_SPAN("json"))) rest = (pm_span){rest.at + 4, rest.n - 4};
    if (rest.n >= 3 && memcmp(rest.at + rest.n - 3, fence, 3) == 0) rest.n -= 3;
    f->arguments = trim(rest);
  }
  f->name = trim(f->name);
  return is_object(f, f->arguments);
}

// functions.NAME:NUMBER, which is also the id, mark, object.
static bool parse_kimi(found *f, pm_span body) {
  if (!cut(body, "<|tool_call_argument_begin|>", &f->id, &f->arguments)) return false;
  f->id = trim(f->id), f->arguments = trim(f->arguments);
  f->name = f->id;
  if (pm_span_begins(f->name, PM_SPAN("functions."))) f->name = (pm_span){f->name.at + 10, f->name.n - 10};
  size_t n = f->name.n;
  while (n > 0 && f->name.at[n - 1] >= '0' && f->name.at[n - 1] <= '9') n--;
  if (n > 0 && n < f->name.n && f->name.at[n - 1] == ':') f->name.n = n - 1;
  return good_name(f->id) && is_object(f, f->arguments);
}

// {"name": ..., "arguments" or "parameters": object or its text}; or the same under "function".
static bool read_call(found *f, pm_value v, bool arguments_needed) {
  if (v.kind != PM_DICT) return false;
  const pm_value *function = pm_dict_find_text(v.dict, "function");
  if (function && function->kind == PM_DICT) v = *function;
  const pm_value *name = pm_dict_find_text(v.dict, "name"), *arguments = pm_dict_find_text(v.dict, "arguments");
  if (!arguments) arguments = pm_dict_find_text(v.dict, "parameters");
  if (!name || name->kind != PM_STRING || (!arguments && arguments_needed)) return false;
  f->name = name->text;
  if (!arguments || arguments->kind == PM_NONE) return f->arguments = PM_SPAN("{}"), true;
  if (arguments->kind == PM_STRING) return f->arguments = trim(arguments->text), is_object(f, f->arguments);
  return arguments->kind == PM_DICT && write_object(f, *arguments);
}

// NAME<arg_key>K</arg_key><arg_value>V</arg_value>...: values are JSON, or texts as they are.
static bool parse_pairs(found *f, pm_span body) {
  pm_span key, text, rest;
  pm_value arguments, value;
  if (pm_dict_create(f->heap, &arguments) != PM_OK) return false;
  f->name = trim(body);
  if (!cut(body, "<arg_key>", &f->name, &rest)) return write_object(f, arguments);
  f->name = trim(f->name);
  for (;;) {
    if (!cut(rest, "</arg_key>", &key, &rest) || !cut(rest, "<arg_value>", &text, &rest) || trim(text).n) return false;
    if (!cut(rest, "</arg_value>", &text, &rest)) return false;
    if (pm_json_parse(f->heap, text.at, text.n, &value) != PM_OK) value = pm_value_text(text);
    if (pm_dict_set(f->heap, arguments.dict, pm_value_text(trim(key)), value) != PM_OK) return false;
    if (!cut(rest, "<arg_key>", &text, &rest)) return trim(rest).n == 0 && write_object(f, arguments);
    if (trim(text).n) return false;
  }
}

static bool parse_xml(found *f, pm_span body) {
  pm_value v;
  body = trim(body);
  if (body.n == 0 || body.at[0] != '{') return parse_pairs(f, body);
  return pm_json_parse(f->heap, body.at, body.n, &v) == PM_OK && read_call(f, v, false);
}

// ---- the stream ----------------------------------------------------------------------------------------------------

enum {
  START,    // of an answer that may be a call without marks
  TEXT,     // outside of calls
  BEHIND,   // a call that stood alone: white space goes
  SECTION,  // among calls, between two
  CALL      // in one
};

void pm_tool_stream_begin(pm_tool_stream *s, uint32_t set, uint64_t seed) {
  *s = (pm_tool_stream){.formats = set ? set : 1u << XML, .format = -1, .state = set ? TEXT : START, .seed = seed};
}

void pm_tool_stream_finish(pm_tool_stream *s) { pm_buffer_finish(&s->held); }

typedef struct push {  // one call of pm_tool_stream_push
  pm_tool_stream *s;
  pm_span rest;  // of what is held
  bool end;
  bool stopped;  // the sink has had enough
  bool failed;   // memory is short
  const pm_tool_sink *sink;
} push;

static void emit_text(push *p, size_t n) {
  if (n) p->stopped |= !p->sink->text(p->sink->user, p->rest.at, n);
  p->rest.at += n, p->rest.n -= n;
}

static void drop(push *p, size_t n) { p->rest.at += n, p->rest.n -= n; }

static void emit_call(push *p, const found *f) {
  char id[32], own[MAX_NAME + 1];
  uint64_t x = p->s->seed + (p->s->n_call + 1) * 0x9e3779b97f4a7c15u;  // splitmix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  snprintf(id, sizeof id, "call_%016llx", (unsigned long long)(x ^ (x >> 31)));
  if (f->id.n) memcpy(own, f->id.at, f->id.n);
  own[f->id.n] = 0;
  p->stopped |= !p->sink->call(p->sink->user, p->s->n_call++, f->id.n ? own : id, f->name, f->arguments);
}

static bool try_call(push *p, parse_fn *parse, pm_span body) {
  pm_heap heap = {.limit = (size_t)64 << 20};
  found f = {.heap = &heap};
  bool good = parse(&f, body) && good_name(f.name);
  if (good) emit_call(p, &f);
  p->failed = heap.failed;
  pm_heap_finish(&heap);
  return good;
}

// Each state's function returns whether it got on; if not, more text is needed.

// A mark that text begins with, or may begin with when more of it is there.
static bool find_mark(push *p, pm_span text, bool *whole, size_t *n_mark) {
  for (int i = 0; i < N_FORMAT; i++)
    for (int k = 0; p->s->formats >> i & 1 && k < 2; k++) {  // a call without the mark of all calls counts, too
      pm_span mark = pm_span_of(k ? formats[i].call_begin : formats[i].begin);
      *whole = pm_span_begins(text, mark);
      if (!*whole && !pm_span_begins(mark, text)) continue;
      if (*whole) p->s->format = i, p->s->state = k || !formats[i].end ? CALL : SECTION, *n_mark = mark.n;
      return true;
    }
  return false;
}

static bool in_text(push *p) {
  size_t from = 0, n_mark = 0;
  bool whole = false;
  for (const char *at; (at = memchr(p->rest.at + from, '<', p->rest.n - from)); from++) {  // as all marks begin
    from = (size_t)(at - p->rest.at);
    if (!find_mark(p, (pm_span){at, p->rest.n - from}, &whole, &n_mark)) continue;
    if (!whole && p->end) continue;
    emit_text(p, from);
    drop(p, n_mark);
    return whole;
  }
  emit_text(p, p->rest.n);
  return false;
}

static bool behind(push *p) {
  drop(p, p->rest.n - pm_span_strip(p->rest, NULL, true, false).n);
  if (p->rest.n) p->s->state = TEXT;
  return p->rest.n;
}

static bool in_section(push *p) {
  const struct tool_format *f = &formats[p->s->format];
  drop(p, p->rest.n - pm_span_strip(p->rest, NULL, true, false).n);
  pm_span next = pm_span_of(f->call_begin), end = pm_span_of(f->end);
  if (pm_span_begins(p->rest, next))
    drop(p, next.n), p->s->state = CALL;
  else if (pm_span_begins(p->rest, end))
    drop(p, end.n), p->s->state = BEHIND;
  else if (!p->end && (pm_span_begins(next, p->rest) || pm_span_begins(end, p->rest)))
    return false;
  else
    p->s->state = TEXT;
  return p->rest.n || p->s->state == CALL;
}

// A call that is none is text, its own marks included.
static bool in_call(push *p) {
  const struct tool_format *f = &formats[p->s->format];
  pm_span mark = pm_span_of(f->call_end), open = pm_span_of(f->call_begin);
  size_t from = p->s->scanned < p->rest.n ? p->s->scanned : 0;
  const char *close = pm_span_find((pm_span){p->rest.at + from, p->rest.n - from}, mark);
  size_t n = close ? (size_t)(close - p->rest.at) : p->rest.n;
  p->s->scanned = !close && n > mark.n ? n - mark.n : 0;
  if (!close && !p->end && n <= MAX_CALL) return false;
  p->s->scanned = 0;
  bool good = n <= MAX_CALL && try_call(p, f->parse, (pm_span){p->rest.at, n});
  if (p->failed) return false;
  if (good) {
    drop(p, n + (close ? mark.n : 0));
    p->s->state = f->end ? SECTION : BEHIND;
  } else {
    p->stopped |= !p->sink->text(p->sink->user, open.at, open.n);
    emit_text(p, n + (close ? mark.n : 0));
    p->s->state = TEXT;
  }
  return p->rest.n;
}

// Whether s may go on to be [{"name": ... or the like.
static bool may_be_call(pm_span s) {
  static const char *const keys[] = {"\"name\"", "\"type\"", "\"function\"", "\"arguments\"", "\"parameters\"", "\"id\""};
  s = pm_span_strip(s, NULL, true, false);
  if (s.n && s.at[0] == '[') s = pm_span_strip((pm_span){s.at + 1, s.n - 1}, NULL, true, false);
  if (s.n == 0) return true;
  if (s.at[0] != '{') return false;
  s = pm_span_strip((pm_span){s.at + 1, s.n - 1}, NULL, true, false);
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    if (pm_span_begins(s, pm_span_of(keys[i])) || pm_span_begins(pm_span_of(keys[i]), s)) return true;
  return false;
}

// The whole answer: one call, or a list of nothing but calls.
static bool try_bare_calls(push *p) {
  pm_heap heap = {.limit = (size_t)64 << 20};
  pm_value v, *items = &v;
  size_t n = 1, n_good = 0;
  bool good = pm_json_parse(&heap, p->rest.at, p->rest.n, &v) == PM_OK;
  if (good && v.kind == PM_LIST) items = v.list->items, n = v.list->n;
  for (int emit = 0; good && emit < 2; emit++)
    for (size_t i = 0; i < n && good && !p->stopped; i++, n_good++) {
      found f = {.heap = &heap};
      good = read_call(&f, items[i], true) && good_name(f.name);
      if (good && emit) emit_call(p, &f);
    }
  p->failed = heap.failed;
  pm_heap_finish(&heap);
  return good && n_good > 0;
}

static bool at_start(push *p) {
  bool possible = may_be_call(p->rest) && p->rest.n <= MAX_CALL;
  if (possible && !p->end) return false;
  if (possible && try_bare_calls(p)) drop(p, p->rest.n);
  if (p->failed) return false;
  p->s->state = TEXT;
  return p->rest.n;
}

pm_status pm_tool_stream_push(pm_tool_stream *s, const char *text, size_t bytes, bool end, const pm_tool_sink *sink) {
  static bool (*const states[])(push *) = {
      [START] = at_start, [TEXT] = in_text, [BEHIND] = behind, [SECTION] = in_section, [CALL] = in_call};
  pm_buffer_put(&s->held, text, bytes);
  if (s->held.status != PM_OK) return s->held.status;
  push p = {.s = s, .rest = {s->held.at ? s->held.at : "", s->held.n}, .end = end, .sink = sink};
  while (!p.stopped && states[s->state](&p)) {}
  if (p.rest.n) memmove(s->held.at, p.rest.at, p.rest.n);
  s->held.n = p.rest.n;
  if (p.failed) PM_FAIL(PM_ERR_MEMORY, "out of memory: tool calls");
  if (p.stopped) PM_FAIL(PM_ERR_CANCELLED, "the receiver of an answer has had enough");
  return PM_OK;
}

// ---- a whole text --------------------------------------------------------------------------------------------------

typedef struct collected {
  pm_buffer text, calls;
} collected;

static bool collect_text(void *user, const char *text, size_t bytes) {
  collected *c = user;
  pm_buffer_put(&c->text, text, bytes);
  return c->text.status == PM_OK;
}

static bool collect_call(void *user, uint32_t index, const char *id, pm_span name, pm_span arguments) {
  collected *c = user;
  pm_buffer_puts(&c->calls, index ? ",{\"id\":" : "{\"id\":");
  pm_json_write_text(&c->calls, pm_span_of(id), false);
  pm_buffer_puts(&c->calls, ",\"type\":\"function\",\"function\":{\"name\":");
  pm_json_write_text(&c->calls, name, false);
  pm_buffer_puts(&c->calls, ",\"arguments\":");
  pm_json_write_text(&c->calls, arguments, false);
  pm_buffer_puts(&c->calls, "}}");
  return c->calls.status == PM_OK;
}

pm_status pm_tool_calls(uint32_t set, uint64_t seed, pm_span text, pm_buffer *out) {
  collected c = {0};
  pm_tool_stream s;
  pm_tool_sink sink = {collect_text, collect_call, &c};
  pm_tool_stream_begin(&s, set, seed);
  pm_status status = pm_tool_stream_push(&s, text.at, text.n, true, &sink);
  pm_span left = pm_span_strip((pm_span){c.text.at ? c.text.at : "", c.text.n}, NULL, false, true);
  pm_buffer_puts(out, "{\"content\":");
  if (left.n || !s.n_call)
    pm_json_write_text(out, left, false);
  else
    pm_buffer_puts(out, "null");
  pm_buffer_puts(out, ",\"tool_calls\":[");
  if (c.calls.n) pm_buffer_put(out, c.calls.at, c.calls.n);
  pm_buffer_puts(out, "]}");
  if (status == PM_ERR_CANCELLED) status = PM_ERR_MEMORY;  // that of what is collected
  pm_buffer_finish(&c.text);
  pm_buffer_finish(&c.calls);
  pm_tool_stream_finish(&s);
  return status == PM_OK ? out->status : status;
}
