/* What is fitted: the `signal` section of a config. */
#ifndef PV_SIGNAL_OPTS_H
#define PV_SIGNAL_OPTS_H

#include "config/pv_option.h"

#include <stdint.h>

typedef struct pv_signal_opts {
    pv_pick source;      /* in tests without a plug-in: the first */
    char *path;          /* of the source's files; owned by the config */
    int64_t train;       /* objects from the train pool, starting at train_first */
    int64_t val;         /* objects from the train pool, starting at val_first */
    int64_t test;        /* objects from the test pool, starting at test_first */
    int64_t train_first; /* index in the train pool */
    int64_t val_first;   /* index in the train pool; -1: its last `val` objects */
    int64_t test_first;  /* index in the test pool */
} pv_signal_opts;

/* The rows of the section. */
extern const pv_option pv_signal_options[];

#endif
