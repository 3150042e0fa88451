/* The list of activations. */
#include "inr/pv_activation.h"

#include <string.h>

#define ADDRESS(name) &pv_activation_##name,
static const pv_activation *const all[] = {PV_ACTIVATIONS(ADDRESS) NULL};

const pv_activation *pv_activation_at(int number)
{
    return all[number];
}

int pv_activation_find(const char *word)
{
    for (int i = 0; all[i]; i++)
        if (strcmp(word, all[i]->name) == 0 || strcmp(word, all[i]->formula) == 0) return i;
    return -1;
}
