#include "worker/train/search.h"

#include <math.h>
#include <stddef.h>

#define SPARSITY_MOST 0.9999
#define PRICE_LEAST   1e-9
#define PRICE_MOST    1.0
#define CLOSE_BYTES   0.97 /* of the bytes that are allowed: no trial to come nearer */
#define AIM_BYTES     0.985
#define LEVELS        4    /* of fineness: 1 octave of the knob to 1/8 */
#define SAME          1e-6 /* octaves */

/* --- goals ---------------------------------------------------------------------------------------------- */

/* What a line is searched for: the metric's bound where there is one, else that of the bytes. */
static bool holds(const struct search *s, const struct search_trial *t)
{
    return isnan(s->goal.metric) ? t->bytes <= s->goal.bytes : t->metric >= s->goal.metric;
}

bool search_met(const struct search *s, int trial)
{
    const struct search_trial *t = &s->trial[trial];

    return holds(s, t) && (isnan(s->goal.bytes) || t->bytes <= s->goal.bytes);
}

/* Where the bound holds, the other figure counts; elsewhere whatever is nearer to it. Negative: a is better.
 */
static double compare(const struct search *s, const struct search_trial *a, const struct search_trial *b)
{
    const bool small = !isnan(s->goal.metric) == holds(s, a); /* are the bytes what counts? */

    if (holds(s, a) != holds(s, b))
        return holds(s, a) ? -1 : 1;
    if (small)
        return a->bytes != b->bytes ? a->bytes - b->bytes : b->metric - a->metric;
    return a->metric != b->metric ? b->metric - a->metric : a->bytes - b->bytes;
}

int search_best(const struct search *s)
{
    int best = s->trials ? 0 : -1;

    for (int i = 1; i < s->trials; i++)
        if (compare(s, &s->trial[i], &s->trial[best]) < 0)
            best = i;
    return best;
}

bool search_pareto(const struct search *s, int trial)
{
    const struct search_trial *t = &s->trial[trial];

    for (int i = 0; i < s->trials; i++) {
        const struct search_trial *o = &s->trial[i];
        const bool no_worse = o->bytes <= t->bytes && o->metric >= t->metric;
        const bool better = o->bytes < t->bytes || o->metric > t->metric;
        if (no_worse && (better || i < trial))
            return false;
    }
    return true;
}

/* --- knobs ---------------------------------------------------------------------------------------------- */

static double density_octaves(double sparsity)
{
    return -log2(1 - sparsity);
}

static double sparsity_of(double octaves)
{
    const double s = rint((1 - exp2(-octaves)) * 1e6) / 1e6;

    return s > SPARSITY_MOST ? SPARSITY_MOST : s > 0 ? s : 0;
}

/* Four digits: it is to be written down. */
static double price_of(double octaves)
{
    const double x = exp2(octaves), unit = pow(10, floor(log10(x)) - 3);

    return fmin(fmax(rint(x / unit) * unit, PRICE_LEAST), PRICE_MOST);
}

static double knob(const struct search *s, const struct search_point *p)
{
    return s->room.price ? log2(p->price) : density_octaves(p->sparsity);
}

static void turn(const struct search *s, struct search_point *p, double octaves)
{
    if (s->room.price)
        p->price = price_of(octaves);
    else
        p->sparsity = sparsity_of(octaves);
}

static bool movable(const struct search *s)
{
    return s->room.price || s->room.sparsity;
}

static bool same_line(const struct search *s, const struct search_point *a, const struct search_point *b)
{
    return a->bits == b->bits && (!s->room.price || fabs(a->sparsity - b->sparsity) < 1e-9);
}

static bool tried(const struct search *s, const struct search_point *p)
{
    for (int i = 0; i < s->trials; i++)
        if (same_line(s, &s->trial[i].at, p) && fabs(knob(s, &s->trial[i].at) - knob(s, p)) < SAME)
            return true;
    return false;
}

/* --- a line --------------------------------------------------------------------------------------------- */

/* Along x = sign * knob the bound holds first and then no more: the last trial of the line where it does, the
 * first behind that where it doesn't; NULL: there is none. */
struct line {
    double sign;
    const struct search_trial *good, *bad;
    int trials;
};

static double place(const struct search *s, const struct line *l, const struct search_trial *t)
{
    return l->sign * knob(s, &t->at);
}

static struct line line_of(const struct search *s, const struct search_point *p)
{
    struct line l = { .sign = isnan(s->goal.metric) ? -1 : 1 };

    for (int i = 0; i < s->trials; i++) {
        const struct search_trial *t = &s->trial[i];
        if (!same_line(s, &t->at, p))
            continue;
        l.trials++;
        if (holds(s, t) && (!l.good || place(s, &l, t) > place(s, &l, l.good)))
            l.good = t;
    }
    for (int i = 0; i < s->trials; i++) {
        const struct search_trial *t = &s->trial[i];
        if (same_line(s, &t->at, p) && !holds(s, t) && (!l.good || place(s, &l, t) > place(s, &l, l.good)) &&
            (!l.bad || place(s, &l, t) < place(s, &l, l.bad)))
            l.bad = t;
    }
    return l;
}

/* From trial t on towards a bound that no trial of the line is beyond: doubling steps, or as far as the bytes
 * themselves say. */
static double stride(const struct search *s, const struct line *l, const struct search_trial *t)
{
    const double step = exp2(l->trials - 1);

    if (!isnan(s->goal.metric))
        return step;
    const double wanted = fabs(log2(t->bytes / s->goal.bytes)) * (s->room.price ? 2 : 1.1);
    return fmin(fmax(wanted, 0.25 * step), 4);
}

/* Between the two trials around the bound. Bytes are about a power of the knob. */
static double between(const struct search *s, const struct line *l)
{
    const double from = place(s, l, l->good), to = place(s, l, l->bad);
    double share = 0.5;

    if (isnan(s->goal.metric) && l->bad->bytes > l->good->bytes)
        share = log(s->goal.bytes * AIM_BYTES / l->good->bytes) / log(l->bad->bytes / l->good->bytes);
    return from + fmin(fmax(share, 0.15), 0.85) * (to - from);
}

/* Is there anything to be won on a line beside that of the best trial? Where the bound doesn't hold, going
 * back costs bytes, or metric, and there must be some to spare. */
static bool hopeless(const struct search *s, const struct line *l)
{
    const struct search_trial *best = &s->trial[search_best(s)];

    if (l->good || !l->bad || !holds(s, best))
        return false;
    return isnan(s->goal.metric) ? l->bad->metric <= best->metric : l->bad->bytes >= best->bytes;
}

/* The next point of the line through p; false: the bound is known to `octaves`. */
static bool along(const struct search *s, struct search_point *p, double octaves)
{
    const struct line l = line_of(s, p);
    double x;

    if (l.trials == 0)
        return !tried(s, p);
    if (!movable(s) || hopeless(s, &l))
        return false;
    if (l.good && isnan(s->goal.metric) && l.good->bytes >= CLOSE_BYTES * s->goal.bytes)
        return false;
    if (!l.good)
        x = place(s, &l, l.bad) - stride(s, &l, l.bad);
    else if (!l.bad)
        x = place(s, &l, l.good) + stride(s, &l, l.good);
    else if (place(s, &l, l.bad) - place(s, &l, l.good) > octaves)
        x = between(s, &l);
    else
        return false;
    turn(s, p, l.sign * x);
    return !tried(s, p);
}

/* --- beside it ------------------------------------------------------------------------------------------ */

/* Neighbours of a point on other lines; false: there is no k-th. */
static bool beside(const struct search *s, int k, struct search_point *p)
{
    switch (k) {
    case 0:
        p->bits--;
        return s->room.bits && p->bits >= SEARCH_BITS_LEAST;
    case 1:
        p->bits++;
        return s->room.bits && p->bits <= s->room.bits_most;
    case 2:
        p->sparsity = sparsity_of(density_octaves(p->sparsity) + 1);
        return s->room.price && s->room.sparsity;
    default:
        p->sparsity = sparsity_of(density_octaves(p->sparsity) - 1);
        return s->room.price && s->room.sparsity;
    }
}

bool search_next(const struct search *s, struct search_point *p)
{
    const int best = search_best(s);

    if (best < 0) {
        *p = s->start;
        return s->trials_most > 0;
    }
    if (s->trials >= s->trials_most || s->trials >= SEARCH_TRIALS)
        return false;
    if (!isnan(s->goal.bytes) && !isnan(s->goal.metric) && search_met(s, best))
        return false;
    for (int level = 0; level < LEVELS; level++) {
        const double octaves = exp2(-level);
        *p = s->trial[best].at;
        if (along(s, p, octaves))
            return true;
        for (int k = 0; k < 4; k++) {
            *p = s->trial[best].at;
            if (beside(s, k, p) && along(s, p, 2 * octaves))
                return true;
        }
    }
    return false;
}
