#include "worker/data/npy_header.h"

#include <stdio.h>
#include <string.h>

enum { PREFIX = 8, TEXT_MAX = 4096 };

/* The text of the header and how far it has been read. */
struct scan {
    const struct source *in;
    const char *at, *end;
    const char *text;
    size_t start; /* offset of text in the member */
};

bool npy_probe(const uint8_t *head, size_t length)
{
    return length >= 6 && memcmp(head, "\x93NUMPY", 6) == 0;
}

static int fail(const struct scan *s, const char *what, struct err *e)
{
    err_set(e, ERR_CORRUPT, "the NumPy header of '%s' is damaged: %s", s->in->shown, what);
    return source_at(s->in, s->start + (size_t)(s->at - s->text), e);
}

static void blanks(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t'))
        s->at++;
}

static bool accept(struct scan *s, char c)
{
    blanks(s);
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static bool accept_word(struct scan *s, const char *word)
{
    const size_t length = strlen(word);

    blanks(s);
    if ((size_t)(s->end - s->at) < length || memcmp(s->at, word, length) != 0)
        return false;
    s->at += length;
    return true;
}

/* 'text' or "text", without escapes. */
static bool quoted(struct scan *s, char *out, size_t size)
{
    blanks(s);
    if (s->at == s->end || (*s->at != '\'' && *s->at != '"'))
        return false;
    const char *from = s->at + 1, *to = memchr(from, *s->at, (size_t)(s->end - from));
    if (to == NULL || (size_t)(to - from) >= size)
        return false;
    memcpy(out, from, (size_t)(to - from));
    out[to - from] = '\0';
    s->at = to + 1;
    return true;
}

static bool number(struct scan *s, int64_t *out)
{
    int64_t v = 0;

    blanks(s);
    if (s->at == s->end || *s->at < '0' || *s->at > '9')
        return false;
    for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s->at - '0', &v))
            return false;
    *out = v;
    accept(s, 'L'); /* as Python 2 wrote them */
    return true;
}

static int parse_type(struct scan *s, struct npy_header *h, struct err *e)
{
    blanks(s);
    if (s->at < s->end && *s->at == '[') {
        err_set(e, ERR_UNSUPPORTED, "'%s' is a NumPy array of records; plain arrays are read", s->in->shown);
        return source_at(s->in, s->start + (size_t)(s->at - s->text), e);
    }
    if (!quoted(s, h->type, sizeof h->type))
        return fail(s, "a type was expected", e);
    const char *p = h->type + (strchr("<>|=", *h->type) != NULL && *h->type != '\0');
    if (*p == 'O') {
        err_set(e, ERR_UNSUPPORTED, "'%s' is a NumPy array of Python objects", s->in->shown);
        return source_at(s->in, s->start, e);
    }
    h->kind = *p;
    h->size = 0;
    for (p += *p != '\0'; *p >= '0' && *p <= '9' && h->size <= 16; p++)
        h->size = 10 * h->size + (*p - '0');
    if (h->size < 1 || h->size > 16 || *p != '\0')
        return fail(s, "the type is not known", e);
    h->big = *h->type == '>' && h->size > 1;
    return 0;
}

static int parse_shape(struct scan *s, struct npy_header *h, struct err *e)
{
    blanks(s);
    const char *from = s->at;

    if (!accept(s, '('))
        return fail(s, "a shape was expected", e);
    h->dims = 0;
    while (!accept(s, ')')) {
        if (h->dims == NPY_DIMS_MAX)
            return fail(s, "too many dimensions", e);
        if (!number(s, &h->shape[h->dims++]))
            return fail(s, "a size was expected", e);
        if (!accept(s, ',') && (s->at == s->end || *s->at != ')'))
            return fail(s, "the shape does not end", e);
    }
    snprintf(h->shape_text, sizeof h->shape_text, "%.*s", (int)(s->at - from), from);
    return 0;
}

static int parse_order(struct scan *s, struct npy_header *h, struct err *e)
{
    h->fortran = accept_word(s, "True");
    return h->fortran || accept_word(s, "False") ? 0 : fail(s, "True or False was expected", e);
}

static int parse(struct scan *s, struct npy_header *h, struct err *e)
{
    static const struct {
        const char *key;
        int (*parse)(struct scan *s, struct npy_header *h, struct err *e);
    } keys[] = { { "descr", parse_type }, { "fortran_order", parse_order }, { "shape", parse_shape } };
    enum { KEYS = sizeof keys / sizeof *keys };
    unsigned seen = 0;

    if (!accept(s, '{'))
        return fail(s, "'{' was expected", e);
    while (!accept(s, '}')) {
        char key[16];
        int k = 0, r;
        if (!quoted(s, key, sizeof key))
            return fail(s, "a key was expected", e);
        while (k < KEYS && strcmp(key, keys[k].key) != 0)
            k++;
        if (k == KEYS || (seen & 1u << k) != 0 || !accept(s, ':'))
            return fail(s, "a key that is not known, or that comes twice", e);
        seen |= 1u << k;
        r = keys[k].parse(s, h, e);
        if (r < 0)
            return r;
        if (!accept(s, ',') && (s->at == s->end || *s->at != '}'))
            return fail(s, "it does not end", e);
    }
    if (seen != (1u << KEYS) - 1)
        return fail(s, "descr, fortran_order or shape is missing", e);
    h->fortran = h->fortran && h->dims > 1;
    blanks(s);
    return s->at == s->end ? 0 : fail(s, "something follows it", e);
}

int npy_header_read(struct source *in, struct npy_header *h, struct err *e)
{
    uint8_t prefix[PREFIX], length[4] = { 0 };
    char text[TEXT_MAX];

    memset(h, 0, sizeof *h);
    int r = source_need(in, prefix, sizeof prefix, "the header's prefix", e);
    if (r == 0 && (!npy_probe(prefix, sizeof prefix) || prefix[6] < 1 || prefix[6] > 3)) {
        err_set(e, ERR_CORRUPT, "'%s' is no NumPy array of version 1 to 3; it looks like %s", in->shown,
                member_kind(in->head, in->head_length));
        return source_at(in, 0, e);
    }
    if (r == 0)
        r = source_need(in, length, prefix[6] == 1 ? 2 : 4, "the header's length", e);
    if (r < 0)
        return r;
    const uint32_t bytes =
        length[0] | (uint32_t)length[1] << 8 | (uint32_t)length[2] << 16 | (uint32_t)length[3] << 24;
    if (bytes > sizeof text) {
        err_set(e, ERR_CORRUPT, "the NumPy header of '%s' claims %u bytes; %d are possible", in->shown, bytes,
                TEXT_MAX);
        return source_at(in, PREFIX, e);
    }
    const size_t start = in->offset;
    r = source_need(in, text, bytes, "the header", e);
    struct scan s = { .in = in, .text = text, .at = text, .end = text + bytes, .start = start };
    return r < 0 ? r : parse(&s, h, e);
}
