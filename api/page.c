/* page.c - cursors. One is the id of the last row shown with a check number behind it, so that a made-up or
 * mistyped cursor is an error and not an arbitrary page. */
#include "api/page.h"

#include "api/query.h"
#include "base/num.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LIMIT_DEFAULT 50
#define LIMIT_MAX     200
#define CURSOR_BYTES  12 /* id and check number */

static void cursor_bytes(int64_t id, unsigned char out[CURSOR_BYTES])
{
    uint32_t check;

    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)((uint64_t)id >> (56 - 8 * i));
    check = hash_crc32(0, out, 8);
    for (int i = 0; i < 4; i++)
        out[8 + i] = (unsigned char)(check >> (24 - 8 * i));
}

static bool cursor_read(const char *text, int64_t *id)
{
    unsigned char given[CURSOR_BYTES], right[CURSOR_BYTES];
    uint64_t value = 0;

    if (!num_hex(text, given, CURSOR_BYTES))
        return false;
    for (int i = 0; i < 8; i++)
        value = value << 8 | given[i];
    if (value == 0 || value > INT64_MAX)
        return false;
    *id = (int64_t)value;
    cursor_bytes(*id, right);
    return memcmp(given, right, CURSOR_BYTES) == 0;
}

int page_read(const struct exchange *x, struct page *page, struct err *e)
{
    const char *cursor = x->query(x, "cursor");
    int64_t limit = LIMIT_DEFAULT;
    int rc = query_int(x, "limit", 1, LIMIT_MAX, &limit, e);

    page->before = 0;
    page->limit = (int)limit;
    if (rc == 0 && cursor && !cursor_read(cursor, &page->before)) {
        err_set(e, ERR_SYNTAX, "the cursor is not one that this server has given");
        rc = err_at(e, "?cursor");
    }
    return rc;
}

/* The filters of this page are also those of the next. */
static int add_filter(void *next, const char *key, const char *value)
{
    if (strcmp(key, "limit") == 0 || strcmp(key, "cursor") == 0)
        return 0;
    buf_printf(next, "&%s=", key);
    query_encode(next, value ? value : "");
    return 0;
}

static json_t *next_path(struct exchange *x, const struct page *page, int64_t last_id)
{
    unsigned char bytes[CURSOR_BYTES];
    char cursor[2 * CURSOR_BYTES + 1];
    json_t *next = NULL;
    struct buf b;

    cursor_bytes(last_id, bytes);
    num_to_hex(bytes, CURSOR_BYTES, cursor);
    buf_init(&b, 8192);
    buf_printf(&b, "%s?limit=%d&cursor=%s", x->path, page->limit, cursor);
    x->query_each(x, add_filter, &b);
    if (!b.failed)
        next = json_string(b.data);
    buf_free(&b);
    return next;
}

int page_shown(const struct page *page, int count)
{
    return count > page->limit ? page->limit : count;
}

void page_answer(struct exchange *x, const struct page *page, json_t *items, bool more, int64_t last_id)
{
    json_t *next = more ? next_path(x, page, last_id) : json_null();

    exchange_json(x, 200, json_pack("{s:o,s:o}", "items", items, "next", next));
}
