/* clock.c - monotonic and wall time, ISO 8601 in and out. */
#include "base/clock.h"

#include "base/err.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define YEAR_9999_MS 253402300799999 /* the last millisecond that four digits of a year can say */

static int64_t now_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_mono_ns(void)
{
    return now_ns(CLOCK_MONOTONIC);
}

int64_t clock_mono_ms(void)
{
    return clock_mono_ns() / 1000000;
}

int64_t clock_wall_ms(void)
{
    return now_ns(CLOCK_REALTIME) / 1000000;
}

double clock_cpu_s(void)
{
    return (double)now_ns(CLOCK_PROCESS_CPUTIME_ID) * 1e-9;
}

void clock_text(int64_t wall_ms, char out[CLOCK_TEXT])
{
    if (wall_ms < 0)
        wall_ms = 0;
    if (wall_ms > YEAR_9999_MS)
        wall_ms = YEAR_9999_MS;
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm t;
    gmtime_r(&seconds, &t);
    char text[80]; /* the compiler counts on eleven digits in each field */
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", t.tm_year + 1900, t.tm_mon + 1,
             t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, (int)(wall_ms % 1000));
    memcpy(out, text, CLOCK_TEXT - 1);
    out[CLOCK_TEXT - 1] = '\0';
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Compare with a picture in which 0 stands for any digit. */
static bool looks_like(const char *text, const char *picture)
{
    for (; *picture; text++, picture++)
        if (*picture == '0' ? !digit(*text) : *text != *picture)
            return false;
    return true;
}

static int two(const char *text)
{
    return (text[0] - '0') * 10 + (text[1] - '0');
}

/* ".25Z" or "Z"; digits behind the third are cut off. */
static bool parse_fraction(const char *text, int *ms)
{
    int scale = 100;
    *ms = 0;
    if (*text == '.') {
        if (!digit(*++text))
            return false;
        for (; digit(*text); text++, scale /= 10)
            *ms += (*text - '0') * scale;
    }
    return strcmp(text, "Z") == 0;
}

int clock_parse(const char *text, int64_t *wall_ms)
{
    int ms;
    if (!looks_like(text, "0000-00-00T00:00:00") || !parse_fraction(text + 19, &ms))
        return ERR_SYNTAX;
    struct tm t = {
        .tm_year = two(text) * 100 + two(text + 2) - 1900,
        .tm_mon = two(text + 5) - 1,
        .tm_mday = two(text + 8),
        .tm_hour = two(text + 11),
        .tm_min = two(text + 14),
        .tm_sec = two(text + 17),
    };
    struct tm asked = t;
    int64_t seconds = (int64_t)timegm(&t);
    /* timegm carries 31 April over to 1 May: what comes back must be what was asked. */
    if (seconds < 0 || t.tm_mon != asked.tm_mon || t.tm_mday != asked.tm_mday || t.tm_hour != asked.tm_hour ||
        t.tm_min != asked.tm_min || t.tm_sec != asked.tm_sec)
        return ERR_SYNTAX;
    *wall_ms = seconds * 1000 + ms;
    return 0;
}
