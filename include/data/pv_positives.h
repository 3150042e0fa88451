/* What the two copies of a place are in contrastive training. */
#ifndef PV_POSITIVES_H
#define PV_POSITIVES_H

typedef enum pv_positives {
    PV_POSITIVES_AUGMENT, /* two augmentations of one view */
    PV_POSITIVES_VIEWS,   /* two views of one object, as they are */
    PV_POSITIVES_BOTH     /* augmentations of two views of one object */
} pv_positives;

#endif
