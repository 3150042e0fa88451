/* `polyview verify`: checks the rows of a store, and repairs them. */
#include "base/pv_log.h"
#include "base/pv_stop.h"
#include "cmd/pv_commands.h"
#include "fit/pv_specimen.h"
#include "run/pv_fill_run.h"
#include "run/pv_open.h"
#include "store/pv_lock.h"
#include "store/pv_verify.h"

#include <stdlib.h>

/* The words of the command line. */
typedef struct words {
    char *path;
    bool repair;
    double max_hours, grace;
    pv_words set;
} words;

static const pv_option options[] = {
    {.name = "STORE", PV_MEMBER(words, path), .path = true, .required = true, .meaning = "the store"},
    {PV_KEY(words, repair), .meaning = "fits bad and missing rows again"},
    {PV_KEY(words, max_hours), PV_AT_LEAST(0), .value = "H", .meaning = "ends a repair as a signal would"},
    {PV_KEY(words, grace), PV_AT_LEAST(0), .value = "S", .meaning = "seconds for fits in flight at that end"},
    PV_OPTION_SETS(words),
    {0}};

/* Bad rows that the log names; the result names every one. */
enum { NAMED_ROWS = 100 };

static void report(const pv_comm *comm, const pv_store *store, const pv_verify_result *checked,
                   json_t *result)
{
    json_t *rows = json_array();
    for (int64_t i = 0; comm->rank == 0 && i < checked->bad; i++) {
        const pv_bad_row *row = &checked->bad_rows[i];
        if (i < NAMED_ROWS)
            pv_log_warn("view %lld of object %lld is bad: its bytes do not match its checksum",
                        (long long)row->view, (long long)row->object);
        json_array_append_new(rows, json_pack("[I,I]", (json_int_t)row->view, (json_int_t)row->object));
    }
    if (checked->bad > NAMED_ROWS)
        pv_log_warn(
            "... and %lld more bad rows: bad_rows of the result on standard output names all, [view, object]",
            (long long)(checked->bad - NAMED_ROWS));
    const double bytes =
        (double)(checked->rows - checked->missing) * pv_store_params(store) * (double)sizeof(float);
    pv_json_text(result, "store", pv_store_path(store));
    pv_json_int(result, "rows", checked->rows);
    pv_json_int(result, "fitted", checked->fitted);
    pv_json_int(result, "refused", checked->refused);
    pv_json_int(result, "missing", checked->missing);
    pv_json_int(result, "bad", checked->bad);
    json_object_set_new(result, "bad_rows", rows);
    pv_json_real(result, "mb_per_s", checked->seconds > 0 ? bytes / 1e6 / checked->seconds : 0);
    pv_json_real(result, "seconds", checked->seconds);
    pv_result_machine(comm, result);
}

/* Fits the bad and the missing rows of an open store, and looks at the bad ones again. */
static pv_status refit(const pv_comm *comm, const pv_run_config *config, const pv_signal *signal,
                       pv_store *store, pv_lock *lock, double grace, const pv_verify_result *checked,
                       pv_fill_result *fill, json_t *result)
{
    int64_t sound = 0, same = 0;
    pv_status st;
    PV_TRY(pv_specimen_check_store(comm, signal, store));
    PV_TRY(pv_agree(comm, comm->rank == 0 ? pv_verify_discard(store, checked) : PV_OK));
    st = pv_run_fill(comm, config, signal, store, (pv_fill_opts){.grace = grace, .lock = lock}, fill);
    if (st == PV_OK || st == PV_STOPPED) {
        json_t *repair = json_object();
        pv_result_fill(fill, repair);
        json_object_set_new(result, "repair", repair);
    }
    PV_TRY(st);
    PV_TRY(pv_agree(comm, comm->rank == 0 ? pv_verify_again(store, checked, &sound, &same) : PV_OK));
    pv_json_int(result, "repaired", fill->fitted);
    pv_json_int(result, "same_checksum", same);
    if (comm->rank == 0 && sound < checked->bad)
        st = pv_fail(PV_ERR_DATA, "'%s': %lld rows are bad still: the disk may be failing",
                     pv_store_path(store), (long long)(checked->bad - sound));
    st = pv_agree(comm, st);
    if (st == PV_OK)
        pv_log_info("fitted %lld rows: %lld that were bad, %lld of them with "
                    "the checksum that they had, and %lld that were missing",
                    (long long)fill->fitted, (long long)checked->bad, (long long)same,
                    (long long)(fill->fitted - checked->bad));
done:
    return st;
}

static pv_status repair(const pv_comm *comm, const words *w, json_t *result)
{
    const char *path = w->path;
    pv_run_config *config = NULL;
    pv_signal *signal = NULL;
    pv_lock *lock = NULL;
    pv_store *store = NULL;
    pv_verify_result checked = {0};
    pv_fill_result fill = {0};
    pv_status st;
    PV_TRY(pv_config_of_store(comm, path, &w->set, &config));
    PV_TRY(pv_open_kept(comm, config, &signal));
    PV_TRY(pv_run_lock(comm, path, &lock));
    PV_TRY(pv_store_open(comm, path, PV_STORE_WRITE, &config->storage, &store));
    PV_TRY(pv_verify(comm, store, &checked));
    report(comm, store, &checked, result);
    if (checked.bad + checked.missing == 0) goto done;
    st = refit(comm, config, signal, store, lock, w->grace, &checked, &fill, result);
done:;
    const pv_status closed = pv_run_close_written(comm, store, lock, st == PV_OK ? &fill : NULL);
    free(checked.bad_rows);
    pv_signal_close(signal);
    pv_run_config_free(config);
    return st == PV_OK ? closed : st;
}

static pv_status inspect(const pv_comm *comm, const char *path, json_t *result)
{
    pv_store *store = NULL;
    pv_verify_result checked = {0};
    pv_status st;
    PV_TRY(pv_store_open(comm, path, PV_STORE_READ, NULL, &store));
    PV_TRY(pv_verify(comm, store, &checked));
    report(comm, store, &checked, result);
    if (checked.bad > 0)
        st = pv_fail(PV_ERR_DATA,
                     "'%s' has %lld bad rows of %lld fitted: `polyview verify %s --repair` fits them again",
                     path, (long long)checked.bad, (long long)checked.fitted, path);
done:
    free(checked.bad_rows);
    pv_store_close(store);
    return st;
}

static pv_status run_verify(const pv_comm *comm, pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    if (!w->repair && (w->max_hours > 0 || w->grace > 0 || w->set.count > 0))
        return pv_fail(PV_ERR_USAGE, "--max-hours, --grace and --set go with --repair");
    if (w->max_hours > 0) pv_stop_after(w->max_hours);
    const pv_status st = w->repair ? repair(comm, w, result) : inspect(comm, w->path, result);
    if (json_object_size(result) > 0) pv_run_keep(run, w->path, NULL);
    return st;
}

const pv_command pv_command_verify = {
    .plugin = {.name = "verify",
               .help = "check every row of a store against its checksum; name bad rows; repair them",
               PV_OWN(options, words)},
    .about =
        "Reads every row on all ranks.  Ends with status 3 if a row does not match its checksum or is not\n"
        "finite; rows that are refused or not fitted yet are counted, and are no error.\n\n"
        "--repair fits exactly the bad and the missing rows again, by the recipe that the store keeps: they\n"
        "get the bytes that they had (on the instruction set that they were fitted with).\n\n"
        "SIGTERM, SIGINT and SIGUSR1 end it with status 75; a repair keeps what it has fitted, as `fit`\n"
        "does.\n",
    .run = run_verify,
};
