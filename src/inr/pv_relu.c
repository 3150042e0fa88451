/* max(0, z), without w0.  Its values are taken in the kernels. */
#include "inr/pv_activation.h"

#include <math.h>

/* Source   He et al. 2015, section 2.2: a variance of 2 / fan_in, here of a uniform draw, and no bias. */
static double bound(int layer, double fan_in, double w0, pv_inr_variant variant)
{
    (void)layer, (void)w0, (void)variant;
    return sqrt(6 / fan_in);
}

const pv_activation pv_activation_relu = {
    .plugin = {.name = "relu",
               .help = "max(0, W h + b), which draws only what is coarse unless it has an inr.encoding"},
    .formula = "max(0, W h + b)",
    .loop = PV_LOOP_RELU,
    .scales = true,
    .bound = bound,
};
