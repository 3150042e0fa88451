/* InfoNCE and its gradient over the rows of all ranks. */
#include "pv_contrast.h"

#include <cblas.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { BLOCK = 64 }; /* rows of the similarity matrix that are held at a time */
/* The published code's: a row shorter than this is divided by it. */
static const double SHORTEST = 1e-12;

struct pv_contrast {
    const pv_comm *comm;
    int width;
    double *lengths;      /* [rows] */
    double *own, *down;   /* [rows][width]: normalised rows, and their gradient */
    double *all, *dall;   /* [global][width]: likewise of all ranks */
    double *similarities; /* [BLOCK][global] */
    int *counts, *starts; /* numbers of every rank in `all`, and where they begin */
};

pv_contrast *pv_contrast_new(const pv_comm *comm, int rows, int64_t global, int width, pv_memory *memory)
{
    pv_contrast *c = pv_take(memory, 1, sizeof *c);
    if (!c) return NULL;
    *c = (pv_contrast){.comm = comm, .width = width};
    PV_TAKE(memory, rows, &c->lengths);
    PV_TAKE(memory, (int64_t)rows * width, &c->own, &c->down);
    PV_TAKE(memory, global * width, &c->all, &c->dall);
    PV_TAKE(memory, BLOCK * global, &c->similarities);
    PV_TAKE(memory, comm->size, &c->counts, &c->starts);
    return c;
}

static void normalise(pv_contrast *c, int rows, const pv_real *z)
{
    for (int i = 0; i < rows; i++) {
        const pv_real *from = z + (int64_t)i * c->width;
        double square = 0;
        for (int k = 0; k < c->width; k++)
            square += (double)from[k] * (double)from[k];
        c->lengths[i] = fmax(sqrt(square), SHORTEST);
        for (int k = 0; k < c->width; k++)
            c->own[(int64_t)i * c->width + k] = (double)from[k] / c->lengths[i];
    }
}

/* Every rank gets all rows.  Returns how many there are; *first: the number of this rank's first one. */
static int64_t gather(pv_contrast *c, int rows, int64_t *first)
{
    const int mine = rows * c->width;
    int total = 0;
    MPI_Allgather(&mine, 1, MPI_INT, c->counts, 1, MPI_INT, c->comm->world);
    for (int r = 0; r < c->comm->size; r++) {
        c->starts[r] = total;
        total += c->counts[r];
    }
    MPI_Allgatherv(c->own, mine, MPI_DOUBLE, c->all, c->counts, c->starts, MPI_DOUBLE, c->comm->world);
    *first = c->starts[c->comm->rank] / c->width;
    return total / c->width;
}

/* The loss of row `row` of the batch from its scaled similarities to all rows, which become their gradient.
 * Returns whether the positive is the most similar. */
static bool finish_row(int64_t global, int64_t row, double scale, double *similarities, double *loss)
{
    const int64_t positive = row ^ 1;
    const double to_positive = similarities[positive];
    double largest = to_positive, sum = 0;
    for (int64_t j = 0; j < global; j++)
        if (j != row && similarities[j] > largest) largest = similarities[j];
    for (int64_t j = 0; j < global; j++) {
        similarities[j] = j == row ? 0 : exp(similarities[j] - largest);
        sum += similarities[j];
    }
    // cppcheck-suppress invalidFunctionArg ; the largest adds 1 to the sum
    *loss = log(sum) + largest - to_positive;
    for (int64_t j = 0; j < global; j++)
        similarities[j] *= scale / sum;
    similarities[positive] -= scale;
    return to_positive >= largest;
}

/* The gradient of the rows from that of the normalised ones. */
static void denormalise(const pv_contrast *c, int rows, pv_real *dz)
{
    for (int i = 0; i < rows; i++) {
        const int64_t at = (int64_t)i * c->width;
        const double along =
            c->lengths[i] > SHORTEST ? cblas_ddot(c->width, c->own + at, 1, c->down + at, 1) : 0;
        for (int k = 0; k < c->width; k++)
            dz[at + k] = (pv_real)((c->down[at + k] - along * c->own[at + k]) / c->lengths[i]);
    }
}

int64_t pv_contrast_loss(pv_contrast *c, int rows, const pv_real *z, double temperature, double scale,
                         double *losses, pv_real *dz)
{
    const int width = c->width;
    int64_t first, correct = 0;
    normalise(c, rows, z);
    const int64_t global = gather(c, rows, &first);
    if (dz) memset(c->dall, 0, sizeof *c->dall * (size_t)(global * width));
    for (int done = 0; done < rows; done += BLOCK) {
        const int block = rows - done < BLOCK ? rows - done : BLOCK;
        const double *own = c->own + (int64_t)done * width;
        double *const s = c->similarities;
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, block, (int)global, width, 1 / temperature, own,
                    width, c->all, width, 0, s, (int)global);
        for (int i = 0; i < block; i++)
            correct += finish_row(global, first + done + i, scale, s + i * global, &losses[done + i]);
        if (!dz) continue;
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, block, width, (int)global, 1 / temperature, s,
                    (int)global, c->all, width, 0, c->down + (int64_t)done * width, width);
        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)global, width, block, 1 / temperature, s,
                    (int)global, own, width, 1, c->dall, width);
    }
    if (!dz) return correct;
    /* what all ranks say of this rank's rows, as the others' negatives and positives; `all` has done its
     * work */
    MPI_Reduce_scatter(c->dall, c->all, c->counts, MPI_DOUBLE, MPI_SUM, c->comm->world);
    for (int64_t i = 0; i < (int64_t)rows * width; i++)
        c->down[i] += c->all[i];
    denormalise(c, rows, dz);
    return correct;
}
