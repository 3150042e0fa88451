#include "run/pv_fill_run.h"
#include "base/pv_cpu.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "store/pv_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *runs_path(const char *store_path)
{
    char *path = NULL;
    return asprintf(&path, "%s.runs.jsonl", store_path) < 0 ? NULL : path;
}

/* An imported store has no recipe. */
static pv_status check_made_here(const pv_store *store)
{
    json_t *signal = json_loads(pv_store_signal_json(store), 0, NULL);
    const char *source = json_string_value(json_object_get(signal, "source"));
    const bool imported = source && strcmp(source, "imported") == 0;
    json_decref(signal);
    if (!imported) return PV_OK;
    return pv_fail(PV_ERR_DATA, "the INRs of '%s' were imported: how to fit them is not known here",
                   pv_store_path(store));
}

pv_status pv_cmd_store_config(const pv_comm *comm, const char *path, pv_run_config **config)
{
    pv_store *store = NULL;
    pv_status st;
    *config = NULL;
    PV_TRY(pv_store_open(comm, path, PV_STORE_READ, NULL, &store));
    PV_TRY(pv_agree(comm, check_made_here(store)));
    PV_TRY(pv_agree(comm, pv_cmd_kept_config(path, pv_store_config(store), config)));
    free((*config)->store);
    (*config)->store = pv_strdup(path);
    PV_TRY(pv_agree(comm, (*config)->store ? PV_OK : PV_ERR_NOMEM));
done:
    pv_store_close(store);
    if (st != PV_OK) {
        pv_run_config_free(*config);
        *config = NULL;
    }
    return st;
}

static pv_status take_limits(const pv_run_limits *limits, pv_fill_opts *opts)
{
    double hours = 0;
    pv_status st = PV_OK;
    if (limits->max_hours) st = pv_cmd_real("--max-hours", limits->max_hours, &hours);
    if (st == PV_OK && hours > 0) pv_stop_after(hours);
    if (st == PV_OK && limits->grace) st = pv_cmd_real("--grace", limits->grace, &opts->grace);
    return st;
}

/* Rows that another instruction set fitted differ in their last bits. */
static void warn_of_instruction_set(const pv_store *store)
{
    const char *made = pv_store_instruction_set(store), *here = pv_isa_name(pv_cpu_isa());
    if (made[0] != '\0' && strcmp(made, here) != 0)
        pv_log_warn(
            "'%s' was begun with instruction set %s, this run uses %s: its rows will differ in their last bits "
            "from what POLYVIEW_ISA=%s would give",
            pv_store_path(store), made, here, made);
}

pv_status pv_cmd_fill(const pv_comm *comm, const pv_run_config *config, const pv_signal *signal, pv_store *store,
                      pv_lock *lock, bool retry_refused, const pv_run_limits *limits, pv_fill_result *result)
{
    pv_fill_opts opts = {
        .variant = config->inr.variant, .fit = &config->fit, .retry_refused = retry_refused, .lock = lock};
    pv_status st = pv_agree(comm, take_limits(limits, &opts));
    if (st != PV_OK) return st;
    warn_of_instruction_set(store);
    st = pv_fill(comm, signal, store, &opts, result);
    if ((st == PV_OK || st == PV_STOPPED) && result->refused > 0)
        pv_log_warn("%lld of %lld rows are refused, their losses were not finite in any attempt: see fit.lr, "
                    "or raise fit.restarts and give --retry-refused",
                    (long long)result->refused, (long long)result->rows);
    return st;
}

/* Files that were deleted take writes as long as they are open. */
static pv_status check_files(const pv_store *store)
{
    int64_t length, on_disk;
    return pv_store_bytes(store, &length, &on_disk);
}

pv_status pv_cmd_close_written(const pv_comm *comm, pv_store *store, pv_lock *lock)
{
    pv_status st = lock ? pv_lock_confirm(comm, lock) : PV_OK;
    if (st == PV_OK && store) st = pv_agree(comm, comm->rank == 0 ? check_files(store) : PV_OK);
    const pv_status closed = pv_store_close(store);
    pv_lock_release(lock);
    return st == PV_OK ? closed : st;
}

void pv_cmd_put_fill(const pv_fill_result *fill, json_t *result)
{
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
}

/* Of a fit, or of the fit within a repair. */
static void add_run(const char *text, pv_runs_total *total)
{
    json_t *line = json_loads(text, 0, NULL);
    const json_t *result = json_object_get(line, "result"), *repair = json_object_get(result, "repair");
    const char *command = json_string_value(json_object_get(line, "command"));
    const json_t *fill = command && strcmp(command, "fit") == 0 ? result : repair;
    const int64_t fitted = json_integer_value(json_object_get(fill, "fitted"));
    if (fitted > 0) {
        const double seconds = json_number_value(json_object_get(fill, "seconds"));
        total->runs++;
        total->fitted += fitted;
        total->steps += json_number_value(json_object_get(fill, "steps"));
        total->seconds += seconds;
        total->core_seconds += seconds * json_number_value(json_object_get(line, "ranks"));
    }
    json_decref(line);
}

pv_runs_total pv_cmd_runs_total(const char *store_path)
{
    pv_runs_total total = {0};
    char *path = runs_path(store_path), *line = NULL;
    size_t capacity = 0;
    FILE *file = path ? fopen(path, "r") : NULL;
    while (file && getline(&line, &capacity, file) > 0)
        add_run(line, &total);
    if (file) fclose(file);
    free(line);
    free(path);
    return total;
}
