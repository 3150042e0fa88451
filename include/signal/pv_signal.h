/* The signals of a run: the objects of a source with labels and splits, held once a node in shared memory
 * where the source holds any.  Objects that do not fit in (pv_signal_opts.keep) are read from their files
 * whenever they are asked for, so that the memory of a rank does not grow with the data set.
 *
 * Objects are numbered: the train split, then val, then test.  An object's source id is what the source gives
 * it, or its index in the source's pools put one behind the other; it does not change when splits grow. */
#ifndef PV_SIGNAL_H
#define PV_SIGNAL_H

#include "parallel/pv_comm.h"
#include "signal/pv_source.h"

#include <stdint.h>

enum { PV_SIGNAL_MAX_TARGETS = 4096 };

typedef struct pv_signal pv_signal;

/* Reads the source once a node (the node's rank 0 reads, or all of the node's ranks a part of the objects
 * each; all see the result) and checks it: all that the source itself refuses, split ranges that leave its
 * pools or overlap (train and val), nodes that do not read the same data.
 * Owner    pv_signal_close
 * Collective over comm->world.
 * Errors   PV_ERR_IO (no such file, unreadable; the path is named), PV_ERR_DATA (file, offset or row named),
 * PV_ERR_CONFIG (a range that does not fit; the key is named), agreed on all ranks. */
pv_status pv_signal_open(const pv_comm *comm, const pv_signal_opts *opts, pv_signal **out);

/* Collective over the node; NULL is a no-op. */
void pv_signal_close(pv_signal *signal);

int64_t pv_signal_objects(const pv_signal *signal); /* train + val + test */
int64_t pv_signal_count(const pv_signal *signal, int split);

/* Puts the splits' numbers where the options say shares, `all` or `usual`, and what the source has found into
 * its own: what a store keeps.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_signal_settle(const pv_signal *signal, pv_signal_opts *opts);

/* What its source is: counts of objects, coordinates, channels and samples, the shape of pictures. */
const pv_source_form *pv_signal_form(const pv_signal *signal);

/* How many classes labels are of, and their names by label; NULL: a class is called by its label, and there
 * are as many as the highest label of these objects says. */
int pv_signal_classes(const pv_signal *signal);
const pv_class_name *pv_signal_class_names(const pv_signal *signal);

/* Coordinates [samples][inputs] that all objects share, owned by the signal; NULL: each object has its own.
 */
const float *pv_signal_coords(const pv_signal *signal);

/* What follows is of one object; Local.  Errors: PV_ERR_IO and PV_ERR_DATA (the file that cannot be read is
 * named), PV_ERR_NOMEM.
 *
 * Its samples: coords [samples][inputs], its own or shared, NULL: not wanted where all share theirs; values
 * [samples][channels], of pictures in [0, 1]. */
pv_status pv_signal_samples(const pv_signal *signal, int64_t object, float *coords, float *values);
/* Samples that no fit sees, to judge one by: coords [heldout][inputs], values [heldout][channels]. */
pv_status pv_signal_heldout(const pv_signal *signal, int64_t object, float *coords, float *values);
/* Where it lies in its own space, of objects that have such samples. */
pv_status pv_signal_frame(const pv_signal *signal, int64_t object, float frame[PV_SOURCE_FRAME]);
/* How far points [n][inputs] are from its surface, negative inside, where objects have one. */
bool pv_signal_has_surfaces(const pv_signal *signal);
pv_status pv_signal_distances(const pv_signal *signal, int64_t object, int64_t n, const float *points,
                              float *distances);
/* targets [targets of the form]: real numbers that say what it is, such as a and b of a wave. */
pv_status pv_signal_target(const pv_signal *signal, int64_t object, float *targets);
/* The object as its source's functions get it: it->bytes lie in the node's shared memory if objects are kept
 * there, else they hold until the next object is asked for. */
pv_status pv_signal_take(const pv_signal *signal, int64_t object, pv_source_object *it);

int32_t pv_signal_label(const pv_signal *signal, int64_t object);
uint8_t pv_signal_split(const pv_signal *signal, int64_t object);
uint64_t pv_signal_source_id(const pv_signal *signal, int64_t object);
/* The object of a source id, -1 if it is in no split. */
int64_t pv_signal_find(const pv_signal *signal, uint64_t source_id);

/* What a store says of its signal: JSON text, owned by the signal. */
const char *pv_signal_json(const pv_signal *signal);

/* What a program asks of these words; 0 where they do not say it (a range: 0 and 1). */
typedef struct pv_signal_about {
    int depth, height, width, channels; /* of a volume; the last three of a picture */
    int classes;
    double low, high; /* the numbers of the data that the values 0 and 1 stand for */
} pv_signal_about;

/* Local.   Errors: PV_ERR_DATA (no JSON object; `where`, the file, is named). */
pv_status pv_signal_from_json(const char *text, const char *where, pv_signal_about *about);

#endif
