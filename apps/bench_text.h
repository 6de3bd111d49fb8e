// The text that `pumice bench` evaluates.
#ifndef PM_BENCH_TEXT_H
#define PM_BENCH_TEXT_H

#include "pumice.h"
#include "text_buffer.h"

// Prose, talk, code, numbers and other languages, so that many experts get work.
extern const char pm_bench_text[];

// Appends the file, or the text above if it is NULL. Returns an exit code; what went wrong has been said.
int pm_bench_read_text(pm_text *text, const char *file);

// `need` tokens of the text, which begins again where it is too short; *n_text is how many it has. The caller frees them. Returns an exit
// code; what went wrong has been said.
int pm_bench_tokens(const pumice_model *model, const pm_text *text, size_t need, int32_t **tokens, size_t *n_text);

#endif
