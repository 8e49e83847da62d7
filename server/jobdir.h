/* jobdir.h - DIR of a job: data/jobs/ID with spec.json, in/ (links to the input blobs) and out/. Made whole
 * or not at all; later attempts find it as the earlier ones left it. */
#ifndef SERVER_JOBDIR_H
#define SERVER_JOBDIR_H

#include "storage/db.h"
#include "storage/job.h"

#define JOBDIR_PATH 640

/* 0 also when it is there already. */
int jobdir_make(const struct db *db, const struct job *j, struct err *e);
/* After success: what only a further attempt would need. */
void jobdir_trim(const char *dir);
/* Remove what a crash left: a directory that jobdir_make had not finished, one whose job is deleted. Returns
 * how many went, or a negative ERR_*. */
int jobdir_sweep(struct db *db, struct err *e);

#endif
