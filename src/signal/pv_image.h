/* A picture as its file has it. */
#ifndef PV_IMAGE_H
#define PV_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No picture is larger: a file of a few bytes may ask for any size. */
enum { PV_IMAGE_MAX_SIDE = 16384, PV_IMAGE_MAX_PIXELS = 1 << 26 };

typedef struct pv_image_head {
    int height, width;
    bool colour; /* three numbers of a pixel, else one of grey */
    int white;   /* the number of full intensity, 255 or 65535: files of fewer bits are read as of 8 */
} pv_image_head;

typedef struct pv_image {
    pv_image_head head;
    bool alpha;   /* one number more of a pixel: 0 is transparent, white opaque */
    void *pixels; /* [height][width][colour ? 3 : 1, + alpha], uint8_t where white is 255, else uint16_t */
} pv_image;

/* A file in memory, or the beginning of a large one. */
typedef struct pv_image_bytes {
    const char *name; /* for messages */
    const uint8_t *data;
    size_t count;   /* bytes at hand */
    bool whole;     /* these are all */
    bool ends_well; /* of a file that is not whole: its last bytes are those that end a picture */
} pv_image_bytes;

#endif
