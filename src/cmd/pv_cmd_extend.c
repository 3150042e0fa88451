/* `polyview extend`: grows a store. */
#include "base/pv_log.h"
#include "cmd/pv_commands.h"
#include "run/pv_fill_run.h"
#include "run/pv_record.h"
#include "store/pv_lock.h"
#include "store/pv_store.h"

#include <stdlib.h>

/* What is asked for; 0: as many as there are. */
typedef struct request {
    int64_t views, objects;
} request;

/* The config that the grown store keeps: with --set where that changes no row. */
static pv_status load_config(const char *path, const pv_store *store, const pv_sets *sets,
                             const pv_run_config *kept, pv_run_config **grown)
{
    char keys[1024] = "";
    int conflicts = 0;
    pv_status st;
    PV_TRY(pv_run_config_load(path, pv_store_config(store), sets->words, sets->count, grown));
    PV_TRY(pv_run_config_conflicts(*grown, kept, PV_FIXES_ROWS, keys, sizeof keys, &conflicts));
    if (conflicts > 0 || (*grown)->fit.views != kept->fit.views)
        st = pv_fail(PV_ERR_CONFIG, "--set may not change what rows '%s' holds: %s", path,
                     conflicts > 0 ? keys : "fit.views; give --views");
done:
    return st;
}

/* Puts the growth into the config: new objects are the train file's next ones. */
static pv_status grow_config(const pv_store *store, const request *asked, pv_run_config *config,
                             pv_store_growth *growth)
{
    const int64_t views = pv_store_views(store), objects = pv_store_objects(store);
    growth->views = asked->views ? asked->views : views;
    growth->objects = asked->objects ? asked->objects : objects;
    if (growth->views < views || growth->objects < objects)
        return pv_fail(PV_ERR_USAGE, "'%s' has %lld views of %lld objects; a store cannot shrink",
                       pv_store_path(store), (long long)views, (long long)objects);
    if (growth->views == views && growth->objects == objects)
        return pv_fail(PV_ERR_USAGE, "'%s' has %lld views of %lld objects already", pv_store_path(store),
                       (long long)views, (long long)objects);
    growth->first_new = config->signal.train;
    config->signal.train += growth->objects - objects;
    config->fit.views = growth->views;
    return PV_OK;
}

static pv_status grow(const pv_comm *comm, const pv_store *store, const request *asked, pv_run_config *config,
                      json_t *result)
{
    pv_store_growth growth = {0};
    pv_signal *signal = NULL;
    char *yaml = NULL;
    pv_status st;
    PV_TRY(pv_agree(comm, grow_config(store, asked, config, &growth)));
    PV_TRY(pv_agree(comm, pv_run_config_emit(config, &yaml)));
    if (growth.objects > pv_store_objects(store)) PV_TRY(pv_signal_open(comm, &config->signal, &signal));
    growth.signal = signal;
    growth.config = yaml;
    PV_TRY(pv_store_extend(comm, store, &growth, &config->storage));
    const int64_t rows = growth.views * growth.objects;
    const int64_t added = rows - pv_store_views(store) * pv_store_objects(store);
    pv_log_info("'%s' now has %lld views of %lld objects: `polyview fit --store %s` fits the %lld new rows",
                config->store, (long long)growth.views, (long long)growth.objects, config->store,
                (long long)added);
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

static pv_status take_request(const char *views, const char *objects, request *asked)
{
    enum { MAX_VIEWS = 1000000 };
    pv_status st = PV_OK;
    if (!views && !objects)
        return pv_fail(PV_ERR_USAGE, "extend needs --views or --objects; see `polyview extend --help`");
    if (views) st = pv_cmd_number("--views", views, &asked->views);
    if (st == PV_OK && objects) st = pv_cmd_number("--objects", objects, &asked->objects);
    if (st == PV_OK &&
        ((views && (asked->views < 1 || asked->views > MAX_VIEWS)) || (objects && asked->objects < 1)))
        st = pv_fail(PV_ERR_USAGE, "--views is from 1 to %d, --objects from 1 on", MAX_VIEWS);
    return st;
}

static pv_status run_extend(const pv_comm *comm, int argc, char **argv, json_t *result)
{
    const pv_run run = pv_run_begin(argc, argv);
    const char *path = NULL, *views = NULL, *objects = NULL;
    pv_sets sets = {0};
    const pv_cmd_option options[] = {{.name = "views", .text = &views},
                                     {.name = "objects", .text = &objects},
                                     {.name = "set", .sets = &sets}};
    request asked = {0};
    pv_run_config *kept = NULL, *config = NULL;
    pv_store *store = NULL;
    pv_lock *lock = NULL;
    bool grown = false;
    pv_status st = pv_cmd_parse(argc, argv, options, 3, &path, 1);
    if (st == PV_OK && !path)
        st = pv_fail(PV_ERR_USAGE, "extend needs a store; see `polyview extend --help`");
    if (st == PV_OK) st = take_request(views, objects, &asked);
    PV_TRY(pv_agree(comm, st));
    PV_TRY(pv_config_of_store(comm, path, &kept));
    PV_TRY(pv_lock_take(comm, path, &lock));
    PV_TRY(pv_store_open(comm, path, PV_STORE_READ, NULL, &store));
    PV_TRY(pv_agree(comm, load_config(path, store, &sets, kept, &config)));
    PV_TRY(pv_agree(comm, pv_run_config_set(config, "store", path)));
    st = grow(comm, store, &asked, config, result);
    if (st == PV_OK) st = pv_lock_confirm(comm, lock);
    grown = true;
done:
    pv_store_close(store);
    pv_lock_release(lock);
    if (grown) pv_run_record(comm, &run, path, config, st, result);
    pv_run_config_free(config);
    pv_run_config_free(kept);
    return st;
}

const pv_command pv_command_extend = {
    .name = "extend",
    .summary = "grow a store: more views, more objects",
    .usage =
        "polyview extend STORE [--views K] [--objects N] [--set storage.key=value ...]\n\n"
        "Grows a store to K views of N objects in all. New rows are missing until `polyview fit --store STORE`\n"
        "fits them; new objects are the next ones of the train file, in the train split. Fitted rows are not\n"
        "touched: the store becomes a master file over shard files in <store>.shards, of which the first is the\n"
        "file that there was. Interrupted, the store is as it was.\n",
    .run = run_extend,
};
