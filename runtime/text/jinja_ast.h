// The tree of a template: lexer to parser to interpreter.
#ifndef PM_JINJA_AST_H
#define PM_JINJA_AST_H

#include "jinja.h"

enum { PM_JINJA_MAX_DEPTH = 200 };  // of nested expressions and statements

typedef enum pm_token_kind {
  PM_TOKEN_END,
  PM_TOKEN_TEXT,  // between tags
  PM_TOKEN_OUTPUT_BEGIN,
  PM_TOKEN_OUTPUT_END,
  PM_TOKEN_BLOCK_BEGIN,
  PM_TOKEN_BLOCK_END,
  PM_TOKEN_NAME,
  PM_TOKEN_OPERATOR,
  PM_TOKEN_CONSTANT,  // a text or a number, in `value`
} pm_token_kind;

typedef struct pm_jinja_token {
  pm_token_kind kind;
  uint32_t line;
  pm_span text;
  pm_value value;
} pm_jinja_token;

// All tokens of a template, the last one PM_TOKEN_END, with white space taken away where the tags say so.
pm_status pm_jinja_lex(pm_heap *h, pm_span text, pm_jinja_token **out) PM_MUST_USE;

typedef enum pm_node_kind {  // what `kid` holds
  // expressions
  PM_NODE_CONSTANT,   // value
  PM_NODE_NAME,       // value: the name
  PM_NODE_LIST,       // 0: items
  PM_NODE_TUPLE,      // 0: items
  PM_NODE_DICT,       // 0: PAIRs
  PM_NODE_PAIR,       // 0: key, 1: value
  PM_NODE_ATTRIBUTE,  // 0: of what; value: the name
  PM_NODE_ITEM,       // 0: of what, 1: index
  PM_NODE_SLICE,      // 0: of what, 1..3: start, stop, step or NULL
  PM_NODE_CALL,       // 0: what, 1: ARGUMENTs
  PM_NODE_ARGUMENT,   // 0: expression; value: its name, if it has one
  PM_NODE_FILTER,     // 0: of what, NULL = the text of the block around it; 1: ARGUMENTs; value: the name
  PM_NODE_TEST,       // 0: of what, 1: ARGUMENTs; value: the name
  PM_NODE_UNARY,      // 0; op
  PM_NODE_BINARY,     // 0, 1; op
  PM_NODE_COMPARE,    // 0: the first operand, 1: OPERANDs
  PM_NODE_OPERAND,    // 0; op before it
  PM_NODE_AND,        // 0, 1
  PM_NODE_OR,         // 0, 1
  PM_NODE_NOT,        // 0
  PM_NODE_CHOICE,     // 0: condition, 1: then, 2: else or NULL
  // statements
  PM_NODE_TEXT,     // value
  PM_NODE_OUTPUT,   // 0: expression
  PM_NODE_IF,       // 0: condition, 1: then, 2: else
  PM_NODE_FOR,      // 0: target, 1: over what, 2: body, 3: else, 4: condition or NULL
  PM_NODE_SET,      // 0: target: NAME, TUPLE of NAMEs or ATTRIBUTE of a NAME; 1: expression
  PM_NODE_CAPTURE,  // 0: target NAME or NULL = output, 1: body, 2: chain of FILTERs or NULL
  PM_NODE_MACRO,    // value: the name; 0: ARGUMENTs with default or NULL, 1: body
  PM_NODE_CALLER,   // 0: the CALL, 1: body, 2: its parameters
  PM_NODE_WITH,     // 0: SETs, 1: body
  PM_NODE_BREAK,
  PM_NODE_CONTINUE,
} pm_node_kind;

typedef enum pm_operator {
  PM_OP_NONE,
  PM_OP_ADD,
  PM_OP_SUB,
  PM_OP_MUL,
  PM_OP_DIV,
  PM_OP_FLOOR_DIV,
  PM_OP_MOD,
  PM_OP_POW,
  PM_OP_CONCAT,
  PM_OP_EQ,
  PM_OP_NE,
  PM_OP_LT,
  PM_OP_LE,
  PM_OP_GT,
  PM_OP_GE,
  PM_OP_IN,
  PM_OP_NOT_IN,
} pm_operator;

typedef struct pm_node pm_node;
struct pm_node {
  pm_node_kind kind;
  pm_operator op;
  uint32_t line;
  pm_value value;
  pm_node *kid[5];
  pm_node *next;  // of a list
};

struct pm_jinja {
  pm_heap heap;
  pm_node *body;
};

#endif
