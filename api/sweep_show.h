/* sweep_show.h - a sweep as its clients see it: what was swept, how far its jobs are, and one table with a
 * row per combination, in which jobs that differ in their seed only are one row with mean and standard
 * deviation. */
#ifndef API_SWEEP_SHOW_H
#define API_SWEEP_SHOW_H

#include "api/api.h"
#include "storage/sweep.h"

/* One item of a list: everything but the table. New reference, NULL when out of memory. */
json_t *sweep_json(const struct sweep *s);

/* The whole sweep as JSON (*out a new reference), or its table as CSV. */
int sweep_full_json(struct api *api, const struct sweep *s, json_t **out, struct err *e);
int sweep_csv(struct api *api, const struct sweep *s, struct buf *out, struct err *e);

/* Answer with one sweep, its ETag and, for 202, its Location. */
void sweep_answer(struct api *api, struct exchange *x, int status, const struct sweep *s);
void sweep_answer_id(struct api *api, struct exchange *x, int status, int64_t id);

#endif
