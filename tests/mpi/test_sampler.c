/* The sampler: the stream of augmented rows is the one that its parts define, place by place, whatever number
 * of ranks takes it and wherever the rows are kept; partners that other ranks hold are fetched. */
#include "augment/pv_augment.h"
#include "run/pv_run_config.h"
#include "pv_mpi_test.h"
#include "pv_test_store.h"
#include "data/pv_sampler.h"
#include "data/pv_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMS = PV_TEST_PARAMS, VIEWS = 2, SEED = 11, EPOCHS = 3, BATCH = 10 };

static void make_row(int64_t sample, float *row)
{
    for (int p = 0; p < PARAMS; p++)
        row[p] = pv_test_entry(sample % VIEWS, sample / VIEWS, p);
}

static void make_store(const pv_comm *comm, const pv_test_files *files)
{
    pv_store *store;
    pv_status st = pv_test_store_create(comm, files, files->store);
    if (st == PV_OK) st = pv_store_open(comm, files->store, PV_STORE_WRITE, NULL, &store);
    pv_test_check(comm, st == PV_OK, "a store is made");
    if (st != PV_OK) return;
    for (int64_t object = comm->rank; st == PV_OK && object < PV_TEST_TRAIN; object += comm->size)
        for (int64_t view = 0; view < VIEWS && st == PV_OK; view++) {
            float row[PARAMS], psnr = 20;
            const uint32_t steps = 1;
            const uint8_t status = PV_ROW_FITTED;
            make_row(object * VIEWS + view, row);
            st = pv_store_write_rows(store, view, object, 1, row, &psnr, &steps, &status);
        }
    pv_test_check(comm, st == PV_OK, "and filled");
    pv_store_close(store);
}

/* One kind of stream. */
typedef struct stream {
    const char *name;
    int views; /* that are trained on; the others are partners' alone */
    bool random_view;
    const char *augment;
} stream;

static const stream streams[] = {
    {"bare", VIEWS, false, "augment: []"},
    {"noise on random views", VIEWS, true, "augment: [{kind: noise, p: 0.5}]"},
    {"aligned MixUp", VIEWS, false,
     "augment: [{kind: negation}, {kind: mixup_aligned, p: 0.7, sweeps: 8}, {kind: label_smoothing}]"},
    {"MixUp with other objects", VIEWS, true, "augment: [{kind: mixup, partner: object}]"},
    {"MixUp of views", VIEWS, false, "augment: [{kind: mixup_perm, partner: view}]"},
    {"MixUp through a reference", 1, false,
     "augment: [{kind: permute}, {kind: mixup_aligned, match: reference, signs: true, partner_views: all}]"},
    {"MixUp with all views", 1, false, "augment: [{kind: mixup, partner_views: all, p: 0.9}]"},
    {"MixUp of one view with others", 1, true, "augment: [{kind: mixup, partner: view, partner_views: all}]"},
    {"MixUp with all views of others", 1, true,
     "augment: [{kind: mixup, partner: object, partner_views: all}]"},
};
enum { STREAMS = sizeof streams / sizeof *streams };

/* What stands at a place by the definitions alone. */
typedef struct expected {
    float row[PARAMS], target[PV_TEST_CLASSES];
    int64_t sample, partner; /* among all views; partner -1: none */
} expected;

/* The frame of a sample's row. */
static void define_frame(const pv_frames *frames, int64_t sample, const float *row, float *words)
{
    const pv_arch arch = pv_test_arch();
    pv_matcher *matcher = NULL;
    pv_symmetry e = {0};
    pv_rng rng = pv_rng_open(0, PV_RNG_MATCH, (uint64_t)(sample / VIEWS), (uint64_t)(sample % VIEWS));
    if (pv_matcher_new(&arch, &frames->match, &matcher) == PV_OK && pv_symmetry_make(&arch, &e) == PV_OK) {
        pv_match(matcher, frames->reference, row, &rng, &e);
        pv_frame_pack(&arch, &e, words);
    }
    pv_symmetry_free(&e);
    pv_matcher_free(matcher);
}

static bool define_place(const stream *s, const pv_frames *frames, pv_augmenter *augmenter, int64_t epoch,
                         int64_t place, expected *e)
{
    const pv_augment_key key = {SEED, epoch, place};
    const pv_partner whom = pv_augmenter_partner(augmenter, key);
    float own[PARAMS], other[PARAMS], own_frame[PARAMS], other_frame[PARAMS];
    const int64_t trained = s->random_view
                                ? pv_stream_random_view(SEED, epoch, PV_TEST_TRAIN, s->views, place)
                                : pv_stream_sample(SEED, epoch, s->views * PV_TEST_TRAIN, place);
    e->sample = trained / s->views * VIEWS + trained % s->views;
    e->partner = whom == PV_PARTNER_NONE
                     ? -1
                     : pv_stream_partner(SEED, epoch, PV_TEST_TRAIN, VIEWS, place, e->sample, whom);
    make_row(e->sample, own);
    if (e->partner >= 0) make_row(e->partner, other);
    if (frames) define_frame(frames, e->sample, own, own_frame);
    if (frames && e->partner >= 0) define_frame(frames, e->partner, other, other_frame);
    const pv_augment_sample sample = {own, (int32_t)(e->sample / VIEWS % PV_TEST_CLASSES), own_frame};
    const pv_augment_sample partner = {other, (int32_t)(e->partner / VIEWS % PV_TEST_CLASSES), other_frame};
    return pv_augmenter_apply(augmenter, key, sample, e->partner >= 0 ? &partner : NULL, e->row, e->target) ==
           PV_OK;
}

/* What was seen of a stream, on this rank. */
typedef struct seen {
    bool holds;
    int64_t places, partners, further_partners, remote_samples, remote_partners;
} seen;

/* Views of the same objects are held together. */
static bool is_held(const stream *s, const pv_dataset *dataset, int64_t sample)
{
    return pv_dataset_row(dataset, sample / VIEWS * s->views) != NULL;
}

static void check_batch(const stream *s, const pv_frames *frames, pv_augmenter *augmenter,
                        const pv_dataset *dataset, int64_t epoch, int64_t first, const pv_batch *batch,
                        seen *so_far)
{
    for (int i = 0; i < batch->count; i++) {
        expected e;
        const int64_t place = first + batch->first + i;
        so_far->holds = so_far->holds && define_place(s, frames, augmenter, epoch, place, &e) &&
                        memcmp(e.row, batch->rows + (int64_t)i * PARAMS, sizeof e.row) == 0 &&
                        memcmp(e.target, batch->targets + i * PV_TEST_CLASSES, sizeof e.target) == 0 &&
                        batch->labels[i] == e.sample / VIEWS % PV_TEST_CLASSES &&
                        (e.partner < 0 || e.partner != e.sample);
        so_far->places++;
        so_far->partners += e.partner >= 0;
        so_far->further_partners += e.partner >= 0 && e.partner % VIEWS >= s->views;
        so_far->remote_samples += !is_held(s, dataset, e.sample);
        so_far->remote_partners += e.partner >= 0 && !is_held(s, dataset, e.partner);
    }
}

/* Takes every batch of some epochs, and some again out of order. */
static seen take_all(const stream *s, const pv_frames *frames, pv_augmenter *augmenter,
                     const pv_dataset *dataset, pv_sampler *sampler)
{
    seen so_far = {.holds = true};
    const int64_t batches = pv_sampler_batches(sampler);
    const int64_t extra[][2] = {{0, batches - 1}, {5, 0}, {0, 1}};
    for (int64_t n = 0; n < EPOCHS * batches + 3; n++) {
        const bool again = n >= EPOCHS * batches;
        const int64_t *where = extra[again ? n - EPOCHS * batches : 0];
        const int64_t epoch = again ? where[0] : n / batches, number = again ? where[1] : n % batches;
        pv_batch batch;
        so_far.holds = so_far.holds && pv_sampler_take(sampler, epoch, number, &batch) == PV_OK;
        if (so_far.holds) check_batch(s, frames, augmenter, dataset, epoch, number * BATCH, &batch, &so_far);
    }
    return so_far;
}

static void stream_is_as_defined(const pv_comm *comm, const pv_store *store, const stream *s,
                                 pv_placement placement)
{
    float reference[PARAMS];
    pv_run_config *config = NULL;
    pv_test_check(comm, pv_run_config_load("test", s->augment, NULL, 0, &config) == PV_OK, s->augment);
    const pv_match_opts *match = pv_augment_frames(&config->augment);
    const pv_frames frames = {match ? *match : (pv_match_opts){0}, reference};
    pv_dataset_opts data = {PV_SPLIT_TRAIN,        0, s->views, true, .frames = match ? &frames : NULL,
                            .placement = placement};
    pv_dataset_opts others = data;
    others.first_view = s->views;
    others.views = VIEWS - s->views;
    for (int p = 0; p < PARAMS; p++)
        reference[p] = (float)(p * 29 % PARAMS) - PARAMS / 2;
    pv_sampler_opts opts = {.seed = SEED,
                            .batch = BATCH,
                            .random_view = s->random_view,
                            .ahead = 2,
                            .classes = PV_TEST_CLASSES,
                            .augment = &config->augment};
    const pv_arch arch = pv_test_arch();
    pv_dataset *dataset = NULL, *further = NULL;
    pv_sampler *sampler = NULL;
    pv_augmenter *augmenter = NULL;
    seen found = {0};
    char statement[128];
    if (others.views > 0) pv_dataset_open(comm, store, &others, &further);
    opts.further = further;
    if (pv_dataset_open(comm, store, &data, &dataset) == PV_OK &&
        pv_augmenter_new(&config->augment, &arch, PV_TEST_CLASSES, &augmenter) == PV_OK &&
        pv_sampler_open(comm, dataset, &arch, &opts, &sampler) == PV_OK)
        found = take_all(s, match ? &frames : NULL, augmenter, dataset, sampler);
    snprintf(statement, sizeof statement, "%s, %s: every place holds what its parts say", s->name,
             placement == PV_PLACE_JOB ? "sharded" : "copied");
    pv_test_check(comm, found.holds, statement);
    const pv_sampler_counts counts = sampler ? pv_sampler_count(sampler) : (pv_sampler_counts){0};
    pv_test_check(comm,
                  counts.samples == found.places && counts.partners == found.partners &&
                      counts.remote_samples == found.remote_samples &&
                      counts.remote_partners == found.remote_partners,
                  "what is mixed and what is fetched is counted");
    int64_t sums[4] = {found.places, found.partners, found.remote_partners, found.further_partners};
    MPI_Allreduce(MPI_IN_PLACE, sums, 4, MPI_INT64_T, MPI_SUM, comm->world);
    const bool crosses = placement == PV_PLACE_JOB && comm->size > 1 && sums[1] > 0;
    pv_test_check(comm, sums[0] > 0 && (sums[2] > 0) == crosses,
                  "partners cross ranks where rows are sharded, and only there");
    pv_test_check(comm, (sums[3] > 0) == (s->views < VIEWS),
                  "partners are of further views where there are such, and only there");
    pv_sampler_close(sampler);
    pv_augmenter_free(augmenter);
    pv_dataset_close(dataset);
    pv_dataset_close(further);
    pv_run_config_free(config);
}

/* A MixUp that can find no partner is refused when the sampler is opened. */
static void lonely_mixups_are_refused(const pv_comm *comm, const pv_store *store)
{
    pv_run_config *config = NULL;
    pv_run_config_load("test", "augment: [{kind: mixup, partner: view}]", NULL, 0, &config);
    const pv_dataset_opts data = {PV_SPLIT_TRAIN, 0, 1, true, .placement = PV_PLACE_NODE};
    const pv_sampler_opts opts = {
        .seed = 1, .batch = 4, .ahead = 1, .classes = PV_TEST_CLASSES, .augment = &config->augment};
    const pv_arch arch = pv_test_arch();
    pv_dataset *dataset = NULL;
    pv_sampler *sampler = NULL;
    const pv_status opened = pv_dataset_open(comm, store, &data, &dataset);
    pv_test_check(comm,
                  opened == PV_OK &&
                      pv_sampler_open(comm, dataset, &arch, &opts, &sampler) == PV_ERR_CONFIG && !sampler,
                  "MixUp of views needs two views of an object");
    pv_sampler_close(sampler);
    pv_dataset_close(dataset);
    pv_run_config_free(config);
}

int main(int argc, char **argv)
{
    pv_comm comm;
    pv_test_files files;
    pv_store *store;
    pv_test_begin(&argc, &argv, &comm);
    pv_test_files_make(&comm, &files);
    make_store(&comm, &files);
    const pv_status opened = pv_store_open(&comm, files.store, PV_STORE_READ, NULL, &store);
    pv_test_check(&comm, opened == PV_OK, "the store opens");
    if (opened == PV_OK) {
        for (int i = 0; i < STREAMS; i++) {
            stream_is_as_defined(&comm, store, &streams[i], PV_PLACE_NODE);
            stream_is_as_defined(&comm, store, &streams[i], PV_PLACE_JOB);
        }
        lonely_mixups_are_refused(&comm, store);
        pv_store_close(store);
    }
    pv_test_files_remove(&comm, &files);
    return pv_test_end(&comm);
}
