/* A picture in the channels and the size that are asked for.
 *
 * Numbers are those of the file, as they are: no gamma, no colour profile.  Transparent parts show the
 * background, grey is the luma 0.299 R + 0.587 G + 0.114 B; both are rounded to whole numbers of the file's
 * own depth, so that a picture is the same whatever files are beside it.  Another size is the average over
 * the area of each new pixel, exact but for the last rounding, whether smaller or larger. */
#ifndef PV_IMAGE_CONVERT_H
#define PV_IMAGE_CONVERT_H

#include "base/pv_status.h"
#include "pv_image.h"

typedef struct pv_image_wish {
    int height, width;
    int channels;      /* 1 grey, 3 RGB, 4 RGB and alpha */
    double background; /* 0 black to 1 white, behind what is transparent; not with 4 channels */
    bool floats;       /* else bytes, of pictures with white 255 and of the size wished for */
} pv_image_wish;

/* Shapes   out [height][width][channels], float in [0, 1] or uint8_t
 * Local.   Errors: PV_ERR_NOMEM. */
pv_status pv_image_convert(const pv_image *image, const pv_image_wish *wish, void *out);

#endif
