// Conversations with tools, for chat templates that know nothing of tools.
#ifndef PM_TOOL_PROMPT_H
#define PM_TOOL_PROMPT_H

#include "json_value.h"
#include "pumice.h"

// Whether there is anything about tools in a conversation or beside it; `tools` may be NULL.
bool pm_tools_matter(const json_t *messages, const json_t *tools);
// Whether the model's template shows tools to the model.
bool pm_tools_known(const pumice_model *model);
// The same conversation in plain messages: the tools and how to call them in the system message, calls as the JSON texts that they are
// told from, and results as messages of the user. A new reference.
json_t *pm_tools_spell_out(const json_t *messages, json_t *tools);

#endif
