/* Sources of signals: where objects come from, and what they are.  A new one is a file of its own,
 * src/signal/pv_source_NAME.c with a pv_source called pv_source_NAME, and a word in PV_SOURCES.  A source
 * knows nothing of MPI: pv_signal calls survey and load on one rank a node, shares what they give with the
 * node, and calls the other functions on every rank. */
#ifndef PV_SOURCE_H
#define PV_SOURCE_H

#include "config/pv_plugin.h"

#include <jansson.h>

struct pv_signal_opts;

enum { PV_SPLIT_TRAIN = 0, PV_SPLIT_VAL = 1, PV_SPLIT_TEST = 2, PV_SPLITS };

/* Objects are taken from two pools, such as a train file and a test file: train and val from pool 0, test
 * from pool 1. */
enum { PV_POOLS = 2 };

/* What all ranks must know of a source; numbers of 8 bytes, sent and compared as bytes. */
typedef struct pv_source_form {
    int64_t pool[PV_POOLS]; /* objects of each */
    int64_t inputs;         /* d of a coordinate */
    int64_t channels, samples;
    int64_t height, width; /* of pictures: samples are pixels, row by row; 0: objects are no pictures */
    int64_t targets;       /* real numbers that say what an object is, at most PV_SIGNAL_MAX_TARGETS */
    int64_t own_coords;    /* 1: every object has coordinates of its own; 0: all share theirs */
    int64_t object_bytes;  /* held of an object, once a node; 0: objects are made up as they are asked for */
    uint64_t seed;         /* of what is made up */
} pv_source_form;

/* Which objects of the pools are in which split; they are numbered train, val, test. */
typedef struct pv_splits {
    int64_t first[PV_SPLITS], count[PV_SPLITS]; /* `first` in the split's own pool */
} pv_splits;

/* An object as the functions below get it.  Its id is its index in the pools put one behind the other. */
typedef struct pv_source_object {
    const pv_source_form *form;
    const void *bytes; /* [object_bytes] as `load` left them */
    uint64_t id;
} pv_source_object;

typedef struct pv_source {
    pv_plugin plugin;
    const char *pools[PV_POOLS]; /* what messages call them: "the train file" */

    /* Looks at the source without reading it whole, fills the zeroed form, and leaves in *reader what load
     * needs.  Local.  Errors: PV_ERR_CONFIG (key named), PV_ERR_IO and PV_ERR_DATA (file named). */
    pv_status (*survey)(const struct pv_signal_opts *opts, pv_source_form *form, void **reader);
    /* Reads and checks the objects of the splits.  NULL where nothing is held: the label of all is 0 then.
     * Shapes   objects [train + val + test][object_bytes], aligned to 8 bytes; labels [train + val + test]
     * Local.   Errors: as survey. */
    pv_status (*load)(void *reader, const pv_source_form *form, const pv_splits *splits, void *objects,
                      int32_t *labels);
    /* After load and on every failure; never of NULL.  NULL where there is no reader. */
    void (*close)(void *reader);

    /* Of one object: coords [samples][inputs], values [samples][channels] (of pictures in [0, 1]), targets
     * [targets]. */
    void (*coords)(const pv_source_object *object, float *coords);
    void (*values)(const pv_source_object *object, float *values);
    void (*targets)(const pv_source_object *object, float *targets); /* NULL where it has none */

    /* What a store says of it besides its name, the shape of a picture and the number of classes: an object
     * for readers of the store (names of classes too); NULL if the words are not valid UTF-8. */
    json_t *(*describe)(const struct pv_signal_opts *opts);
} pv_source;

/* A test may bring a list of its own. */
#ifndef PV_SOURCES
#define PV_SOURCES(X) X(idx) X(sine)
#endif
#define PV_SOURCE_EXTERN(name) extern const pv_source pv_source_##name;
PV_SOURCES(PV_SOURCE_EXTERN)
#undef PV_SOURCE_EXTERN
extern const pv_registry pv_sources;

#endif
