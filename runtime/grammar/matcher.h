// Follows a grammar byte by byte. What a text has come to is a set of readings, each a node of the network and a stack of calls to return
// to. Sets are made once and remembered with their transitions, so that a byte usually costs one look into a table: a deterministic
// automaton that is built lazily (Thompson 1968), over stacks that share their tails.
#ifndef PM_MATCHER_H
#define PM_MATCHER_H

#include <stdbool.h>

#include "grammar.h"

enum {
  PM_MATCHER_MAX_DEPTH = 512,       // of calls; text that needs more is refused
  PM_MATCHER_MAX_READINGS = 32000,  // of one text; what an ambiguous grammar has beyond is not followed
};

typedef struct pm_matcher pm_matcher;

// At the beginning of the text. The grammar must outlive the matcher, which takes some megabytes and allocates nothing later.
pm_status pm_matcher_create(const pm_grammar *g, pm_matcher **out) PM_MUST_USE;
void pm_matcher_destroy(pm_matcher *m);  // NULL is fine

// Takes text; false, and nothing is taken, if no text of the grammar goes on with it.
bool pm_matcher_push(pm_matcher *m, const char *text, size_t bytes);
bool pm_matcher_may_end(const pm_matcher *m);   // the text so far is whole
bool pm_matcher_must_end(const pm_matcher *m);  // and nothing may follow

// Looking ahead. States are valid until the next push or pm_matcher_look.
enum { PM_MATCHER_DEAD = 0 };
uint32_t pm_matcher_look(pm_matcher *m);  // the state that the text has come to
uint32_t pm_matcher_step(pm_matcher *m, uint32_t state, uint8_t byte);

// Whether a rule comes back to itself before it has taken any text. For the grammar's parser; before any text.
bool pm_matcher_is_left_recursive(pm_matcher *m, uint32_t rule);

#endif
