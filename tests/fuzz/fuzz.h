// What libFuzzer, and replay.c in its stead, calls.
#ifndef PM_TEST_FUZZ_H
#define PM_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
