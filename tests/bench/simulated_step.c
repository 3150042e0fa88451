/* The communication of a training step, alone: so many small reductions, as batch norm and the loss make
 * them, spread over the computing, and the reduction of the gradient.  tests/bench/simulate.sh runs it in
 * SimGrid's simulator (smpicc defines nothing of its own, hence -DPV_SIMULATED), where computing advances the
 * simulated clock only; under a real MPI it spins.
 *
 * usage: simulated_step GRADIENT_BYTES SMALL_REDUCTIONS SMALL_BYTES COMPUTE_SECONDS STEPS */
#include <mpi.h>
#ifdef PV_SIMULATED
#include <smpi/smpi.h>
#endif
#include <stdio.h>
#include <stdlib.h>

static void compute(double seconds)
{
#ifdef PV_SIMULATED
    smpi_execute(seconds);
#else
    const double end = MPI_Wtime() + seconds;
    while (MPI_Wtime() < end)
        ;
#endif
}

static float *message(long floats)
{
#ifdef PV_SIMULATED
    /* One copy for all ranks: the values do not matter. */
    return SMPI_SHARED_MALLOC((size_t)floats * sizeof(float));
#else
    return calloc((size_t)floats, sizeof(float));
#endif
}

static void release(float *data)
{
#ifdef PV_SIMULATED
    SMPI_SHARED_FREE(data);
#else
    free(data);
#endif
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    if (argc != 6) MPI_Abort(MPI_COMM_WORLD, 2);
    const long gradient = atol(argv[1]) / 4, count = atol(argv[2]), small = atol(argv[3]) / 4;
    const double seconds = atof(argv[4]);
    const int steps = atoi(argv[5]);
    int rank, size;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    float *data = message(gradient > small ? gradient : small);
    float *sum = message(gradient > small ? gradient : small);
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = MPI_Wtime();
    for (int step = 0; step < steps; step++) {
        for (long i = 0; i < count; i++) {
            compute(seconds / (double)(count + 1));
            MPI_Allreduce(data, sum, (int)small, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        }
        compute(seconds / (double)(count + 1));
        MPI_Allreduce(data, sum, (int)gradient, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    }
    const double step_seconds = (MPI_Wtime() - start) / steps;
    if (rank == 0) printf("%d %.6g %.6g\n", size, step_seconds, step_seconds - seconds);
    release(data);
    release(sum);
    MPI_Finalize();
    return 0;
}
