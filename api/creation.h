/* creation.h - what a POST /v1/jobs says, whether it makes one job or a sweep. */
#ifndef API_CREATION_H
#define API_CREATION_H

#include "api/api.h"

#define CREATION_KEY_MAX 255

struct creation {
    bool dry_run;
    char key[CREATION_KEY_MAX + 1]; /* Idempotency-Key; "" none */
    char body_hash[HASH_TEXT];
    json_t *given; /* owned: the body */
};

/* sweep_create.c: make the jobs of c->given with its "sweep", and answer. */
void sweep_create(struct api *api, struct exchange *x, const struct creation *c);

#endif
