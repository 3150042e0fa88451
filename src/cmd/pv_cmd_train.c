/* `polyview train`: trains a network on the rows of a store. */
#include "base/pv_mem.h"
#include "base/pv_path.h"
#include "base/pv_stop.h"
#include "cmd/pv_commands.h"
#include "parallel/pv_output.h"
#include "run/pv_open.h"
#include "store/pv_store.h"
#include "train/pv_checkpoint.h"
#include "train/pv_trainer.h"

#include <stdlib.h>

/* The words of the command line. */
typedef struct words {
    char *config, *store;
    bool fresh, lower_rate, no_verify;
    double max_hours;
    pv_words set;
} words;

static const pv_option options[] = {
    {PV_KEY(words, config), .required = true, .value = "FILE", .meaning = "what is trained, and how"},
    {PV_KEY(words, store), .path = true, .value = "STORE",
     .meaning = "the store to train on, for the config's own"},
    {PV_KEY(words, fresh), .meaning = "begins anew, though there is a checkpoint"},
    {PV_KEY(words, lower_rate),
     .meaning = "continues although train.lr is lower than in the checkpoint: after the loss was not finite"},
    {PV_KEY(words, no_verify), .meaning = "skips the comparison of rows with their checksums"},
    {PV_KEY(words, max_hours), PV_AT_LEAST(0), .value = "H", .meaning = "ends the run as a signal would"},
    PV_OPTION_SETS(words),
    {0}};

/* A checkpoint is continued only by a config that would have led to it. */
static pv_status check_resume(const pv_comm *comm, const pv_run_config *config, bool lower_rate,
                              const pv_model_file *from)
{
    const char *const checkpoint = from->path;
    pv_run_config *saved = NULL;
    char keys[1024] = "";
    int conflicts = 0;
    pv_status st;
    PV_TRY(pv_config_kept(checkpoint, from->head.config, &saved));
    if (lower_rate && config->train.lr < saved->train.lr) saved->train.lr = config->train.lr;
    PV_TRY(pv_run_config_conflicts(config, saved, PV_FIXES_MODEL, keys, sizeof keys, &conflicts));
    if (conflicts > 0)
        st = pv_fail(
            PV_ERR_CONFIG,
            "the config differs from the one of '%s'; take its settings, another train.output, or --fresh to "
            "start again:\n%s",
            checkpoint, keys);
    else if (config->train.schedule == PV_RATE_COSINE && config->train.epochs != saved->train.epochs)
        st = pv_fail(PV_ERR_CONFIG,
                     "train.epochs: %lld here, %lld in '%s': the cosine schedule falls "
                     "to 0 at the last epoch, so another one is another training; take "
                     "that number, another train.output, or --fresh to start again",
                     (long long)config->train.epochs, (long long)saved->train.epochs, checkpoint);
done:
    pv_run_config_free(saved);
    return pv_agree(comm, st);
}

static void report(const pv_comm *comm, const pv_run_config *config, const pv_train_result *trained,
                   json_t *result)
{
    pv_json_text(result, "model", config->train.output);
    pv_json_text(result, "kind", config->model.kind.plugin->name);
    pv_json_int(result, "parameters", trained->parameters);
    pv_json_int(result, "samples", trained->samples);
    pv_json_int(result, "epochs", trained->epochs);
    pv_json_int(result, "best_epoch", trained->best_epoch);
    pv_json_real(result, "train_loss", trained->train_loss);
    pv_json_real(result, trained->best_name, trained->best);
    pv_json_real(result, "test_loss", trained->test_loss);
    pv_json_real(result, "test_accuracy", trained->test_accuracy);
    pv_json_real(result, "samples_per_s", trained->samples_per_s);
    pv_json_real(result, "reduce_share", trained->reduce_share);
    pv_json_real(result, "data_share", trained->data_share);
    pv_json_int(result, "memory_plan_mib", trained->memory_plan >> 20);
    pv_json_text(result, "placement", trained->sharded ? "job" : "node");
    pv_json_int(result, "partners", trained->partners);
    pv_json_int(result, "remote_samples", trained->remote_samples);
    pv_json_int(result, "remote_partners", trained->remote_partners);
    pv_json_real(result, "seconds", trained->seconds);
    pv_result_machine(comm, result);
}

static pv_status run_train(const pv_comm *comm, pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    pv_run_config *config = NULL;
    pv_store *store = NULL;
    pv_lock *lock = NULL;
    pv_model_file checkpoint = {0};
    bool resume = false;
    char *yaml = NULL, *path = NULL, *output = NULL;
    pv_train_result trained = {0};
    pv_status st;
    if (w->max_hours > 0) pv_stop_after(w->max_hours);
    PV_TRY(pv_config_of_file(comm, w->config, &w->set, &config));
    config->train.no_verify = w->no_verify;
    PV_TRY(pv_agree(comm, pv_run_config_emit(config, &yaml)));
    if (!w->store) PV_TRY(pv_path_settle(comm, pv_path_resolve, config->store, &path));
    PV_TRY(pv_path_settle(comm, pv_path_resolve, config->train.output, &output));
    PV_TRY(pv_output_check(comm, "train.output", output, (const char *const[]){"model", NULL}));
    PV_TRY(pv_store_open(comm, w->store ? w->store : path, PV_STORE_READ, NULL, &store));
    PV_TRY(pv_agree(comm, pv_open_fresh(store, config->train.seed, &config->train.form.fresh)));
    PV_TRY(pv_lock_take(comm, output, &lock));
    if (!w->fresh) PV_TRY(pv_checkpoint_open(comm, output, config->train.keep, &checkpoint, &resume));
    if (resume) PV_TRY(check_resume(comm, config, w->lower_rate, &checkpoint));
    pv_run_keep(run, output, config);
    free(config->train.output);
    config->train.output = output;
    output = NULL;
    st = pv_train(comm, store, &config->model, &config->train, &config->augment, yaml,
                  resume ? &checkpoint : NULL, lock, &trained);
    if (st != PV_OK && st != PV_STOPPED) goto done;
    const pv_status told = pv_agree(comm, pv_open_tell_init(store, result));
    if (told == PV_OK)
        report(comm, config, &trained, result);
    else
        st = told;
done:
    pv_model_file_close(&checkpoint);
    pv_lock_release(lock);
    PV_FREE(yaml, path, output);
    pv_store_close(store);
    pv_run_config_free(config);
    return st;
}

const pv_command pv_command_train = {
    .plugin = {.name = "train",
               .help = "train a weight-space network on the rows of a store",
               PV_OWN(options, words)},
    .about =
        "Trains data-parallel on all ranks.  train.output receives the model of the best validation\n"
        "accuracy, <output>.ckpt the checkpoint, <output>.jsonl one line of metrics an epoch, and\n"
        "<output>.runs.jsonl the record of the run.  If the checkpoint exists training continues from it,\n"
        "also with another number of ranks.  SIGTERM, SIGINT, SIGUSR1 and --max-hours write a\n"
        "checkpoint and end with status 75.\n",
    .run = run_train,
};
