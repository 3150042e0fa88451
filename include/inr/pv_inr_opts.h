/* What an INR is and how it is fitted: the `inr` and `fit` sections of a config. */
#ifndef PV_INR_OPTS_H
#define PV_INR_OPTS_H

#include "config/pv_option.h"
#include "inr/pv_activation.h"

#include <stdint.h>

enum { PV_INR_MAX_LAYERS = 8, PV_INR_MAX_WIDTH = 256 };

typedef enum pv_encoding {
    PV_ENCODING_NONE,    /* coordinates go into the first layer as they are */
    PV_ENCODING_FOURIER, /* cos(2 pi B x), sin(2 pi B x) of a fixed matrix B do */
} pv_encoding;

enum { PV_INR_MOST_FREQUENCIES = PV_INR_MAX_WIDTH / 2 };

typedef struct pv_inr_opts {
    int *hidden; /* widths of the hidden layers; owned by the config */
    unsigned hidden_count;
    pv_pick activation;
    pv_inr_variant variant;
    double w0;
    double offset; /* added to the output */
    pv_encoding encoding;
    int frequencies; /* rows of B */
    double sigma;    /* standard deviation of its entries */
} pv_inr_opts;

typedef enum pv_fit_schedule {
    PV_SCHEDULE_CONSTANT,
    PV_SCHEDULE_COSINE, /* half a cosine from lr to 0 over `steps` */
} pv_fit_schedule;

typedef enum pv_fit_init {
    PV_INIT_INDEPENDENT, /* every row starts from weights of its own */
    PV_INIT_SHARED,      /* view k of every object from the same, another for each k */
} pv_fit_init;

typedef enum pv_precision {
    PV_PRECISION_FLOAT32,
    PV_PRECISION_BFLOAT16,     /* in the order of AVX512-BF16 */
    PV_PRECISION_BFLOAT16_AMX, /* of AMX */
    PV_PRECISION_INT16,
} pv_precision;

typedef struct pv_fit_opts {
    int64_t views; /* INRs an object */
    pv_fit_init init;
    int64_t steps; /* Adam steps, at most */
    double lr;
    pv_fit_schedule schedule;
    double target_psnr;     /* dB; 0: off */
    int64_t plateau_steps;  /* 0: off */
    double plateau_drop;    /* what counts as an improvement, relative to the best loss */
    int64_t batch;          /* samples a step; 0: all */
    int64_t restarts;       /* of a view whose loss is not finite */
    pv_precision precision; /* of what hidden layers multiply */
    int64_t polish;         /* the last steps, in float32 whatever the precision */
    uint64_t seed;
} pv_fit_opts;

/* As the config says it. */
const char *pv_inr_variant_name(pv_inr_variant variant);
const char *pv_fit_init_name(pv_fit_init init);
const char *pv_precision_name(pv_precision precision);

/* The rows of the sections. */
extern const pv_option pv_inr_options[], pv_fit_options[];

#endif
