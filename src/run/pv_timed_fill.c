/* Fills a temporary store, and times it. */
#include "run/pv_timed_fill.h"
#include "base/pv_clock.h"
#include "base/pv_meter.h"
#include "fit/pv_fill.h"
#include "run/pv_timing.h"
#include "store/pv_store.h"

#include <stdlib.h>

pv_status pv_time_fill(const pv_comm *comm, const pv_run_config *config, const pv_signal *signal,
                       const char *path, const pv_storage_opts *storage, int64_t steps, pv_timed_fill *took)
{
    char *yaml = NULL;
    pv_store *store = NULL;
    pv_arch arch;
    pv_fill_result fill = {0};
    pv_fit_opts opts = config->fit;
    opts.steps = steps;
    const pv_fill_opts fill_opts = {.variant = config->inr.variant, .fit = &opts};
    pv_status st;
    PV_TRY(pv_agree(comm,
                    pv_arch_make(&config->inr, pv_signal_inputs(signal), pv_signal_channels(signal), &arch)));
    PV_TRY(pv_agree(comm, pv_run_config_emit(config, &yaml)));
    const pv_store_spec spec = {signal, &arch, "dwsnets", 1, yaml};
    double in_mpi = 0; /* while filling: not told apart from waiting */
    *took = (pv_timed_fill){0};
    double start = pv_seconds();
    pv_meter before = pv_meter_read();
    PV_TRY(pv_store_create(comm, path, &spec, storage));
    took->create = pv_timing_slowest(comm, start);
    start = pv_seconds();
    PV_TRY(pv_store_open(comm, path, PV_STORE_WRITE, storage, &store));
    took->open = pv_timing_slowest(comm, start);
    pv_timing_add_spent(comm, &before, &took->around_files, &took->around_mpi);
    before = pv_meter_read();
    PV_TRY(pv_fill(comm, signal, store, &fill_opts, &fill));
    pv_timing_add_spent(comm, &before, &took->files, &in_mpi);
    start = pv_seconds();
    before = pv_meter_read();
    st = pv_store_close(store);
    store = NULL;
    took->close = pv_timing_slowest(comm, start);
    pv_timing_add_spent(comm, &before, &took->around_files, &took->around_mpi);
    took->fill = fill.seconds;
    took->fitted = fill.fitted;
    took->steps = fill.steps;
done:
    pv_store_close(store);
    free(yaml);
    return st;
}
