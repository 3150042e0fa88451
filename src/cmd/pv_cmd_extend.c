/* `polyview extend`: grows a store. */
#include "base/pv_log.h"
#include "cmd/pv_commands.h"
#include "fit/pv_specimen.h"
#include "parallel/pv_walk.h"
#include "run/pv_fill_run.h"
#include "store/pv_lock.h"
#include "store/pv_store.h"

#include <stdlib.h>

enum { BLOCK = 1 << 16 };

/* The words of the command line; 0: as many as there are. */
typedef struct words {
    char *path;
    int64_t views, objects;
    pv_words set;
} words;

static const pv_option options[] = {
    {.name = "STORE", PV_MEMBER(words, path), .path = true, .required = true, .meaning = "the store"},
    {PV_KEY(words, views), PV_BETWEEN(0, 1000000), .value = "K", .meaning = "views of every object, in all"},
    {PV_KEY(words, objects), PV_AT_LEAST(0), .meaning = "objects, in all"},
    PV_OPTION_SETS(words),
    {0}};

/* Puts the growth into the config: new objects are the train file's next ones. */
static pv_status grow_config(const pv_store *store, const words *asked, pv_run_config *config,
                             pv_store_growth *growth)
{
    const int64_t views = pv_store_views(store), objects = pv_store_objects(store);
    growth->views = asked->views ? asked->views : views;
    growth->objects = asked->objects ? asked->objects : objects;
    if (growth->views < views || growth->objects < objects)
        return pv_fail(PV_ERR_USAGE, "'%s' has %lld views of %lld objects; a store cannot shrink",
                       pv_store_path(store), (long long)views, (long long)objects);
    if (config->signal.train < 0)
        return pv_fail(PV_ERR_DATA, "'%s': the config it keeps does not say how many train objects it has",
                       pv_store_path(store));
    growth->first_new = (int64_t)config->signal.train;
    config->signal.train += (double)(growth->objects - objects);
    config->fit.views = growth->views;
    return PV_OK;
}

/* A look at the objects of a store that is to grow. */
typedef struct old_objects {
    const pv_store *store;
    const pv_signal *signal;
    int64_t first_new, end; /* the places of the new ones in the signal */
    uint64_t sources[BLOCK];
} old_objects;

static pv_status check_old(void *context, int64_t first, int64_t count)
{
    old_objects *const o = context;
    const pv_status st = pv_store_read_sources(o->store, first, count, o->sources);
    if (st != PV_OK) return st;
    for (int64_t i = 0; i < count; i++) {
        const int64_t object = pv_signal_find(o->signal, o->sources[i]);
        if (object < 0 || (object >= o->first_new && object < o->end))
            return pv_fail(PV_ERR_DATA,
                           "'%s' cannot grow: files of its signal have come or gone since it was made, "
                           "and object %lld is %s",
                           pv_store_path(o->store), (long long)(first + i),
                           object < 0 ? "not there any more" : "in the place of a new one");
    }
    return PV_OK;
}

/* The objects of files may change their places when others come or go: what is new must be so. */
static pv_status check_new(const pv_comm *comm, const pv_store *store, const pv_signal *signal,
                           const pv_store_growth *growth)
{
    const int64_t objects = pv_store_objects(store);
    old_objects o = {.store = store,
                     .signal = signal,
                     .first_new = growth->first_new,
                     .end = growth->first_new + growth->objects - objects};
    const pv_walk walk = {.what = "comparing",
                          .unit = "objects",
                          .items = objects,
                          .block = BLOCK,
                          .visit = check_old,
                          .context = &o};
    return pv_walk_all(comm, &walk);
}

static pv_status grow(const pv_comm *comm, const pv_store *store, const words *asked, pv_run_config *config,
                      json_t *result)
{
    pv_store_growth growth = {0};
    pv_signal *signal = NULL;
    char *yaml = NULL;
    pv_status st;
    PV_TRY(pv_agree(comm, grow_config(store, asked, config, &growth)));
    PV_TRY(pv_agree(comm, pv_run_config_emit(config, &yaml)));
    if (growth.objects > pv_store_objects(store)) {
        PV_TRY(pv_signal_open(comm, &config->signal, &signal));
        PV_TRY(pv_specimen_check_store(comm, signal, store));
        PV_TRY(check_new(comm, store, signal, &growth));
    }
    growth.signal = signal;
    growth.config = yaml;
    const int64_t rows = growth.views * growth.objects;
    const int64_t added = rows - pv_store_views(store) * pv_store_objects(store);
    if (added > 0) /* a job that is started again asks for a size that is reached */
        PV_TRY(pv_store_extend(comm, store, &growth, &config->storage));
    pv_log_info("'%s' %s %lld views of %lld objects: `polyview fit --store %s` fits %s%lld new rows",
                config->store, added > 0 ? "now has" : "has", (long long)growth.views,
                (long long)growth.objects, config->store, added > 0 ? "the " : "", (long long)added);
    pv_json_text(result, "store", config->store);
    pv_json_int(result, "views", growth.views);
    pv_json_int(result, "objects", growth.objects);
    pv_json_int(result, "rows", rows);
    pv_json_int(result, "added", added);
done:
    pv_signal_close(signal);
    free(yaml);
    return st;
}

static pv_status run_extend(const pv_comm *comm, pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    const char *path = w->path;
    pv_run_config *config = NULL;
    pv_store *store = NULL;
    pv_lock *lock = NULL;
    pv_status st;
    if (w->views == 0 && w->objects == 0)
        PV_TRY(pv_fail(PV_ERR_USAGE, "extend needs --views or --objects; see `polyview extend --help`"));
    PV_TRY(pv_config_of_store(comm, path, &w->set, &config));
    PV_TRY(pv_run_lock(comm, path, &lock));
    PV_TRY(pv_store_open(comm, path, PV_STORE_READ, NULL, &store));
    st = grow(comm, store, w, config, result);
    pv_run_keep(run, path, config);
    if (st == PV_OK) st = pv_lock_confirm(comm, lock);
done:
    pv_store_close(store);
    pv_lock_release(lock);
    pv_run_config_free(config);
    return st;
}

const pv_command pv_command_extend = {
    .plugin = {.name = "extend", .help = "grow a store: more views, more objects", PV_OWN(options, words)},
    .about =
        "Grows a store.  New rows are missing until `polyview fit --store STORE` fits them; new objects are\n"
        "the next ones of the train file, in the train split.  Fitted rows are not touched: the store\n"
        "becomes a master file over shard files in <store>.shards, of which the first is the file that\n"
        "there was. Interrupted, the store is as it was.\n",
    .run = run_extend,
};
