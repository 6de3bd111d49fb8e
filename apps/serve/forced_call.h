// A call of a tool that the client insists on (tool_choice "required", or a tool's name). The answer is held to a JSON schema, that of
// {"name": ..., "arguments": {...}}, whatever the model's own format for calls is; from its text the call is told piece by piece.
#ifndef PM_FORCED_CALL_H
#define PM_FORCED_CALL_H

#include <stdbool.h>

#include "json_value.h"
#include "text_buffer.h"

// JSON text of the schema of a call of any of the tools, or of the one of this name; the caller frees it. NULL if there is no such tool.
char *pm_forced_call_schema(json_t *tools, const char *name);

typedef struct pm_forced_call {
  pm_text held;  // the text before the arguments; behind their beginning, what may be the end of the call
  bool begun;    // the name is known
  bool opened;   // and something of the arguments
} pm_forced_call;

// The next piece of the answer's text; `end`: nothing follows, `whole`: and the call is all there. What it tells, as OpenAI's clients
// expect it in a stream: an array of one call, the first with id and name, all with a piece of the arguments' text. NULL if it is nothing.
json_t *pm_forced_call_push(pm_forced_call *c, const char *text, size_t n, bool end, bool whole);
void pm_forced_call_finish(pm_forced_call *c);

#endif
