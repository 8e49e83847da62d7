/* A Range header against a size (the first two bytes), and the same text as an If-None-Match list. */
#include "server/guard.h"
#include "server/http_answer.h"
#include "server/range.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (size < 2)
        return 0;
    int64_t length = data[0] << 8 | data[1];
    char *text = malloc(size - 1);
    if (!text)
        return 0;
    memcpy(text, data + 2, size - 2);
    text[size - 2] = 0;
    struct range r = { -1, -1 };
    if (range_parse(text, length, &r) == RANGE_PART)
        assert(0 <= r.first && r.first <= r.last && r.last < length);
    http_answer_matches(text, "W/\"1\"");
    guard_host_is_local(text);
    guard_origin_matches(text, "localhost:8420");
    free(text);
    return 0;
}
