/* show.h - rows as the clients see them. Each returns a new reference, NULL when out of memory. */
#ifndef API_SHOW_H
#define API_SHOW_H

#include "api/api.h"
#include "storage/asset.h"
#include "storage/job.h"

json_t *asset_json(const struct asset *a); /* asset.c */

/* job_json.c. full: with specification, inputs and attempts, as one job is shown; else as in a list. */
int job_json(struct api *api, const struct job *j, bool full, json_t **out, struct err *e);

/* Answer with one job and its ETag. */
void job_answer(struct api *api, struct exchange *x, int status, const struct job *j);

/* JSON text that we have stored ourselves; NULL or unreadable becomes null. */
json_t *stored_json(const char *text);

#endif
