#include "server/range.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Digits at *p, advanced past them; numbers beyond int64_t stay at its largest. False when there is no digit.
 */
static bool digits(const char **p, int64_t *out)
{
    const char *start = *p;
    int64_t n = 0;
    for (; **p >= '0' && **p <= '9'; (*p)++) {
        int digit = **p - '0';
        n = n > (INT64_MAX - digit) / 10 ? INT64_MAX : n * 10 + digit;
    }
    *out = n;
    return *p != start;
}

static const char *skip_blanks(const char *p)
{
    return p + strspn(p, " \t");
}

enum range_kind range_parse(const char *header, int64_t size, struct range *r)
{
    int64_t first, last;
    if (!header || strncasecmp(header, "bytes", 5) != 0)
        return RANGE_WHOLE;
    const char *p = skip_blanks(header + 5);
    if (*p++ != '=')
        return RANGE_WHOLE;
    p = skip_blanks(p);
    bool has_first = digits(&p, &first);
    if (*p++ != '-')
        return RANGE_WHOLE;
    bool has_last = digits(&p, &last);
    if (*skip_blanks(p) || (!has_first && !has_last) || (has_first && has_last && last < first))
        return RANGE_WHOLE;
    if (!has_first) { /* the last `last` bytes */
        if (last == 0 || size == 0)
            return RANGE_NONE;
        r->first = last < size ? size - last : 0;
        r->last = size - 1;
        return RANGE_PART;
    }
    if (first >= size)
        return RANGE_NONE;
    r->first = first;
    r->last = has_last && last < size ? last : size - 1;
    return RANGE_PART;
}
