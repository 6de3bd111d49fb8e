#ifndef PM_CLOCK_H
#define PM_CLOCK_H

// Seconds of a monotonic clock with an arbitrary origin.
double pm_clock_seconds(void);

#endif
