/* search.h - which settings a compression tries next, from what it has seen: a pure function of the trials so
 * far, so that a search goes on after a kill as if nothing had happened.
 *
 * Settings lie on lines: the same bits (and, where bits have a price, the same sparsity), one other knob. Of
 * two points of a line the one with more of the knob gives the smaller and the worse network, about: a line
 * is searched for the place where the goal stops being met, first in doubling steps, then between the two
 * trials around it. The lines beside that of the best trial (one bit more or fewer, half or double the
 * density) are looked at, too, more coarsely. */
#ifndef WORKER_TRAIN_SEARCH_H
#define WORKER_TRAIN_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

enum { SEARCH_TRIALS = 64, SEARCH_BITS_LEAST = 2 };

/* NAN: no such goal. With least metric alone: the smallest file that has it. With most bytes alone: the best
 * metric of such a file. With both: the first file that has both. */
struct search_goal {
    double bytes, metric;
};

struct search_point {
    double sparsity; /* share of zeros of the pruning */
    int bits;        /* of the weights */
    double price;    /* nats a bit; 0: bits cost nothing */
};

struct search_trial {
    struct search_point at;
    double bytes, metric; /* of the file; on held-out samples */
};

/* What may be moved. Without a price the knob is the density, else the price. */
struct search_room {
    bool sparsity, bits, price;
    int bits_most;
};

struct search {
    struct search_goal goal;
    struct search_room room;
    struct search_point start;
    int trials_most; /* at most SEARCH_TRIALS */
    struct search_trial trial[SEARCH_TRIALS];
    int trials;
};

/* The point to try next; false: the goal is met and nothing is left to be won, or there were enough trials.
 */
bool search_next(const struct search *s, struct search_point *p);

bool search_met(const struct search *s, int trial); /* does it meet all of the goal? */
int search_best(const struct search *s);            /* of at least one trial; -1: there is none */
bool search_pareto(const struct search *s,
                   int trial); /* is none smaller and as good, or better and as small? */

#endif
