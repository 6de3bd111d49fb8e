// Importance matrices: for each column of a weight the mean square of what it is multiplied with, measured over a text. In a GGUF file, a
// weight "x" has the tensors "x.in_sum2" (sums of squares; of stacked weights one row for each slab) and "x.counts" (of how many
// values): the layout that llama.cpp's llama-imatrix writes and llama-quantize reads.
#ifndef PM_IMATRIX_FILE_H
#define PM_IMATRIX_FILE_H

#include "model_file.h"

typedef struct pm_imatrix_file pm_imatrix_file;

pm_status pm_imatrix_file_open(const char *path, pm_imatrix_file **out) PM_MUST_USE;
void pm_imatrix_file_close(pm_imatrix_file *m);  // NULL is fine

// How many weights it knows, and over how many pieces of the text it was measured (0 if it does not say).
uint32_t pm_imatrix_file_n_entry(const pm_imatrix_file *m);
uint32_t pm_imatrix_file_n_chunk(const pm_imatrix_file *m);
// The text it was measured over ("" if it does not say); lives as long as m.
const char *pm_imatrix_file_dataset(const pm_imatrix_file *m);

// Importances of all slabs of a weight, out [ne[2] * ne[3]][ne[0]]; 0 throughout in a slab that nothing was measured for (an expert that
// was never chosen). *found is false if the file does not know the weight. PM_ERR_FORMAT where shapes do not fit or values are no squares.
pm_status pm_imatrix_file_get(const pm_imatrix_file *m, const pm_file_tensor *t, float *out, bool *found) PM_MUST_USE;

#endif
