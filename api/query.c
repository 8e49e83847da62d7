/* query.c - query parameters against the list of the route. */
#include "api/query.h"

#include "api/route.h"
#include "base/num.h"

#include <string.h>

struct scan {
    const char *known; /* blank-separated */
    unsigned seen;     /* one bit per word of it */
    struct err *e;
};

/* The place of a word in a blank-separated list, -1 when it is not there. */
static int word_index(const char *words, const char *word)
{
    size_t n = strlen(word);

    for (int i = 0; *words; i++) {
        size_t length = strcspn(words, " ");
        if (length == n && memcmp(words, word, n) == 0)
            return i;
        words += length;
        words += strspn(words, " ");
    }
    return -1;
}

static int scan_one(void *arg, const char *key, const char *value)
{
    struct scan *s = arg;
    int i = word_index(s->known, key);

    if (!value) {
        err_set(s->e, ERR_SYNTAX, "the query parameter \"%.60s\" holds a zero byte", key);
        return err_at(s->e, "?%.60s", key);
    }
    if (i < 0) {
        err_set(s->e, ERR_SYNTAX, "unknown query parameter \"%.60s\"%s%s", key,
                *s->known ? ", known are: " : "", s->known);
        return err_at(s->e, "?%.60s", key);
    }
    if (s->seen & 1u << i) {
        err_set(s->e, ERR_SYNTAX, "the query parameter \"%s\" is given twice", key);
        return err_at(s->e, "?%s", key);
    }
    s->seen |= 1u << i;
    return 0;
}

bool query_ok(struct exchange *x)
{
    struct err e = { 0 };
    struct scan s = { .known = x->route->query ? x->route->query : "", .e = &e };

    if (x->query_each(x, scan_one, &s) == 0 && e.code == 0)
        return true;
    exchange_problem(x, &e);
    return false;
}

int query_int(const struct exchange *x, const char *key, int64_t low, int64_t high, int64_t *out,
              struct err *e)
{
    const char *text = x->query(x, key);

    if (!text || num_int64(text, low, high, out))
        return 0;
    err_set(e, ERR_SYNTAX, "%s must be a whole number from %lld to %lld", key, (long long)low,
            (long long)high);
    return err_at(e, "?%s", key);
}

int query_flag(const struct exchange *x, const char *key, bool *out, struct err *e)
{
    const char *text = x->query(x, key);

    *out = text && strcmp(text, "1") == 0;
    if (!text || *out || strcmp(text, "0") == 0)
        return 0;
    err_set(e, ERR_SYNTAX, "%s must be 0 or 1", key);
    return err_at(e, "?%s", key);
}

int query_encode(struct buf *b, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    int rc = 0;

    for (; *text && rc == 0; text++) {
        if (strchr(plain, *text))
            rc = buf_append(b, text, 1);
        else
            rc = buf_printf(b, "%%%02X", (unsigned)(unsigned char)*text);
    }
    return rc;
}
