/* log.h - one line per event on stderr: `2026-01-31T10:00:00.000Z level text key=value ...` (logfmt).
 * Only programs' outermost handlers log. Thread-safe: one write(2) per line. The worker caps its total. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level); /* default LOG_INFO */
int log_parse_level(const char *name);    /* "error" | "warn" | "info" | "debug"; -1 when unknown */
void log_set_cap(size_t bytes);           /* stop after this many bytes with one last line; 0 = no cap */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
