#include "worker/data/gunzip.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { NAME_MAX_BYTES = 256, BLOCK_MAX = 1 << 30 };

struct gunzip {
    gunzip_more *more;
    void *cookie;
    z_stream z;
    gz_header header;
    bool between, input_ended; /* between: behind a trailer, before the next member or the end */
    char name[NAME_MAX_BYTES];
};

bool gunzip_probe(const uint8_t *head, size_t length)
{
    return length >= 3 && memcmp(head, "\x1f\x8b\x08", 3) == 0;
}

static voidpf zalloc(voidpf opaque, uInt count, uInt size)
{
    (void)opaque;
    return mem_array(count, size);
}

static void zfree(voidpf opaque, voidpf p)
{
    (void)opaque;
    free(p);
}

struct gunzip *gunzip_new(gunzip_more *more, void *cookie)
{
    struct gunzip *g = mem_alloc(sizeof *g);

    if (g == NULL)
        return NULL;
    g->more = more;
    g->cookie = cookie;
    g->z.zalloc = zalloc;
    g->z.zfree = zfree;
    if (inflateInit2(&g->z, 16 + MAX_WBITS) != Z_OK) { /* 16: gzip, with its checks */
        free(g);
        return NULL;
    }
    g->header.name = (Bytef *)g->name;
    g->header.name_max = sizeof g->name - 1;
    inflateGetHeader(&g->z, &g->header);
    return g;
}

void gunzip_free(struct gunzip *g)
{
    if (g == NULL)
        return;
    inflateEnd(&g->z);
    free(g);
}

const char *gunzip_name(const struct gunzip *g)
{
    return g->name;
}

static int fetch(struct gunzip *g, struct err *e)
{
    const uint8_t *block;
    size_t length = 0;

    if (g->z.avail_in > 0 || g->input_ended)
        return 0;
    int r = g->more(g->cookie, &block, &length, e);
    if (r < 0)
        return r;
    if (length > BLOCK_MAX)
        return err_set(e, ERR_INTERNAL, "a block of %zu bytes", length);
    g->input_ended = length == 0;
    g->z.next_in = (Bytef *)block;
    g->z.avail_in = (uInt)length;
    return 0;
}

/* Behind a trailer: padding is dropped; 1 when another member begins, 0 at the end. */
static int next_member(struct gunzip *g, struct err *e)
{
    for (;;) {
        int r = fetch(g, e);
        if (r < 0 || g->z.avail_in == 0)
            return r;
        if (*g->z.next_in != 0)
            break;
        g->z.next_in++;
        g->z.avail_in--;
    }
    if (*g->z.next_in != 0x1f)
        return err_set(e, ERR_CORRUPT, "what follows the gzip data is no gzip data");
    inflateReset(&g->z);
    g->between = false;
    return 1;
}

static int judge(struct gunzip *g, int code, struct err *e)
{
    if (code == Z_STREAM_END)
        g->between = true;
    if (code == Z_OK || code == Z_STREAM_END)
        return 0;
    if (code == Z_MEM_ERROR)
        return err_set(e, ERR_NOMEM, "out of memory while decompressing");
    if (code == Z_BUF_ERROR)
        return g->input_ended ? err_set(e, ERR_CORRUPT, "truncated gzip data") : 0;
    return err_set(e, ERR_CORRUPT, "damaged gzip data: %s", g->z.msg != NULL ? g->z.msg : "unknown damage");
}

int gunzip_read(struct gunzip *g, uint8_t *to, size_t size, size_t *got, struct err *e)
{
    *got = 0;
    g->z.next_out = to;
    g->z.avail_out = size < BLOCK_MAX ? (uInt)size : BLOCK_MAX;
    while (size > 0 && g->z.next_out == to) {
        int r = g->between ? next_member(g, e) : 1;
        if (r <= 0)
            return r;
        r = fetch(g, e);
        if (r == 0)
            r = judge(g, inflate(&g->z, Z_NO_FLUSH), e);
        if (r < 0)
            return r;
    }
    *got = (size_t)(g->z.next_out - to);
    return 0;
}
