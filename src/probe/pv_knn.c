/* k nearest neighbours by cosine similarity: the class with most of them (of equals the lowest), or the mean
 * of their targets.  Training samples stream past every rank's own samples, block by block.  Of equal
 * similarities the sample that comes first is nearer. */
#include "base/pv_mem.h"
#include "probe/pv_probe.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

enum { CHUNK = PV_STREAM_ROWS }; /* own samples that are compared with a block of the stream at a time */

/* The nearest training samples of this rank's samples of a split, the nearest first. */
typedef struct neighbours {
    const pv_features *features;
    double *similarity; /* [count][most] */
    double *y;          /* [count][most][targets]: their targets */
} neighbours;

typedef struct knn {
    const pv_probe_data *data;
    int most;
    int64_t seen; /* training samples so far */
    neighbours val, test;
    double *block; /* [CHUNK][PV_STREAM_ROWS] */
} knn;

static void end(void *state)
{
    knn *k = state;
    PV_FREE(k->val.similarity, k->val.y, k->test.similarity, k->test.y, k->block);
}

/* Takes one training sample into the list of one sample if it is near enough; `held` are in the list. */
static void take(const knn *k, int64_t held, double similarity, const double *y, double *list,
                 double *targets)
{
    const int64_t width = k->data->train.targets;
    int64_t at = held < k->most ? held : k->most - 1;
    if (held >= k->most && similarity <= list[at]) return;
    for (; at > 0 && list[at - 1] < similarity; at--) {
        list[at] = list[at - 1];
        memcpy(targets + at * width, targets + (at - 1) * width, sizeof *targets * (size_t)width);
    }
    list[at] = similarity;
    memcpy(targets + at * width, y, sizeof *targets * (size_t)width);
}

/* Cosine similarities but for the length of the own sample, which does not change their order. */
static void compare(const knn *k, const neighbours *n, int64_t count, const double *x, const double *y,
                    const double *inverse)
{
    const pv_features *f = n->features;
    const int width = f->width;
    for (int64_t first = 0; first < f->count; first += CHUNK) {
        const int64_t rows = f->count - first < CHUNK ? f->count - first : CHUNK;
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)count, width, 1,
                    f->x + first * width, width, x, width, 0, k->block, (int)count);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < count; j++)
                take(k, k->seen + j, k->block[i * count + j] * inverse[j], y + j * f->targets,
                     n->similarity + (first + i) * k->most, n->y + (first + i) * k->most * f->targets);
    }
}

static void see_block(void *context, int64_t first, int64_t count, const double *x, const double *y)
{
    knn *k = context;
    const int width = k->data->train.width;
    double inverse[PV_STREAM_ROWS];
    (void)first;
    for (int64_t j = 0; j < count; j++) {
        const double length = cblas_dnrm2(width, x + j * width, 1);
        inverse[j] = length > 0 ? 1 / length : 0;
    }
    compare(k, &k->val, count, x, y, inverse);
    compare(k, &k->test, count, x, y, inverse);
    k->seen += count;
}

static void vote(const knn *k, const neighbours *n, int count, double *predictions)
{
    const int64_t targets = n->features->targets;
    for (int64_t i = 0; i < n->features->count; i++)
        for (int64_t t = 0; t < targets; t++) {
            double sum = 0;
            for (int64_t j = 0; j < count; j++)
                sum += n->y[(i * k->most + j) * targets + t];
            predictions[i * targets + t] = sum / count;
        }
}

static pv_status too_many(pv_status status, const knn *k, double wanted)
{
    return pv_fail(status, "--neighbours: there are %lld training samples: %g neighbours cannot be asked for",
                   (long long)k->data->train.samples, wanted);
}

static pv_status predict(void *state, double candidate, double *val, double *test, pv_probe_result *result)
{
    const knn *k = state;
    (void)result;
    if (candidate > (double)k->most) return too_many(PV_ERR_NUMERIC, k, candidate);
    vote(k, &k->val, (int)candidate, val);
    vote(k, &k->test, (int)candidate, test);
    return PV_OK;
}

static pv_status reserve(const knn *k, const pv_features *features, neighbours *n)
{
    const int64_t held = features->count * k->most;
    pv_status st = PV_OK;
    n->features = features;
    PV_ALLOC(n->similarity, held);
    PV_ALLOC(n->y, held * features->targets);
done:
    return st;
}

static pv_status allocate(knn *k, const pv_candidates *candidates)
{
    pv_status st = PV_OK;
    for (int i = 0; i < candidates->count; i++) {
        const double wanted = candidates->of[i];
        if (wanted != floor(wanted))
            return pv_fail(PV_ERR_USAGE, "--neighbours: %g is not a whole number", wanted);
        if (wanted <= (double)k->data->train.samples && wanted < INT32_MAX && wanted > k->most)
            k->most = (int)wanted;
    }
    if (k->most == 0) return too_many(PV_ERR_DATA, k, candidates->of[0]);
    PV_ALLOC(k->block, (int64_t)CHUNK * PV_STREAM_ROWS);
    PV_TRY(reserve(k, &k->data->val, &k->val));
    PV_TRY(reserve(k, &k->data->test, &k->test));
done:
    return st;
}

static pv_status start(const pv_probe_job *job, const pv_probe_data *data, const pv_candidates *candidates,
                       void *state)
{
    knn *k = state;
    k->data = data;
    const pv_status st = pv_agree(job->comm, allocate(k, candidates));
    return st == PV_OK ? pv_features_stream(job->comm, &data->train, see_block, k) : st;
}

/* Its words on the command line. */
typedef struct words {
    char *neighbours;
} words;

static const pv_option options[] = {{PV_KEY(words, neighbours), .initial = "1,5,10,20,50", .value = "K,...",
                                     .meaning = "candidates: how many, by cosine similarity"},
                                    {0}};

const pv_probe pv_probe_knn = {
    .plugin = {.name = "knn", .help = "the nearest training samples vote", PV_OWN(options, words)},
    .candidates = "neighbours",
    .least = 1,
    .state_size = sizeof(knn),
    .start = start,
    .predict = predict,
    .end = end,
};
