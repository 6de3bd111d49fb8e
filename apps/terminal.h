// The terminal and the outside world: colours, a progress bar, Ctrl-C, output that notices when nobody reads it any more.
#ifndef PM_TERMINAL_H
#define PM_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pumice.h"

typedef enum pm_style_kind { PM_PLAIN, PM_BOLD, PM_DIM, PM_GREEN, PM_RED, PM_YELLOW } pm_style_kind;

// The escape sequence of a style; "" if the stream is no terminal or NO_COLOR is set.
const char *pm_style(FILE *f, pm_style_kind style);
bool pm_is_terminal(FILE *f);
uint32_t pm_terminal_width(void);  // columns for text: COLUMNS, else the terminal's, 40 to 100
double pm_seconds(void);           // a steady clock

// Ctrl-C. After pm_interrupt_catch it only sets a flag, and cancels the watched session if there is one; the third Ctrl-C in a row that
// nobody cleared ends the program.
void pm_interrupt_catch(void);
void pm_interrupt_watch(pumice_session *session);  // NULL = none
bool pm_interrupted(void);
void pm_interrupt_clear(void);

// A pumice_progress_fn: a bar on standard error if that is a terminal and the phase takes over 0.3 s. Returns false after Ctrl-C.
bool pm_progress(void *user, const char *phase, float done);
void pm_progress_clear(void);  // wipes the bar

// Writes to standard output and flushes; false once that has failed.
bool pm_output(const char *bytes, size_t n);
// To be called last: the exit code `code`, or PM_EXIT_WRONG_USE with a message if standard output could not be written.
int pm_output_finish(int code);

#endif
