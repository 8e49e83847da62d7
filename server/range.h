/* range.h - the Range header of a request (RFC 9110, section 14): one byte range, nothing else. */
#ifndef SERVER_RANGE_H
#define SERVER_RANGE_H

#include <stdint.h>

enum range_kind {
    RANGE_WHOLE, /* no header, not understood, or several ranges: send everything */
    RANGE_PART,  /* first..last, inclusive */
    RANGE_NONE   /* understood, but nothing of it is there: 416 */
};

struct range {
    int64_t first, last;
};

/* header may be NULL; size is the representation's length in bytes. */
enum range_kind range_parse(const char *header, int64_t size, struct range *r);

#endif
