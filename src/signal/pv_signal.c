/* What all sources share: splits, numbering, and one copy a node of what is held. */
#include "signal/pv_signal.h"
#include "base/pv_checksum.h"
#include "base/pv_mem.h"
#include "base/pv_path.h"
#include "parallel/pv_shared.h"

#include <stdlib.h>
#include <string.h>

static const char *const split_key[PV_SPLITS] = {"train", "val", "test"};

/* What a node's rank 0 learns and the other ranks need: plain bytes, broadcast as such. */
typedef struct signal_plan {
    pv_source_form form;
    pv_splits splits;
} signal_plan;

struct pv_signal {
    const pv_source *source;
    signal_plan plan;
    int64_t objects;
    int classes;
    pv_class_name *class_names; /* [classes]; NULL: each is called by its label */
    pv_shared shared; /* objects, up to a multiple of 8 bytes, then labels; NULL where nothing is held */
    uint8_t *held;
    int32_t *labels;
    float *coords; /* that all share; NULL: each has its own */
    char *about;   /* JSON */
};

static int pool_of(int split)
{
    return split == PV_SPLIT_TEST;
}

static pv_status check_range(const pv_source *source, const signal_plan *plan, int split)
{
    const int64_t first = plan->splits.first[split], count = plan->splits.count[split];
    const int64_t available = plan->form.pool[pool_of(split)];
    const char *key = split_key[split];
    if (count < 0)
        return pv_fail(PV_ERR_CONFIG, "signal.%s is %lld, expected 0 or more", key, (long long)count);
    if (count > available)
        return pv_fail(PV_ERR_CONFIG, "signal.%s is %lld, but %s has %lld objects", key, (long long)count,
                       source->pools[pool_of(split)], (long long)available);
    if (first < 0 || first > available - count)
        return pv_fail(PV_ERR_CONFIG, "signal.%s_first is %lld, expected 0 to %lld for %lld of %lld objects",
                       key, (long long)first, (long long)(available - count), (long long)count,
                       (long long)available);
    return PV_OK;
}

/* The splits of the source's pools. */
static pv_status plan_splits(const pv_source *source, const pv_signal_opts *opts, signal_plan *plan)
{
    pv_splits *splits = &plan->splits;
    *splits = (pv_splits){{opts->train_first, opts->val_first, opts->test_first},
                          {opts->train, opts->val, opts->test}};
    int64_t *first = splits->first, *count = splits->count;
    const int64_t trained = plan->form.pool[0];
    if (first[PV_SPLIT_VAL] == -1 && count[PV_SPLIT_VAL] >= 0)
        first[PV_SPLIT_VAL] = trained > count[PV_SPLIT_VAL] ? trained - count[PV_SPLIT_VAL] : 0;
    for (int split = 0; split < PV_SPLITS; split++) {
        const pv_status st = check_range(source, plan, split);
        if (st != PV_OK) return st;
    }
    const int64_t train_end = first[PV_SPLIT_TRAIN] + count[PV_SPLIT_TRAIN];
    const int64_t val_end = first[PV_SPLIT_VAL] + count[PV_SPLIT_VAL];
    if (count[PV_SPLIT_TRAIN] > 0 && count[PV_SPLIT_VAL] > 0 && first[PV_SPLIT_TRAIN] < val_end &&
        first[PV_SPLIT_VAL] < train_end)
        return pv_fail(PV_ERR_CONFIG,
                       "signal.train and signal.val overlap: objects %lld to %lld and %lld to %lld of %s",
                       (long long)first[PV_SPLIT_TRAIN], (long long)train_end - 1,
                       (long long)first[PV_SPLIT_VAL], (long long)val_end - 1, source->pools[0]);
    if (count[PV_SPLIT_TRAIN] + count[PV_SPLIT_VAL] + count[PV_SPLIT_TEST] == 0)
        return pv_fail(PV_ERR_CONFIG, "signal.train, signal.val and signal.test are all 0");
    return PV_OK;
}

/* The object as its source's functions get it. */
static pv_source_object object_of(const pv_signal *signal, int64_t object)
{
    const int64_t bytes = signal->plan.form.object_bytes;
    return (pv_source_object){&signal->plan.form, signal->held ? signal->held + object * bytes : NULL,
                              pv_signal_source_id(signal, object)};
}

/* Local: what follows from the plan. */
static pv_status derive(pv_signal *signal)
{
    pv_status st = PV_OK;
    const pv_source_form *form = &signal->plan.form;
    for (int split = 0; split < PV_SPLITS; split++)
        signal->objects += signal->plan.splits.count[split];
    if (form->own_coords) return PV_OK;
    PV_ALLOC(signal->coords, (int64_t)form->samples * form->inputs);
    signal->source->coords(&(pv_source_object){.form = form}, signal->coords);
done:
    return st;
}

static int64_t held_bytes(const pv_signal *signal)
{
    return (signal->objects * signal->plan.form.object_bytes + 7) / 8 * 8;
}

/* Local, on rank 0 of a node: reads and checks all of the source. */
static pv_status load(pv_signal *signal, void *reader)
{
    const pv_source *source = signal->source;
    pv_status st =
        source->load(reader, &signal->plan.form, &signal->plan.splits, signal->held, signal->labels);
    for (int64_t i = 0; st == PV_OK && i < signal->objects; i++)
        if (signal->labels[i] < -1 || signal->labels[i] > INT32_MAX - 1)
            return pv_fail(PV_ERR_DATA, "object %lld of the source '%s' has the label %d, expected -1 to %d",
                           (long long)i, source->plugin.name, signal->labels[i], INT32_MAX - 1);
    if (st == PV_OK && source->classes) st = source->classes(reader, &signal->classes, &signal->class_names);
    return st;
}

/* Gives the names of the classes to the other ranks of the node.  Collective over the node and the world. */
static pv_status share_names(const pv_comm *comm, pv_signal *signal)
{
    int names = signal->class_names ? signal->classes : 0;
    pv_status st = PV_OK;
    MPI_Bcast(&names, 1, MPI_INT, 0, comm->node);
    if (names > 0 && !signal->class_names) PV_ALLOC(signal->class_names, names);
done:
    st = pv_agree(comm, st);
    if (st != PV_OK || names == 0) return st;
    signal->classes = names;
    MPI_Bcast(signal->class_names, names * (int)sizeof *signal->class_names, MPI_BYTE, 0, comm->node);
    return PV_OK;
}

/* Nodes may read from disks of their own: all must have read the same.  Collective over comm->leaders. */
static pv_status compare_nodes(const pv_comm *comm, const pv_signal *signal, const char *path)
{
    const size_t bytes = (size_t)held_bytes(signal) + (size_t)signal->objects * sizeof *signal->labels;
    const size_t named = signal->class_names ? (size_t)signal->classes * sizeof *signal->class_names : 0;
    const uint64_t mine[] = {pv_checksum(&signal->plan, sizeof signal->plan),
                             pv_checksum(signal->held, bytes), pv_checksum(signal->class_names, named)};
    uint64_t first[] = {mine[0], mine[1], mine[2]};
    MPI_Bcast(first, 3, MPI_UINT64_T, 0, comm->leaders);
    if (memcmp(first, mine, sizeof mine) != 0)
        return pv_fail(PV_ERR_DATA, "the files in '%s' on this node are not those on the node of rank 0",
                       path ? path : "");
    return PV_OK;
}

static pv_status hold(const pv_comm *comm, pv_signal *signal, const char *path, void *reader)
{
    const bool leads = comm->node_rank == 0;
    const int64_t bytes = held_bytes(signal);
    pv_status st;
    PV_TRY(pv_agree(comm, pv_shared_open(comm, bytes + signal->objects * (int64_t)sizeof *signal->labels,
                                         &signal->shared)));
    signal->held = signal->shared.data;
    signal->labels = (int32_t *)(void *)(signal->held + bytes);
    PV_TRY(pv_agree(comm, leads ? load(signal, reader) : PV_OK));
    PV_TRY(pv_agree(comm, leads ? compare_nodes(comm, signal, path) : PV_OK));
    pv_shared_sync(comm, &signal->shared);
    PV_TRY(share_names(comm, signal));
    for (int64_t i = 0; !signal->class_names && i < signal->objects; i++)
        if (signal->labels[i] >= signal->classes) signal->classes = signal->labels[i] + 1;
done:
    return st;
}

static pv_status describe(pv_signal *signal, const pv_signal_opts *opts)
{
    const pv_source_form *form = &signal->plan.form;
    json_t *about = json_pack("{s:s}", "source", signal->source->plugin.name);
    json_t *own = signal->source->describe(opts);
    if (form->height > 0)
        json_object_update_new(about, json_pack("{s:i, s:i, s:i}", "height", form->height, "width",
                                                form->width, "channels", form->channels));
    json_object_set_new(about, "classes", json_integer(signal->classes));
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
    const pv_plugin *plugin = opts->source.plugin;
    const pv_source *source = (const pv_source *)(plugin ? plugin : pv_sources.plugins[0]);
    void *reader = NULL;
    pv_status st = PV_OK;
    signal->source = source;
    signal->classes = 1;
    if (comm->node_rank == 0) {
        st = source->survey(opts, &signal->plan.form, &reader);
        if (st == PV_OK) st = plan_splits(source, opts, &signal->plan);
    }
    PV_TRY(pv_agree(comm, st));
    MPI_Bcast(&signal->plan, (int)sizeof signal->plan, MPI_BYTE, 0, comm->node);
    PV_TRY(pv_agree(comm, derive(signal)));
    if (source->load) st = hold(comm, signal, opts->path, reader);
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

pv_status pv_signal_open(const pv_comm *comm, const pv_signal_opts *opts, pv_signal **out)
{
    pv_signal *signal = pv_alloc(1, sizeof *signal);
    pv_status st = pv_agree(comm, signal ? PV_OK : PV_ERR_NOMEM);
    *out = NULL;
    if (st == PV_OK) st = open_settled(comm, opts, signal);
    if (st == PV_OK)
        *out = signal;
    else
        pv_signal_close(signal);
    return st;
}

void pv_signal_close(pv_signal *signal)
{
    if (!signal) return;
    pv_shared_close(&signal->shared);
    free(signal->class_names);
    free(signal->coords);
    free(signal->about);
    free(signal);
}

int64_t pv_signal_objects(const pv_signal *signal)
{
    return signal->objects;
}

const pv_source_form *pv_signal_form(const pv_signal *signal)
{
    return &signal->plan.form;
}

int pv_signal_classes(const pv_signal *signal)
{
    return signal->classes;
}

const pv_class_name *pv_signal_class_names(const pv_signal *signal)
{
    return signal->class_names;
}

const char *pv_signal_json(const pv_signal *signal)
{
    return signal->about;
}

const float *pv_signal_coords(const pv_signal *signal)
{
    return signal->coords;
}

void pv_signal_object_coords(const pv_signal *signal, int64_t object, float *coords)
{
    const pv_source_object it = object_of(signal, object);
    signal->source->coords(&it, coords);
}

void pv_signal_values(const pv_signal *signal, int64_t object, float *y)
{
    const pv_source_object it = object_of(signal, object);
    signal->source->values(&it, y);
}

void pv_signal_target(const pv_signal *signal, int64_t object, float *targets)
{
    const pv_source_object it = object_of(signal, object);
    signal->source->targets(&it, targets);
}

const void *pv_signal_held(const pv_signal *signal, int64_t object)
{
    return object_of(signal, object).bytes;
}

int32_t pv_signal_label(const pv_signal *signal, int64_t object)
{
    return signal->labels ? signal->labels[object] : 0;
}

uint8_t pv_signal_split(const pv_signal *signal, int64_t object)
{
    const int64_t *count = signal->plan.splits.count;
    const int64_t train = count[PV_SPLIT_TRAIN], val = count[PV_SPLIT_VAL];
    return object < train ? PV_SPLIT_TRAIN : object < train + val ? PV_SPLIT_VAL : PV_SPLIT_TEST;
}

uint64_t pv_signal_source_id(const pv_signal *signal, int64_t object)
{
    const signal_plan *plan = &signal->plan;
    const uint8_t split = pv_signal_split(signal, object);
    int64_t place = object;
    for (int before = 0; before < split; before++)
        place -= plan->splits.count[before];
    return (uint64_t)(plan->splits.first[split] + place + (pool_of(split) ? plan->form.pool[0] : 0));
}

int64_t pv_signal_find(const pv_signal *signal, uint64_t source_id)
{
    const signal_plan *plan = &signal->plan;
    int64_t objects = 0;
    for (int split = 0; split < PV_SPLITS; split++) {
        const int64_t pool = pool_of(split) ? plan->form.pool[0] : 0, count = plan->splits.count[split];
        const uint64_t first = (uint64_t)(pool + plan->splits.first[split]);
        if (source_id >= first && source_id - first < (uint64_t)count)
            return objects + (int64_t)(source_id - first);
        objects += count;
    }
    return -1;
}

/* A number of `about`, 0 where there is none; *good becomes false if it is no count. */
static int count_in(const json_t *object, const char *key, bool *good)
{
    const json_t *value = json_object_get(object, key);
    const json_int_t count = json_integer_value(value);
    if (value && (!json_is_integer(value) || count < 0 || count >= INT32_MAX)) *good = false;
    return *good ? (int)count : 0;
}

pv_status pv_signal_from_json(const char *text, const char *where, pv_signal_about *about)
{
    json_t *root = json_loads(text, 0, NULL);
    bool good = json_is_object(root);
    *about = (pv_signal_about){count_in(root, "height", &good), count_in(root, "width", &good),
                               count_in(root, "channels", &good), count_in(root, "classes", &good)};
    json_decref(root);
    if (good) return PV_OK;
    return pv_fail(PV_ERR_DATA, "'%s': the attribute 'signal' is not a JSON object with counts: %.200s",
                   where, text);
}
