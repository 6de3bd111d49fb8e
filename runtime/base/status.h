// Status codes and the message that travels with them.
//
// An error is born once, where it happens: PM_FAIL forms the message and returns the code. Callers forward it with
// PM_TRY. The message of the newest failure of a thread stays readable until the thread's next failure.
#ifndef PM_STATUS_H
#define PM_STATUS_H

#include <stdarg.h>

typedef enum pm_status {
  PM_OK = 0,
  PM_ERR_ARGUMENT,     // the caller asked for something impossible
  PM_ERR_IO,           // the operating system refused a file operation
  PM_ERR_FORMAT,       // a file's content is wrong
  PM_ERR_UNSUPPORTED,  // well-formed, but not something this build can do
  PM_ERR_MEMORY,       // an allocation failed, or a plan does not fit
  PM_ERR_DEVICE,       // a driver call failed
  PM_ERR_DEVICE_LOST,  // sticky: the device is gone
  PM_ERR_CANCELLED,    // the caller asked to stop
  PM_STATUS_COUNT
} pm_status;

#if defined(__GNUC__)
#define PM_MUST_USE __attribute__((warn_unused_result))
#define PM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define PM_MUST_USE
#define PM_PRINTF(fmt, args)
#endif

// Stores the formatted message for this thread and returns `code`.
pm_status pm_fail(pm_status code, const char *fmt, ...) PM_PRINTF(2, 3) PM_MUST_USE;

// Puts "prefix: " before this thread's message and returns `code`: for a caller that knows the file or the tensor.
pm_status pm_fail_prefix(pm_status code, const char *fmt, ...) PM_PRINTF(2, 3) PM_MUST_USE;

// Message of this thread's newest failure; "" if there was none. Valid until the next failure on this thread.
const char *pm_fail_message(void);

// Never PM_OK, which compilers take from here: what a function sets where it succeeds is set for whoever got PM_OK.
#define PM_FAIL(code, ...)                                      \
  do {                                                          \
    pm_status pm_fail_status_ = pm_fail((code), __VA_ARGS__);   \
    return pm_fail_status_ ? pm_fail_status_ : PM_ERR_ARGUMENT; \
  } while (0)
#define PM_TRY(call)                                    \
  do {                                                  \
    pm_status pm_try_status_ = (call);                  \
    if (pm_try_status_ != PM_OK) return pm_try_status_; \
  } while (0)

#endif
