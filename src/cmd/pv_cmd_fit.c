#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "cmd/pv_cmd.h"
#include "siren/pv_siren.h"
#include "store/pv_fill.h"
#include "store/pv_lock.h"
#include "store/pv_store.h"

#include <stdlib.h>

/* A store is resumed only by a config that makes the same rows. */
static pv_status check_resume(const pv_config *config, const pv_store *store, const pv_signal *signal)
{
    pv_config *stored = NULL;
    char keys[1024] = "";
    int conflicts = 0;
    pv_status st;
    PV_TRY(pv_cmd_kept_config(pv_store_path(store), pv_store_config(store), &stored));
    PV_TRY(pv_config_conflicts(config, stored, PV_KEYS_ROWS, keys, sizeof keys, &conflicts));
    if (conflicts > 0)
        st = pv_fail(PV_ERR_CONFIG,
                     "the config would not make the rows that '%s' holds; take another --store or its "
                     "settings:\n%s",
                     pv_store_path(store), keys);
    else if (config->fit.views != pv_store_views(store))
        st = pv_fail(PV_ERR_CONFIG, "fit.views is %lld, but '%s' was made for %lld",
                     (long long)config->fit.views, pv_store_path(store), (long long)pv_store_views(store));
    else if (pv_signal_objects(signal) != pv_store_objects(store))
        st = pv_fail(PV_ERR_DATA, "the signal has %lld objects, '%s' has %lld: the source files have changed",
                     (long long)pv_signal_objects(signal), pv_store_path(store),
                     (long long)pv_store_objects(store));
done:
    pv_config_free(stored);
    return st;
}

/* Creates the store if there is none, and opens it for writing. */
static pv_status prepare_store(const pv_comm *comm, const pv_config *config, const pv_signal *signal,
                               pv_store **store)
{
    pv_status st;
    pv_arch arch;
    char *yaml = NULL;
    const char *variant = config->inr.variant == PV_SIREN_STANDARD ? "standard" : "dwsnets";
    PV_TRY(pv_agree(comm, pv_arch_make(&config->inr, 2, pv_signal_channels(signal), &arch)));
    PV_TRY(pv_agree(comm, pv_config_emit(config, &yaml)));
    if (!pv_cmd_exists(comm, config->store)) {
        PV_TRY(pv_store_create(comm, config->store, signal, config->signal.path, &arch, variant,
                               config->fit.views, yaml));
        pv_log_info("made the store '%s': %lld views of %lld objects, %d parameters each", config->store,
                    (long long)config->fit.views, (long long)pv_signal_objects(signal),
                    pv_arch_params(&arch));
    }
    PV_TRY(pv_store_open(comm, config->store, PV_STORE_WRITE, store));
    PV_TRY(pv_agree(comm, check_resume(config, *store, signal)));
done:
    free(yaml);
    return st;
}

static void report(const pv_comm *comm, const pv_config *config, const pv_fill_result *fill, json_t *result)
{
    pv_cmd_put_text(result, "store", config->store);
    pv_cmd_put_int(result, "rows", fill->rows);
    pv_cmd_put_int(result, "present", fill->present);
    pv_cmd_put_int(result, "fitted", fill->fitted);
    pv_cmd_put_int(result, "refused", fill->refused);
    pv_cmd_put_int(result, "restarted", fill->restarted);
    pv_cmd_put_int(result, "steps", fill->steps);
    pv_cmd_put_real(result, "mean_psnr_db", fill->mean_psnr_db);
    pv_cmd_put_real(result, "inr_steps_per_s", fill->seconds > 0 ? (double)fill->steps / fill->seconds : 0);
    pv_cmd_put_real(result, "seconds", fill->seconds);
    pv_cmd_put_real(result, "idle_share", fill->idle_share);
    pv_cmd_put_machine(comm, result);
}

static pv_status run_fit(const pv_comm *comm, int argc, char **argv, json_t *result)
{
    const char *config_path = NULL, *store_path = NULL;
    pv_sets sets = {0};
    bool retry_refused = false;
    const pv_option options[] = {{.name = "config", .text = &config_path},
                                 {.name = "store", .text = &store_path},
                                 {.name = "set", .sets = &sets},
                                 {.name = "retry-refused", .flag = &retry_refused}};
    pv_config *config = NULL;
    pv_signal *signal = NULL;
    pv_store *store = NULL;
    pv_lock *lock = NULL;
    pv_fill_result fill = {0};
    pv_status st = pv_cmd_parse(argc, argv, options, 4, NULL, 0);
    if (st == PV_OK && !config_path)
        st = pv_fail(PV_ERR_USAGE, "fit needs --config FILE; see `polyview fit --help`");
    PV_TRY(pv_agree(comm, st));
    PV_TRY(pv_cmd_config(comm, config_path, &sets, &config));
    if (store_path) {
        free(config->store);
        config->store = pv_strdup(store_path);
    }
    PV_TRY(pv_agree(comm, config->store ? PV_OK : PV_ERR_NOMEM));
    PV_TRY(pv_signal_open(comm, &config->signal, &signal));
    PV_TRY(pv_lock_take(comm, config->store, &lock));
    PV_TRY(prepare_store(comm, config, signal, &store));
    const pv_fill_opts fill_opts = {config->inr.variant, &config->fit, retry_refused, lock};
    st = pv_fill(comm, signal, store, &fill_opts, &fill);
    if (st == PV_OK || st == PV_STOPPED) report(comm, config, &fill, result);
    if ((st == PV_OK || st == PV_STOPPED) && fill.refused > 0)
        pv_log_warn("%lld of %lld rows are refused, their losses were not finite in any attempt: see fit.lr, "
                    "or raise fit.restarts and give --retry-refused",
                    (long long)fill.refused, (long long)fill.rows);
done:;
    const pv_status closed = pv_store_close(store);
    pv_lock_release(lock);
    pv_signal_close(signal);
    pv_config_free(config);
    return st == PV_OK ? closed : st;
}

const pv_command pv_command_fit = {
    .name = "fit",
    .summary = "create or resume a store and fit every missing view",
    .usage =
        "polyview fit --config FILE [--store STORE] [--set key.path=value ...] [--retry-refused]\n\n"
        "Creates the store named in the config (or by --store) and fits fit.views INRs of every object\n"
        "of the signal, on all ranks. If the store exists, only its missing rows are fitted; a config that\n"
        "would make other rows is an error. One run at a time writes a store.\n\n"
        "A view whose loss is not finite starts again from its next random stream, at most fit.restarts\n"
        "times; then its row is refused, counted in a warning, and left alone by later runs unless\n"
        "--retry-refused is given. Refused rows do not change the exit status.\n\n"
        "SIGTERM, SIGINT and SIGUSR1 save what is finished and end with status 75.\n",
    .run = run_fit,
};
