/* recover.h - at start: what an earlier daemon left under way. A live worker is followed on, a dead one is
 * brought to its end; no second worker is started beside one that lives. */
#ifndef SERVER_RECOVER_H
#define SERVER_RECOVER_H

#include "server/supervisor.h"

int recover_jobs(struct db *db, struct supervisor *s, struct err *e);

#endif
