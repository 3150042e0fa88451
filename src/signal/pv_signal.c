/* What all sources share: opening one, its splits, and what is asked of an object. */
#include "signal/pv_signal.h"
#include "base/pv_mem.h"
#include "base/pv_path.h"
#include "pv_held.h"

#include <stdlib.h>
#include <string.h>

struct pv_signal {
    pv_signal_plan plan;
    pv_held *held; /* what this rank fetches changes in it */
    float *coords; /* that all share; NULL: each has its own */
    char *about;   /* JSON */
};

static const pv_source *source_of(const pv_signal *signal)
{
    return signal->held->source;
}

/* ---- opening ---- */

/* Local, on rank 0 of a node. */
static pv_status survey(const pv_source *source, const pv_signal_opts *opts, pv_signal_plan *plan,
                        void **reader)
{
    pv_source_form *const form = &plan->form;
    const pv_signal_opts wishes = pv_splits_wishes(source, opts);
    pv_status st;
    PV_TRY(source->survey(&wishes, form, reader));
    if (form->low == 0 && form->high == 0) form->high = 1;
    if (form->targets > PV_SIGNAL_MAX_TARGETS)
        PV_TRY(pv_fail(PV_ERR_DATA, "'%s' has %d targets of an object, expected at most %d",
                       opts->path ? opts->path : source->plugin.name, form->targets,
                       (int)PV_SIGNAL_MAX_TARGETS));
    st = pv_splits_plan(source, opts, form, &plan->splits);
done:
    return st;
}

/* Local: what follows from the plan. */
static pv_status derive(pv_signal *signal)
{
    const pv_source_form *form = &signal->plan.form;
    pv_status st = PV_OK;
    signal->held->objects = pv_splits_objects(&signal->plan.splits);
    if (form->own_coords) return PV_OK;
    PV_ALLOC(signal->coords, (int64_t)form->samples * form->inputs);
    source_of(signal)->grid(form, signal->coords);
done:
    return st;
}

static pv_status describe(pv_signal *signal, const pv_signal_opts *opts)
{
    const pv_source_form *form = &signal->plan.form;
    json_t *about = json_pack("{s:s}", "source", source_of(signal)->plugin.name);
    json_t *own = source_of(signal)->describe(opts, form);
    if (form->depth > 0) json_object_set_new(about, "depth", json_integer(form->depth));
    if (form->height > 0)
        json_object_update_new(about, json_pack("{s:i, s:i, s:i}", "height", form->height, "width",
                                                form->width, "channels", form->channels));
    if (form->low != 0 || form->high != 1)
        json_object_set_new(about, "range", json_pack("[f, f]", form->low, form->high));
    json_object_set_new(about, "classes", json_integer(signal->held->classes));
    const bool known = own && json_object_update(about, own) == 0;
    signal->about = known ? json_dumps(about, 0) : NULL;
    json_decref(own);
    json_decref(about);
    if (!known)
        return pv_fail(PV_ERR_CONFIG, "the signal's path is not valid UTF-8: '%s'",
                       opts->path ? opts->path : "");
    return signal->about ? PV_OK : PV_ERR_NOMEM;
}

static pv_status open_source(const pv_comm *comm, const pv_signal_opts *opts, pv_signal *signal)
{
    const pv_source *source = source_of(signal);
    const bool leads = comm->node_rank == 0;
    void *reader = NULL;
    pv_status st;
    PV_TRY(pv_agree(comm, leads ? survey(source, opts, &signal->plan, &reader) : PV_OK));
    MPI_Bcast(&signal->plan, (int)sizeof signal->plan, MPI_BYTE, 0, comm->node);
    PV_TRY(pv_agree(comm, derive(signal)));
    if (source->load) st = pv_held_load(comm, opts->keep, opts->path, reader, signal->held);
done:
    if (reader) source->close(reader);
    return st;
}

/* The options are those of the config but for the path, which nodes may have links of their own in. */
static pv_status open_settled(const pv_comm *comm, const pv_signal_opts *opts, pv_signal *signal)
{
    pv_signal_opts settled = *opts;
    pv_status st;
    settled.path = NULL;
    if (opts->path) PV_TRY(pv_path_settle(comm, pv_path_absolute, opts->path, &settled.path));
    PV_TRY(open_source(comm, &settled, signal));
    st = pv_agree(comm, describe(signal, opts));
done:
    free(settled.path);
    return st;
}

static pv_status new_signal(const pv_signal_opts *opts, pv_signal **out)
{
    const pv_plugin *plugin = opts->source.plugin;
    pv_signal *signal;
    pv_status st = PV_OK;
    PV_ALLOC(signal, 1);
    *out = signal;
    PV_ALLOC(signal->held, 1);
    *signal->held = (pv_held){.source = (const pv_source *)(plugin ? plugin : pv_sources.plugins[0]),
                              .plan = &signal->plan,
                              .classes = 1};
done:
    return st;
}

pv_status pv_signal_open(const pv_comm *comm, const pv_signal_opts *opts, pv_signal **out)
{
    pv_status st;
    *out = NULL;
    PV_TRY(pv_agree(comm, new_signal(opts, out)));
    PV_TRY(open_settled(comm, opts, *out));
    return PV_OK;
done:
    pv_signal_close(*out);
    *out = NULL;
    return st;
}

void pv_signal_close(pv_signal *signal)
{
    if (!signal) return;
    if (signal->held) pv_held_free(signal->held);
    free(signal->held);
    free(signal->coords);
    free(signal->about);
    free(signal);
}

/* ---- what it is ---- */

int64_t pv_signal_objects(const pv_signal *signal)
{
    return signal->held->objects;
}

int64_t pv_signal_count(const pv_signal *signal, int split)
{
    return signal->plan.splits.count[split];
}

pv_status pv_signal_settle(const pv_signal *signal, pv_signal_opts *opts)
{
    const int64_t *count = signal->plan.splits.count;
    opts->train = (double)count[PV_SPLIT_TRAIN];
    opts->val = (double)count[PV_SPLIT_VAL];
    opts->test = (double)count[PV_SPLIT_TEST];
    return source_of(signal)->settle ? source_of(signal)->settle(&signal->plan.form, opts->source.options)
                                     : PV_OK;
}

const pv_source_form *pv_signal_form(const pv_signal *signal)
{
    return &signal->plan.form;
}

int pv_signal_classes(const pv_signal *signal)
{
    return signal->held->classes;
}

const pv_class_name *pv_signal_class_names(const pv_signal *signal)
{
    return signal->held->class_names;
}

const char *pv_signal_json(const pv_signal *signal)
{
    return signal->about;
}

const float *pv_signal_coords(const pv_signal *signal)
{
    return signal->coords;
}

/* ---- an object ---- */

pv_status pv_signal_samples(const pv_signal *signal, int64_t object, float *coords, float *values)
{
    const pv_source_form *form = &signal->plan.form;
    pv_source_object it;
    const pv_status st = pv_held_take(signal->held, object, &it);
    if (st != PV_OK) return st;
    if (signal->coords && coords)
        memcpy(coords, signal->coords, sizeof *coords * (size_t)form->samples * (size_t)form->inputs);
    return source_of(signal)->samples(&it, signal->coords ? NULL : coords, values);
}

pv_status pv_signal_heldout(const pv_signal *signal, int64_t object, float *coords, float *values)
{
    pv_source_object it;
    const pv_status st = pv_held_take(signal->held, object, &it);
    return st == PV_OK ? source_of(signal)->heldout(&it, coords, values) : st;
}

pv_status pv_signal_frame(const pv_signal *signal, int64_t object, float frame[PV_SOURCE_FRAME])
{
    static const float own[PV_SOURCE_FRAME] = {[PV_SOURCE_FRAME - 1] = 1};
    pv_source_object it;
    const pv_status st = pv_held_take(signal->held, object, &it);
    memcpy(frame, own, sizeof own);
    return st == PV_OK && source_of(signal)->frame ? source_of(signal)->frame(&it, frame) : st;
}

bool pv_signal_has_surfaces(const pv_signal *signal)
{
    return source_of(signal)->distances != NULL;
}

pv_status pv_signal_distances(const pv_signal *signal, int64_t object, int64_t n, const float *points,
                              float *distances)
{
    pv_source_object it;
    const pv_status st = pv_signal_take(signal, object, &it);
    return st == PV_OK ? source_of(signal)->distances(&it, n, points, distances) : st;
}

pv_status pv_signal_target(const pv_signal *signal, int64_t object, float *targets)
{
    pv_source_object it;
    const pv_status st = pv_held_take(signal->held, object, &it);
    if (st == PV_OK) source_of(signal)->targets(&it, targets);
    return st;
}

pv_status pv_signal_take(const pv_signal *signal, int64_t object, pv_source_object *it)
{
    return pv_held_take(signal->held, object, it);
}

int32_t pv_signal_label(const pv_signal *signal, int64_t object)
{
    return signal->held->parts.labels ? signal->held->parts.labels[object] : 0;
}

uint8_t pv_signal_split(const pv_signal *signal, int64_t object)
{
    return (uint8_t)pv_splits_of(&signal->plan.splits, object);
}

uint64_t pv_signal_source_id(const pv_signal *signal, int64_t object)
{
    return pv_held_id(signal->held, object);
}

int64_t pv_signal_find(const pv_signal *signal, uint64_t source_id)
{
    return pv_held_find(signal->held, source_id);
}

/* ---- what a store says of it ---- */

/* A number of `about`, 0 where there is none; *good becomes false if it is no count. */
static int count_in(const json_t *object, const char *key, bool *good)
{
    const json_t *value = json_object_get(object, key);
    const json_int_t count = json_integer_value(value);
    if (value && (!json_is_integer(value) || count < 0 || count >= INT32_MAX)) *good = false;
    return *good ? (int)count : 0;
}

/* "range": [low, high], 0 and 1 where there is none; *good becomes false if it is no range. */
static void range_in(const json_t *object, double *low, double *high, bool *good)
{
    const json_t *range = json_object_get(object, "range");
    *low = range ? json_number_value(json_array_get(range, 0)) : 0;
    *high = range ? json_number_value(json_array_get(range, 1)) : 1;
    if (!(*low < *high)) *good = false;
}

pv_status pv_signal_from_json(const char *text, const char *where, pv_signal_about *about)
{
    json_t *root = json_loads(text, 0, NULL);
    bool good = json_is_object(root);
    *about = (pv_signal_about){.depth = count_in(root, "depth", &good),
                               .height = count_in(root, "height", &good),
                               .width = count_in(root, "width", &good),
                               .channels = count_in(root, "channels", &good),
                               .classes = count_in(root, "classes", &good)};
    range_in(root, &about->low, &about->high, &good);
    json_decref(root);
    if (good) return PV_OK;
    return pv_fail(PV_ERR_DATA, "'%s': the attribute 'signal' is not a JSON object with counts: %.200s",
                   where, text);
}
