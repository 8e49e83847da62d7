/* text.c - cleaning and wording. */
#include "api/client/text.h"

#include "base/clock.h"

#include <string.h>

/* Length of the UTF-8 sequence at s (at most n bytes) and its code point; 0 when it is none. */
static size_t sequence(const unsigned char *s, size_t n, uint32_t *point)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t length = s[0] < 0x80             ? 1
                    : (s[0] & 0xe0) == 0xc0 ? 2
                    : (s[0] & 0xf0) == 0xe0 ? 3
                    : (s[0] & 0xf8) == 0xf0 ? 4
                                            : 0;

    if (length == 0 || length > n)
        return 0;
    *point = length == 1 ? s[0] : s[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        *point = *point << 6 | (s[i] & 0x3fu);
    }
    return *point < least[length] || *point > 0x10ffff || (*point >= 0xd800 && *point < 0xe000) ? 0 : length;
}

static bool control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || (point >= 0x202a && point <= 0x202e) ||
           (point >= 0x2066 && point <= 0x2069) || point == 0x2028 || point == 0x2029;
}

void text_clean(struct buf *out, const char *text, size_t length, bool lines)
{
    const unsigned char *s = (const unsigned char *)text;

    for (size_t i = 0; i < length;) {
        uint32_t point = 0;
        size_t n = sequence(s + i, length - i, &point);
        if (n == 0) {
            buf_append(out, "?", 1);
            n = 1;
        } else if (point == '\n' || point == '\t') {
            buf_append(out, lines ? text + i : " ", 1);
        } else if (!control(point)) {
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
