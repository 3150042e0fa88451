/* The `signal` section of a config, and sources of signals: where objects come from, and what they are.  A
 * new source is a file of its own, src/signal/pv_source_NAME.c with a pv_source called pv_source_NAME, and a
 * word in PV_SOURCES.  It knows nothing of MPI: pv_signal calls survey and load on one rank a node, shares
 * what they give with the node, and calls the other functions on every rank. */
#ifndef PV_SOURCE_H
#define PV_SOURCE_H

#include "config/pv_option.h"
#include "config/pv_plugin.h"

#include <jansson.h>
#include <stdint.h>

typedef struct pv_signal_opts {
    pv_pick source;      /* in tests without a plug-in: the first, with the defaults of its options */
    char *path;          /* of the source's files; owned by the config */
    int64_t train;       /* objects from the train pool, starting at train_first */
    int64_t val;         /* objects from the train pool, starting at val_first */
    int64_t test;        /* objects from the test pool, starting at test_first */
    int64_t train_first; /* index in the train pool */
    int64_t val_first;   /* index in the train pool; -1: its last `val` objects */
    int64_t test_first;  /* index in the test pool */
} pv_signal_opts;

/* The rows of the section. */
extern const pv_option pv_signal_options[];

enum { PV_SPLIT_TRAIN = 0, PV_SPLIT_VAL = 1, PV_SPLIT_TEST = 2, PV_SPLITS };

/* Objects are taken from two pools, such as a train file and a test file: train and val from pool 0, test
 * from pool 1. */
enum { PV_POOLS = 2 };

/* What all ranks must know of a source.  Without gaps between its numbers: sent and compared as bytes. */
typedef struct pv_source_form {
    int64_t pool[PV_POOLS];        /* objects of each */
    int inputs, channels, samples; /* d of a coordinate; numbers of a sample; n, of pictures height * width */
    int height, width;    /* of pictures: samples are pixels, row by row; 0: objects are no pictures */
    int targets;          /* real numbers that say what an object is, at most PV_SIGNAL_MAX_TARGETS */
    int64_t own_coords;   /* 1: every object has coordinates of its own; 0: all share theirs */
    int64_t object_bytes; /* held of an object, once a node; 0: objects are made up as they are asked for */
    uint64_t seed;        /* of what is made up */
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

/* What people call a class: UTF-8, padded with zeros. */
typedef struct pv_class_name {
    char text[32];
} pv_class_name;
enum { PV_MAX_CLASSES = 65536 };

typedef struct pv_source {
    pv_plugin plugin;
    const char *pools[PV_POOLS]; /* what messages call them: "the train file" */

    /* Looks at the source without reading it whole, fills the zeroed form, and leaves in *reader what load
     * needs.  Local.  Errors: PV_ERR_CONFIG (key named), PV_ERR_IO and PV_ERR_DATA (file named). */
    pv_status (*survey)(const pv_signal_opts *opts, pv_source_form *form, void **reader);
    /* Reads and checks the objects of the splits.  NULL where nothing is held: the label of all is 0 then.
     * Shapes   objects [train + val + test][object_bytes], aligned to 8 bytes; labels [train + val + test],
     *          the number of a class from 0 on, -1 for none
     * Local.   Errors: as survey. */
    pv_status (*load)(void *reader, const pv_source_form *form, const pv_splits *splits, void *objects,
                      int32_t *labels);
    /* After load: how many classes there are, and their names by label (Owner: the caller, free); NULL where
     * each is called by its label, and then there are as many as the highest label says.  Labels and names
     * must not depend on the splits: a store that grows keeps them.  NULL where that is never so.
     * Local.   Errors: PV_ERR_NOMEM. */
    pv_status (*classes)(void *reader, int *count, pv_class_name **names);
    /* After load and on every failure; never of NULL.  NULL where there is no reader. */
    void (*close)(void *reader);

    /* Of one object: coords [samples][inputs], values [samples][channels] (of pictures in [0, 1]), targets
     * [targets]. */
    void (*coords)(const pv_source_object *object, float *coords);
    void (*values)(const pv_source_object *object, float *values);
    void (*targets)(const pv_source_object *object, float *targets); /* NULL where it has none */

    /* What a store says of it besides its name, the shape of a picture and the number of classes: an object
     * for readers of the store; NULL if the words are not valid UTF-8. */
    json_t *(*describe)(const pv_signal_opts *opts);
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
