/* Where the rows of a data set are kept. */
#ifndef PV_PLACEMENT_H
#define PV_PLACEMENT_H

typedef enum pv_placement {
    PV_PLACE_AUTO, /* a copy a node where that takes no more than a quarter of its memory, else sharded */
    PV_PLACE_NODE,
    PV_PLACE_JOB
} pv_placement;

#endif
