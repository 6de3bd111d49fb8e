#include "matcher.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

enum {
  STACKS = 1 << 15,    // at most, remembered
  READINGS = 1 << 17,  // of all states
  STATES = 1 << 12,    // at most
  STEPS = 1 << 18,     // entries of the table of transitions: with many classes of bytes there are fewer states
  FOUND_SLOTS = 2 * PM_MATCHER_MAX_READINGS,
  EMPTY = 0,  // stack 0: nothing to return to
};

typedef struct stack {
  uint32_t back;    // node to return to
  uint32_t parent;  // stack below
  uint32_t depth;
} stack;

typedef struct reading {
  uint32_t node, stack;
} reading;

typedef struct state {  // state 0 is PM_MATCHER_DEAD
  uint32_t first, n;    // readings, all at nodes that take bytes, in order
  bool may_end;
} state;

typedef struct found {
  reading r;
  uint32_t slot;  // of the table that finds it
} found;

struct pm_matcher {
  const pm_grammar *g;
  stack *stacks;
  reading *readings;
  state *states;
  uint32_t *steps;  // [max_state][n_class] state + 1; 0: not known yet
  uint32_t n_stack, n_reading, n_state, max_state;
  uint32_t *stack_slots, *state_slots;  // hash tables of 2 * STACKS and 2 * STATES; 0 = free
  uint32_t *moved;                      // [STACKS] new numbers while stacks are sorted out
  uint32_t current;
  // The set that is being made: all readings on the way to it, and those of them that take bytes.
  found *found;           // [PM_MATCHER_MAX_READINGS]
  uint16_t *found_slots;  // index + 1
  reading *set;           // [PM_MATCHER_MAX_READINGS]
  uint32_t n_found, n_set, watched;
  bool may_end, came_back;
};

static uint32_t mix(uint32_t a, uint32_t b) { return (uint32_t)((((uint64_t)a << 32 | b) * 0x9e3779b97f4a7c15u) >> 32); }

// ---- stacks: equal ones have equal numbers, parents lower numbers than what is on them ----

// EMPTY if the stack would be too deep, or there is no room.
static uint32_t push_stack(pm_matcher *m, uint32_t back, uint32_t parent) {
  uint32_t i = mix(back, parent) % (2 * STACKS), k;
  for (; (k = m->stack_slots[i]) != 0; i = (i + 1) % (2 * STACKS))
    if (m->stacks[k].back == back && m->stacks[k].parent == parent) return k;
  if (m->n_stack == STACKS || m->stacks[parent].depth == PM_MATCHER_MAX_DEPTH) return EMPTY;
  m->stacks[m->n_stack] = (stack){back, parent, m->stacks[parent].depth + 1};
  return m->stack_slots[i] = m->n_stack++;
}

// ---- the set of readings after a byte ----

static uint32_t after_jumps(const pm_grammar *g, uint32_t node) {
  while (g->nodes[node].kind == PM_NODE_JUMP) node = g->nodes[node].next;
  return node;
}

static void find(pm_matcher *m, uint32_t node, uint32_t on) {
  node = after_jumps(m->g, node);
  uint32_t i = mix(node, on) % FOUND_SLOTS, k;
  for (; (k = m->found_slots[i]) != 0; i = (i + 1) % FOUND_SLOTS)
    if (m->found[k - 1].r.node == node && m->found[k - 1].r.stack == on) return;
  if (m->n_found == PM_MATCHER_MAX_READINGS) return;
  m->found[m->n_found++] = (found){{node, on}, i};
  m->found_slots[i] = (uint16_t)m->n_found;
}

static void find_call(pm_matcher *m, const pm_node *node, uint32_t on) {
  uint32_t back = after_jumps(m->g, node->next);
  m->came_back |= node->other == m->watched;
  if (m->g->nodes[back].kind != PM_NODE_RETURN) {  // a call at a rule's end leaves nothing to return to
    on = push_stack(m, back, on);
    if (on == EMPTY) return;
  }
  find(m, m->g->entries[node->other], on);
}

// Passes a node that takes no byte, keeps one that does.
static void pass(pm_matcher *m, reading r) {
  const pm_node *node = &m->g->nodes[r.node];
  switch ((pm_node_kind)node->kind) {
    case PM_NODE_BYTES: m->set[m->n_set++] = r; break;
    case PM_NODE_JUMP: break;  // never found
    case PM_NODE_SPLIT:
      find(m, node->next, r.stack);
      find(m, node->other, r.stack);
      break;
    case PM_NODE_CALL: find_call(m, node, r.stack); break;
    case PM_NODE_RETURN:
      if (r.stack == EMPTY) {
        m->may_end = true;
      } else {
        find(m, m->stacks[r.stack].back, m->stacks[r.stack].parent);
      }
      break;
  }
}

static void begin_set(pm_matcher *m) {
  for (uint32_t i = 0; i < m->n_found; i++) m->found_slots[m->found[i].slot] = 0;
  m->n_found = m->n_set = 0;
  m->may_end = m->came_back = false;
}

static void complete_set(pm_matcher *m) {
  for (uint32_t i = 0; i < m->n_found; i++) pass(m, m->found[i].r);
}

// ---- states ----

static int compare(const void *a, const void *b) {
  const reading *x = a, *y = b;
  if (x->node != y->node) return x->node < y->node ? -1 : 1;
  return (x->stack > y->stack) - (x->stack < y->stack);
}

// The state of the set. False if it is a new one for which there is no room.
static bool state_of_set(pm_matcher *m, uint32_t *out) {
  *out = PM_MATCHER_DEAD;
  if (!m->n_set && !m->may_end) return true;
  qsort(m->set, m->n_set, sizeof *m->set, compare);
  uint32_t hash = m->may_end, k;
  for (uint32_t i = 0; i < m->n_set; i++) hash = mix(hash ^ m->set[i].node, m->set[i].stack);
  uint32_t at = hash % (2 * STATES);
  for (; (k = m->state_slots[at]) != 0; at = (at + 1) % (2 * STATES)) {
    const state *s = &m->states[k];
    if (s->n == m->n_set && s->may_end == m->may_end && !memcmp(m->readings + s->first, m->set, m->n_set * sizeof *m->set))
      return *out = k, true;
  }
  if (m->n_state == m->max_state || m->n_set > READINGS - m->n_reading) return false;
  memcpy(m->readings + m->n_reading, m->set, m->n_set * sizeof *m->set);
  m->states[m->n_state] = (state){m->n_reading, m->n_set, m->may_end};
  m->n_reading += m->n_set;
  *out = m->state_slots[at] = m->n_state++;
  return true;
}

uint32_t pm_matcher_step(pm_matcher *m, uint32_t from, uint8_t byte) {
  uint32_t *known = &m->steps[from * m->g->n_class + m->g->class_of[byte]], to;
  if (*known) return *known - 1;
  const state *s = &m->states[from];
  begin_set(m);
  for (uint32_t i = s->first; i < s->first + s->n; i++) {
    const pm_node *node = &m->g->nodes[m->readings[i].node];
    if (byte >= node->lo && byte <= node->hi) find(m, node->next, m->readings[i].stack);
  }
  complete_set(m);
  if (state_of_set(m, &to)) *known = to + 1;
  return to;
}

static void forget_states(pm_matcher *m) {
  memset(m->steps, 0, (size_t)m->n_state * m->g->n_class * sizeof *m->steps);
  memset(m->state_slots, 0, 2 * STATES * sizeof *m->state_slots);
  m->n_state = 1, m->n_reading = 0;
}

// Keeps the stacks that the set stands on, and gives them new numbers.
static void sort_out_stacks(pm_matcher *m) {
  uint32_t n = m->n_stack;
  memset(m->moved, 0, n * sizeof *m->moved);
  memset(m->stack_slots, 0, 2 * STACKS * sizeof *m->stack_slots);
  for (uint32_t i = 0; i < m->n_set; i++) m->moved[m->set[i].stack] = 1;
  for (uint32_t k = n - 1; k > EMPTY; k--)
    if (m->moved[k]) m->moved[m->stacks[k].parent] = 1;
  m->n_stack = 1, m->moved[EMPTY] = EMPTY;
  for (uint32_t k = 1; k < n; k++)
    if (m->moved[k]) m->moved[k] = push_stack(m, m->stacks[k].back, m->moved[m->stacks[k].parent]);
  for (uint32_t i = 0; i < m->n_set; i++) m->set[i].stack = m->moved[m->set[i].stack];
}

// Forgets everything but the state that the text has come to.
static void forget(pm_matcher *m) {
  const state s = m->states[m->current];
  begin_set(m);
  memcpy(m->set, m->readings + s.first, s.n * sizeof *m->set);
  m->n_set = s.n, m->may_end = s.may_end;
  sort_out_stacks(m);
  forget_states(m);
  (void)state_of_set(m, &m->current);  // the first one always has room
}

// ---- create ----

static pm_status create_into(pm_matcher *m) {
  uint32_t n_class = m->g->n_class;
  m->max_state = STEPS / n_class < STATES ? STEPS / n_class : STATES;
  PM_NEW(&m->stacks, STACKS, "grammar");
  PM_NEW(&m->readings, READINGS, "grammar");
  PM_NEW(&m->states, m->max_state, "grammar");
  PM_NEW(&m->steps, m->max_state * n_class, "grammar");
  PM_NEW(&m->stack_slots, 2 * STACKS, "grammar");
  PM_NEW(&m->state_slots, 2 * STATES, "grammar");
  PM_NEW(&m->moved, STACKS, "grammar");
  PM_NEW(&m->found, PM_MATCHER_MAX_READINGS, "grammar");
  PM_NEW(&m->found_slots, FOUND_SLOTS, "grammar");
  PM_NEW(&m->set, PM_MATCHER_MAX_READINGS, "grammar");
  m->n_stack = m->n_state = 1;
  m->watched = m->g->n_rule;
  find(m, m->g->entries[m->g->root], EMPTY);
  complete_set(m);
  (void)state_of_set(m, &m->current);
  return PM_OK;
}

pm_status pm_matcher_create(const pm_grammar *g, pm_matcher **out) {
  *out = NULL;
  pm_matcher *m;
  PM_NEW(&m, 1, "grammar");
  m->g = g;
  pm_status status = create_into(m);
  if (status) return pm_matcher_destroy(m), status;
  *out = m;
  return PM_OK;
}

void pm_matcher_destroy(pm_matcher *m) {
  if (!m) return;
  pm_free(m->stacks);
  pm_free(m->readings);
  pm_free(m->states);
  pm_free(m->steps);
  pm_free(m->stack_slots);
  pm_free(m->state_slots);
  pm_free(m->moved);
  pm_free(m->found);
  pm_free(m->found_slots);
  pm_free(m->set);
  pm_free(m);
}

// ---- text ----

uint32_t pm_matcher_look(pm_matcher *m) {
  if (m->n_stack > STACKS / 2 || m->n_state > m->max_state / 2 || m->n_reading > READINGS / 2) forget(m);
  return m->current;
}

bool pm_matcher_push(pm_matcher *m, const char *text, size_t bytes) {
  uint32_t s = pm_matcher_look(m);
  for (size_t i = 0; i < bytes && s != PM_MATCHER_DEAD; i++) s = pm_matcher_step(m, s, (uint8_t)text[i]);
  if (s == PM_MATCHER_DEAD) return false;
  m->current = s;
  return true;
}

bool pm_matcher_may_end(const pm_matcher *m) { return m->states[m->current].may_end; }
bool pm_matcher_must_end(const pm_matcher *m) { return m->states[m->current].n == 0; }

bool pm_matcher_is_left_recursive(pm_matcher *m, uint32_t rule) {
  if (m->n_stack > STACKS / 2) forget(m);
  begin_set(m);
  m->watched = rule;
  find(m, m->g->entries[rule], EMPTY);
  complete_set(m);
  m->watched = m->g->n_rule;
  return m->came_back;
}
