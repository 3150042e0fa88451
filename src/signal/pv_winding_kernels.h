/* Winding numbers over a tree of groups of triangles, once for every instruction set. */
#ifndef PV_WINDING_KERNELS_H
#define PV_WINDING_KERNELS_H

#include "base/pv_cpu.h"

#include <stdint.h>

enum { PV_WINDING_BLOCK = 16 };

/* Triangles side by side; places left over hold triangles of one point, which wind around nothing. */
typedef struct pv_winding_block {
    float corner[3][3][PV_WINDING_BLOCK]; /* of corner, of axis */
} pv_winding_block;

/* A group of triangles.  Groups stand in the order in which a walk from the top meets them. */
typedef struct pv_winding_group {
    float centre[3], normal[3]; /* by area; the sum of the triangles' normals as long as their areas */
    /* Closer than this, squared, to the centre the triangles count one by one, else as one dipole. */
    float near2;
    int32_t block; /* that holds its triangles; -1: groups below it do */
    int32_t next;  /* the group after this one and all below it */
} pv_winding_group;

typedef struct pv_winding_kernels {
    double (*around)(int32_t groups, const pv_winding_group *group, const pv_winding_block *blocks,
                     const double point[3]);
} pv_winding_kernels;
PV_ISA_DECLARE(pv_winding_kernels);

#endif
