/* progress.h - one line that moves on a terminal; elsewhere a line per phase and per tenth. */
#ifndef API_CLIENT_PROGRESS_H
#define API_CLIENT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool terminal;
    char phase[32];
    int64_t step, steps;
    double eta_s;                               /* negative: unknown */
    double loss, top1, psnr_db, error_in_steps; /* NAN: none yet */
    int64_t drawn_ns;                           /* when last; terminals are spared more than ten a second */
    int tenth;                                  /* last one printed; -1: none in this phase */
};

void progress_init(struct progress *p, bool terminal);
void progress_phase(struct progress *p, const char *phase);
void progress_step(struct progress *p, int64_t step, int64_t steps, double eta_s);
void progress_metric(struct progress *p, const char *series, double value);
void progress_note(struct progress *p, const char *text); /* a line of its own, cleaned */
void progress_end(struct progress *p);                    /* leaves the cursor on an empty line */

#endif
