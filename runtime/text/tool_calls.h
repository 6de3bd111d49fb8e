// Tool calls in the text of an answer, in the formats of released models.
#ifndef PM_TOOL_CALLS_H
#define PM_TOOL_CALLS_H

#include "buffer.h"
#include "value.h"

// Formats whose marks stand in a chat template, as a set of bits; 0 if none does.
uint32_t pm_tool_formats_of(pm_span chat_template);

// What a stream tells, in order. Texts are not terminated and gone after the call. A false return stops.
typedef struct pm_tool_sink {
  bool (*text)(void *user, const char *text, size_t bytes);  // that is part of no call
  // The index-th call: `arguments` is a JSON object.
  bool (*call)(void *user, uint32_t index, const char *id, pm_span name, pm_span arguments);
  void *user;
} pm_tool_sink;

// Calls told from the text of an answer that comes in pieces, cut anywhere. Text that cannot be part of a call is passed on at once; what
// begins like a call and turns out to be none is passed on as text.
typedef struct pm_tool_stream {
  uint32_t formats;  // 0: a JSON object with name and arguments that is the whole answer, and <tool_call>
  int format;        // whose marks were seen; -1: none yet, or behind the last
  int state;
  uint32_t n_call;
  uint64_t seed;   // of ids
  size_t scanned;  // bytes of what is held that no end of a call begins in
  pm_buffer held;
} pm_tool_stream;

// `seed` makes the ids of calls: different ones for different answers.
void pm_tool_stream_begin(pm_tool_stream *s, uint32_t formats, uint64_t seed);
// `end`: no more text follows; calls that lack only their last marks count. PM_ERR_CANCELLED when the sink has had enough, or
// PM_ERR_MEMORY.
pm_status pm_tool_stream_push(pm_tool_stream *s, const char *text, size_t bytes, bool end, const pm_tool_sink *sink) PM_MUST_USE;
void pm_tool_stream_finish(pm_tool_stream *s);

// The same for a whole text: {"content": text or null, "tool_calls": [OpenAI's]}. Appends to `out`.
pm_status pm_tool_calls(uint32_t formats, uint64_t seed, pm_span text, pm_buffer *out) PM_MUST_USE;

#endif
