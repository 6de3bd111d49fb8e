// Operations of DeepSeek-V3 and V2-Lite layers, one per program, in the shapes that select the rows of pick.def which real cards use.
#ifndef STEP_SHAPES_H
#define STEP_SHAPES_H

#include "op.h"

// Those of every row count, or of decode alone.
uint32_t step_shapes_count(bool decode);

// Makes program `i` of these, which pm_program_finish frees; the weights have no bytes. Returns the rows of its step.
uint32_t step_shapes_build(pm_program *p, bool decode, uint32_t i);

#endif
