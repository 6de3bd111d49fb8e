// Who is in which home, when host memory has room for fewer records than there are experts: the policy alone. It sees only choices, so that
// an offline replay of them makes the same decisions as the engine.
//
// Every expert has a score: one for each use of its home (not of a slot in a device's memory), halved every 16 tokens of its table, whether
// tokens come one by one or as a prompt. A needed expert that has no home takes a free one, or that of the lowest score; among equals the
// one whose table runs again last, because layers come round in turn and plain LRU would throw out exactly what is needed next. What the
// running step needs of a layer is never thrown out.
#ifndef PM_HOMES_H
#define PM_HOMES_H

#include "backend.h"

typedef struct pm_homes pm_homes;

typedef struct pm_homes_desc {
  uint32_t n_table, n_expert, n_used;  // n_expert and n_used of every table
  uint32_t n_class;                    // 1 .. PM_EXPERT_CLASSES
  const uint32_t *class_of;            // [n_table]
  const uint32_t *n_home;              // [n_class]; they begin empty
} pm_homes_desc;

pm_status pm_homes_create(const pm_homes_desc *desc, pm_homes **out) PM_MUST_USE;
void pm_homes_destroy(pm_homes *h);

// The home of an expert, or PM_EXPERT_NOWHERE.
uint32_t pm_homes_of(const pm_homes *h, uint32_t table, uint32_t expert);

typedef struct pm_homes_fill {
  uint32_t expert, home;
  uint32_t old_table, old_expert;  // who lost this home; old_table PM_EXPERT_NOWHERE: it was free
} pm_homes_fill;

// The rows of a step chose ids [n_row][n_used] of a table. Gives every distinct one of them a home; `slot` [n_expert], or NULL: an expert
// whose entry is not PM_EXPERT_NOWHERE needs none. fills [n_expert] receives those that came into a home just now, in ascending order;
// *n_hit is how many were there already. PM_ERR_MEMORY, and nothing is changed, if there are not enough homes.
pm_status pm_homes_need(pm_homes *h, uint32_t table, const int32_t *ids, uint32_t n_row, const uint32_t *slot, pm_homes_fill *fills,
                        uint32_t *n_fill, uint32_t *n_hit) PM_MUST_USE;

// Fills free homes with the experts of the highest heat [n_table][n_expert] (PM_HOMES_USE = one use just now; NULL: all alike), which
// become their scores.
enum { PM_HOMES_USE = 256 };
pm_status pm_homes_seed(pm_homes *h, const uint32_t *heat) PM_MUST_USE;

// Its record could not be read: the expert has no home.
void pm_homes_drop(pm_homes *h, uint32_t table, uint32_t expert);

// Keeps a home from being taken while somebody reads from it beside the steps; calls count up and down.
void pm_homes_hold(pm_homes *h, uint32_t class, uint32_t home);
void pm_homes_release(pm_homes *h, uint32_t class, uint32_t home);

#endif
