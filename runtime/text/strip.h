// The ends of texts.
#ifndef PM_STRIP_H
#define PM_STRIP_H

#include "span.h"

// Without characters of `chars` at its ends; `chars` NULL: without white space.
pm_span pm_span_strip(pm_span s, const pm_span *chars, bool left, bool right);

#endif
