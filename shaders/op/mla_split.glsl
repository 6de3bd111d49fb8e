// How the cells that a row may see are divided among workgroups: N_SPLIT equal runs, each a multiple of the workgroup size.

layout(constant_id = 1) const uint N_SPLIT = 1;

uint split_cells(uint n_cell, uint tile) { return ((n_cell + N_SPLIT - 1) / N_SPLIT + tile - 1) / tile * tile; }
