/* The bounds of the recipes that networks were seen to read well. */
#include "fit/pv_recipe.h"
#include "base/pv_log.h"

#include <string.h>

enum { FEWEST_STEPS = 100 }; /* that were studied */

/* The highest rate whose weights were read well, and the w0 it was studied at.  A step moves w0 W by w0 times
 * the rate, whatever w0 is: their product is what counts. */
static const double HIGHEST_RATE = 2e-3, STUDIED_W0 = 30;

void pv_recipe_warn(const pv_arch *arch, const pv_fit_opts *fit)
{
    const double highest = HIGHEST_RATE * STUDIED_W0 / (double)arch->w0;
    if (strcmp(pv_arch_activation(arch)->plugin.name, "sine") != 0 || fit->init == PV_INIT_SHARED) return;
    if (fit->steps < FEWEST_STEPS || !(fit->lr > highest)) return;
    pv_log_warn("fit.lr is %g: at rates above %g weights end so far from their start that networks read them "
                "badly, however well they draw; docs/recipes.md tells which recipe to take",
                fit->lr, highest);
}
