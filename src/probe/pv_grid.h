/* The process grid, private to the matrices. */
#ifndef PV_GRID_H
#define PV_GRID_H

#include "parallel/pv_comm.h"

struct pv_grid {
    const pv_comm *comm;
    int handle, context;      /* BLACS's */
    int rows, cols, row, col; /* of the grid; this rank's place: rank = row * cols + col */
};

#endif
