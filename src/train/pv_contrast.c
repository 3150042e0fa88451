/* InfoNCE and its gradient over the rows of all ranks. */
#include "pv_contrast.h"

#include <cblas.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { BLOCK = 64 }; /* rows of the similarity matrix that are held at a time */
/* The published code's: a row shorter than this is divided by it. */
static const double SHORTEST = 1e-12;
static const double LARGEST_EXPONENT = 600; /* of a double, less some room */

struct pv_contrast {
    const pv_comm *comm;
    int64_t leaves, leaf, end; /* of a batch; the first one of this rank, and the one behind its last */
    int width;
    double *lengths;      /* [rows] */
    double *own, *down;   /* [rows][width]: normalised rows, and their gradient */
    double *all;          /* [global][width]: likewise of all ranks */
    double *own_sums;     /* [rows]: logarithms of the rows' sums of exponentials */
    double *sums;         /* [global]: likewise of all ranks */
    double *from_most;    /* [global]: exp(most - sums), which saves an exponential for every similarity */
    double most;          /* of the sums */
    bool near;            /* they are so near each other that nothing overflows */
    double *similarities; /* [BLOCK][global] */
    int *counts, *starts; /* numbers of every rank in `all`, and where they begin; likewise in `sums` */
};

pv_contrast *pv_contrast_new(const pv_comm *comm, int rows, int64_t global, int64_t leaves, int width,
                             pv_memory *memory)
{
    pv_contrast *c = pv_take(memory, 1, sizeof *c);
    if (!c) return NULL;
    *c = (pv_contrast){.comm = comm,
                       .leaves = leaves,
                       .leaf = pv_share_start(leaves, comm->rank, comm->size),
                       .end = pv_share_start(leaves, comm->rank + 1, comm->size),
                       .width = width};
    PV_TAKE(memory, rows, &c->lengths, &c->own_sums);
    PV_TAKE(memory, (int64_t)rows * width, &c->own, &c->down);
    PV_TAKE(memory, global * width, &c->all);
    PV_TAKE(memory, global, &c->sums, &c->from_most);
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

/* Every rank gets the sums of all rows. */
static void gather_sums(pv_contrast *c, int rows, int64_t global)
{
    for (int r = 0; r < c->comm->size; r++) {
        c->counts[r] /= c->width;
        c->starts[r] /= c->width;
    }
    MPI_Allgatherv(c->own_sums, rows, MPI_DOUBLE, c->sums, c->counts, c->starts, MPI_DOUBLE, c->comm->world);
    double least = c->most = c->sums[0];
    for (int64_t j = 0; j < global; j++) {
        least = fmin(least, c->sums[j]);
        c->most = fmax(c->most, c->sums[j]);
    }
    c->near = c->most - least < LARGEST_EXPONENT;
    for (int64_t j = 0; j < global; j++)
        c->from_most[j] = exp(c->most - c->sums[j]);
}

/* Rows of the batch of which one product takes the similarities: of one leaf, since the bits of a product
 * depend on its shape, which is to be the same on any number of ranks. */
typedef struct block {
    int64_t leaf, row;
    int rows;
} block;

static int64_t leaf_start(const pv_contrast *c, int64_t global, int64_t leaf)
{
    enum { PAIR = 2 };
    return PAIR * pv_share_start(global / PAIR, leaf, c->leaves);
}

/* The block that follows this rank's `at`, of 0 rows: the first one.  Returns whether there is one. */
static bool next_block(const pv_contrast *c, int64_t global, block *at)
{
    at->row += at->rows;
    while (at->leaf < c->end && at->row == leaf_start(c, global, at->leaf + 1))
        at->leaf++;
    if (at->leaf == c->end) return false;
    const int64_t left = leaf_start(c, global, at->leaf + 1) - at->row;
    at->rows = left < BLOCK ? (int)left : BLOCK;
    return true;
}

/* Of a block's rows, own [rows][width], to all, over the temperature. */
static void find_similarities(pv_contrast *c, const block *at, const double *own, int64_t global,
                              double temperature)
{
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, at->rows, (int)global, c->width, 1 / temperature,
                own, c->width, c->all, c->width, 0, c->similarities, (int)global);
}

/* The loss of row `row` of the batch from its scaled similarities to all rows, and the logarithm of its sum.
 * Returns whether the positive is the most similar. */
static bool judge_row(int64_t global, int64_t row, const double *similarities, double *log_sum, double *loss)
{
    const double to_positive = similarities[row ^ 1];
    double largest = to_positive, sum = 0;
    for (int64_t j = 0; j < global; j++)
        if (j != row && similarities[j] > largest) largest = similarities[j];
    for (int64_t j = 0; j < global; j++)
        if (j != row) sum += exp(similarities[j] - largest);
    // cppcheck-suppress invalidFunctionArg ; the largest adds 1 to the sum
    *log_sum = log(sum) + largest;
    *loss = *log_sum - to_positive;
    return to_positive >= largest;
}

/* A row's scaled similarities become the gradient of `scale` times all losses: its own, and the others', in
 * which it stands as the other side of the same similarity. */
static void differentiate_row(const pv_contrast *c, int64_t global, int64_t row, double scale,
                              double *similarities)
{
    const double own = c->sums[row], to_most = exp(own - c->most);
    for (int64_t j = 0; j < global; j++) {
        const double share = exp(similarities[j] - own);
        similarities[j] = scale * (c->near ? share + share * (to_most * c->from_most[j])
                                           : share + exp(similarities[j] - c->sums[j]));
    }
    similarities[row] = 0;
    similarities[row ^ 1] -= 2 * scale;
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
    for (block at = {.leaf = c->leaf, .row = first}; next_block(c, global, &at);) {
        const int64_t done = at.row - first;
        find_similarities(c, &at, c->own + done * width, global, temperature);
        for (int i = 0; i < at.rows; i++)
            correct += judge_row(global, at.row + i, c->similarities + i * global, &c->own_sums[done + i],
                                 &losses[done + i]);
    }
    if (!dz) return correct;
    gather_sums(c, rows, global);
    for (block at = {.leaf = c->leaf, .row = first}; next_block(c, global, &at);) {
        const int64_t done = at.row - first;
        find_similarities(c, &at, c->own + done * width, global, temperature);
        for (int i = 0; i < at.rows; i++)
            differentiate_row(c, global, at.row + i, scale, c->similarities + i * global);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, at.rows, width, (int)global, 1 / temperature,
                    c->similarities, (int)global, c->all, width, 0, c->down + done * width, width);
    }
    denormalise(c, rows, dz);
    return correct;
}
