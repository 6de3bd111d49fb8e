#ifndef PM_CLOCK_H
#define PM_CLOCK_H

// Seconds of a monotonic clock with an arbitrary origin.
double pm_clock_seconds(void);

// Returns when pm_clock_seconds is past `seconds`; at once if it is.
void pm_clock_wait(double seconds);

#endif
