/* Philox against the published known answers, and what is made from it. */
#include "tests/unit/temp.h"

#include "base/rng.h"

#include <math.h>

/* Known answers of the Random123 distribution for philox4x32, 10 rounds. */
static void known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } cases[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
          { 0xffffffff, 0xffffffff },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t out[4];
        rng_philox(cases[i].counter, cases[i].key, out);
        assert_memory_equal(out, cases[i].out, sizeof out);
    }
}

static void function_of_place(void **state)
{
    (void)state;
    struct rng r = rng_at(7, 3, 0);
    uint64_t draws[100];
    for (int i = 0; i < 100; i++)
        draws[i] = rng_u64(&r);
    assert_int_equal(r.index, 100);
    for (uint64_t i = 0; i < 100; i++) {
        struct rng there = rng_at(7, 3, i);
        assert_true(rng_u64(&there) == draws[i]);
    }
    struct rng other = rng_at(7, 4, 0), seed = rng_at(8, 3, 0);
    assert_true(rng_u64(&other) != draws[0] && rng_u64(&seed) != draws[0]);
}

static void below_is_even(void **state)
{
    (void)state;
    struct rng r = rng_at(1, 1, 0);
    int counts[6] = { 0 };
    for (int i = 0; i < 60000; i++) {
        uint32_t n = rng_below(&r, 6);
        assert_true(n < 6);
        counts[n]++;
    }
    for (int i = 0; i < 6; i++)
        assert_in_range(counts[i], 9600, 10400); /* 4 sigma */
    assert_int_equal(rng_below(&r, 1), 0);
    for (int i = 0; i < 100; i++)
        assert_true(rng_below(&r, 0x80000001u) <= 0x80000000u);
}

static void moments(void **state)
{
    (void)state;
    struct rng r = rng_at(2, 9, 0);
    double sum = 0, mean = 0, square = 0;
    const int n = 100000;
    for (int i = 0; i < n; i++) {
        double u = rng_uniform(&r), z = rng_normal(&r);
        assert_true(u >= 0 && u < 1 && isfinite(z));
        sum += u;
        mean += z;
        square += z * z;
    }
    assert_int_equal(r.index, 3 * n);
    assert_true(fabs(sum / n - 0.5) < 0.004);
    assert_true(fabs(mean / n) < 0.013);
    assert_true(fabs(square / n - 1) < 0.018);
}

static void shuffles(void **state)
{
    (void)state;
    uint32_t order[1000];
    bool seen[1000] = { false };
    int moved = 0;
    for (uint32_t i = 0; i < 1000; i++)
        order[i] = i;
    struct rng r = rng_at(5, 5, 0);
    rng_shuffle(&r, order, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_false(seen[order[i]]);
        seen[order[i]] = true;
        moved += order[i] != i;
    }
    assert_true(moved > 950);
    rng_shuffle(&r, order, 1);
    rng_shuffle(&r, order, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers), cmocka_unit_test(function_of_place), cmocka_unit_test(below_is_even),
        cmocka_unit_test(moments),       cmocka_unit_test(shuffles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
