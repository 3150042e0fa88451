/* The sine of a SIREN.  Its values are taken in the kernels, where phases are counted in half turns. */
#include "inr/pv_activation.h"

#include <math.h>

/* Source   Sitzmann et al. 2020, section 3.2; the published DWSNets INRs for the variant `dwsnets`;
 * `flat` was found by the study of docs/recipes.md. */
static double bound(int layer, double fan_in, double w0, pv_inr_variant variant)
{
    if (layer == 0 && variant == PV_INR_STANDARD) return 1 / fan_in;
    return (layer == 0 && variant == PV_INR_FLAT ? 2 : 1) * sqrt(6 / fan_in) / w0;
}

const pv_activation pv_activation_sine = {
    .plugin = {.name = "sine", .help = "sin(w0 (W h + b)), as in a SIREN"},
    .formula = "sin(w0 (W h + b))",
    .uses_w0 = true,
    .loop = PV_LOOP_SINE,
    .bounded = true,
    .bound = bound,
    .odd = true,
    .antiperiod = 3.14159265358979323846,
};
