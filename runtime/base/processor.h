// What this processor can do where the compiler has no portable way to ask.
#ifndef PM_PROCESSOR_H
#define PM_PROCESSOR_H

#include <stdbool.h>

// 64-bit Arm: the dot product extension (sdot, udot). False on anything else.
bool pm_processor_has_dot_product(void);

#endif
