/* `polyview fit`: creates or resumes a store. */
#include "base/pv_log.h"
#include "base/pv_stop.h"
#include "base/pv_path.h"
#include "cmd/pv_commands.h"
#include "fit/pv_recipe.h"
#include "run/pv_fill_run.h"
#include "run/pv_open.h"
#include "inr/pv_arch.h"
#include "store/pv_lock.h"
#include "store/pv_store.h"

#include <stdio.h>
#include <stdlib.h>

/* The words of the command line. */
typedef struct words {
    char *config, *store;
    pv_words set;
    double max_hours, grace;
    bool retry_refused;
    unsigned split;
} words;

static const char *const splits[] = {"train", "val", "test", "all", NULL}; /* by PV_SPLIT_... */

static const pv_option options[] = {
    {PV_KEY(words, config), .value = "FILE", .meaning = "the recipe; without it, that of the store"},
    {PV_KEY(words, store), .path = true, .value = "STORE",
     .meaning = "the store to make or resume, for the config's own"},
    PV_OPTION_SETS(words),
    {PV_KEY(words, max_hours), PV_AT_LEAST(0), .value = "H", .meaning = "ends the run as a signal would"},
    {PV_KEY(words, grace), PV_AT_LEAST(0), .value = "S",
     .meaning = "seconds for fits in flight when the run is to end; then they are dropped"},
    {PV_KEY(words, retry_refused), .meaning = "fits refused rows again"},
    {PV_KEY(words, split), .choices = splits, .initial = "all",
     .meaning = "objects whose rows are fitted; others are left to later runs"},
    {0}};

/* Whether there are other objects than the store's.  The splits that `wished` leaves to the files are then
 * no conflict of the config's: `stored` is to have them as they are now. */
static bool follow_files(const pv_signal_opts *wished, const pv_signal_opts *now, pv_signal_opts *stored)
{
    if (now->train + now->val + now->test == stored->train + stored->val + stored->test) return false;
    const bool train = wished->train != now->train, val = wished->val != now->val,
               test = wished->test != now->test;
    if (train) stored->train = now->train;
    if (val) stored->val = now->val;
    if (test) stored->test = now->test;
    return train || val || test;
}

static pv_status other_files(const pv_signal_opts *now, const pv_signal_opts *then, const pv_store *store)
{
    return pv_fail(
        PV_ERR_DATA,
        "signal.path '%s' has %.0f train, %.0f val and %.0f test objects, but '%s' holds %.0f, %.0f "
        "and %.0f: files have come or gone since it was made, or it was made with other signal.train, "
        "val or test; put the files back, say its numbers, or take another --store",
        now->path ? now->path : "", now->train, now->val, now->test, pv_store_path(store), then->train,
        then->val, then->test);
}

/* A store is resumed only by a config that makes the same rows; `wished` is what it said of the signal before
 * that was opened. */
static pv_status check_resume(const pv_run_config *config, const pv_signal_opts *wished,
                              const pv_store *store, const pv_signal *signal)
{
    pv_run_config *stored = NULL;
    char keys[1024] = "";
    int conflicts = 0;
    pv_status st;
    PV_TRY(pv_config_kept(pv_store_path(store), pv_store_text(store, PV_STORE_CONFIG), &stored));
    const pv_signal_opts then = stored->signal;
    const bool follows = follow_files(wished, &config->signal, &stored->signal);
    PV_TRY(pv_run_config_conflicts(config, stored, PV_FIXES_ROWS, keys, sizeof keys, &conflicts));
    if (conflicts > 0)
        st = pv_fail(PV_ERR_CONFIG,
                     "the config would not make the rows that '%s' holds; take another --store or its "
                     "settings:\n%s",
                     pv_store_path(store), keys);
    else if (follows)
        st = other_files(&config->signal, &then, store);
    else if (config->fit.views > pv_store_views(store))
        st = pv_fail(PV_ERR_CONFIG,
                     "fit.views is %lld, but '%s' has %lld: run `polyview extend %s --views %lld` first",
                     (long long)config->fit.views, pv_store_path(store), (long long)pv_store_views(store),
                     pv_store_path(store), (long long)config->fit.views);
    else if (pv_signal_objects(signal) != pv_store_objects(store))
        st = pv_fail(PV_ERR_DATA, "the signal has %lld objects, '%s' has %lld: the source files have changed",
                     (long long)pv_signal_objects(signal), pv_store_path(store),
                     (long long)pv_store_objects(store));
done:
    pv_run_config_free(stored);
    return st;
}

/* Writes "3 classes (cat, dog, mouse)". */
static void name_classes(const pv_signal *signal, char *text, size_t size)
{
    enum { NAMED = 4 };
    const int classes = pv_signal_classes(signal);
    const pv_class_name *names = pv_signal_class_names(signal);
    int used = snprintf(text, size, "%d class%s", classes, classes == 1 ? "" : "es");
    for (int c = 0; names && c < classes && c < NAMED; c++)
        used += snprintf(text + used, size - (size_t)used, "%s%s", c > 0 ? ", " : " (", names[c].text);
    if (names) snprintf(text + used, size - (size_t)used, "%s)", classes > NAMED ? ", ..." : "");
}

static bool is_labelled(const pv_signal *signal)
{
    int64_t i = 0;
    while (i < pv_signal_objects(signal) && pv_signal_label(signal, i) < 0)
        i++;
    return i < pv_signal_objects(signal);
}

/* What a new store is made of: who named a directory may have meant another one. */
static void tell_objects(const pv_signal *signal)
{
    const int64_t passed_over = pv_signal_form(signal)->passed_over;
    char classes[256] = "no class", others[64] = "";
    if (is_labelled(signal)) name_classes(signal, classes, sizeof classes);
    if (passed_over > 0)
        snprintf(others, sizeof others, "; files passed over by their endings: %lld", (long long)passed_over);
    pv_log_info("objects: %lld train, %lld val, %lld test, of %s%s",
                (long long)pv_signal_count(signal, PV_SPLIT_TRAIN),
                (long long)pv_signal_count(signal, PV_SPLIT_VAL),
                (long long)pv_signal_count(signal, PV_SPLIT_TEST), classes, others);
}

/* Creates the store if there is none, and opens it for writing. */
static pv_status prepare_store(const pv_comm *comm, const pv_run_config *config, const pv_signal_opts *wished,
                               const char *path, const pv_signal *signal, pv_store **store)
{
    const int64_t views = config->fit.views;
    pv_status st;
    const bool made = !pv_path_exists(comm, path);
    if (made) PV_TRY(pv_run_create(comm, config, signal, path, &config->storage, views));
    PV_TRY(pv_store_open(comm, path, PV_STORE_WRITE, &config->storage, store));
    if (made) {
        pv_log_info("made the store '%s': %lld views of %lld objects, %d parameters each", path,
                    (long long)views, (long long)pv_signal_objects(signal), pv_store_params(*store));
        tell_objects(signal);
        pv_recipe_warn(pv_store_arch(*store), &config->fit);
    }
    PV_TRY(pv_agree(comm, check_resume(config, wished, *store, signal)));
done:
    return st;
}

/* The config named, or the one that the store keeps. */
static pv_status load_config(const pv_comm *comm, const char *config_path, const char *store_path,
                             const pv_words *sets, pv_run_config **config)
{
    pv_status st;
    if (!config_path) return pv_config_of_store(comm, store_path, sets, config);
    PV_TRY(pv_config_of_file(comm, config_path, sets, config));
    if (store_path) PV_TRY(pv_agree(comm, pv_run_config_place(*config, store_path)));
done:
    return st;
}

static pv_status run_fit(const pv_comm *comm, pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    pv_run_config *config = NULL;
    char *path = NULL; /* of the store */
    pv_signal *signal = NULL;
    pv_store *store = NULL;
    pv_lock *lock = NULL;
    pv_fill_result fill = {0};
    pv_signal_opts wished;
    pv_status st = PV_OK;
    if (w->max_hours > 0) pv_stop_after(w->max_hours);
    if (!w->config && !w->store)
        PV_TRY(pv_fail(PV_ERR_USAGE,
                       "fit needs --config FILE, or the --store of a store that there is; see `polyview "
                       "fit --help`"));
    PV_TRY(load_config(comm, w->config, w->store, &w->set, &config));
    PV_TRY(pv_path_settle(comm, w->store ? pv_path_follow : pv_path_resolve, config->store, &path));
    PV_TRY(w->config ? pv_signal_open(comm, &config->signal, &signal) : pv_open_kept(comm, config, &signal));
    wished = config->signal;
    PV_TRY(pv_agree(comm, pv_signal_settle(signal, &config->signal)));
    PV_TRY(pv_run_lock(comm, path, &lock));
    PV_TRY(prepare_store(comm, config, &wished, path, signal, &store));
    pv_run_keep(run, path, config);
    const pv_source_form *form = pv_signal_form(signal);
    const pv_fill_opts how = {.retry_refused = w->retry_refused,
                              .left_out = w->split < PV_SPLITS ? ~(1U << w->split) : 0,
                              .grace = w->grace,
                              .lock = lock};
    st = pv_run_fill(comm, config, signal, store, how, &fill);
    if (st == PV_OK || st == PV_STOPPED) {
        pv_json_text(result, "store", path);
        if (w->split < PV_SPLITS) pv_json_text(result, "split", splits[w->split]);
        pv_result_fill(&fill, result);
        json_object_set_new(result, "range", json_pack("[f, f]", form->low, form->high));
        pv_result_machine(comm, result);
    }
done:;
    const pv_status closed = pv_run_close_written(comm, store, lock, st == PV_OK ? &fill : NULL);
    pv_signal_close(signal);
    if (st == PV_OK) st = closed;
    pv_run_config_free(config);
    free(path);
    return st;
}

const pv_command pv_command_fit = {
    .plugin = {.name = "fit",
               .help = "create or resume a store and fit every missing view",
               PV_OWN(options, words)},
    .about =
        "Creates the store and fits fit.views INRs of every object of the signal, on all ranks.  If the\n"
        "store exists, only its missing rows are fitted; a config that would make other rows is an error.\n"
        "One run at a time writes a store.  Data that have moved since are found by --store STORE --set\n"
        "signal.path=PLACE.\n\n"
        "A view whose loss is not finite starts again from its next random stream, at most fit.restarts\n"
        "times; then its row is refused, counted in a warning, and left alone by later runs unless\n"
        "--retry-refused is given.  Refused rows do not change the exit status.\n\n"
        "With --split train further views cost less: classifiers are validated and tested on view 0.\n\n"
        "SIGTERM, SIGINT, SIGUSR1 and --max-hours save what is finished and end with status 75.  Every run\n"
        "adds its record to <store>.runs.jsonl.\n",
    .run = run_fit,
};
