/* text.c - cleaning and wording. */
#include "api/client/text.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <string.h>

void text_clean(struct buf *out, const char *text, size_t length, bool lines)
{
    for (size_t i = 0; i < length;) {
        uint32_t point = 0;
        size_t n = utf8_next(text + i, length - i, &point);
        if (n == 0) {
            buf_append(out, "?", 1);
            n = 1;
        } else if (point == '\n' || point == '\t') {
            buf_append(out, lines ? text + i : " ", 1);
        } else if (!utf8_control(point)) {
            buf_append(out, text + i, n);
        }
        i += n;
    }
}

void text_put(FILE *out, const char *text, bool lines)
{
    struct buf b;

    if (!text)
        return;
    buf_init(&b, 0);
    text_clean(&b, text, strlen(text), lines);
    if (b.data)
        fwrite(b.data, 1, b.length, out);
    buf_free(&b);
}

size_t text_width(const char *text)
{
    size_t columns = 0;

    for (; *text; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}

const char *text_bytes(int64_t bytes, char out[TEXT_SHORT])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double n = (double)bytes;
    size_t i = 0;

    for (; n >= 1024 && i + 1 < sizeof units / sizeof *units; i++)
        n /= 1024;
    snprintf(out, TEXT_SHORT, n >= 100 || i == 0 ? "%.0f %s" : "%.1f %s", n, units[i]);
    return out;
}

const char *text_duration(double seconds, char out[TEXT_SHORT])
{
    long s = seconds >= 0 && seconds < 1e12 ? (long)(seconds + 0.5) : -1;

    if (s < 0)
        snprintf(out, TEXT_SHORT, "-");
    else if (s < 60)
        snprintf(out, TEXT_SHORT, "%ld s", s);
    else if (s < 3600)
        snprintf(out, TEXT_SHORT, "%ld min %ld s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, TEXT_SHORT, "%ld h %ld min", s / 3600, s % 3600 / 60);
    else
        snprintf(out, TEXT_SHORT, "%ld d %ld h", s / 86400, s % 86400 / 3600);
    return out;
}

const char *text_age(const char *iso, char out[TEXT_SHORT])
{
    static const struct {
        int64_t seconds;
        const char *unit;
    } units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
    int64_t then = 0, age;
    size_t i = 0;

    snprintf(out, TEXT_SHORT, "-");
    if (!iso || clock_parse(iso, &then) < 0)
        return out;
    age = (clock_wall_ms() - then) / 1000;
    age = age < 0 ? 0 : age;
    while (units[i].seconds > 1 && age < units[i].seconds)
        i++;
    snprintf(out, TEXT_SHORT, "%lld %s", (long long)(age / units[i].seconds), units[i].unit);
    return out;
}

const char *text_metric(const char *metric, double value, char out[TEXT_SHORT])
{
    if (strcmp(metric, "top1") == 0)
        snprintf(out, TEXT_SHORT, "%.2f %%", value * 100);
    else if (strcmp(metric, "psnr_db") == 0)
        snprintf(out, TEXT_SHORT, "%.2f dB", value);
    else
        snprintf(out, TEXT_SHORT, "%.6g", value);
    return out;
}
