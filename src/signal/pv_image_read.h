/* Pictures in files: PNG by libpng, JPEG by libjpeg-turbo; the content decides, not the name.  Words of the
 * two libraries come as messages of ours, which name the file, and none of their jumps leaves its file.
 * Knows nothing of MPI. */
#ifndef PV_IMAGE_READ_H
#define PV_IMAGE_READ_H

#include "base/pv_status.h"
#include "pv_image.h"

/* Looks at a file: that it is one of the two kinds, its size is allowed, and it is there to its end.  The
 * checksums of a PNG of up to 64 KiB are compared; pixels are not decoded.
 * Local.   Errors: PV_ERR_IO (cannot be read), PV_ERR_DATA (what it lacks), PV_ERR_NOMEM. */
pv_status pv_image_look(const char *path, pv_image_head *head);

/* Decodes a file.  What is damaged is an error, not a guess.  Owner: pv_image_free.
 * Local.   Errors: as pv_image_look. */
pv_status pv_image_read(const char *path, pv_image *image);
void pv_image_free(pv_image *image); /* safe on a zeroed one */

/* The same of bytes in memory; *more: the bytes at hand do not tell, and all must be. */
pv_status pv_image_look_at(const pv_image_bytes *bytes, pv_image_head *head, bool *more);
pv_status pv_image_decode(const pv_image_bytes *bytes, pv_image *image);

#endif
