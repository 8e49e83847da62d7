/* ingest.h - how a model or a data set comes in: upload (or a blob that is there) -> blob -> inspection in
 * the sandboxed worker -> row. The exchange is parked while the inspector runs. */
#ifndef API_INGEST_H
#define API_INGEST_H

#include "api/api.h"

#define INGEST_NAME   80 /* bytes of a name with its zero; {id} of a route holds as many */
#define INGEST_FORMAT 32

struct ingest_row {
    const char *name; /* NULL: none given */
    const char *hash, *format, *info;
};

/* What differs between models and data sets. */
struct ingest_kind {
    const char *noun;       /* what the inspector calls it */
    const char *collection; /* "/v1/models" */
    /* Store the row and show it; *id and *existed come with it. */
    int (*add)(struct api *api, const struct ingest_row *row, json_t **shown, int64_t *id, bool *existed,
               struct err *e);
};

/* Start; answers at once when something is wrong, else parks x. format: NULL or a name. extra: NULL or an
 * object whose members are put into the inspector's JSON (reference taken). */
void ingest_start(struct api *api, struct exchange *x, const struct ingest_kind *kind, const char *format,
                  json_t *extra);

/* A name that a job may refer to: 1..79 bytes, no control characters, neither a number nor a prefix with a
 * meaning. */
int ingest_name_check(const char *name, struct err *e);

#endif
