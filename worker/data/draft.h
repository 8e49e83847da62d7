/* draft.h - a data set while it is being read: what the formats fill. */
#ifndef WORKER_DATA_DRAFT_H
#define WORKER_DATA_DRAFT_H

#include "worker/data/dataset.h"
#include "worker/data/source.h"
#include "worker/data/store.h"

#define DRAFT_SIDE_MAX  4096  /* pixels; larger images are no classification data */
#define DRAFT_LABEL_MAX 65535 /* the largest label that is believed */

struct draft {
    struct dataset *dataset; /* the format sets channels, height, width and classes */
    struct budget budget;
    struct store pixel[SPLITS];
    struct labels {
        int32_t *value; /* owned */
        size_t count, capacity;
    } label[SPLITS];
    void *state; /* the format's own, allocated memory; its drop frees it */
};

int draft_init(struct draft *d, const struct room *room, struct err *e);
void draft_free(struct draft *d); /* but not state */

int draft_pixels(struct draft *d, int split, const uint8_t *pixels, size_t bytes, struct err *e);
/* The next `bytes` bytes of a source as pixels, fewer when it ends before: *copied tells. */
int draft_copy(struct draft *d, int split, struct source *in, uint64_t bytes, uint64_t *copied,
               struct err *e);

int draft_label(struct draft *d, int split, int32_t label, struct err *e);

/* Where a label stands, to name it in an error. */
struct draft_place {
    int split;
    size_t index;
};

/* Set dataset->classes to the largest label plus one. Up to ten classes any labels will do: a small set need
 * not have them all. More are believed only when nearly all of them occur, so that a damaged byte is found
 * and does not become class 200: ERR_INVALID, and *bad is the place of the label. */
int draft_classes(struct draft *d, struct draft_place *bad, struct err *e);

/* The gray images of a split become red = green = blue, `plane` bytes each: colour has turned up. */
int draft_recolour(struct draft *d, int split, size_t plane, struct err *e);

/* Hand over: labels and pixels go into the data set, which the caller then owns. ERR_INVALID when a split has
 * not as many images as labels. */
int draft_finish(struct draft *d, struct dataset **out, struct err *e);

#endif
