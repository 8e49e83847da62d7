/* sweep_table.h - the results of a sweep's jobs, gathered by combination; seeds are averaged over. */
#ifndef API_SWEEP_TABLE_H
#define API_SWEEP_TABLE_H

#include "api/axes.h"
#include "storage/sweep.h"

/* Figures of a result that the table shows; each by the pointer into result.json. */
enum sweep_figure {
    SWEEP_VALUE,
    SWEEP_FLOAT_VALUE,
    SWEEP_FILE_BYTES,
    SWEEP_RATIO,
    SWEEP_WALL_S,
    SWEEP_FIGURES
};
extern const char *const sweep_figure_names[SWEEP_FIGURES];

struct sweep_mean {
    int n;
    double mean, squares; /* sum of squared distances from the mean */
};
double sweep_deviation(const struct sweep_mean *m); /* sample standard deviation; NaN below two */

struct sweep_row {
    int place; /* a combination with this row's values; the seed is that of its first job */
    int jobs, state[JOB_STATE_COUNT];
    int64_t *ids;    /* owned: of its jobs */
    char metric[32]; /* "" until one has succeeded */
    struct sweep_mean figure[SWEEP_FIGURES];
    bool pareto; /* no other row has at least this value in at most these bytes, and one of them better */
};

struct sweep_table {
    json_t *document; /* owned: what the axes point into */
    struct axes axes;
    int seed; /* the axis that is averaged over, -1: none */
    struct sweep_row *row;
    int rows;
};

/* Read the jobs of a sweep one after the other. sweep_table_free it, whatever is returned. */
int sweep_table_read(struct db *db, const struct sweep *s, struct sweep_table *t, struct err *e);
void sweep_table_free(struct sweep_table *t);

#endif
