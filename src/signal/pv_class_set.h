/* The classes that labels name, by number or by name, ascending: the label of an object is the place of its
 * class among them. */
#ifndef PV_CLASS_SET_H
#define PV_CLASS_SET_H

#include "signal/pv_source.h"

/* One class as a file names it; of a number the name is its digits. */
typedef struct pv_class {
    int32_t number; /* 0 where classes are named */
    pv_class_name name;
} pv_class;

/* Zeroed: empty.  Owner: free(classes). */
typedef struct pv_class_set {
    pv_class *classes;
    int count, room;
    bool named; /* by names, not by numbers */
} pv_class_set;

/* Puts a class among those that were seen.  Local.   Errors: PV_ERR_DATA (more than PV_MAX_CLASSES),
 * PV_ERR_NOMEM. */
pv_status pv_class_set_note(pv_class_set *set, const pv_class *seen);

/* The place of a class that was noted. */
int32_t pv_class_set_find(const pv_class_set *set, const pv_class *seen);

/* Whether the classes are the numbers 0, 1, 2, ... without a gap, and so are labels as they stand. */
bool pv_class_set_counts(const pv_class_set *set);

#endif
