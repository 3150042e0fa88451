/* InfoNCE over ranks against the golden vectors, and against one rank that has the whole batch. */
#include "base/pv_rng.h"
#include "pv_mpi_test.h"
#include "pv_oracle.h"
#include "train/pv_contrast.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Loss and gradient of a batch of `places` pairs in `leaves` parts, z [2 places][width] known to every rank,
 * each of which takes its share.
 * Shapes: losses [2 places] and dz [2 places][width] are filled in this rank's rows.  Returns the mean
 * loss. */
static double run(const pv_comm *comm, int64_t leaves, int64_t places, int width, const pv_real *z,
                  double temperature, pv_real *dz, int64_t *from, int64_t *rows)
{
    pv_memory memory = {0};
    *from = 2 * pv_share_run_start(places, leaves, comm->rank, comm->size);
    *rows = 2 * pv_share_run_start(places, leaves, comm->rank + 1, comm->size) - *from;
    double *losses = calloc((size_t)*rows + 1, sizeof *losses), sum = 0;
    pv_contrast *contrast = pv_contrast_new(comm, (int)*rows, 2 * places, leaves, width, &memory);
    if (pv_memory_status(&memory) != PV_OK) return (double)NAN;
    pv_contrast_loss(contrast, (int)*rows, z + *from * width, temperature, 1.0 / (double)(2 * places), losses,
                     dz + *from * width);
    for (int64_t i = 0; i < *rows; i++)
        sum += losses[i];
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, comm->world);
    pv_memory_free(&memory);
    free(losses);
    return sum / (double)(2 * places);
}

static double largest_error(int64_t n, const pv_real *a, const double *b, double scale)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++)
        worst = fmax(worst, fabs((double)a[i] - b[i]) / scale);
    return worst;
}

static double largest(int64_t n, const double *a)
{
    double most = 1e-9; /* a batch of one pair has no gradient */
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(a[i]));
    return most;
}

/* The published order has all first copies before all second ones. */
static void interleave(int64_t places, int width, const double *from, double *to)
{
    for (int64_t i = 0; i < places; i++)
        for (int copy = 0; copy < 2; copy++)
            for (int k = 0; k < width; k++)
                to[(2 * i + copy) * width + k] = from[(i + copy * places) * width + k];
}

static void a_case(const pv_comm *comm, const pv_oracle *oracle, const char *name)
{
    const int64_t places = pv_oracle_int(oracle, name, "batch");
    const int width = (int)pv_oracle_int(oracle, name, "dim");
    const double temperature = pv_oracle_real(oracle, name, "temperature");
    int64_t count, one, from, rows;
    double *features = pv_oracle_read(oracle, name, "input/features", &count);
    double *gradient = pv_oracle_read(oracle, name, "grad/input/features", &count);
    double *loss = pv_oracle_read(oracle, name, "output/loss", &one);
    double *z64 = calloc((size_t)count, sizeof *z64), *truth = calloc((size_t)count, sizeof *truth);
    pv_real *z = calloc((size_t)count, sizeof *z), *dz = calloc((size_t)count, sizeof *dz);
    interleave(places, width, features, z64);
    interleave(places, width, gradient, truth);
    for (int64_t i = 0; i < count; i++)
        z[i] = (pv_real)z64[i];
    const double mean = run(comm, comm->size, places, width, z, temperature, dz, &from, &rows);
    const double error =
        largest_error(rows * width, dz + from * width, truth + from * width, largest(count, truth));
    char statement[80];
    snprintf(statement, sizeof statement, "%s: loss and gradient are the published code's", name);
    pv_test_check(comm, fabs(mean - loss[0]) < 1e-6 * (1 + loss[0]) && error < 1e-5, statement);
    free(features);
    free(gradient);
    free(loss);
    free(z64);
    free(truth);
    free(z);
    free(dz);
}

/* In the same leaves one rank has the same bits; in one leaf it has them but for rounding. */
static void ranks_agree_with_one(const pv_comm *comm)
{
    enum { PLACES = 171, WIDTH = 24, ROWS = 2 * PLACES, LEAVES = 8 };
    static pv_real z[ROWS * WIDTH], dz[ROWS * WIDTH], alone[ROWS * WIDTH], whole[ROWS * WIDTH];
    static double truth[ROWS * WIDTH];
    pv_comm self;
    int64_t from, rows, own_from, own_rows;
    pv_rng rng = pv_rng_open(3, PV_RNG_TEST, 0, 0);
    for (int i = 0; i < ROWS * WIDTH; i++)
        z[i] = (pv_real)pv_rng_normal(&rng);
    pv_comm_open(MPI_COMM_SELF, 0, &self);
    const double one = run(&self, LEAVES, PLACES, WIDTH, z, 0.1, alone, &own_from, &own_rows);
    const double at_once = run(&self, 1, PLACES, WIDTH, z, 0.1, whole, &own_from, &own_rows);
    const double all = run(comm, LEAVES, PLACES, WIDTH, z, 0.1, dz, &from, &rows);
    for (int i = 0; i < ROWS * WIDTH; i++)
        truth[i] = (double)whole[i];
    const int64_t at = from * WIDTH;
    pv_test_check(comm, fabs(all - one) < 1e-12 * one && fabs(all - at_once) < 1e-12 * one,
                  "the loss of a batch does not know how many ranks hold it");
    pv_test_check(comm, largest_error(rows * WIDTH, dz + at, truth + at, largest(ROWS * WIDTH, truth)) < 1e-5,
                  "gradients cross the borders of ranks");
    pv_test_check(comm, memcmp(dz + at, alone + at, sizeof *dz * (size_t)(rows * WIDTH)) == 0,
                  "in the same leaves they are the same bits on any number of ranks");
    pv_comm_close(&self);
}

/* On one rank, by finite differences of the loss. */
static void gradients_are_slopes(const pv_comm *comm)
{
    enum { PLACES = 5, WIDTH = 4, ROWS = 2 * PLACES };
    pv_real z[ROWS * WIDTH], dz[ROWS * WIDTH], ignored[ROWS * WIDTH];
    int64_t from, rows;
    double worst = 0;
    const double h = 1e-3;
    pv_rng rng = pv_rng_open(4, PV_RNG_TEST, 0, 0);
    for (int i = 0; i < ROWS * WIDTH; i++)
        z[i] = (pv_real)pv_rng_normal(&rng);
    run(comm, comm->size, PLACES, WIDTH, z, 0.5, dz, &from, &rows);
    for (int i = 0; i < ROWS * WIDTH; i++) {
        int64_t f, r;
        const pv_real kept = z[i];
        z[i] = kept + (pv_real)h;
        const double above = run(comm, comm->size, PLACES, WIDTH, z, 0.5, ignored, &f, &r);
        z[i] = kept - (pv_real)h;
        const double below = run(comm, comm->size, PLACES, WIDTH, z, 0.5, ignored, &f, &r);
        z[i] = kept;
        if (i >= from * WIDTH && i < (from + rows) * WIDTH)
            worst = fmax(worst, fabs((double)dz[i] - (above - below) / (2 * h)));
    }
    pv_test_check(comm, worst < 1e-4, "gradients are the slopes of the loss");
}

int main(int argc, char **argv)
{
    pv_comm comm;
    pv_test_begin(&argc, &argv, &comm);
    pv_oracle *oracle = pv_oracle_open("contrastive.h5");
    for (int i = 0; i < pv_oracle_cases(oracle); i++)
        a_case(&comm, oracle, pv_oracle_case(oracle, i));
    pv_oracle_close(oracle);
    ranks_agree_with_one(&comm);
    gradients_are_slopes(&comm);
    return pv_test_end(&comm);
}
