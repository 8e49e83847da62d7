/* metric.h - series of numbers of a job; the same (job, series, step) again replaces the value. */
#ifndef STORAGE_METRIC_H
#define STORAGE_METRIC_H

#include "storage/db.h"

#define SERIES_NAME 48 /* bytes with the zero */

struct metric {
    char series[SERIES_NAME];
    int64_t step;
    double value;
};

int metric_add(struct db *db, int64_t job, const struct metric *m, int count,
               struct err *e); /* one transaction */
/* Names in order of first appearance; free(*names). */
int metric_series(struct db *db, int64_t job, char (**names)[SERIES_NAME], int *count, struct err *e);
/* Points of one series (NULL: all, ordered by series then step); max_points 0: every one, else thinned evenly
 * with first and last kept; free(*list). */
int metric_list(struct db *db, int64_t job, const char *series, int max_points, struct metric **list,
                int *count, struct err *e);

#endif
