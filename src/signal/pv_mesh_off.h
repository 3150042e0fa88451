/* OFF files, as text. */
#ifndef PV_MESH_OFF_H
#define PV_MESH_OFF_H

#include "pv_mesh.h"

#include <stdbool.h>

/* What the head of a file says. */
typedef struct pv_off_head {
    int64_t vertices, faces;
    bool coloured;    /* more numbers follow the three of a vertex */
    const char *body; /* where the head ends */
} pv_off_head;

/* `text` ends with a zero.  Local.  Errors: PV_ERR_DATA (the path and what is wrong are named). */
pv_status pv_off_read_head(const char *path, const char *text, pv_off_head *head);

/* Reads a whole file of `size` bytes and a zero.  Local.  Errors: PV_ERR_DATA, PV_ERR_NOMEM. */
pv_status pv_off_parse(const char *path, const char *text, int64_t size, pv_mesh *mesh);

#endif
