/* clock.h - time in the two forms that the house uses: monotonic for durations, wall for what people read. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_TEXT 25 /* "2026-01-31T10:00:00.000Z" + zero */

int64_t clock_mono_ns(void);
int64_t clock_mono_ms(void);
int64_t clock_wall_ms(void);                            /* milliseconds since the epoch, UTC */
double clock_cpu_s(void);                               /* CPU seconds of this process, all threads */
void clock_text(int64_t wall_ms, char out[CLOCK_TEXT]); /* ISO 8601, UTC */
int clock_parse(const char *text,
                int64_t *wall_ms); /* the same form, with or without fraction; 0 or ERR_SYNTAX */

#endif
