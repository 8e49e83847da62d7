/* axes.h - the "sweep" of a specification: parameters, each with several values, and the specification of
 * each of their combinations.
 *
 *     "sweep": { "quantize.weights.bits": [2, 4], "train.seed": [1, 2, 3] }
 *
 * A parameter is named by its place with dots, a value replaces what the specification says there. The last
 * parameter changes fastest. */
#ifndef API_AXES_H
#define API_AXES_H

#include "api/spec.h"

#define AXES_MAX      8
#define AXES_JOBS_MAX 256

struct axis {
    const char *key;      /* "train.seed", points into the document */
    char pointer[160];    /* "/train/seed" */
    const json_t *values; /* borrowed: an array of at least one */
};

struct axes {
    int count, jobs; /* jobs: the product of the numbers of values */
    struct axis axis[AXES_MAX];
};

/* Read `sweep`, which the axes go on pointing into: places with their values, no more jobs than
 * AXES_JOBS_MAX. False: `p` says what is wrong, at /sweep/... */
bool axes_read(const json_t *sweep, struct axes *a, struct spec_problems *p);

/* Whether today's worker knows these parameters and allows these values, and none is there twice. Asked when
 * a sweep is made; one that is stored stays readable whatever later workers allow. False: as above. */
bool axes_check(const struct axes *a, const json_t *capabilities, struct spec_problems *p);

/* Which value axis i has in combination `job`, 0 <= job < jobs. */
const json_t *axes_value(const struct axes *a, int i, int job);

/* `given` without "sweep" and with the values of combination `job`. New reference; NULL when out of memory.
 */
json_t *axes_apply(const struct axes *a, const json_t *given, int job);

/* "quantize.weights.bits=2 train.seed=1", cut to fit. */
void axes_text(const struct axes *a, int job, char *out, size_t size);

#endif
