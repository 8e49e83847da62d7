/* report.h - what people look at when a job is done: curves.csv, curves.svg, layers.csv, report.html.
 * Everything is written whole (file_publish) into DIR/out; the HTML is self-contained (inline SVG and CSS, no
 * script). */
#ifndef WORKER_REPORT_REPORT_H
#define WORKER_REPORT_REPORT_H

#include "base/err.h"

#include <jansson.h>
#include <stdint.h>

struct point {
    int64_t step;
    double value;
};

struct series {
    char name[48];
    struct point *point; /* owned by the curves */
    int count, capacity;
};

/* All metric series of the job, in order of first appearance; rebuilt from events.jsonl on resume. */
struct curves {
    struct series *series;
    int count;
};

int curves_add(struct curves *c, const char *series, int64_t step, double value); /* replaces an equal step */
void curves_free(struct curves *c);
/* Add the metric lines of a job's events; no such file is no error, and a torn last line is passed over. */
int curves_load(struct curves *c, const char *events_path, struct err *e);

int report_write(const char *out_dir, const struct curves *c, json_t *spec, json_t *result, struct err *e);

#endif
