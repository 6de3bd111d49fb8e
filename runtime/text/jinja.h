// Chat templates: the part of the Jinja language (https://jinja.palletsprojects.com/en/3.1.x/templates/) that they use, as the programs
// for which they are written set it up: trim_blocks and lstrip_blocks on, no escaping, immutable values, break and continue,
// {% generation %}, and the functions raise_exception and strftime_now.
#ifndef PM_JINJA_H
#define PM_JINJA_H

#include "buffer.h"
#include "value.h"

typedef struct pm_jinja pm_jinja;  // a parsed template

// PM_ERR_FORMAT or PM_ERR_UNSUPPORTED with the line. The text is copied.
pm_status pm_jinja_parse(const char *text, size_t n, pm_jinja **out) PM_MUST_USE;
void pm_jinja_destroy(pm_jinja *t);  // NULL is fine

// Appends what the template makes of the variables of `context`. `heap` is where the context lies; intermediate values go there too, and
// its limit, the limit of `out` and a bounded number of steps keep a hostile template from taking the machine. `now`: seconds since 1970
// for strftime_now, 0 = the clock. PM_ERR_ARGUMENT if the template itself refuses (raise_exception); PM_ERR_FORMAT for what it does
// wrong, PM_ERR_UNSUPPORTED for what is not known here, PM_ERR_MEMORY at a limit. Several threads may render one template.
pm_status pm_jinja_render(const pm_jinja *t, pm_heap *heap, pm_value context, int64_t now, pm_buffer *out) PM_MUST_USE;

#endif
