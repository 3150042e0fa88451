/* Plans batches ahead, fetches their rows, and makes of them what a model takes. */
#include "data/pv_sampler.h"
#include "augment/pv_augment.h"
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "pv_stream.h"

#include <stdlib.h>

/* One row of a batch. */
typedef struct place {
    int64_t place, sample;          /* in the stream, in the data set */
    int64_t partner;                /* among the samples of all views that partners are of; -1: none */
    int64_t epoch;                  /* of its draws */
    const float *row, *partner_row; /* where they are, or will be once they are fetched */
    bool remote, partner_remote;
} place;

/* A batch on its way: this rank's places, and the rows that are being fetched for them. */
typedef struct slot {
    int64_t epoch, batch; /* -1: free */
    int64_t first, global;
    int count;
    place *places;         /* [share] */
    float *fetched;        /* [2 share][stride] */
    MPI_Request *requests; /* [2 share] */
    int request_count;
} slot;

struct pv_sampler {
    const pv_comm *comm;
    const pv_dataset *dataset, *further;
    const pv_row_form *form;
    pv_augmenter *augmenter;
    pv_memory memory; /* of the arrays */
    uint64_t seed;
    int64_t batch, samples; /* places: of a batch, of an epoch */
    int64_t leaves;         /* of a batch */
    bool random_view;
    pv_positives positives;
    int copies;         /* rows of a place */
    int params, stride; /* stride: floats of a row of the data set, with its frame */
    int width;          /* of a row as the model takes it */
    int classes, share; /* share: rows of a batch on this rank, at most */
    slot *slots;        /* a ring */
    int slot_count;
    pv_batch taken; /* its arrays are made once */
    pv_sampler_counts counts;
};

static int64_t objects_of(const pv_dataset *dataset)
{
    return pv_dataset_samples(dataset) / pv_dataset_views(dataset);
}

/* Views that partners are of: those of the data set, then further ones. */
static int64_t partner_views(const pv_dataset *dataset, const pv_dataset *further)
{
    return pv_dataset_views(dataset) + (further ? pv_dataset_views(further) : 0);
}

/* Every MixUp finds somebody. */
static pv_status check_partners(const pv_dataset *dataset, const pv_dataset *further,
                                const pv_augment_list *list)
{
    const int64_t views = partner_views(dataset, further);
    for (unsigned i = 0; i < list->count; i++) {
        const pv_partner partner = pv_augment_partner(&list->items[i]);
        if (partner == PV_PARTNER_NONE) continue;
        if (partner == PV_PARTNER_VIEW && views < 2)
            return pv_fail(PV_ERR_CONFIG,
                           "augment[%u]: partner is view, but there is one view an object: raise "
                           "train.views, or take partner_views: all",
                           i);
        if (partner == PV_PARTNER_OBJECT && objects_of(dataset) < 2)
            return pv_fail(PV_ERR_CONFIG, "augment[%u]: there is no other object to mix with", i);
        if (objects_of(dataset) * views < 2)
            return pv_fail(PV_ERR_CONFIG, "augment[%u]: there is no other sample to mix with", i);
    }
    return PV_OK;
}

/* The copies of a pair differ. */
static pv_status check_pairs(const pv_dataset *dataset, const pv_sampler_opts *opts)
{
    if (!opts->pairs) return PV_OK;
    if (opts->positives != PV_POSITIVES_AUGMENT && !opts->random_view)
        return pv_fail(PV_ERR_INTERNAL, "pairs of views are drawn object by object");
    if (opts->positives != PV_POSITIVES_AUGMENT && pv_dataset_views(dataset) < 2)
        return pv_fail(PV_ERR_CONFIG, "train.positives: two views of an object are asked for, but there is "
                                      "one: raise train.views, or train on augmentations alone (augment)");
    if (opts->positives == PV_POSITIVES_VIEWS && opts->augment->count > 0)
        return pv_fail(PV_ERR_CONFIG, "train.positives: views are taken as they "
                                      "are, but there is an augment list: use both");
    if (opts->positives != PV_POSITIVES_VIEWS && opts->augment->count == 0)
        return pv_fail(PV_ERR_CONFIG, "train.positives: the augment list is empty: "
                                      "there is nothing that tells two copies apart");
    return PV_OK;
}

static pv_status make_slots(pv_sampler *s)
{
    PV_TAKE(&s->memory, s->slot_count, &s->slots);
    for (int i = 0; s->slots && i < s->slot_count; i++) {
        slot *const it = &s->slots[i];
        it->epoch = -1;
        PV_TAKE(&s->memory, s->share, &it->places);
        if (!pv_dataset_is_sharded(s->dataset) && !(s->further && pv_dataset_is_sharded(s->further)))
            continue;
        PV_TAKE(&s->memory, 2 * (int64_t)s->share * s->stride, &it->fetched);
        PV_TAKE(&s->memory, 2 * (int64_t)s->share, &it->requests);
    }
    PV_TAKE(&s->memory, (int64_t)s->share * s->width, &s->taken.rows);
    PV_TAKE(&s->memory, (int64_t)s->share * s->classes, &s->taken.targets);
    PV_TAKE(&s->memory, s->share, &s->taken.labels);
    return pv_memory_status(&s->memory);
}

pv_status pv_sampler_open(const pv_comm *comm, const pv_dataset *dataset, const pv_arch *arch,
                          const pv_sampler_opts *opts, pv_sampler **out)
{
    pv_status st;
    *out = NULL;
    pv_sampler *s = pv_alloc(1, sizeof *s);
    if (!s) return PV_ERR_NOMEM;
    *s = (pv_sampler){.comm = comm,
                      .dataset = dataset,
                      .further = opts->further,
                      .form = opts->form,
                      .seed = opts->seed,
                      .batch = opts->batch,
                      .leaves = opts->leaves > 0 ? opts->leaves : comm->size,
                      .samples = opts->random_view ? objects_of(dataset) : pv_dataset_samples(dataset),
                      .random_view = opts->random_view,
                      .positives = opts->positives,
                      .copies = opts->pairs ? 2 : 1,
                      .params = pv_dataset_params(dataset),
                      .stride = pv_dataset_stride(dataset),
                      .width = opts->form ? opts->form->width : pv_dataset_params(dataset),
                      .classes = opts->classes,
                      .slot_count = opts->ahead + 1};
    s->share = (int)pv_share_run_most(s->batch, s->leaves, comm->size) * s->copies;
    PV_TRY(check_partners(dataset, opts->further, opts->augment));
    PV_TRY(check_pairs(dataset, opts));
    if (pv_augment_frames(opts->augment) && s->stride == s->params && pv_symmetry_units(arch) > 0)
        PV_TRY(pv_fail(PV_ERR_INTERNAL, "partners are matched by frames, which the data set has not"));
    PV_TRY(pv_augmenter_new(opts->augment, arch, opts->classes, &s->augmenter));
    PV_TRY(make_slots(s));
    *out = s;
    return PV_OK;
done:
    pv_sampler_close(s);
    return st;
}

static void wait_for(pv_sampler *s, slot *it)
{
    const double start = pv_seconds();
    if (it->request_count == 0) return;
    MPI_Waitall(it->request_count, it->requests, MPI_STATUSES_IGNORE);
    it->request_count = 0;
    s->counts.wait_seconds += pv_seconds() - start;
}

void pv_sampler_close(pv_sampler *s)
{
    if (!s) return;
    for (int i = 0; s->slots && i < s->slot_count; i++)
        wait_for(s, &s->slots[i]);
    pv_augmenter_free(s->augmenter);
    pv_memory_free(&s->memory);
    free(s);
}

int64_t pv_sampler_samples(const pv_sampler *s)
{
    return s->samples;
}

int64_t pv_sampler_batches(const pv_sampler *s)
{
    return (s->samples + s->batch - 1) / s->batch;
}

int64_t pv_sampler_memory(const pv_sampler *s)
{
    return s ? s->memory.bytes : 0;
}

pv_sampler_counts pv_sampler_count(const pv_sampler *s)
{
    return s ? s->counts : (pv_sampler_counts){0};
}

/* Where the row of a sample is, or is being brought to. */
static const float *find_row(pv_sampler *s, slot *it, const pv_dataset *dataset, int64_t sample, bool *remote)
{
    const float *row = pv_dataset_row(dataset, sample);
    *remote = !row;
    if (row) return row;
    float *const to = it->fetched + (int64_t)it->request_count * s->stride;
    pv_dataset_fetch(dataset, sample, to, &it->requests[it->request_count++]);
    return to;
}

/* Where a partner is: its number among the samples of its own data set. */
static const float *find_partner(pv_sampler *s, slot *it, int64_t partner, bool *remote)
{
    const int64_t views = pv_dataset_views(s->dataset), all = partner_views(s->dataset, s->further);
    const int64_t object = partner / all, view = partner % all;
    if (view < views) return find_row(s, it, s->dataset, object * views + view, remote);
    return find_row(s, it, s->further, object * (all - views) + view - views, remote);
}

/* Whom the sample at a place is mixed with, or -1. */
static int64_t draw_partner(const pv_sampler *s, const place *p)
{
    const int64_t views = pv_dataset_views(s->dataset), all = partner_views(s->dataset, s->further);
    const pv_partner whom = pv_augmenter_partner(s->augmenter, (pv_augment_key){s->seed, p->epoch, p->place});
    if (whom == PV_PARTNER_NONE) return -1;
    return pv_stream_partner(s->seed, p->epoch, objects_of(s->dataset), all, p->place,
                             p->sample / views * all + p->sample % views, whom);
}

static int64_t sample_at(const pv_sampler *s, int64_t epoch, int64_t number, int copy)
{
    const int64_t objects = objects_of(s->dataset), views = pv_dataset_views(s->dataset);
    if (copy > 0 && s->positives != PV_POSITIVES_AUGMENT)
        return pv_stream_second_view(s->seed, epoch, objects, views, number);
    return s->random_view ? pv_stream_random_view(s->seed, epoch, objects, views, number)
                          : pv_stream_sample(s->seed, epoch, s->samples, number);
}

/* Who stands at a place of an epoch, and who is mixed in.  A second copy draws as in an epoch that no run
 * reaches. */
static void fill_place(pv_sampler *s, slot *it, int64_t number, int copy, place *p)
{
    enum { EPOCH_BITS = 40 };
    p->place = number;
    p->epoch = it->epoch + ((int64_t)copy << EPOCH_BITS);
    p->sample = sample_at(s, it->epoch, number, copy);
    p->partner = draw_partner(s, p);
    p->row = find_row(s, it, s->dataset, p->sample, &p->remote);
    p->partner_remote = false;
    p->partner_row = p->partner < 0 ? NULL : find_partner(s, it, p->partner, &p->partner_remote);
}

/* Plans a batch in a slot and begins its fetches. */
static void begin_batch(pv_sampler *s, slot *it, int64_t epoch, int64_t batch)
{
    const int64_t first = batch * s->batch, left = s->samples - first;
    const int rank = s->comm->rank, size = s->comm->size;
    wait_for(s, it);
    it->epoch = epoch;
    it->batch = batch;
    it->global = left < s->batch ? left : s->batch;
    it->first = pv_share_run_start(it->global, s->leaves, rank, size);
    it->count = (int)(pv_share_run_start(it->global, s->leaves, rank + 1, size) - it->first);
    for (int i = 0; i < it->count * s->copies; i++)
        fill_place(s, it, first + it->first + i / s->copies, i % s->copies, &it->places[i]);
}

/* The slot of a batch, begun now unless it was before. */
static slot *slot_of(pv_sampler *s, int64_t epoch, int64_t batch)
{
    slot *const it = &s->slots[(epoch * pv_sampler_batches(s) + batch) % s->slot_count];
    if (it->epoch != epoch || it->batch != batch) begin_batch(s, it, epoch, batch);
    return it;
}

/* The label of a partner, which all views of its object have. */
static int32_t label_of(const pv_sampler *s, int64_t partner)
{
    const int64_t object = partner / partner_views(s->dataset, s->further);
    return pv_dataset_label(s->dataset, object * pv_dataset_views(s->dataset));
}

/* Makes row i of the batch: augmented, then read and normalised, in place. */
static pv_status make_row(pv_sampler *s, const place *p, int i)
{
    float *const row = s->taken.rows + (int64_t)i * s->width;
    const pv_augment_sample sample = {p->row, s->taken.labels[i], pv_dataset_frame(s->dataset, p->row)};
    pv_augment_sample partner = {.row = p->partner_row};
    if (p->partner >= 0) {
        partner.label = label_of(s, p->partner);
        partner.frame = pv_dataset_frame(s->dataset, p->partner_row);
    }
    const pv_status st = pv_augmenter_apply(s->augmenter, (pv_augment_key){s->seed, p->epoch, p->place},
                                            sample, p->partner >= 0 ? &partner : NULL, row,
                                            s->taken.targets + (int64_t)i * s->classes);
    if (s->form) pv_row_form_finish(s->form, row, row);
    return st;
}

pv_status pv_sampler_take(pv_sampler *s, int64_t epoch, int64_t batch, pv_batch *out)
{
    slot *const it = slot_of(s, epoch, batch);
    const int64_t batches = pv_sampler_batches(s);
    pv_status st = PV_OK;
    wait_for(s, it);
    for (int ahead = 1; ahead < s->slot_count; ahead++)
        slot_of(s, epoch + (batch + ahead) / batches, (batch + ahead) % batches);
    s->taken.count = it->count * s->copies;
    s->taken.first = it->first * s->copies;
    s->taken.global = it->global * s->copies;
    s->taken.mark = 0;
    const double start = pv_seconds();
    for (int i = 0; st == PV_OK && i < s->taken.count; i++) {
        const place *p = &it->places[i];
        s->taken.labels[i] = pv_dataset_label(s->dataset, p->sample);
        s->taken.mark += pv_stream_mark(p->place, p->sample, p->partner);
        st = make_row(s, p, i);
        s->counts.partners += p->partner >= 0;
        s->counts.remote_samples += p->remote;
        s->counts.remote_partners += p->partner_remote;
    }
    s->counts.samples += s->taken.count;
    s->counts.augment_seconds += pv_seconds() - start;
    *out = s->taken;
    return st;
}
