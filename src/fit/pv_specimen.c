/* What an object is fitted from, and whether it is what it was. */
#include "fit/pv_specimen.h"
#include "base/pv_checksum.h"
#include "base/pv_mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Digests read at once, and the words of objects that a rank looks at beforehand: fewer, where samples are
 * drawn for each object, which takes as much longer. */
enum { BLOCK = 4096, LOOKED_WORDS = 1 << 28, DRAWN_WORDS = 1 << 22 };

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

/* A rank's look at some objects. */
typedef struct look {
    pv_specimen specimen;
    int64_t looked, differing, named[PV_SPECIMEN_NAMED];
} look;

/* Looks at every `step`th of the objects [first, end). */
static pv_status look_at(const pv_signal *signal, const pv_store *store, int64_t first, int64_t end,
                         int64_t step, look *l)
{
    uint64_t digests[BLOCK], sources[BLOCK], today;
    pv_status st;
    PV_TRY(pv_specimen_make(signal, &l->specimen));
    for (int64_t next = first; first < end; first += BLOCK) {
        const int64_t count = end - first < BLOCK ? end - first : BLOCK;
        PV_TRY(pv_store_read_digests(store, first, count, digests));
        PV_TRY(pv_store_read_sources(store, first, count, sources));
        for (; next < first + count; next += step) {
            const int64_t object = pv_signal_find(signal, sources[next - first]);
            if (object < 0 || digests[next - first] == 0) continue;
            l->looked++;
            PV_TRY(pv_specimen_take(signal, object, &l->specimen, &today));
            if (today == digests[next - first]) continue;
            if (l->differing < PV_SPECIMEN_NAMED) l->named[l->differing] = next;
            l->differing++;
        }
    }
done:
    return st;
}

pv_status pv_specimen_check_store(const pv_comm *comm, const pv_signal *signal, const pv_store *store)
{
    look l = {.named = {-1, -1, -1}};
    int64_t first, count;
    const int64_t words = value_words(signal), looked = pv_signal_coords(signal) ? LOOKED_WORDS : DRAWN_WORDS;
    const int64_t most = words < looked ? looked / words : 1;
    if (!pv_store_has_digests(store)) return PV_OK;
    pv_share_of(pv_store_objects(store), comm->rank, comm->size, &first, &count);
    pv_status st = look_at(signal, store, first, first + count, 1 + count / most, &l);
    pv_specimen_free(&l.specimen);
    if ((st = pv_agree(comm, st)) != PV_OK) return st;
    int64_t sums[2] = {l.looked, l.differing};
    MPI_Allreduce(MPI_IN_PLACE, sums, 2, MPI_INT64_T, MPI_SUM, comm->world);
    if (l.differing > 0) st = pv_specimen_fail(signal, store, sums[1], sums[0], l.named);
    return pv_agree(comm, st);
}
