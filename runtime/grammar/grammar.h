// Grammars that answers must follow, in GBNF (the notation of llama.cpp's grammars/README.md), compiled to a network of byte transitions:
// a recursive transition network (Woods 1970), in which rules call each other and characters are their UTF-8 bytes, so that tokens which
// end inside of a character need no special care.
#ifndef PM_GRAMMAR_H
#define PM_GRAMMAR_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

enum {
  PM_GRAMMAR_MAX_NODES = 1 << 18,
  PM_GRAMMAR_MAX_RULES = 1 << 12,  // that have names
  PM_GRAMMAR_MAX_NESTING = 64,     // of parentheses
};

typedef enum pm_node_kind {
  PM_NODE_BYTES,   // a byte lo .. hi leads to `next`
  PM_NODE_JUMP,    // to `next`
  PM_NODE_SPLIT,   // to `next` and to `other`
  PM_NODE_CALL,    // the rule `other`, then `next`
  PM_NODE_RETURN,  // the end of a rule
} pm_node_kind;

typedef struct pm_node {
  uint8_t kind, lo, hi;
  uint32_t next, other;
} pm_node;

typedef struct pm_grammar {
  pm_node *nodes;
  uint32_t n_node, node_capacity;
  uint32_t *entries;  // [n_rule] node that a rule begins with
  uint32_t n_rule, rule_capacity;
  uint32_t root;
  uint8_t class_of[256];  // bytes that no node tells apart have the same number
  uint32_t n_class;
} pm_grammar;

// The rule "root" is the whole text. PM_ERR_ARGUMENT with line and column for what is no GBNF, for rules that are missing or
// left-recursive, and for grammars that are too large.
pm_status pm_grammar_parse(const char *text, size_t bytes, pm_grammar **out) PM_MUST_USE;
void pm_grammar_destroy(pm_grammar *g);  // NULL is fine

#endif
