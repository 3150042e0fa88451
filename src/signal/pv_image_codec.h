/* Pixels of the two formats, each decoded in a file of its own. */
#ifndef PV_IMAGE_CODEC_H
#define PV_IMAGE_CODEC_H

#include "base/pv_status.h"
#include "pv_image.h"

/* Whole files whose head was looked at, which image->head has.  Owner: pv_image_free, also after a failure.
 * Local.   Errors: PV_ERR_DATA (the file named, with the library's words), PV_ERR_NOMEM. */
pv_status pv_image_decode_png(const pv_image_bytes *bytes, pv_image *image);
pv_status pv_image_decode_jpeg(const pv_image_bytes *bytes, pv_image *image);

#endif
