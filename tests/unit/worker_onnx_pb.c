/* The check of the wire format: what it lets through, what it stops, and how fast. */
#include "base/clock.h"
#include "onnx_model.h"
#include "worker/onnx/onnx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void check(const void *data, size_t length, int code, const char *place)
{
    struct err e = { 0 };
    assert_int_equal(pb_check(data, length, &e), code);
    assert_string_equal(e.place, place);
}

#define check_bytes(code, place, ...)                                                                        \
    check((const unsigned char[]){ __VA_ARGS__ }, sizeof((unsigned char[]){ __VA_ARGS__ }), code, place)

static void small_things(void **state)
{
    (void)state;
    check("", 0, 0, "");
    check_bytes(0, "", 0x08, 0x07);                                                       /* ir_version 7 */
    check_bytes(0, "", 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01); /* -1: ten bytes */
    check_bytes(ERR_CORRUPT, "offset 1", 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81,
                0x01);
    check_bytes(ERR_CORRUPT, "offset 1", 0x08, 0x87); /* the number goes on, the file not */
    check_bytes(ERR_CORRUPT, "offset 1", 0x08);
    check_bytes(ERR_CORRUPT, "offset 0", 0x00, 0x01);                         /* field 0 */
    check_bytes(ERR_CORRUPT, "offset 0", 0xfb, 0xff, 0xff, 0xff, 0xff, 0x01); /* field 2^29 and more */
    check_bytes(ERR_CORRUPT, "offset 0", 0x0b, 0x0c);                         /* a group */
    check_bytes(ERR_CORRUPT, "offset 0", 0x0e);                               /* wire type 6 */
    check_bytes(ERR_CORRUPT, "offset 1", 0x09, 1, 2, 3);                      /* 64 bits cut short */
    check_bytes(ERR_CORRUPT, "offset 1", 0x0d, 1, 2, 3);                      /* 32 bits cut short */
    check_bytes(ERR_CORRUPT, "offset 2", 0x12, 0x05, 'q');                    /* text cut short */
    check_bytes(ERR_CORRUPT, "offset 0", 0x3a, 0x05, 0x0a);                   /* graph cut short */
    check_bytes(ERR_CORRUPT, "offset 0", 0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01);
    /* a node that is longer than its graph, though not than the file */
    check_bytes(ERR_CORRUPT, "offset 2", 0x3a, 0x02, 0x0a, 0x04, 0x08, 0x01, 0x08, 0x01);
}

static void unknown_fields_pass(void **state)
{
    (void)state;
    check_bytes(0, "", 0xa2, 0x06, 0x03, 0xff, 0xff,
                0xff); /* field 100 of the model: bytes, whatever is in them */
    check_bytes(0, "", 0x3a, 0x04, 0xa2, 0x06, 0x01, 0x0b); /* the same inside the graph */
}

/* What is text or raw data is not read as a message, whatever it looks like. */
static void bytes_are_not_messages(void **state)
{
    (void)state;
    check_bytes(0, "", 0x3a, 0x06, 0x2a, 0x04, 0x4a, 0x02, 0x0b, 0x0c); /* graph, initializer, raw_data */
}

/* model { graph { node { attribute { graph { node ... */
static void nest(struct buf *b, int depth)
{
    static const unsigned fields[] = { 1, 5, 6 };
    buf_init(b, MODEL_BYTES);
    for (int i = depth; i-- > 1;) {
        struct buf inner = *b;
        buf_init(b, MODEL_BYTES);
        pb_put_message(b, fields[(i - 1) % 3], &inner);
    }
    struct buf graph = *b;
    buf_init(b, MODEL_BYTES);
    pb_put_message(b, 7, &graph);
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    struct buf b;
    nest(&b, 15);
    check(b.data, b.length, 0, "");
    buf_free(&b);
    nest(&b, 16);
    struct err e = { 0 };
    assert_int_equal(pb_check(b.data, b.length, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "nested"));
    buf_free(&b);
}

/* A model of that length that is nothing but messages in messages: lengths from the inside out, then the tags
 * from the outside in. */
static unsigned char *nested_file(size_t length, size_t *start)
{
    static const unsigned char tags[] = { 0x0a, 0x2a, 0x32 }; /* node, attribute, graph */
    unsigned char *file = malloc(length);
    size_t at = length;
    assert_non_null(file);
    while (at > 4) {
        const size_t inside = length - at, bytes = inside < 1 << 7 ? 1 : inside < 1 << 14 ? 2 : 3;
        at -= bytes + 1;
        for (size_t i = 0; i < bytes; ++i)
            file[at + 1 + i] = (unsigned char)((inside >> (7 * i) & 0x7f) | (i + 1 < bytes ? 0x80 : 0));
    }
    *start = at;
    file[at] = 0x3a; /* the model's graph */
    for (int level = 0; at < length; ++level) {
        if (level > 0)
            file[at] = tags[(level - 1) % 3];
        while (file[++at] & 0x80)
            ;
        ++at;
    }
    return file;
}

static void deep_nesting_ends_in_milliseconds(void **state)
{
    (void)state;
    size_t start;
    unsigned char *file = nested_file(714 * 1024, &start);
    struct graph *g;
    struct err e = { 0 };
    const int64_t before = clock_mono_ns();
    assert_int_equal(onnx_import(file + start, 714 * 1024 - start, &g, &e), ERR_CORRUPT);
    assert_true(clock_mono_ns() - before < 50 * 1000 * 1000);
    assert_null(g);
    assert_non_null(strstr(e.text, "nested"));
    assert_memory_equal(e.place, "offset ", 7);
    free(file);
}

static void fields_are_counted(void **state)
{
    (void)state;
    const size_t length = 2 * (((size_t)1 << 22) + 1);
    unsigned char *file = malloc(length);
    assert_non_null(file);
    for (size_t i = 0; i < length; i += 2) {
        file[i] = 0x08;
        file[i + 1] = 0x01;
    }
    check(file, length - 2, 0, "");
    check(file, length, ERR_CORRUPT, "offset 8388608");
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_things),
        cmocka_unit_test(unknown_fields_pass),
        cmocka_unit_test(bytes_are_not_messages),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(deep_nesting_ends_in_milliseconds),
        cmocka_unit_test(fields_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
