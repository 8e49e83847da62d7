/* handle.h - every handler of the routes, one noun per file. Each answers the exchange, at once or parked. */
#ifndef API_HANDLE_H
#define API_HANDLE_H

#include "api/api.h"
#include "storage/job.h"

#define HANDLER(name) void handle_##name(struct api *api, struct exchange *x)

HANDLER(health); /* health.c: the service itself */
HANDLER(ready);
HANDLER(openapi);
HANDLER(version);
HANDLER(capabilities);
HANDLER(prometheus); /* prometheus.c */

HANDLER(model_create);   /* asset.c */
HANDLER(dataset_create); /* dataset.c */
HANDLER(asset_list);     /* asset.c: of both kinds */
HANDLER(asset_get);
HANDLER(asset_delete);
HANDLER(asset_content);

HANDLER(blob_put); /* blob.c */
HANDLER(blob_get);

HANDLER(job_create); /* job_create.c */
HANDLER(job_list);   /* job.c */
HANDLER(job_get);
HANDLER(job_patch);
HANDLER(job_delete);
HANDLER(job_cancel);
HANDLER(job_retry);

HANDLER(sweep_list); /* sweep.c */
HANDLER(sweep_get);
HANDLER(sweep_cancel);
HANDLER(sweep_delete);

HANDLER(job_events); /* stream.c */
HANDLER(all_events);
HANDLER(job_metrics);   /* metric.c */
HANDLER(job_log);       /* log.c */
HANDLER(artifact_list); /* artifact.c */
HANDLER(artifact_get);

HANDLER(webui_index); /* webui.c */
HANDLER(webui_file);

#undef HANDLER

/* Used by several of them. */

/* The {id} of a job's route; ERR_NOT_FOUND unless it is a number. */
int handle_job_id(const struct exchange *x, int64_t *id, struct err *e);

/* The job of the route; job_free it, whatever is returned. */
int handle_job(struct api *api, const struct exchange *x, struct job *j, struct err *e);

/* Something about the queue is different now: wake the streams and the scheduler. */
void handle_changed(struct api *api);

/* job.c. Cancel a job for whoever asks and end its worker; *j is the job after it (job_free it, whatever is
 * returned). ERR_STATE where it has ended. */
int handle_cancel(struct api *api, const struct exchange *x, int64_t id, struct job *j, struct err *e);

/* job.c. Delete a finished job. The row goes first: a crash in between leaves a stray directory, never a job
 * without one. */
int handle_delete(struct api *api, int64_t id, struct err *e);

/* By the name's ending; application/octet-stream for one that is not known. */
const char *handle_content_type(const char *name);

/* Answer 200 with the file of a blob: strong ETag, ranges; immutable where the path has
 * the hash. ERR_NOT_FOUND without a row or a file. */
int handle_send_blob(struct api *api, struct exchange *x, const char *hash, const char *content_type,
                     struct err *e);

/* `Content-Disposition: attachment; filename="..."` with a name made of harmless characters. */
void handle_attachment(struct exchange *x, const char *stem, const char *suffix);

/* A time for JSON: ISO 8601, or null for 0. New reference. */
json_t *handle_time(int64_t ms);

#endif
