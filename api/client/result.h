/* result.h - what a finished job has made, in a few lines for people. */
#ifndef API_CLIENT_RESULT_H
#define API_CLIENT_RESULT_H

#include <jansson.h>

/* Metric, sizes, and what a search has seen, of the job's result; nothing where there is none. */
void result_print(const json_t *job);

#endif
