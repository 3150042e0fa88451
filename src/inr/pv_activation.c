/* The list of activations. */
#include "inr/pv_activation.h"

#include <string.h>

#define ENTRY(name) &pv_activation_##name.plugin,
const pv_registry pv_activations = {"activation", (const pv_plugin *const[]){PV_ACTIVATIONS(ENTRY) NULL}};

const pv_activation *pv_activation_at(int number)
{
    return (const pv_activation *)pv_activations.plugins[number];
}

int pv_activation_find(const char *word)
{
    const pv_activation *a;
    for (int i = 0; (a = pv_activation_at(i)); i++)
        if (strcmp(word, a->plugin.name) == 0 || strcmp(word, a->formula) == 0) return i;
    return -1;
}
