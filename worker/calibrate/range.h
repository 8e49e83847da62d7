/* range.h - how wide an activation's codes reach: rules to find the first step from what was seen, const
 * structs and a list. */
#ifndef WORKER_CALIBRATE_RANGE_H
#define WORKER_CALIBRATE_RANGE_H

#include "worker/real.h"

#include <stddef.h>

/* What is remembered of one activation. */
struct range {
    int value;      /* of the graph */
    real low, high; /* extremes of all that was seen */
    real *sample;   /* owned: a random part of it */
    size_t count;
};

struct range_rule {
    const char *name;
    /* The step of codes low..high. percentile: of the magnitudes, that is to be reached. The sample may be
     * changed. */
    real (*step)(struct range *r, int low, int high, double percentile);
};

extern const struct range_rule *const range_rule_list[];    /* NULL-terminated */
const struct range_rule *range_rule_find(const char *name); /* NULL when there is none */

#endif
