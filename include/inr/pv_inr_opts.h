/* What an INR is and how it is fitted: the `inr` and `fit` sections of a config. */
#ifndef PV_INR_OPTS_H
#define PV_INR_OPTS_H

#include "config/pv_option.h"

#include <stdint.h>

enum { PV_INR_MAX_LAYERS = 8, PV_INR_MAX_WIDTH = 256 };

typedef enum pv_inr_variant {
    PV_INR_DWSNETS,  /* every sine layer W ~ U(+-sqrt(6/d_in)/w0), as the published sets */
    PV_INR_STANDARD, /* Sitzmann et al. 2020: the first layer W ~ U(+-1/d_in) */
} pv_inr_variant;

typedef struct pv_inr_opts {
    int *hidden; /* widths of the hidden layers; owned by the config */
    unsigned hidden_count;
    int activation; /* its number in pv_activation.h */
    pv_inr_variant variant;
    double w0;
    double offset; /* added to the output */
} pv_inr_opts;

typedef enum pv_fit_schedule {
    PV_SCHEDULE_CONSTANT,
    PV_SCHEDULE_COSINE, /* half a cosine from lr to 0 over `steps` */
} pv_fit_schedule;

typedef struct pv_fit_opts {
    int64_t views; /* independent initialisations an object */
    int64_t steps; /* Adam steps, at most */
    double lr;
    pv_fit_schedule schedule;
    double target_psnr;    /* dB; 0: off */
    int64_t plateau_steps; /* 0: off */
    double plateau_drop;   /* what counts as an improvement, relative to the best loss */
    int64_t batch;         /* samples a step; 0: all */
    int64_t restarts;      /* of a view whose loss is not finite */
    uint64_t seed;
} pv_fit_opts;

/* The rows of the sections. */
extern const pv_option pv_inr_options[], pv_fit_options[];

#endif
