/* Probes on ScaLAPACK against LAPACK on one process: every rank also solves the whole problem alone. */
#include "base/pv_mem.h"
#include "base/pv_rng.h"
#include "probe/pv_matrix.h"
#include "probe/pv_probe.h"
#include "pv_mpi_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void dposv_(const char *uplo, const int *n, const int *columns, double *a, const int *lda, double *b,
            const int *ldb, int *info);
void dsyev_(const char *job, const char *uplo, const int *n, double *a, const int *lda, double *values,
            double *work, const int *length, int *info);

enum { WIDTH = 150, TARGETS = 3, TRAIN = 330, VAL = 41, TEST = 67, MOST = TRAIN };

/* The whole of a split, which every rank can compute. */
typedef struct whole {
    double x[MOST][WIDTH], y[MOST][TARGETS];
    int32_t label[MOST];
} whole;

static double number(uint64_t split, int64_t sample, int64_t k)
{
    pv_rng rng = pv_rng_open(5, PV_RNG_TEST, split, (uint64_t)(sample * 1000 + k));
    return pv_rng_normal(&rng);
}

/* Correlated features of different sizes; labels and real targets depend on them. */
static void make_whole(uint64_t split, int64_t samples, bool classes, whole *w)
{
    for (int64_t i = 0; i < samples; i++) {
        for (int k = 0; k < WIDTH; k++)
            w->x[i][k] = (1 + 0.02 * k) * number(split, i, k) + (k ? 0.3 * w->x[i][k - 1] : 0) + 0.1 * k;
        for (int t = 0; t < TARGETS; t++)
            w->y[i][t] = w->x[i][t] - 0.5 * w->x[i][2 * t + 5] + 0.3 * number(split, i, 500 + t) + t;
        w->label[i] = (int32_t)(w->y[i][0] > w->y[i][1]) + (w->y[i][2] > 3);
        for (int t = 0; classes && t < TARGETS; t++)
            w->y[i][t] = t == w->label[i];
    }
}

static pv_status make_share(const pv_comm *comm, const whole *w, int64_t samples, pv_features *f)
{
    int64_t first, count;
    pv_share_of(samples, comm->rank, comm->size, &first, &count);
    const pv_status st = pv_features_make(samples, first, count, WIDTH, TARGETS, f);
    for (int64_t i = 0; st == PV_OK && i < count; i++) {
        memcpy(f->x + i * WIDTH, w->x[first + i], sizeof w->x[0]);
        memcpy(f->y + i * TARGETS, w->y[first + i], sizeof w->y[0]);
        f->label[i] = w->label[first + i];
    }
    return st;
}

typedef struct problem {
    whole *train, *val, *test;
    pv_probe_data data;
} problem;

static void make_problem(const pv_comm *comm, bool classes, problem *p)
{
    p->train = pv_alloc(1, sizeof *p->train);
    p->val = pv_alloc(1, sizeof *p->val);
    p->test = pv_alloc(1, sizeof *p->test);
    make_whole(1, TRAIN, classes, p->train);
    make_whole(2, VAL, classes, p->val);
    make_whole(3, TEST, classes, p->test);
    p->data = (pv_probe_data){.classes = classes};
    const bool made = make_share(comm, p->train, TRAIN, &p->data.train) == PV_OK &&
                      make_share(comm, p->val, VAL, &p->data.val) == PV_OK &&
                      make_share(comm, p->test, TEST, &p->data.test) == PV_OK;
    pv_test_check(comm, made, "features are made");
}

static void free_problem(problem *p)
{
    pv_features_free(&p->data.train);
    pv_features_free(&p->data.val);
    pv_features_free(&p->data.test);
    free(p->train);
    free(p->val);
    free(p->test);
}

static void column_means(const whole *w, int64_t samples, double *x, double *y)
{
    for (int64_t i = 0; i < samples; i++) {
        for (int k = 0; k < WIDTH; k++)
            x[k] += w->x[i][k] / (double)samples;
        for (int t = 0; t < TARGETS; t++)
            y[t] += w->y[i][t] / (double)samples;
    }
}

/* Largest difference of this rank's predictions, relative to 1 + |value|. */
static double difference(const pv_features *test, const double *mine, double (*truth)[TARGETS])
{
    double worst = 0;
    for (int64_t i = 0; i < test->count; i++)
        for (int t = 0; t < TARGETS; t++) {
            const double value = truth[test->first + i][t];
            worst = fmax(worst, fabs(mine[i * TARGETS + t] - value) / (1 + fabs(value)));
        }
    return worst;
}

/* Predictions of the test split by ridge regression with LAPACK. */
static void ridge_alone(const problem *p, double lambda, double (*out)[TARGETS])
{
    static double a[WIDTH][WIDTH], b[TARGETS][WIDTH];
    double x[WIDTH] = {0}, y[TARGETS] = {0}, trace = 0;
    const int n = WIDTH, columns = TARGETS;
    int info;
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    column_means(p->train, TRAIN, x, y);
    for (int64_t i = 0; i < TRAIN; i++)
        for (int k = 0; k < WIDTH; k++) {
            const double u = p->train->x[i][k] - x[k];
            for (int l = 0; l < WIDTH; l++)
                a[k][l] += u * (p->train->x[i][l] - x[l]);
            for (int t = 0; t < TARGETS; t++)
                b[t][k] += u * (p->train->y[i][t] - y[t]);
        }
    for (int k = 0; k < WIDTH; k++)
        trace += a[k][k];
    for (int k = 0; k < WIDTH; k++)
        a[k][k] += lambda * trace / WIDTH;
    dposv_("L", &n, &columns, &a[0][0], &n, &b[0][0], &n, &info);
    for (int64_t i = 0; i < TEST; i++)
        for (int t = 0; t < TARGETS; t++) {
            out[i][t] = y[t];
            for (int k = 0; k < WIDTH; k++)
                out[i][t] += (p->test->x[i][k] - x[k]) * b[t][k];
        }
}

static double kernel_of(pv_kernel kernel, double gamma, const double *x, const double *y)
{
    double dot = 0, square = 0;
    for (int k = 0; k < WIDTH; k++) {
        dot += x[k] * y[k];
        square += (x[k] - y[k]) * (x[k] - y[k]);
    }
    return kernel == PV_KERNEL_RBF ? exp(-gamma * square) : dot;
}

static void krr_alone(const problem *p, pv_kernel kernel, double gamma, double lambda, double (*out)[TARGETS])
{
    static double a[TRAIN][TRAIN], b[TARGETS][TRAIN];
    double x[WIDTH] = {0}, y[TARGETS] = {0}, trace = 0;
    const int n = TRAIN, columns = TARGETS;
    int info;
    column_means(p->train, TRAIN, x, y);
    for (int i = 0; i < TRAIN; i++) {
        for (int j = 0; j < TRAIN; j++)
            a[i][j] = kernel_of(kernel, gamma, p->train->x[i], p->train->x[j]);
        for (int t = 0; t < TARGETS; t++)
            b[t][i] = p->train->y[i][t] - y[t];
        trace += a[i][i];
    }
    for (int i = 0; i < TRAIN; i++)
        a[i][i] += lambda * trace / TRAIN;
    dposv_("L", &n, &columns, &a[0][0], &n, &b[0][0], &n, &info);
    for (int i = 0; i < TEST; i++) {
        memcpy(out[i], y, sizeof y);
        for (int j = 0; j < TRAIN; j++)
            for (int t = 0; t < TARGETS; t++)
                out[i][t] += kernel_of(kernel, gamma, p->test->x[i], p->train->x[j]) * b[t][j];
    }
}

static const pv_candidates one_lambda = {{1e-3}, 1};

static pv_status fit(const pv_comm *comm, const pv_probe *probe, const void *options,
                     const pv_probe_data *data, const pv_candidates *candidates, pv_probe_result *result)
{
    const pv_probe_job job = {comm, options, NULL, NULL};
    return pv_probe_fit(probe, &job, data, candidates, result);
}

static void ridge_is_lapacks(const pv_comm *comm, const problem *p)
{
    static double truth[TEST][TARGETS];
    pv_probe_result result;
    ridge_alone(p, 1e-3, truth);
    const pv_status st = fit(comm, &pv_probe_ridge, NULL, &p->data, &one_lambda, &result);
    pv_test_check(comm, st == PV_OK && difference(&p->data.test, result.predictions, truth) < 1e-8,
                  "ridge predicts as LAPACK's solution");
    pv_test_check(comm, st == PV_OK && result.rcond > 1e-8 && result.rcond < 1 && result.test_score > 0.8,
                  "and tells its condition and its score");
    pv_probe_result_free(&result);
}

static void krr_is_lapacks(const pv_comm *comm, const problem *p, pv_kernel kernel, const char *statement)
{
    static double truth[TEST][TARGETS];
    const double gamma = 1e-3;
    const pv_krr_opts options = {.kernel = kernel, .gamma = gamma};
    pv_probe_result result;
    krr_alone(p, kernel, gamma, 1e-3, truth);
    const pv_status st = fit(comm, &pv_probe_krr, &options, &p->data, &one_lambda, &result);
    pv_test_check(comm, st == PV_OK && difference(&p->data.test, result.predictions, truth) < 1e-8,
                  statement);
    pv_probe_result_free(&result);
}

/* Dual and primal ridge regression without an intercept of the features are the same function. */
static void lambda_is_chosen_on_validation(const pv_comm *comm, const problem *p)
{
    const pv_candidates many = {{1e-6, 1e-2, 1e4}, 3};
    pv_probe_result all, single;
    double best = -1, chosen = 0;
    bool fine = true;
    for (int i = 0; i < many.count; i++) {
        const pv_candidates one = {{many.of[i]}, 1};
        fine = fine && fit(comm, &pv_probe_ridge, NULL, &p->data, &one, &single) == PV_OK;
        if (fine && single.val_score > best) {
            best = single.val_score;
            chosen = many.of[i];
        }
        pv_probe_result_free(&single);
    }
    fine = fine && fit(comm, &pv_probe_ridge, NULL, &p->data, &many, &all) == PV_OK;
    pv_test_check(comm, fine && all.chosen == chosen && all.val_score == best,
                  "lambda is the best one on validation");
    pv_probe_result_free(&all);
}

/* k nearest neighbours by brute force. */
static int nearest_label(const whole *train, const double *x, int k)
{
    double similarity[TRAIN];
    int votes[TARGETS] = {0}, best = 0;
    for (int j = 0; j < TRAIN; j++) {
        double dot = 0, square = 0;
        for (int d = 0; d < WIDTH; d++) {
            dot += x[d] * train->x[j][d];
            square += train->x[j][d] * train->x[j][d];
        }
        similarity[j] = dot / sqrt(square);
    }
    for (int round = 0; round < k; round++) {
        int top = 0;
        for (int j = 1; j < TRAIN; j++)
            if (similarity[j] > similarity[top]) top = j;
        votes[train->label[top]]++;
        similarity[top] = -(double)INFINITY;
    }
    for (int t = 1; t < TARGETS; t++)
        if (votes[t] > votes[best]) best = t;
    return best;
}

static void knn_is_brute_force(const pv_comm *comm, const problem *p)
{
    enum { NEIGHBOURS = 7 };
    const pv_candidates seven = {{NEIGHBOURS}, 1};
    pv_probe_result result;
    const pv_features *test = &p->data.test;
    bool holds = fit(comm, &pv_probe_knn, NULL, &p->data, &seven, &result) == PV_OK;
    for (int64_t i = 0; holds && i < test->count; i++) {
        const double *votes = result.predictions + i * TARGETS;
        int best = 0;
        for (int t = 1; t < TARGETS; t++)
            if (votes[t] > votes[best]) best = t;
        holds = best == nearest_label(p->train, p->test->x[test->first + i], NEIGHBOURS);
    }
    pv_test_check(comm, holds, "the nearest neighbours are those of an exhaustive search");
    pv_probe_result_free(&result);
    const pv_candidates too_many = {{TRAIN + 1}, 1};
    pv_test_check(comm, fit(comm, &pv_probe_knn, NULL, &p->data, &too_many, &result) == PV_ERR_DATA,
                  "more neighbours than samples are refused");
}

static void pca_is_lapacks(const pv_comm *comm, const problem *p)
{
    enum { COMPONENTS = 5, WORK = 40 * WIDTH };
    static double a[WIDTH][WIDTH], values[WIDTH], work[WORK];
    double x[WIDTH] = {0}, y[TARGETS] = {0}, worst = 0, total = 0;
    const int n = WIDTH, length = WORK;
    int info;
    pv_pca pca;
    column_means(p->train, TRAIN, x, y);
    memset(a, 0, sizeof a);
    for (int i = 0; i < TRAIN; i++)
        for (int k = 0; k < WIDTH; k++)
            for (int l = 0; l < WIDTH; l++)
                a[k][l] += (p->train->x[i][k] - x[k]) * (p->train->x[i][l] - x[l]) / (TRAIN - 1);
    dsyev_("V", "L", &n, &a[0][0], &n, values, work, &length, &info);
    for (int k = 0; k < WIDTH; k++)
        total += values[k];
    const pv_status st = pv_pca_fit(comm, &p->data.train, COMPONENTS, &pca);
    for (int c = 0; st == PV_OK && c < COMPONENTS; c++) {
        const double *truth = a[WIDTH - 1 - c];
        double dot = 0;
        for (int k = 0; k < WIDTH; k++)
            dot += truth[k] * pca.directions[k * COMPONENTS + c];
        worst = fmax(worst, fabs(fabs(dot) - 1));
        worst = fmax(worst, fabs(pca.variance[c] / values[WIDTH - 1 - c] - 1));
        worst = fmax(worst, fabs(pca.explained[c] - values[WIDTH - 1 - c] / total));
    }
    pv_test_check(comm, st == PV_OK && worst < 1e-8, "principal components are LAPACK's eigenvectors");
    pv_pca_free(&pca);
}

/* The alignment by its definition, from n x n kernels of the test split. */
static void cka_is_its_definition(const pv_comm *comm, const problem *p)
{
    static double k[2][TEST][TEST];
    pv_features other = p->data.test;
    double mean[WIDTH] = {0}, y[TARGETS] = {0}, sums[3] = {0}, cka = 0;
    column_means(p->test, TEST, mean, y);
    const int widths[2] = {WIDTH, TARGETS};
    for (int i = 0; i < TEST; i++)
        for (int j = 0; j < TEST; j++)
            for (int which = 0; which < 2; which++) {
                k[which][i][j] = 0;
                for (int d = 0; d < widths[which]; d++)
                    k[which][i][j] += which ? (p->test->y[i][d] - y[d]) * (p->test->y[j][d] - y[d])
                                            : (p->test->x[i][d] - mean[d]) * (p->test->x[j][d] - mean[d]);
            }
    for (int i = 0; i < TEST * TEST; i++) {
        const double a = (&k[0][0][0])[i], b = (&k[1][0][0])[i];
        sums[0] += a * b;
        sums[1] += a * a;
        sums[2] += b * b;
    }
    other.x = other.y; /* the targets as a second representation */
    other.width = TARGETS;
    const pv_status st = pv_cka(comm, &p->data.test, &other, &cka);
    pv_test_check(comm, st == PV_OK && fabs(cka - sums[0] / sqrt(sums[1] * sums[2])) < 1e-10,
                  "the alignment of two representations is that of their kernels");
    pv_test_check(comm, pv_cka(comm, &p->data.test, &p->data.test, &cka) == PV_OK && fabs(cka - 1) < 1e-12,
                  "a representation is aligned with itself");
}

static void dependent_features_are_named(const pv_comm *comm, problem *p)
{
    const pv_candidates none = {{0}, 1}, some = {{0, 1e-3}, 2};
    pv_probe_result result;
    for (int64_t i = 0; i < p->data.train.count; i++)
        p->data.train.x[i * WIDTH + 9] = p->data.train.x[i * WIDTH + 4];
    pv_test_check(comm,
                  fit(comm, &pv_probe_ridge, NULL, &p->data, &none, &result) == PV_ERR_NUMERIC &&
                      strstr(pv_fail_message(), "raise lambda"),
                  "two equal features without lambda: the message says what helps");
    pv_test_check(
        comm, fit(comm, &pv_probe_ridge, NULL, &p->data, &some, &result) == PV_OK && result.chosen == 1e-3,
        "a lambda that cannot be solved is left out");
    pv_probe_result_free(&result);
    for (int64_t i = 0; i < p->data.train.count; i++)
        p->data.train.x[i * WIDTH + 9] *= 1 + 1e-14;
    pv_test_check(comm,
                  fit(comm, &pv_probe_ridge, NULL, &p->data, &none, &result) == PV_ERR_NUMERIC &&
                      strstr(pv_fail_message(), "raise lambda"),
                  "so of two that nearly agree");
    p->data.train.x[0] = (double)NAN;
    pv_test_check(comm,
                  fit(comm, &pv_probe_ridge, NULL, &p->data, &some, &result) == PV_ERR_NUMERIC &&
                      strstr(pv_fail_message(), "not finite"),
                  "features that are not finite are refused");
}

static void large_matrices_are_refused(const pv_comm *comm)
{
    pv_grid grid;
    pv_matrix matrix;
    const int64_t n = 200000;
    pv_grid_open(comm, &grid);
    pv_test_check(comm,
                  pv_matrix_make(&grid, n, n, &matrix) == PV_ERR_CONFIG &&
                      strstr(pv_fail_message(), "at least 19"),
                  "a matrix whose parts outgrow 32-bit indices is refused with the number of ranks it takes");
    pv_grid_close(&grid);
}

int main(int argc, char **argv)
{
    pv_comm comm;
    problem p;
    pv_test_begin(&argc, &argv, &comm);
    make_problem(&comm, false, &p);
    ridge_is_lapacks(&comm, &p);
    krr_is_lapacks(&comm, &p, PV_KERNEL_RBF, "kernel ridge predicts as LAPACK's solution, rbf");
    krr_is_lapacks(&comm, &p, PV_KERNEL_LINEAR, "and linear");
    lambda_is_chosen_on_validation(&comm, &p);
    pca_is_lapacks(&comm, &p);
    cka_is_its_definition(&comm, &p);
    free_problem(&p);
    make_problem(&comm, true, &p);
    knn_is_brute_force(&comm, &p);
    dependent_features_are_named(&comm, &p);
    free_problem(&p);
    large_matrices_are_refused(&comm);
    return pv_test_end(&comm);
}
