// The text that `pumice bench` evaluates: prose, talk, code, numbers and other languages, so that many experts get work.
#ifndef PM_BENCH_TEXT_H
#define PM_BENCH_TEXT_H

extern const char pm_bench_text[];

#endif
