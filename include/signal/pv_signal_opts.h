/* What is fitted: the `signal` section of a config. */
#ifndef PV_SIGNAL_OPTS_H
#define PV_SIGNAL_OPTS_H

#include "config/pv_option.h"

#include <stdint.h>

typedef enum pv_signal_source { PV_SIGNAL_IDX, PV_SIGNAL_SINE } pv_signal_source;

typedef struct pv_signal_opts {
    pv_signal_source source;
    char *path;          /* directory that holds the four IDX files; owned by the config */
    int64_t train;       /* objects from the train file, starting at train_first */
    int64_t val;         /* objects from the train file, starting at val_first */
    int64_t test;        /* objects from the test file, starting at test_first */
    int64_t train_first; /* index in the train file */
    int64_t val_first;   /* index in the train file; -1: its last `val` images */
    int64_t test_first;  /* index in the test file */
    int64_t samples;     /* sine: of a wave */
    uint64_t seed;       /* sine */
} pv_signal_opts;

/* The rows of the section. */
extern const pv_option pv_signal_options[];

#endif
