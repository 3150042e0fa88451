/* Labels and splits that a user's arrays hold. */
#include "pv_array_labels.h"
#include "base/pv_mem.h"
#include "pv_class_set.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- splits ---- */

static const char *const split_names[PV_SPLITS] = {"train", "val", "test"};

typedef struct split_take {
    const pv_array *array;
    uint8_t *split;
} split_take;

static pv_status take_splits(void *context, int64_t first, int64_t count, const double *numbers)
{
    const split_take *t = context;
    for (int64_t i = 0; i < count; i++) {
        if (!(numbers[i] == PV_SPLIT_TRAIN || numbers[i] == PV_SPLIT_VAL || numbers[i] == PV_SPLIT_TEST))
            return pv_fail(PV_ERR_DATA, "%s row %lld is %g, expected 0 (train), 1 (val) or 2 (test)",
                           pv_array_title(t->array), (long long)(first + i), numbers[i]);
        t->split[first + i] = (uint8_t)numbers[i];
    }
    return PV_OK;
}

static pv_status read_split_names(const pv_array *array, uint8_t *split)
{
    pv_class_name name;
    pv_status st = PV_OK;
    for (int64_t row = 0; row < pv_array_form_of(array)->rows; row++) {
        int found = 0;
        PV_TRY(pv_array_text(array, row, name.text, sizeof name.text));
        while (found < PV_SPLITS && strcmp(name.text, split_names[found]) != 0)
            found++;
        if (found == PV_SPLITS)
            return pv_fail(PV_ERR_DATA, "%s row %lld is '%s', expected train, val or test",
                           pv_array_title(array), (long long)row, name.text);
        split[row] = (uint8_t)found;
    }
done:
    return st;
}

pv_status pv_array_splits(const pv_array *array, uint8_t *split)
{
    split_take take = {array, split};
    return pv_array_form_of(array)->kind == PV_ARRAY_TEXT ? read_split_names(array, split)
                                                          : pv_array_pass(array, take_splits, &take);
}

/* ---- labels ---- */

typedef struct label_take {
    const pv_array *array;
    int64_t given; /* numbers of classes that have names; 0: any */
    pv_class_set classes;
    int32_t *labels;
} label_take;

static pv_class class_of(int32_t number)
{
    pv_class class = {.number = number};
    snprintf(class.name.text, sizeof class.name.text, "%d", number);
    return class;
}

static pv_status note(label_take *t, int64_t row, const pv_class *class)
{
    const pv_status st = pv_class_set_note(&t->classes, class);
    return st != PV_ERR_DATA
               ? st
               : pv_fail(st, "%s row %lld: the label '%s' is one of more than %d classes",
                         pv_array_title(t->array), (long long)row, class->name.text, (int)PV_MAX_CLASSES);
}

static pv_status take_numbers(void *context, int64_t first, int64_t count, const double *numbers)
{
    label_take *t = context;
    const int64_t end = t->given > 0 ? t->given : INT32_MAX;
    pv_status st = PV_OK;
    for (int64_t i = 0; i < count && st == PV_OK; i++) {
        if (!(numbers[i] >= -1 && numbers[i] < (double)end && numbers[i] == floor(numbers[i])))
            return pv_fail(PV_ERR_DATA,
                           "%s row %lld: the label %g is no class, expected 0 to %lld, or -1 for none",
                           pv_array_title(t->array), (long long)(first + i), numbers[i], (long long)end - 1);
        t->labels[first + i] = (int32_t)numbers[i];
        if (numbers[i] < 0) continue;
        const pv_class class = class_of((int32_t)numbers[i]);
        st = note(t, first + i, &class);
    }
    return st;
}

/* A name as stores keep it: UTF-8. */
static pv_status read_name(const pv_array *array, int64_t row, pv_class_name *name)
{
    const pv_status st = pv_array_text(array, row, name->text, sizeof name->text);
    json_t *text = st == PV_OK ? json_string(name->text) : NULL;
    const bool good = text != NULL;
    json_decref(text);
    return st != PV_OK || good ? st
                               : pv_fail(PV_ERR_DATA, "%s row %lld is a name that is not UTF-8",
                                         pv_array_title(array), (long long)row);
}

/* Twice: what classes there are must be known before any has its number. */
static pv_status read_class_names(label_take *t, bool again)
{
    pv_status st = PV_OK;
    for (int64_t row = 0; row < pv_array_form_of(t->array)->rows; row++) {
        pv_class class = {0};
        PV_TRY(read_name(t->array, row, &class.name));
        if (class.name.text[0] == '\0')
            t->labels[row] = -1;
        else if (again)
            t->labels[row] = pv_class_set_find(&t->classes, &class);
        else
            PV_TRY(note(t, row, &class));
    }
done:
    return st;
}

static pv_status read_labels(label_take *t)
{
    pv_status st;
    t->classes.named = pv_array_form_of(t->array)->kind == PV_ARRAY_TEXT;
    if (t->classes.named) {
        PV_TRY(t->given == 0 ? PV_OK
                             : pv_fail(PV_ERR_DATA, "%s holds names already: say signal.class_names: \"\"",
                                       pv_array_title(t->array)));
        PV_TRY(read_class_names(t, false));
        return read_class_names(t, true);
    }
    PV_TRY(pv_array_pass(t->array, take_numbers, t));
    for (int64_t row = 0; t->given == 0 && row < pv_array_form_of(t->array)->rows; row++) {
        const pv_class class = class_of(t->labels[row]);
        if (t->labels[row] >= 0) t->labels[row] = pv_class_set_find(&t->classes, &class);
    }
done:
    return st;
}

pv_status pv_array_labels(const pv_array *array, const pv_array *given, int32_t *labels, int *count,
                          pv_class_name **names)
{
    const int64_t named = given ? pv_array_form_of(given)->rows : 0;
    label_take t = {.array = array, .given = named, .labels = labels};
    pv_status st = PV_OK;
    *names = NULL;
    if (named > PV_MAX_CLASSES)
        return pv_fail(PV_ERR_DATA, "%s names more than %d classes", pv_array_title(given),
                       (int)PV_MAX_CLASSES);
    PV_TRY(read_labels(&t));
    if (!given && pv_class_set_counts(&t.classes)) goto done;
    *count = given ? (int)named : t.classes.count;
    PV_ALLOC(*names, *count);
    for (int c = 0; c < *count; c++)
        if (given)
            PV_TRY(read_name(given, c, &(*names)[c]));
        else
            (*names)[c] = t.classes.classes[c].name;
done:
    if (st != PV_OK) {
        free(*names);
        *names = NULL;
    }
    free(t.classes.classes);
    return st;
}
