/* Which axis of an array is what. */
#include "pv_array_layout.h"

#include <stdio.h>
#include <string.h>

enum { FEW = 4, MOST_SAMPLES = 1 << 28, MOST_CHANNELS = 1 << 16, SIZES_BYTES = 128, CHOICES_BYTES = 64 };

const char *const pv_array_layouts[] = {"auto", "L",   "LC",   "CL",   "HW", "HWC",
                                        "CHW",  "DHW", "DHWC", "CDHW", NULL};

/* "[28][28]" */
static void write_sizes(const pv_array_form *form, char text[SIZES_BYTES])
{
    size_t used = 0;
    text[0] = '\0';
    for (int d = 1; d < form->dims; d++)
        used += (size_t)snprintf(text + used, SIZES_BYTES - used, "[%lld]", (long long)form->size[d]);
}

/* The name that the sizes speak for; NULL: they speak for none, or several. */
static const char *guess(const int64_t *size, int axes)
{
    static const char *const plain[] = {NULL, "L", "HW", "DHW", NULL};
    static const char *const channelled[] = {NULL, NULL, "LC", "HWC", "DHWC"};
    int64_t least = INT64_MAX, most = 0;
    if (axes < 1 || axes > 4) return NULL;
    for (int a = 0; a < axes - 1; a++) {
        least = size[a] < least ? size[a] : least;
        most = size[a] > most ? size[a] : most;
    }
    const int64_t last = size[axes - 1];
    if (axes == 1) return plain[1];
    if (least <= FEW) return NULL;
    if (last <= FEW) return channelled[axes];
    least = last < least ? last : least;
    most = last > most ? last : most;
    return most / FEW <= least ? plain[axes] : NULL;
}

static pv_status ambiguous(const pv_array_form *form, const char *title)
{
    char sizes[SIZES_BYTES], choices[CHOICES_BYTES] = "";
    write_sizes(form, sizes);
    for (int i = 1; pv_array_layouts[i]; i++)
        if ((int)strlen(pv_array_layouts[i]) == form->dims - 1)
            snprintf(choices + strlen(choices), CHOICES_BYTES - strlen(choices), "%s%s",
                     choices[0] ? ", " : "", pv_array_layouts[i]);
    if (!choices[0])
        return pv_fail(PV_ERR_DATA, "%s has rows of %s: expected 1 to 4 axes behind that of the objects",
                       title, sizes[0] ? sizes : "one number");
    return pv_fail(
        PV_ERR_CONFIG,
        "%s has rows of %s, which may be of several kinds: say by signal.layout which axis is what (%s)",
        title, sizes, choices);
}

pv_status pv_array_layout_of(const pv_array_form *form, const char *title, unsigned which,
                             pv_array_layout *layout)
{
    char sizes[SIZES_BYTES];
    const char *name = which == 0 ? guess(form->size + 1, form->dims - 1) : pv_array_layouts[which];
    int64_t samples = 1, channels = 1;
    if (!name) return ambiguous(form, title);
    write_sizes(form, sizes);
    if ((int)strlen(name) != form->dims - 1)
        return pv_fail(PV_ERR_CONFIG, "signal.layout is %s, but %s has rows of %s", name, title,
                       sizes[0] ? sizes : "one number");
    *layout = (pv_array_layout){.name = name, .channels_first = name[0] == 'C'};
    for (int a = 0; name[a]; a++) {
        const int64_t size = form->size[1 + a];
        if (size > MOST_SAMPLES || (name[a] == 'C' ? size > MOST_CHANNELS : samples > MOST_SAMPLES / size))
            return pv_fail(PV_ERR_DATA, "%s has rows of %s, which are too large", title, sizes);
        if (name[a] == 'C') {
            channels = size;
        } else {
            samples *= size;
            layout->side[layout->sides++] = (int)size;
        }
    }
    layout->channels = (int)channels;
    layout->samples = (int)samples;
    return PV_OK;
}
