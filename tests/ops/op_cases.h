// The long list of op cases that every backend has to pass: every op, every format, odd shapes, one to seventy rows.
#ifndef PM_TEST_OP_CASES_H
#define PM_TEST_OP_CASES_H

#include "selftest_cases.h"

// Group i, NULL past the end.
const pm_case_group *op_case_group(uint32_t i);

// Runs all groups on a backend as cmocka assertions: prints each failed case, and one line per group. Fails if an op has no case.
// `only` NULL, the name of one group, "lean" (the formats that go through a few cases each) or "common" (all the others).
void op_cases_check(const pm_case_target *tested, const pm_case_target *reference, const char *only);

#endif
