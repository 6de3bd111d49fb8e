// How wide a kernel reads memory, from the assembly that a driver shows.
#ifndef LOADS_H
#define LOADS_H

#include <stddef.h>

// "26x16 4x4": loads of each invocation's own address, by bytes; uniform ones are left out. "" if there are none.
void loads_describe(const char *assembly, char *out, size_t room);

#endif
