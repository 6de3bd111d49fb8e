// What the dialects' files share.
#ifndef PM_REPLY_PARTS_H
#define PM_REPLY_PARTS_H

#include "reply.h"

// {"cache_n", "prompt_n", "prompt_ms", ...}: of the prompt, and of so many tokens of the answer.
json_t *pm_reply_timings(const pm_outcome *o, uint64_t n_answer, double answer_seconds);

// Appends a piece of the answer where thinking stands inside the text, between <think> and </think>.
void pm_reply_inline(pm_choice *c, bool thinking, const char *text, size_t n, pm_text *out);
json_t *pm_reply_inline_whole(pm_choice *c);

json_t *pm_reply_take_tokens(pm_choice *c);  // an array, perhaps empty

json_t *pm_ollama_time(double seconds);  // since the epoch, as a text

#endif
