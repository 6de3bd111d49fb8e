// Reading a template: what its expressions and its statements are read with. The first failure stays and ends everything.
#ifndef PM_JINJA_PARSER_H
#define PM_JINJA_PARSER_H

#include "jinja_ast.h"

typedef struct pm_jinja_parser {
  pm_heap *heap;
  const pm_jinja_token *at;
  int depth;
  int loops;         // around the statement being read
  pm_status status;  // the first failure
} pm_jinja_parser;

// Fails at the token that comes next, unless something failed before. Returns NULL.
pm_node *pm_jinja_object(pm_jinja_parser *p, pm_status code, const char *what);

// A node for the token that comes next; NULL if there is no memory.
pm_node *pm_jinja_new_node(pm_jinja_parser *p, pm_node_kind kind);
pm_node *pm_jinja_new_pair(pm_jinja_parser *p, pm_node_kind kind, pm_node *a, pm_node *b);
void pm_jinja_append(pm_node ***tail, pm_node *n);  // n may be NULL

bool pm_jinja_deeper(pm_jinja_parser *p);  // counts a level down, which the caller counts up again; false if it is one too many

bool pm_jinja_at_operator(const pm_jinja_parser *p, const char *op);
bool pm_jinja_at_name(const pm_jinja_parser *p, const char *name);
bool pm_jinja_take_operator(pm_jinja_parser *p, const char *op);
bool pm_jinja_take_name(pm_jinja_parser *p, const char *name);
bool pm_jinja_expect_operator(pm_jinja_parser *p, const char *op);
pm_value pm_jinja_expect_any_name(pm_jinja_parser *p);  // the text of the name that comes next; empty if there is none

// Expressions (jinja_expression.c). NULL after a failure.
pm_node *pm_jinja_expression(pm_jinja_parser *p);
pm_node *pm_jinja_condition(pm_jinja_parser *p);   // without "a if b else c"
pm_node *pm_jinja_open_tuple(pm_jinja_parser *p);  // where brackets around a tuple can be left out: a, b, c
pm_node *pm_jinja_attribute(pm_jinja_parser *p, pm_node *of);
pm_node *pm_jinja_filter(pm_jinja_parser *p, pm_node *of);
pm_node *pm_jinja_filters(pm_jinja_parser *p, pm_node *n);  // those that follow

#endif
