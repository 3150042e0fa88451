/* Fits of real images, or of made-up ones where there are none, whose steps are timed: as `fit` runs them,
 * but without a store. */
#ifndef PV_TIMED_FITS_H
#define PV_TIMED_FITS_H

#include "run/pv_run_config.h"
#include "signal/pv_signal.h"
#include "inr/pv_arch.h"

/* One rank's fits; opaque. */
typedef struct pv_timed_fits pv_timed_fits;

/* Plans fits of `config`'s recipe, of the objects of `signal`, borrowed, or of made-up pictures if it is
 * NULL. Owner: pv_timed_fits_close.  Local.  Errors: PV_ERR_CONFIG, PV_ERR_NOMEM; as all of these, those of
 * pv_signal_samples. */
pv_status pv_timed_fits_open(const pv_run_config *config, const pv_signal *signal, pv_timed_fits **out);
/* NULL is a no-op. */
void pv_timed_fits_close(pv_timed_fits *fits);

/* What is fitted. */
typedef struct pv_timed_shape {
    pv_arch arch;
    int samples;
    float *coords; /* [samples][inputs]; its own where each object has some */
    double step_flops,
        step_activations; /* of one step of one INR: operations; activations with their slopes */
    double step_narrow;   /* of the operations those with operands of fit.precision's 16 bits */
} pv_timed_shape;
const pv_timed_shape *pv_timed_fits_shape(const pv_timed_fits *fits);

/* Shapes: values [samples][channels]; its coordinates go to those of the shape where each object has some. */
pv_status pv_timed_fits_values(pv_timed_fits *fits, int64_t object, float *values);

/* *rate: INR-steps a second of this core, timed for at least `seconds`; *core_share is the part of that time
 * in which the core was this process's.  Local. */
pv_status pv_timed_fits_rate(pv_timed_fits *fits, double seconds, double *rate, double *core_share);

/* Fits a view of objects first .. first + count - 1, as a store of this recipe has it, for `steps` steps:
 * adds up their PSNR in dB, and takes their rows [count][P] unless that is NULL.
 * Local.  Errors: PV_STOPPED, PV_ERR_NUMERIC (a fit diverged). */
pv_status pv_timed_fits_rows(pv_timed_fits *fits, int64_t view, int64_t first, int64_t count, int64_t steps,
                             float *rows, double *psnr_sum);

#endif
