// A call of a tool by a JSON schema: one that the client insists on (tool_choice "required", or a tool's name), or one that may be made
// instead of an answer by a schema of the client's. The answer is held to the schema of {"name": ..., "arguments": {...}}, whatever the
// model's own format for calls is; from its text the call is told piece by piece.
#ifndef PM_SCHEMA_CALL_H
#define PM_SCHEMA_CALL_H

#include <stdbool.h>

#include "json_value.h"
#include "text_buffer.h"

// JSON text of the schema of a call of any of the tools, or of the one of this name, or, if `answer` is not NULL, of what that schema
// allows; the caller frees it. NULL if there is no such tool.
char *pm_call_schema(json_t *tools, const char *name, const char *answer);

typedef struct pm_schema_call {
  bool may_be_text;  // set by the caller: the answer need not be a call
  pm_text held;      // the text before the arguments; behind their beginning, what may be the end of the call
  bool begun;        // the name is known
  bool opened;       // and something of the arguments
  bool is_text;      // it is no call; the caller takes away what is held
} pm_schema_call;

// The next piece of the answer's text; `end`: nothing follows, `whole`: and the call is all there. What it tells, as OpenAI's clients
// expect it in a stream: an array of one call, the first with id and name, all with a piece of the arguments' text. NULL if it is nothing.
json_t *pm_schema_call_push(pm_schema_call *c, const char *text, size_t n, bool end, bool whole);
void pm_schema_call_finish(pm_schema_call *c);

#endif
