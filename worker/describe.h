/* describe.h - what this worker can do, as JSON: the one source of truth for validation, the web form and the
 * docs. */
#ifndef WORKER_DESCRIBE_H
#define WORKER_DESCRIBE_H

#include <jansson.h>

json_t *describe_capabilities(void); /* new reference; NULL when out of memory */

json_t *describe_parameters(void); /* the list "parameters" */

#endif
