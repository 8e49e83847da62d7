/* Checked allocation, the failure hook, and the arena that stands on it. */
#include "tests/unit/temp.h"

#include "base/arena.h"
#include "base/mem.h"

static void products(void **state)
{
    (void)state;
    size_t n;
    assert_true(size_mul(3, 4, &n) && n == 12);
    assert_false(size_mul(SIZE_MAX, 2, &n));
    assert_true(size_add(SIZE_MAX - 1, 1, &n) && n == SIZE_MAX);
    assert_false(size_add(SIZE_MAX, 1, &n));
    assert_null(mem_array(SIZE_MAX / 2, 3));
    assert_null(mem_array(SIZE_MAX, 1));
    assert_null(mem_alloc(SIZE_MAX));
    assert_null(mem_grow(NULL, SIZE_MAX, 2));
    assert_null(mem_aligned(64, SIZE_MAX));
}

static void zeroed(void **state)
{
    (void)state;
    unsigned char *p = mem_array(100, 3);
    for (int i = 0; i < 300; i++)
        assert_int_equal(p[i], 0);
    free(p);
    p = mem_aligned(128, 100);
    assert_int_equal((uintptr_t)p % 128, 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(p[i], 0);
    free(p);
    p = mem_alloc(0);
    assert_non_null(p);
    p = mem_grow(p, 10, 10);
    memset(p, 1, 100);
    free(p);
}

static void texts(void **state)
{
    (void)state;
    char *a = mem_strdup("abc"), *b = mem_printf("%s-%d", a, 7);
    assert_string_equal(a, "abc");
    assert_string_equal(b, "abc-7");
    assert_null(mem_strdup(NULL));
    free(a);
    free(b);
}

static void fails_once(void **state)
{
    (void)state;
    mem_fail_after(1);
    void *a = mem_alloc(1), *b = mem_alloc(1), *c = mem_alloc(1);
    assert_non_null(a);
    assert_null(b);
    assert_non_null(c);
    free(c);
    mem_fail_after(0);
    assert_null(mem_strdup("x"));
    mem_fail_after(0);
    assert_null(mem_grow(a, 2, 1));
    mem_fail_after(0);
    assert_null(mem_aligned(64, 1));
    mem_fail_after(0);
    mem_fail_after(-1);
    assert_non_null(a = mem_grow(a, 2, 1));
    free(a);
}

static void arena_gives(void **state)
{
    (void)state;
    struct arena *a = arena_new((size_t)8 << 20);
    unsigned char *last = NULL;
    for (size_t size = 0; size < 100000; size = size * 2 + 7) {
        unsigned char *p = arena_alloc(a, size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xaa, size);
        assert_ptr_not_equal(p, last);
        last = p;
    }
    assert_string_equal(arena_strdup(a, "text"), "text");
    assert_string_equal(arena_printf(a, "%d %s", 3, "x"), "3 x");
    assert_non_null(arena_array(a, 10, 10));
    assert_null(arena_array(a, SIZE_MAX, 2));
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_true(arena_used(a) > 100000);
    arena_free(a);
    arena_free(NULL);
}

static void arena_keeps_its_limit(void **state)
{
    (void)state;
    struct arena *a = arena_new(1000);
    assert_null(arena_alloc(a, 1001));
    assert_non_null(arena_alloc(a, 500));
    assert_int_equal(arena_used(a), 512);
    assert_null(arena_alloc(a, 500));
    assert_non_null(arena_alloc(a, 448));
    assert_int_equal(arena_used(a), 960);
    assert_null(arena_alloc(a, 1));
    arena_free(a);
}

/* One allocation after the other refused: the arena says NULL, stays whole, and goes on afterwards. */
static void arena_out_of_memory(void **state)
{
    (void)state;
    for (int64_t n = 0;; n++) {
        mem_fail_after(n);
        struct arena *a = arena_new(1 << 20);
        int got = 0;
        for (int i = 0; a && i < 50; i++)
            got += arena_alloc(a, 100 * (size_t)i) != NULL;
        bool whole = got == 50;
        mem_fail_after(-1);
        if (a)
            assert_non_null(arena_alloc(a, 5000));
        arena_free(a);
        if (whole)
            return;
        assert_true(n < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products),
        cmocka_unit_test(zeroed),
        cmocka_unit_test(texts),
        cmocka_unit_test(fails_once),
        cmocka_unit_test(arena_gives),
        cmocka_unit_test(arena_keeps_its_limit),
        cmocka_unit_test(arena_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
