/* draft.h - a job that is being made: document -> complete specification -> inputs found and held against
 * each other -> what storage needs to make the row. Nothing is stored here. */
#ifndef API_DRAFT_H
#define API_DRAFT_H

#include "api/resolve.h"
#include "storage/job.h"

struct draft {
    json_t *spec; /* owned: complete */
    struct resolved model, dataset;
    int64_t not_before_ms;
    char *spec_text, *tags_text; /* owned: what job_new points at */
};

void draft_free(struct draft *d); /* frees what d owns, not d */

/* Complete and check `given`. 0 with `p` filled in or not; negative: the machinery is at fault. */
int draft_complete(struct api *api, const json_t *given, struct draft *d, struct spec_problems *p,
                   struct err *e);

/* The row of a draft without problems; it points into d and at `owner`. What is known of the inputs is let
 * go: a sweep has many drafts. */
int draft_row(struct draft *d, const char *owner, struct job_new *n, struct err *e);

/* What is known of the cost before anything has run: memory_bytes, or null. New reference. */
json_t *draft_estimate(const struct draft *d);

#endif
