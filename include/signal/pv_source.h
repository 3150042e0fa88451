/* The `signal` section of a config, and sources of signals: where objects come from, and what they are.  A
 * new source is a file of its own, src/signal/pv_source_NAME.c with a pv_source called pv_source_NAME, and a
 * word in PV_SOURCES.  It knows nothing of MPI: pv_signal calls survey and load on one rank a node, shares
 * what they give with the node, and calls the other functions on every rank. */
#ifndef PV_SOURCE_H
#define PV_SOURCE_H

#include "config/pv_option.h"
#include "config/pv_plugin.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* What stands for a number of objects besides one: all that there are, and what the source itself says. */
enum { PV_ALL = -1, PV_USUAL = -2 };

typedef struct pv_signal_opts {
    pv_pick source;          /* in tests without a plug-in: the first, with the defaults of its options */
    char *path;              /* of the source's files; owned by the config */
    double train, val, test; /* objects of a split; a share of them, below 1; PV_ALL; PV_USUAL */
    int64_t train_first;     /* index in the split's pool of its first object */
    int64_t val_first;       /* -1: the last `val` objects of the train pool, the first of one of its own */
    int64_t test_first;
    double keep;  /* share of the node's free shared memory that objects may take */
    int64_t most; /* of a split, at most; 0: any number.  No key: of those who need a part */
} pv_signal_opts;

/* The rows of the section. */
extern const pv_option pv_signal_options[];

enum { PV_SPLIT_TRAIN = 0, PV_SPLIT_VAL = 1, PV_SPLIT_TEST = 2, PV_SPLITS };

/* Objects are taken from pools, such as a train file and a test file: train from pool 0, test from pool 1,
 * val from pool 2, or from pool 0 where the source keeps none apart. */
enum { PV_POOLS = 3 };

/* What all ranks must know of a source.  Without gaps between its numbers: sent and compared as bytes. */
typedef struct pv_source_form {
    int64_t pool[PV_POOLS];        /* objects of each */
    int inputs, channels, samples; /* d of a coordinate; numbers of a sample; n */
    int depth, height, width; /* of a grid of samples, width fastest: of volumes all three, of pictures the
                                 last two, of others none (0) */
    int targets;              /* real numbers that say what an object is, at most PV_SIGNAL_MAX_TARGETS */
    int heldout;              /* samples besides, to judge a fit by; 0: none */
    int64_t own_coords;       /* 1: every object has coordinates of its own; 0: all share theirs */
    int64_t object_bytes;     /* held of an object; 0: objects are made up as they are asked for */
    int64_t shared_bytes;     /* held once a node for all objects: names of files, options; without pointers,
                                 as it lies elsewhere in every rank's memory */
    int64_t apart; /* bit 1 << split, of val and test: the source itself has put apart what the options want,
                      so that a share means all of the pool, be it empty */
    int64_t passed_over; /* files below signal.path that the source does not read, by their endings; nodes
                            may differ in it */
    uint64_t seed;       /* of what is made up */
    double low, high; /* the numbers of the data that the values 0 and 1 stand for; both 0: they themselves */
} pv_source_form;

/* Which objects of the pools are in which split; they are numbered train, val, test. */
typedef struct pv_splits {
    int64_t first[PV_SPLITS], count[PV_SPLITS]; /* `first` in the split's own pool */
} pv_splits;

/* The pool that a split is taken from. */
static inline int pv_source_pool(const pv_source_form *form, int split)
{
    const bool own_val = form->pool[2] > 0 || (form->apart >> PV_SPLIT_VAL & 1);
    return split == PV_SPLIT_TEST ? 1 : split == PV_SPLIT_VAL && own_val ? 2 : 0;
}

/* The place of an object: its index in the pools put one behind the other. */
static inline int64_t pv_source_place(const pv_source_form *form, int pool, int64_t index)
{
    for (int before = 0; before < pool; before++)
        index += form->pool[before];
    return index;
}

/* An object as the functions below get it. */
typedef struct pv_source_object {
    const pv_source_form *form;
    const void *shared; /* [shared_bytes] as `load` left them */
    const void *bytes;  /* [object_bytes] as `load` or `fetch` left them */
    uint64_t id;        /* on which all that is drawn for it depends */
    int64_t place;
    void *hand; /* as `reach` left it; of fetch only */
} pv_source_object;

/* Where an object lies in the space that its files speak of: the three coordinates of its centre, and the
 * length that its own unit stands for. */
enum { PV_SOURCE_FRAME = 4 };

/* What `load` fills, once a node; zeroed, of the objects of all splits. */
typedef struct pv_source_held {
    void *shared;    /* [shared_bytes], aligned to 8 bytes, as the others are */
    int32_t *labels; /* the number of a class from 0 on, -1 for none */
    uint64_t *ids;   /* filled with the objects' places.  Of files with names pv_checksum() of the path below
                        signal.path: ids then stay when other files come */
    void *objects;   /* [objects][object_bytes]; NULL: they are fetched one by one */
} pv_source_held;

/* What people call a class: UTF-8, padded with zeros. */
typedef struct pv_class_name {
    char text[32];
} pv_class_name;
enum { PV_MAX_CLASSES = 65536 };

typedef struct pv_source {
    pv_plugin plugin;
    const char *pools[PV_POOLS]; /* what messages call them: "the train file" */
    double usual[PV_SPLITS]; /* signal.train, val and test where the config does not say: a number, PV_ALL, or
                                a share below 1, of what the source itself puts apart (pv_divide.h) */

    /* Looks at the source without reading it whole, fills the zeroed form, and leaves in *reader what load
     * needs.  The options' train, val and test are as the config or `usual` says.
     * Local.  Errors: PV_ERR_CONFIG (key named), PV_ERR_IO and PV_ERR_DATA (file named). */
    pv_status (*survey)(const pv_signal_opts *opts, pv_source_form *form, void **reader);
    /* Reads and checks what is held of the objects of the splits.  NULL where nothing is: the label of all is
     * 0 then.  Local.   Errors: as survey. */
    pv_status (*load)(void *reader, const pv_source_form *form, const pv_splits *splits,
                      pv_source_held *held);
    /* Reads the bytes [object_bytes] of one object, by what `shared` says; its own `bytes` are NULL.  Called
     * on any rank, beforehand for all objects if they fit into the node's memory, else when they are needed.
     * NULL: load has read them.  Local.   Errors: PV_ERR_IO and PV_ERR_DATA (file named). */
    pv_status (*fetch)(const pv_source_object *object, void *bytes);
    /* What a rank holds open to fetch by, such as a file, from its first fetch on until the signal is closed.
     * Both NULL: nothing.  Local.   Errors: as fetch; a hand that is not NULL is left then, too. */
    pv_status (*reach)(const pv_source_form *form, const void *shared, void **hand);
    void (*leave)(void *hand);
    /* After load: how many classes there are, and their names by label (Owner: the caller, free); NULL where
     * each is called by its label, and then there are as many as the highest label says.  Labels and names
     * must not depend on the splits: a store that grows keeps them.  NULL where that is never so.
     * Local.   Errors: PV_ERR_NOMEM. */
    pv_status (*classes)(void *reader, int *count, pv_class_name **names);
    /* After load and on every failure; never of NULL.  NULL where there is no reader. */
    void (*close)(void *reader);

    /* The coordinates [samples][inputs] that all objects share (pv_grid.h); NULL where each has its own. */
    void (*grid)(const pv_source_form *form, float *coords);
    /* Of one object: values [samples][channels] (of pictures in [0, 1]), and coords [samples][inputs], NULL
     * where all share theirs.  Local.   Errors: PV_ERR_DATA (file named), PV_ERR_NOMEM. */
    pv_status (*samples)(const pv_source_object *object, float *coords, float *values);
    /* Likewise the samples that a fit does not see, of a field that is negative inside an object, the first
     * half of them near its surface.  NULL where there are none. */
    pv_status (*heldout)(const pv_source_object *object, float *coords, float *values);
    /* Its frame.  NULL: objects lie where their coordinates say.  Local.  Errors: as samples. */
    pv_status (*frame)(const pv_source_object *object, float frame[PV_SOURCE_FRAME]);
    /* How far points [n][inputs] are from the surface of an object that has one, negative inside.  NULL where
     * objects have none.  Local.  Errors: as samples. */
    pv_status (*distances)(const pv_source_object *object, int64_t n, const float *points, float *distances);
    void (*targets)(const pv_source_object *object, float *targets); /* NULL where it has none */

    /* Writes into the source's own options what survey has found where they do not say: a store keeps that.
     * NULL: nothing.  Local.   Errors: PV_ERR_NOMEM. */
    pv_status (*settle)(const pv_source_form *form, void *own);
    /* What a store says of it besides its name, the shape and range of its values and the number of classes:
     * an object for readers of the store; NULL if the words are not valid UTF-8. */
    json_t *(*describe)(const pv_signal_opts *opts, const pv_source_form *form);
} pv_source;

/* A test may bring a list of its own. */
#ifndef PV_SOURCES
#define PV_SOURCES(X) X(idx) X(cifar) X(images) X(arrays) X(shapes) X(sine)
#endif
#define PV_SOURCE_EXTERN(name) extern const pv_source pv_source_##name;
PV_SOURCES(PV_SOURCE_EXTERN)
#undef PV_SOURCE_EXTERN
extern const pv_registry pv_sources;

#endif
