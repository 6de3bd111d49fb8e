#include "processor.h"

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>

bool pm_processor_has_dot_product(void) { return getauxval(AT_HWCAP) & HWCAP_ASIMDDP; }
#else
bool pm_processor_has_dot_product(void) { return false; }
#endif
