/* Pictures. */
#ifndef PV_PNG_H
#define PV_PNG_H

#include "base/pv_status.h"

#include <stdint.h>

/* Writes an 8-bit PNG, through a temporary name and a rename.
 * Shapes   pixels [height][width][channels], channels 1 (grey), 3 (RGB) or 4 (RGBA)
 * Local.   Errors: PV_ERR_IO (the path is named), PV_ERR_NOMEM, PV_ERR_INTERNAL (sizes below 1, other
 * channels). */
pv_status pv_png_write(const char *path, int height, int width, int channels, const uint8_t *pixels);

#endif
