/* The classes that labels name. */
#include "pv_class_set.h"
#include "base/pv_mem.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const pv_class *x = a, *y = b;
    return x->number != y->number ? (x->number > y->number) - (x->number < y->number)
                                  : strcmp(x->name.text, y->name.text);
}

static pv_status make_room(pv_class_set *set)
{
    const int room = set->room > 0 ? 2 * set->room : 64;
    pv_class *classes = pv_alloc(room, sizeof *classes);
    if (!classes) return PV_ERR_NOMEM;
    if (set->count > 0) memcpy(classes, set->classes, sizeof *classes * (size_t)set->count);
    free(set->classes);
    set->classes = classes;
    set->room = room;
    return PV_OK;
}

pv_status pv_class_set_note(pv_class_set *set, const pv_class *seen)
{
    int at = set->count;
    if (at > 0 && bsearch(seen, set->classes, (size_t)at, sizeof *seen, compare)) return PV_OK;
    if (at == PV_MAX_CLASSES) return pv_fail(PV_ERR_DATA, "more than %d classes", (int)PV_MAX_CLASSES);
    if (at == set->room && make_room(set) != PV_OK) return PV_ERR_NOMEM;
    for (; at > 0 && compare(&set->classes[at - 1], seen) > 0; at--)
        set->classes[at] = set->classes[at - 1];
    set->classes[at] = *seen;
    set->count++;
    return PV_OK;
}

int32_t pv_class_set_find(const pv_class_set *set, const pv_class *seen)
{
    const pv_class *found = bsearch(seen, set->classes, (size_t)set->count, sizeof *seen, compare);
    return (int32_t)(found - set->classes);
}

bool pv_class_set_counts(const pv_class_set *set)
{
    return !set->named && (set->count == 0 || set->classes[set->count - 1].number == set->count - 1);
}
