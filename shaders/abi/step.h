// The step buffer (binding 3): what changes from step to step, in 32-bit words, read by C and GLSL.
//
//   header | n_row rows of 4 words | n_logit row indices | n_row * n_rope floats: (cosine, sine) of every pair's angle
//
// Packed without gaps, so that the host writes (or copies) one short range: PM_STEP_WORDS words.
#ifndef PM_ABI_STEP_H
#define PM_ABI_STEP_H

// Words of the header.
#define PM_STEP_N_ROW 0
#define PM_STEP_N_LOGIT 1
#define PM_STEP_N_ROPE 2  // values rotated per head; n_rope / 2 pairs
#define PM_STEP_ZERO 3    // always 0

#define PM_STEP_ROWS 4
#define PM_STEP_ROW_WORDS 4  // token, pos, base, 0
#define PM_STEP_LOGIT_ROWS(n_row) (PM_STEP_ROWS + PM_STEP_ROW_WORDS * (n_row))
#define PM_STEP_ROPE(n_row, n_logit) (PM_STEP_LOGIT_ROWS(n_row) + (n_logit))
#define PM_STEP_WORDS(n_row, n_logit, n_rope) (PM_STEP_ROPE(n_row, n_logit) + (n_row) * (n_rope))

#endif
