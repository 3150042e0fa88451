/* exp(-(a z)^2), whose a is w0.  Its values are taken in the kernels. */
#include "inr/pv_activation.h"

#include <math.h>

/* Source   Ramasinghe & Lucey 2022 and their code: the usual draw of PyTorch's layers, biases too, which
 *          place the bumps.   Differs: there exp(-z^2 / (2 sigma^2)), that is a = 0.707 / sigma. */
static double bound(int layer, double fan_in, double w0, pv_inr_variant variant)
{
    (void)layer, (void)w0, (void)variant;
    return 1 / sqrt(fan_in);
}

const pv_activation pv_activation_gauss = {
    .plugin = {.name = "gauss", .help = "exp(-(w0 (W h + b))^2), for which a w0 of about 10 does"},
    .formula = "exp(-(w0 (W h + b))^2)",
    .uses_w0 = true,
    .loop = PV_LOOP_GAUSS,
    .even = true,
    .bounded = true,
    .draws_biases = true,
    .bound = bound,
};
