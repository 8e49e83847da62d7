/* place.h - where the pieces of an installation are, seen from the running program: beside it in a build
 * tree, under PREFIX when installed. */
#ifndef SERVER_PLACE_H
#define SERVER_PLACE_H

#include "server/config.h"

#include <stdbool.h>

#define PLACE_TEXT 1024

/* Make the data directory if it is missing, and its path absolute: workers are started inside it. */
int place_data(struct config *c, struct err *e);
/* Fill in worker, webui and slots where they were not given, and make worker absolute. */
int place_complete(struct config *c, struct err *e);
/* Path of the OpenAPI description; false when it is nowhere. */
bool place_openapi(char out[PLACE_TEXT]);

#endif
