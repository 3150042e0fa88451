/* The source data of a run: objects (images, waves) with labels and splits; images are held once a node in
 * shared memory.
 *
 * IDX files (the MNIST family), plain or gzip: train-images-idx3-ubyte[.gz], train-labels-idx1-ubyte[.gz],
 * t10k-images-idx3-ubyte[.gz], t10k-labels-idx1-ubyte[.gz].  The plain file is taken where both exist.
 *
 * Sine waves a sin(b x) over [-pi, pi], made up as they are asked for: a and b are drawn from (seed, source
 * id) and are the object's real targets; the label is 0.  What is said of files holds of two endless ones.
 *
 * Objects are numbered: the train split, then val, then test.  An object's source id is its index in the
 * concatenation of the train file and the test file; it does not change when other splits grow. */
#ifndef PV_SIGNAL_H
#define PV_SIGNAL_H

#include "parallel/pv_comm.h"
#include "signal/pv_signal_opts.h"

#include <stdint.h>

enum { PV_SPLIT_TRAIN = 0, PV_SPLIT_VAL = 1, PV_SPLIT_TEST = 2 };

enum { PV_SIGNAL_MAX_TARGETS = 8 };

typedef struct pv_signal pv_signal;

/* Reads the files once a node (the node's rank 0 reads, all ranks of the node see the result) and checks them
 * fully: magic, dimensions, counts of images and labels that disagree, truncation, trailing bytes, corrupt
 * gzip, labels that are not 0..9, split ranges that leave the file or overlap (train and val), nodes that do
 * not read the same data.
 * Shapes   images are height x width x 1 bytes
 * Owner    pv_signal_close
 * Collective over comm->world.
 * Errors   PV_ERR_IO (no such file, unreadable; the path is named), PV_ERR_DATA (file, offset or row named),
 * PV_ERR_CONFIG (a range that does not fit; the key is named), agreed on all ranks. */
pv_status pv_signal_open(const pv_comm *comm, const pv_signal_opts *opts, pv_signal **out);

/* Collective over the node; NULL is a no-op. */
void pv_signal_close(pv_signal *signal);

int64_t pv_signal_objects(const pv_signal *signal); /* train + val + test */
int pv_signal_inputs(const pv_signal *signal);      /* d of a coordinate: 2 of images, 1 of waves */
int pv_signal_height(const pv_signal *signal);      /* rows; 0: not an image */
int pv_signal_width(const pv_signal *signal);       /* columns; 0: not an image */
int pv_signal_channels(const pv_signal *signal);    /* 1: grey, or one value */
int pv_signal_samples(const pv_signal *signal);     /* n, of images height * width */
int pv_signal_classes(const pv_signal *signal);     /* highest label over all objects + 1 */

/* Real numbers that say what an object is, 0 or at most PV_SIGNAL_MAX_TARGETS of them: a and b of a wave. */
int pv_signal_targets(const pv_signal *signal);
/* Shapes   targets [pv_signal_targets]. */
void pv_signal_target(const pv_signal *signal, int64_t object, float *targets);

/* Coordinates of the samples: of waves [n][1], linspace(-pi, pi); of images [n][2], row-major pixels,
 * component 0 = x (runs fastest), component 1 = y, both linspace(-1, 1) rounded to float32.  Owned by the
 * signal. */
const float *pv_signal_coords(const pv_signal *signal);

/* The samples of one object: y [n][channels]; of images in [0, 1]. */
void pv_signal_values(const pv_signal *signal, int64_t object, float *y);

/* The pixels of one image: [n][channels] bytes, owned by the signal. */
const uint8_t *pv_signal_pixels(const pv_signal *signal, int64_t object);

int32_t pv_signal_label(const pv_signal *signal, int64_t object);
uint8_t pv_signal_split(const pv_signal *signal, int64_t object);
uint64_t pv_signal_source_id(const pv_signal *signal, int64_t object);
/* The object of a source id, -1 if it is in no split. */
int64_t pv_signal_find(const pv_signal *signal, uint64_t source_id);

#endif
