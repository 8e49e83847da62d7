/* report_parts.h - the makers of the single files, and how they write texts and numbers. Nothing here looks
 * at the clock or the environment: the same job gives the same bytes. A failed append is sticky in the
 * buffer. */
#ifndef WORKER_REPORT_REPORT_PARTS_H
#define WORKER_REPORT_REPORT_PARTS_H

#include "base/buf.h"
#include "worker/report/report.h"

#include <stdbool.h>

void report_curves_csv(struct buf *out, const struct curves *c);
void report_layers_csv(struct buf *out, json_t *result);
void report_svg(struct buf *out, const struct curves *c, bool standalone); /* or for inclusion in HTML */
void report_search(struct buf *out, json_t *result); /* a part of the HTML: trials of a job with a goal */
void report_html(struct buf *out, const struct curves *c, json_t *spec, json_t *result);
extern const char report_css[];

/* How a series is called and drawn. */
struct series_kind {
    const char *name, *title, *unit;
    double scale; /* what is shown = scale * value */
    bool logarithmic;
    const char *colour; /* visible on white and on black */
};
const struct series_kind *report_series_kind(const char *name); /* never NULL */

/* --- texts: report_text.c --- */

/* Any bytes as text of HTML and XML: markup escaped, control characters and broken UTF-8 as U+FFFD. */
void report_text(struct buf *out, const char *text);
void report_csv_field(struct buf *out, const char *text);              /* quoted where RFC 4180 asks for it */
const char *report_number(double x, char out[32]);                     /* short: 0.0012, 12.5, 1e-7 */
const char *report_count(double x, char out[32]);                      /* 1,724,320 */
const char *report_bytes(double x, char out[48]);                      /* 1.72 MB */
const char *report_metric(const char *metric, double x, char out[32]); /* 99.12 %, 31.25 dB */
const char *report_time(double seconds, char out[32]);                 /* 2 h 5 min */

/* --- axes: report_axis.c --- */

enum { AXIS_TICKS = 12 };

struct axis {
    double low, high;
    bool logarithmic;
    double tick[AXIS_TICKS];
    int ticks;
};

/* Round limits around [low, high] with about `wanted` ticks at 1, 2 or 5 times a power of ten. A logarithmic
 * axis becomes a linear one when low is not positive. */
struct axis axis_make(double low, double high, bool logarithmic, int wanted);
double axis_place(const struct axis *a, double x); /* 0 at low, 1 at high */

#endif
