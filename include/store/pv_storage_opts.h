/* How a store lies on disk: the `storage` section of a config. */
#ifndef PV_STORAGE_OPTS_H
#define PV_STORAGE_OPTS_H

#include "config/pv_option.h"

#include <stdbool.h>

typedef struct pv_storage_opts {
    double shard_gib; /* a store larger than this is cut into shard files of at most this size; 0: one file */
    bool reserve;     /* set the disk space aside when a file is made */
    bool sync;        /* bring rows to disk before they are marked fitted */
    char *hints;      /* MPI-IO: "key=value key=value ..."; "" for none; owned by the config */
} pv_storage_opts;

/* The rows of the section. */
extern const pv_option pv_storage_options[];

#endif
