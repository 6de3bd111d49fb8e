// What testbed.sh tells a program that it runs on one of its drivers.
#ifndef PM_TESTBED_H
#define PM_TESTBED_H

#include <stdbool.h>
#include <stdlib.h>

// Whether a validation layer that can be relied on is there. That of Debian 12 (1.3.239) cannot: it loses track of timeline semaphores
// which host and device signal in turn, and objects to what it has missed.
static inline bool testbed_validates(void) { return getenv("VK_INSTANCE_LAYERS"); }

#endif
