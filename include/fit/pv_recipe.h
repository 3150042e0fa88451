/* What is known of a recipe of fits besides how well it draws: whether networks can read the weights. */
#ifndef PV_RECIPE_H
#define PV_RECIPE_H

#include "inr/pv_arch.h"

/* Warns of a rate that is known to throw weights so far from their start that networks read them badly, and
 * names docs/recipes.md, whose study is of sines that start each by itself, and of 100 steps and more.
 * Local; the logger's process speaks. */
void pv_recipe_warn(const pv_arch *arch, const pv_fit_opts *fit);

#endif
