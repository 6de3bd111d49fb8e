// Ranges of numbers as GBNF of their decimal notation, by their digits.
#ifndef PM_JSON_NUMBERS_H
#define PM_JSON_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"

typedef struct pm_json_bounds {
  bool from, to;      // there is one
  bool above, below;  // it is not part of the range
  int64_t low, high;  // of up to 15 digits
} pm_json_bounds;

// Whole numbers; the bounds are part of the range. Without an end they have up to 16 digits.
void pm_json_integers(pm_buffer *out, const pm_json_bounds *b);

// Numbers with decimals, without exponents.
void pm_json_decimals(pm_buffer *out, const pm_json_bounds *b);

#endif
