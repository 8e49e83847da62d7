/* report_text.c - texts and numbers for people. */
#include "worker/report/report_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Length of the valid UTF-8 sequence at s that XML allows, 0 when there is none. */
static int sequence_length(const unsigned char *s)
{
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    if (*s < 0x80)
        return *s >= 0x20 && *s != 0x7f ? 1 : *s == '\t' || *s == '\n' || *s == '\r';
    int length = *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : 2;
    if (*s < 0xc2 || *s > 0xf4)
        return 0;
    uint32_t c = *s & (0xffu >> (length + 1));
    for (int i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    bool bad = c < smallest[length] || c > 0x10ffff || (c >= 0x80 && c < 0xa0) ||
               (c >= 0xd800 && c < 0xe000) || (c & 0xfffe) == 0xfffe;
    return bad ? 0 : length;
}

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void report_text(struct buf *out, const char *text)
{
    while (*text) {
        int length = sequence_length((const unsigned char *)text);
        const char *name = entity(*text);
        if (!length)
            buf_text(out, "\xef\xbf\xbd");
        else if (name)
            buf_text(out, name);
        else
            buf_append(out, text, (size_t)length);
        text += length ? length : 1;
    }
}

void report_csv_field(struct buf *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        buf_text(out, text);
        return;
    }
    buf_text(out, "\"");
    for (; *text; text++) {
        if (*text == '"')
            buf_text(out, "\"");
        buf_append(out, text, 1);
    }
    buf_text(out, "\"");
}

/* "1e-07" to "1e-7". */
static void trim_exponent(char *text)
{
    char *e = strchr(text, 'e');
    if (!e)
        return;
    char *digits = e + 1 + (e[1] == '-' || e[1] == '+');
    long exponent = strtol(digits, NULL, 10);
    sprintf(e, "e%s%ld", e[1] == '-' ? "-" : "", exponent);
}

const char *report_number(double x, char out[32])
{
    double size = fabs(x);
    if (!isfinite(x))
        snprintf(out, 32, "%s", isnan(x) ? "not a number" : x > 0 ? "infinity" : "-infinity");
    else if (size >= 1e4 && size < 1e6 && size == floor(size))
        return report_count(x, out);
    else
        snprintf(out, 32, size != 0 && (size < 1e-3 || size >= 1e6) ? "%.3g" : "%.4g", x);
    trim_exponent(out);
    return out;
}

const char *report_count(double x, char out[32])
{
    char plain[32];
    int length = snprintf(plain, sizeof plain, "%.0f", fabs(x) < 1e15 ? fabs(x) : 1e15), used = 0;
    if (x < 0)
        out[used++] = '-';
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            out[used++] = ',';
        out[used++] = plain[i];
    }
    out[used] = '\0';
    return out;
}

const char *report_bytes(double x, char out[48])
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
    int unit = 0;
    while (x >= 999.5 && unit < 4) {
        x /= 1000;
        unit++;
    }
    int digits = !unit || x >= 99.95 ? 0 : x >= 9.995 ? 1 : 2;
    snprintf(out, 48, "%.*f %s", digits, x, units[unit]);
    return out;
}

const char *report_metric(const char *metric, double x, char out[32])
{
    const struct series_kind *kind = report_series_kind(metric);
    if (!strcmp(kind->unit, "%"))
        snprintf(out, 32, "%.2f %%", 100 * x);
    else if (!strcmp(kind->unit, "dB"))
        snprintf(out, 32, "%.2f dB", x);
    else
        report_number(x, out);
    return out;
}

const char *report_time(double seconds, char out[32])
{
    long long s = seconds > 0 && seconds < 1e12 ? llround(seconds) : 0;
    if (seconds < 10)
        snprintf(out, 32, "%.1f s", seconds > 0 ? seconds : 0);
    else if (s < 60)
        snprintf(out, 32, "%lld s", s);
    else if (s < 3600)
        snprintf(out, 32, "%lld min %lld s", s / 60, s % 60);
    else
        snprintf(out, 32, "%lld h %lld min", s / 3600, s % 3600 / 60);
    return out;
}
