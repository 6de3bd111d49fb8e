// What a person types: lines with editing and history where a terminal and libedit are there, plain lines otherwise.
#ifndef PM_LINE_INPUT_H
#define PM_LINE_INPUT_H

#include "text_buffer.h"

typedef enum pm_line { PM_LINE, PM_LINE_END, PM_LINE_INTERRUPTED } pm_line;  // a line, end of input, Ctrl-C

typedef struct pm_line_input pm_line_input;

// Prompts go to standard error, and only if standard input is a terminal.
pm_line_input *pm_line_input_create(void);
void pm_line_input_destroy(pm_line_input *in);

// Reads a message: one line; several if each but the last ends with a backslash, or if they stand between lines of """.
pm_line pm_line_input_read(pm_line_input *in, pm_text *message);

#endif
