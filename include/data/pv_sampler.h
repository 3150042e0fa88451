/* The distributed sampler: batch after batch of augmented rows, ready for a model, with soft labels.
 *
 * The stream - which sample stands at which place, which view of it, every draw of the augmentations, whom it
 * is mixed with - is a pure function of (seed, epoch, place, copy): any number of ranks trains on the same
 * one.  Rows that other ranks hold are fetched by one-sided MPI for a few batches ahead, while the batches
 * before them train: no rank has to answer for it. */
#ifndef PV_SAMPLER_H
#define PV_SAMPLER_H

#include "augment/pv_augment_opts.h"
#include "parallel/pv_comm.h"
#include "data/pv_dataset.h"

/* What the two copies of a place are in contrastive training. */
typedef enum pv_positives {
    PV_POSITIVES_AUGMENT, /* two augmentations of one view */
    PV_POSITIVES_VIEWS,   /* two views of one object, as they are */
    PV_POSITIVES_BOTH     /* augmentations of two views of one object */
} pv_positives;

typedef struct pv_sampler_opts {
    uint64_t seed;
    int64_t batch;    /* places of a batch, over all ranks */
    int64_t leaves;   /* equal parts of it, of which ranks have runs, whole ones; 0: as many as ranks */
    bool random_view; /* an epoch draws one view of every object; else it passes over every view */
    int ahead;        /* batches that are fetched ahead, at least 1 */
    int classes;
    const pv_augment_list *augment; /* borrowed while opening */
    const pv_dataset *further; /* the same objects in further views, which only partners are of, with frames
                                  if the data set has them; borrowed;
                                  NULL: there are none */
    const pv_row_form *form;   /* rows are finished as it says; borrowed; NULL: they stay as they are */
    bool pairs;                /* every place gives two rows, which are positives of each other */
    pv_positives positives;    /* of pairs: what the two rows are */
} pv_sampler_opts;

typedef struct pv_sampler pv_sampler;

/* This rank's share of a batch, whatever made it; owned by its maker, until the next is taken. */
typedef struct pv_batch {
    int count;             /* rows of the share; of pairs the two rows of a place follow each other */
    int64_t first, global; /* rows of the batch before the share, and of all ranks */
    float *rows;           /* [count][width of the form], augmented and finished */
    float *targets;        /* [count][classes], each sums to 1 */
    int32_t *labels;       /* [count], of the samples themselves */
    uint64_t mark;         /* sum of the stream's marks over the share */
} pv_batch;

/* What a sampler has done on this rank since it was opened. */
typedef struct pv_sampler_counts {
    int64_t samples, partners;               /* placed, and mixed in */
    int64_t remote_samples, remote_partners; /* of them, fetched from other ranks */
    double wait_seconds, augment_seconds;    /* waiting for fetches; augmenting and normalising */
} pv_sampler_counts;

/* Owner: pv_sampler_close, before the data set is closed; `dataset` is borrowed.
 * Local, but the same on all ranks.  Errors: PV_ERR_CONFIG (an augmentation; a MixUp that finds no partner),
 * PV_ERR_NOMEM. */
pv_status pv_sampler_open(const pv_comm *comm, const pv_dataset *dataset, const pv_arch *arch,
                          const pv_sampler_opts *opts, pv_sampler **out);
/* Local; NULL is a no-op. */
void pv_sampler_close(pv_sampler *sampler);

int64_t pv_sampler_samples(const pv_sampler *sampler); /* places of an epoch */
int64_t pv_sampler_batches(const pv_sampler *sampler); /* of an epoch; the last may be smaller */

/* Gives this rank's share of a batch and begins to fetch the ones after it, the next epoch's first after an
 * epoch's last.  Taken out of order, it starts over.  Not collective.  Errors: PV_ERR_NUMERIC (an
 * augmentation gave a row that is not finite; *out may be used all the same, what is in it is nothing). */
pv_status pv_sampler_take(pv_sampler *sampler, int64_t epoch, int64_t batch, pv_batch *out);

/* Bytes of the rows and places it holds. */
int64_t pv_sampler_memory(const pv_sampler *sampler);

pv_sampler_counts pv_sampler_count(const pv_sampler *sampler);

#endif
