#include "bench/pv_bench.h"
#include "base/pv_clock.h"
#include "base/pv_meter.h"
#include "fit/pv_fill.h"
#include "store/pv_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

pv_status pv_bench_path(const pv_comm *comm, const char *directory, char *path)
{
    enum { PATH = 4096 };
    long long pid = getpid();
    MPI_Bcast(&pid, 1, MPI_LONG_LONG, 0, comm->world);
    const int length = snprintf(path, PATH, "%s/polyview-bench-%lld.h5", directory, pid);
    return length < PATH - 16 ? PV_OK : pv_fail(PV_ERR_USAGE, "--dir: the path is longer than 4000 bytes");
}

static double slowest(const pv_comm *comm, double start)
{
    double seconds = pv_seconds() - start;
    MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, comm->world);
    return seconds;
}

void pv_bench_add_spent(const pv_comm *comm, const pv_meter *before, double *files, double *mpi)
{
    const pv_meter now = pv_meter_read(), spent = pv_meter_between(before, &now);
    double seconds[2] = {spent.seconds[PV_METER_FILES], spent.seconds[PV_METER_MPI]};
    MPI_Allreduce(MPI_IN_PLACE, seconds, 2, MPI_DOUBLE, MPI_SUM, comm->world);
    *files += seconds[0] / comm->size;
    *mpi += seconds[1] / comm->size;
}

pv_status pv_bench_fill(const pv_comm *comm, const pv_run_config *config, const pv_signal *signal,
                        const char *path, const pv_storage_opts *storage, int64_t steps,
                        pv_bench_filling *took)
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
    const pv_store_spec spec = {signal, config->signal.path, &arch, "dwsnets", 1, yaml};
    double in_mpi = 0; /* while filling: not told apart from waiting */
    *took = (pv_bench_filling){0};
    double start = pv_seconds();
    pv_meter before = pv_meter_read();
    PV_TRY(pv_store_create(comm, path, &spec, storage));
    took->create = slowest(comm, start);
    start = pv_seconds();
    PV_TRY(pv_store_open(comm, path, PV_STORE_WRITE, storage, &store));
    took->open = slowest(comm, start);
    pv_bench_add_spent(comm, &before, &took->around_files, &took->around_mpi);
    before = pv_meter_read();
    PV_TRY(pv_fill(comm, signal, store, &fill_opts, &fill));
    pv_bench_add_spent(comm, &before, &took->files, &in_mpi);
    start = pv_seconds();
    before = pv_meter_read();
    st = pv_store_close(store);
    store = NULL;
    took->close = slowest(comm, start);
    pv_bench_add_spent(comm, &before, &took->around_files, &took->around_mpi);
    took->fill = fill.seconds;
    took->fitted = fill.fitted;
    took->steps = fill.steps;
done:
    pv_store_close(store);
    free(yaml);
    return st;
}
