// Regular expressions of JSON schemas (ECMA 262) as GBNF of JSON strings that match. The simple ones: characters, classes, \d \w \s,
// groups, alternatives, repetitions, and anchors at the ends.
#ifndef PM_JSON_PATTERN_H
#define PM_JSON_PATTERN_H

#include "buffer.h"
#include "value.h"

// Appends the quoted string. NULL, or what is not supported, as the end of a sentence.
const char *pm_json_pattern(pm_buffer *out, pm_span pattern);

// GBNF of the quoted strings of a `format` (RFC 3339, RFC 4122); NULL where it says nothing of how they look.
const char *pm_json_format(pm_span name);

#endif
