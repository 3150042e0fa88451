/* The options of the scale-equivariant graph network beside those that all models share. */
#ifndef PV_SCALEGMN_OPTS_H
#define PV_SCALEGMN_OPTS_H

/* Which way messages go along the weights. */
typedef enum pv_direction { PV_DIRECTION_FORWARD, PV_DIRECTION_BOTH } pv_direction;

typedef struct pv_scalegmn_opts {
    pv_direction direction;
} pv_scalegmn_opts;

#endif
