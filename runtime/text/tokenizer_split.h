// Pre-tokenizers: where a text is cut before byte-pair merging. The published rules are regular expressions; here each is a short list
// of matchers written by hand, and a rule is a row of a table.
#ifndef PM_TOKENIZER_SPLIT_H
#define PM_TOKENIZER_SPLIT_H

#include "status.h"
#include "unicode.h"

typedef struct pm_split_rule pm_split_rule;

enum {
  PM_SPLIT_WHOLE_WORDS = 1,   // a piece that is itself a token is not merged ("ignore merges")
  PM_SPLIT_ADD_BOS = 2,       // add_bos_token is true unless the file says otherwise
  PM_SPLIT_RANKS_ARE_IDS = 4  // a file may come without merges: then the pair that makes the token with the lowest id goes first
};

// The rule for a value of tokenizer.ggml.pre; NULL if there is none.
const pm_split_rule *pm_split_rule_find(const char *name, size_t bytes);
uint32_t pm_split_rule_flags(const pm_split_rule *rule);
// Writes the known names, separated by commas.
void pm_split_rule_names(char *buf, size_t n);

// Calls `piece` with the length in characters of each piece in order; together they are the whole text. Stops at the first failure.
typedef pm_status pm_piece_fn(void *user, size_t n_char);
pm_status pm_split(const pm_split_rule *rule, const pm_uchar *text, size_t n_char, pm_piece_fn *piece, void *user) PM_MUST_USE;

#endif
