/* What an object is fitted from, and whether it is what it was. */
#include "fit/pv_specimen.h"
#include "base/pv_checksum.h"
#include "base/pv_mem.h"
#include "parallel/pv_walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Neighbours looked at, and RUNS of them before ranks look around; what a rank looks at beforehand: at most
 * MOST_RUNS, and so many words of objects, fewer where samples are drawn for each, which takes longer. */
enum { RUN = 64, RUNS = 4, MOST_RUNS = 1 << 14, LOOKED_WORDS = 1 << 28, DRAWN_WORDS = 1 << 22 };

static int64_t value_words(const pv_signal *signal)
{
    return (int64_t)pv_signal_form(signal)->samples * pv_signal_form(signal)->channels;
}

pv_status pv_specimen_make(const pv_signal *signal, pv_specimen *s)
{
    const bool own_coords = !pv_signal_coords(signal);
    const int64_t values = value_words(signal);
    const int64_t coords =
        own_coords ? (int64_t)pv_signal_form(signal)->samples * pv_signal_form(signal)->inputs : 0;
    s->words = values + coords + pv_signal_form(signal)->targets + 1;
    s->values = pv_alloc(s->words, sizeof *s->values);
    s->coords = own_coords && s->values ? s->values + values : NULL;
    return s->values ? PV_OK : PV_ERR_NOMEM;
}

void pv_specimen_free(pv_specimen *s)
{
    free(s->values);
}

pv_status pv_specimen_take(const pv_signal *signal, int64_t object, pv_specimen *s, uint64_t *digest)
{
    const int32_t label = pv_signal_label(signal, object);
    float *const last = s->values + s->words - 1;
    pv_status st;
    PV_TRY(pv_signal_samples(signal, object, s->coords, s->values));
    if (pv_signal_form(signal)->targets > 0)
        PV_TRY(pv_signal_target(signal, object, last - pv_signal_form(signal)->targets));
    memcpy(last, &label, sizeof label);
    *digest = pv_checksum(s->values, sizeof *s->values * (size_t)s->words);
    if (*digest == 0) *digest = 1;
done:
    return st;
}

pv_status pv_specimen_compare(const pv_signal *signal, int64_t number, const pv_store *store, int64_t object,
                              bool *differs)
{
    pv_specimen specimen = {0};
    uint64_t then = 0, today = 0;
    pv_status st = PV_OK;
    if (pv_store_has_digests(store)) PV_TRY(pv_store_read_digests(store, object, 1, &then));
    if (then != 0) PV_TRY(pv_specimen_make(signal, &specimen));
    if (then != 0) PV_TRY(pv_specimen_take(signal, number, &specimen, &today));
    *differs = then != 0 && today != then;
done:
    pv_specimen_free(&specimen);
    return st;
}

pv_status pv_specimen_fail(const pv_signal *signal, const pv_store *store, int64_t differing, int64_t looked,
                           const int64_t named[PV_SPECIMEN_NAMED])
{
    char list[PV_SPECIMEN_NAMED * 24] = "";
    size_t length = 0;
    for (int i = 0; i < PV_SPECIMEN_NAMED && named[i] >= 0; i++)
        length += (size_t)snprintf(list + length, sizeof list - length, "%s%lld", i > 0 ? ", " : "",
                                   (long long)named[i]);
    return pv_fail(
        PV_ERR_DATA,
        "today's data are not those that '%s' was made from: %lld of %lld objects looked at have other "
        "values, labels or targets than when they were fitted (objects %s%s). The store's signal is %s, "
        "today's is %s: give signal.path of the former, or another store",
        pv_store_path(store), (long long)differing, (long long)looked, list,
        differing > PV_SPECIMEN_NAMED ? ", ..." : "", pv_store_text(store, PV_STORE_SIGNAL),
        pv_signal_json(signal));
}

/* A rank's look at some objects: runs of neighbours, `stride` apart. */
typedef struct look {
    const pv_signal *signal;
    const pv_store *store;
    int64_t stride;
    pv_specimen specimen;
    int64_t looked, differing, named[PV_SPECIMEN_NAMED];
} look;

static pv_status look_at(look *l, int64_t object, uint64_t source, uint64_t digest)
{
    uint64_t today;
    const int64_t number = pv_signal_find(l->signal, source);
    if (number < 0 || digest == 0) return PV_OK;
    l->looked++;
    const pv_status st = pv_specimen_take(l->signal, number, &l->specimen, &today);
    if (st != PV_OK || today == digest) return st;
    if (l->differing < PV_SPECIMEN_NAMED) l->named[l->differing] = object;
    l->differing++;
    return PV_OK;
}

static pv_status look_at_runs(void *context, int64_t first_run, int64_t runs)
{
    look *const l = context;
    const int64_t objects = pv_store_objects(l->store);
    uint64_t digests[RUN], sources[RUN];
    pv_status st = PV_OK;
    for (int64_t run = first_run; run < first_run + runs; run++) {
        const int64_t first = run * l->stride, count = objects - first < RUN ? objects - first : RUN;
        PV_TRY(pv_store_read_digests(l->store, first, count, digests));
        PV_TRY(pv_store_read_sources(l->store, first, count, sources));
        for (int64_t i = 0; i < count; i++)
            PV_TRY(look_at(l, first + i, sources[i], digests[i]));
    }
done:
    return st;
}

pv_status pv_specimen_check_store(const pv_comm *comm, const pv_signal *signal, const pv_store *store)
{
    const int64_t objects = pv_store_objects(store), words = value_words(signal);
    const int64_t enough = (pv_signal_coords(signal) ? LOOKED_WORDS : DRAWN_WORDS) / (words * RUN) + 1;
    const int64_t most = enough < MOST_RUNS ? enough : MOST_RUNS;
    const int64_t all = (objects + RUN - 1) / RUN, runs = all < most * comm->size ? all : most * comm->size;
    look l = {
        .signal = signal, .store = store, .stride = runs < all ? objects / runs : RUN, .named = {-1, -1, -1}};
    const pv_walk walk = {.what = "comparing",
                          .unit = "runs of objects",
                          .items = runs,
                          .block = RUNS,
                          .visit = look_at_runs,
                          .context = &l};
    pv_status st;
    if (!pv_store_has_digests(store)) return PV_OK;
    PV_TRY(pv_agree(comm, pv_specimen_make(signal, &l.specimen)));
    PV_TRY(pv_walk_all(comm, &walk));
    int64_t sums[2] = {l.looked, l.differing};
    MPI_Allreduce(MPI_IN_PLACE, sums, 2, MPI_INT64_T, MPI_SUM, comm->world);
    if (l.differing > 0) st = pv_specimen_fail(signal, store, sums[1], sums[0], l.named);
    st = pv_agree(comm, st);
done:
    pv_specimen_free(&l.specimen);
    return st;
}
