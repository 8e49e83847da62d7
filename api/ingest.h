/* ingest.h - how a model or a data set comes in: upload (or a blob that is there) -> blob -> inspection in
 * the sandboxed worker -> row. The exchange is parked while the inspector runs. */
#ifndef API_INGEST_H
#define API_INGEST_H

#include "api/api.h"
#include "api/asset.h"

/* Start; answers at once when something is wrong, else parks x. format: NULL or a name. extra: NULL or an
 * object whose members are put into the inspector's JSON (reference taken). */
void ingest_start(struct api *api, struct exchange *x, enum asset_kind kind, const char *format,
                  json_t *extra);

#endif
