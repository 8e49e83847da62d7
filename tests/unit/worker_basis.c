/* Bases of LQ-Nets: levels against brute force, solutions against their neighbourhood. */
#include "tests/unit/normal_weight.h"

#include "worker/quant/basis.h"

static double nearest_distance(const real *v, int bits, bool signs, real x)
{
    double best = INFINITY;

    for (int e = 0; e < 1 << bits; e++) {
        real level = 0;
        for (int k = 0; k < bits; k++)
            level += e >> k & 1 ? v[k] : signs ? -v[k] : 0;
        best = fabs((double)(x - level)) < best ? fabs((double)(x - level)) : best;
    }
    return best;
}

static void test_basis_levels_are_sorted_and_the_nearest_is_taken(void **state)
{
    static const real unordered[4] = { (real)0.7, (real)-0.2, (real)0.45, (real)0.1 };
    real x[COUNT], q[COUNT];
    int8_t code[COUNT];
    (void)state;

    fill_normal(x, COUNT, 8);
    for (int bits = 1; bits <= 4; bits++) {
        struct quant_weight w = weight_of(&method_lq_nets, bits, "sym");
        struct basis_levels l;
        struct grid_sums sums = { 0 };
        struct quant_bins bins = { 0 };
        double error = 0, members = 0;
        basis_levels(unordered, bits, true, &l);
        assert_int_equal(l.count, 1 << bits);
        for (int j = 1; j < l.count; j++)
            assert_true(l.level[j - 1] <= l.level[j]);
        w.quantizer->apply(&w, unordered, &(struct quant_run){ x, q, code, COUNT, 1, NULL }, &sums, &bins);
        for (int i = 0; i < COUNT; i++) {
            const double d = fabs((double)(x[i] - q[i]));
            assert_true(d <= nearest_distance(unordered, bits, true, x[i]) + 1e-6);
            const int plus = (code[i] + (1 << bits) - 1) / 2;
            real again = 0; /* the planes add up to the very same bits */
            assert_true(code[i] & 1 && abs(code[i]) < 1 << bits);
            for (int k = 0; k < bits; k++)
                again += plus >> k & 1 ? unordered[k] : -unordered[k];
            assert_true(again == q[i]);
            error += d * d;
        }
        for (int k = 0; k < QUANT_LEVELS; k++)
            members += bins.count[k];
        assert_true(fabs(sums.error - error) < 1e-6 * (1 + error) && members == COUNT);
    }
}

/* sum (x - v . e)^2 for the codes that v0 gives */
static double held_error(const real *x, const real *v0, const double *v, int bits, bool signs)
{
    struct basis_levels l;
    double error = 0;

    basis_levels(v0, bits, signs, &l);
    for (int i = 0; i < COUNT; i++) {
        int at = 0;
        while (at + 1 < l.count && x[i] > l.threshold[at])
            at++;
        double value = 0;
        for (int k = 0; k < bits; k++)
            value += l.code[at] >> k & 1 ? v[k] : signs ? -v[k] : 0;
        error += ((double)x[i] - value) * ((double)x[i] - value);
    }
    return error;
}

/* The least-squares basis against every small step away from it. */
static void test_basis_solution_is_a_minimum(void **state)
{
    real x[COUNT], v[4] = { (real)0.3, (real)0.6, (real)1.1, (real)2 };
    (void)state;

    fill_normal(x, COUNT, 9);
    for (int signs = 0; signs < 2; signs++)
        for (int bits = 1; bits <= 4; bits++) {
            struct basis_levels l;
            double count[QUANT_LEVELS] = { 0 }, sum[QUANT_LEVELS] = { 0 }, best[4];
            basis_levels(v, bits, signs, &l);
            for (int i = 0; i < COUNT; i++) {
                if (!signs)
                    x[i] = real_fabs(x[i]);
                int at = 0;
                while (at + 1 < l.count && x[i] > l.threshold[at])
                    at++;
                count[l.code[at]]++;
                sum[l.code[at]] += (double)x[i];
            }
            assert_int_equal(basis_solve(count, sum, v, bits, signs, 0, best), 0);
            const double least = held_error(x, v, best, bits, signs);
            for (int k = 0; k < bits; k++)
                for (int up = -1; up <= 1; up += 2) {
                    double other[4];
                    memcpy(other, best, sizeof other);
                    other[k] += up * 1e-3;
                    assert_true(held_error(x, v, other, bits, signs) > least);
                }
        }
}

static void test_basis_fit_is_monotone_and_binary_is_the_mean(void **state)
{
    real x[COUNT], v[4];
    double mean = 0;
    (void)state;

    fill_normal(x, COUNT, 10);
    for (int i = 0; i < COUNT; i++)
        mean += fabs((double)x[i]) / COUNT;
    v[0] = 1;
    basis_fit(x, COUNT, 1, 1, true, v);
    assert_true(fabs((double)v[0] / mean - 1) < 1e-4);
    double before = INFINITY;
    for (int bits = 1; bits <= 4; bits++) {
        double error = 0;
        struct quant_weight w = weight_of(&method_lq_nets, bits, "sym");
        w.quantizer->fit(&w, x, COUNT, 1, v);
        for (int i = 0; i < COUNT; i++)
            error += pow(nearest_distance(v, bits, true, x[i]), 2);
        assert_true(error < before / 2);
        before = error;
    }
}

/* One alternation after the other: neither half ever makes the error larger. */
static void test_alternation_is_monotone(void **state)
{
    real x[COUNT];
    (void)state;

    for (int signs = 0; signs < 2; signs++)
        for (int bits = 1; bits <= 4; bits++) {
            real v[4] = { (real)2, (real)0.1, (real)0.7, (real)1.9 }; /* far from good */
            double error = INFINITY, first = 0;
            fill_normal(x, COUNT, (uint64_t)(20 + bits));
            for (int i = 0; i < COUNT && !signs; i++)
                x[i] = real_fabs(x[i]);
            for (int round = 0; round < 20; round++) {
                struct basis_levels l;
                double count[QUANT_LEVELS] = { 0 }, sum[QUANT_LEVELS] = { 0 }, next[4], now = 0;
                basis_levels(v, bits, signs, &l);
                for (int i = 0; i < COUNT; i++) {
                    int at = 0;
                    while (at + 1 < l.count && x[i] > l.threshold[at])
                        at++;
                    count[l.code[at]]++;
                    sum[l.code[at]] += (double)x[i];
                    now += pow((double)x[i] - (double)l.level[at], 2);
                }
                assert_true(now <= error * (1 + 1e-6));
                error = now;
                first = round ? first : now;
                if (basis_solve(count, sum, v, bits, signs, 0, next))
                    break;
                const double real_v[4] = { (double)v[0], (double)v[1], (double)v[2], (double)v[3] };
                assert_true(held_error(x, v, next, bits, signs) <=
                            held_error(x, v, real_v, bits, signs) * (1 + 1e-6));
                for (int k = 0; k < bits; k++)
                    v[k] = (real)next[k];
            }
            assert_true(error < first);
        }
}

static int encoding(const struct basis_levels *l, real x)
{
    int at = 0;

    while (at + 1 < l->count && x > l->threshold[at])
        at++;
    return l->code[at];
}

/* Sums over bit planes, 2 popcount(W & A) - popcount(A) for each pair, are the dot product of the values:
 * exactly, where bases are whole numbers. */
static void test_dots_of_planes_are_dots_of_values(void **state)
{
    enum { LENGTH = 64 };
    static const real vw[4] = { 1, 3, 5, 11 }, va[4] = { 2, 3, 7, 13 };
    real w[LENGTH], a[LENGTH];
    (void)state;

    fill_normal(w, LENGTH, 30);
    fill_normal(a, LENGTH, 31);
    for (int bits = 1; bits <= 4; bits++) {
        uint64_t plane_w[4] = { 0 }, plane_a[4] = { 0 };
        struct basis_levels lw, la;
        double dot = 0, planes = 0;
        basis_levels(vw, bits, true, &lw);
        basis_levels(va, bits, false, &la);
        for (int i = 0; i < LENGTH; i++) {
            const int ew = encoding(&lw, w[i] * 8), ea = encoding(&la, real_fabs(a[i]) * 10);
            double qw = 0, qa = 0;
            for (int k = 0; k < bits; k++) {
                plane_w[k] |= (uint64_t)(ew >> k & 1) << i;
                plane_a[k] |= (uint64_t)(ea >> k & 1) << i;
                qw += ew >> k & 1 ? (double)vw[k] : -(double)vw[k];
                qa += ea >> k & 1 ? (double)va[k] : 0;
            }
            dot += qw * qa;
        }
        for (int i = 0; i < bits; i++)
            for (int j = 0; j < bits; j++)
                planes +=
                    (double)vw[i] * (double)va[j] *
                    (2 * __builtin_popcountll(plane_w[i] & plane_a[j]) - __builtin_popcountll(plane_a[j]));
        assert_true(dot == planes);
    }
}

/* Signs and order of a basis are settled without moving a level. */
static void test_a_settled_basis_has_the_same_levels(void **state)
{
    real v[4] = { (real)0.75, (real)-0.25, (real)0.5, (real)-2 };
    struct basis_levels before, after;
    struct quant_weight w = weight_of(&method_lq_nets, 4, "sym");
    (void)state;

    basis_levels(v, 4, true, &before);
    w.quantizer->settle(&w, v);
    basis_levels(v, 4, true, &after);
    assert_memory_equal(before.level, after.level, sizeof before.level);
    for (int k = 0; k < 4; k++)
        assert_true(v[k] > 0 && (!k || v[k] >= v[k - 1]));
}

static void test_a_singular_basis_is_left_as_it_is(void **state)
{
    double count[QUANT_LEVELS] = { 0 }, sum[QUANT_LEVELS] = { 0 }, v[4];
    const real old[4] = { 1, 2, 3, 4 };
    (void)state;

    assert_int_equal(basis_solve(count, sum, old, 2, true, 1e-4, v), -1); /* nothing to fit */
    count[3] = 10;                                                        /* both signs always coincide */
    sum[3] = 33;
    assert_int_equal(basis_solve(count, sum, old, 2, true, 0, v), -1);
    assert_int_equal(basis_solve(count, sum, old, 2, true, 1e-4, v), 0);
    assert_true(fabs(v[0] + v[1] - 3.3) < 1e-3 && fabs(v[1] - v[0] - 1) < 1e-3); /* nearest to the old one */
}

static void test_the_moving_average_forgets_its_start(void **state)
{
    double average[1] = { 0 }, weight[1] = { 0 };
    real v[1] = { 77 };
    (void)state;

    basis_average(average, weight, &(double){ 2 }, 1, v);
    assert_true(fabs((double)v[0] - 2) < 1e-6);
    basis_average(average, weight, &(double){ 4 }, 1, v);
    assert_true(fabs((double)v[0] - (0.9 * 2 + 4) / 1.9) < 1e-6);
}

/* A gradient in levels is one in their basis: against small moves of each element, and in the scale that
 * moves an even basis s, 2s, 4s... as LSQ moves s. */
static void test_the_gradient_of_a_basis_is_that_of_its_levels(void **state)
{
    static const real v[4] = { (real)0.5, 1, 2, 4 };
    (void)state;

    for (int bits = 1; bits <= 4; bits++)
        for (int signs = 0; signs < 2; signs++) {
            const int high = signs ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
            real gradient[QUANT_LEVELS + 3];
            struct value level = { .offset = 3 };
            struct quant_activation a = {
                .bits = bits, .high = high, .features = 90, .basis = true, .signs = signs
            };
            struct quant_basis b = { 0 };
            struct quant q = { .activation = &a, .activations = 1, .basis = &b, .basis_learns = true };
            struct graph g = { .value = &level, .values = 1 };
            struct basis_levels before, after;
            double squares = 0, along = 0, step = 0;
            memcpy(b.v, v, sizeof b.v);
            fill_normal(gradient, QUANT_LEVELS + 3, 40 + (uint64_t)bits);
            quant_backward_levels(&q, &g, gradient);
            basis_levels(v, bits, signs, &before);
            for (int k = 0; k < bits; k++) {
                real moved[4];
                double change = 0;
                memcpy(moved, v, sizeof moved);
                moved[k] += (real)0.125; /* levels keep their order */
                basis_levels(moved, bits, signs, &after);
                for (int j = 0; j < before.count; j++)
                    change += (double)gradient[3 + j] * (double)(after.level[j] - before.level[j]) / 0.125;
                squares += ldexp(1, 2 * k);
                along += ldexp((double)b.slope[k], k);
                const double factor =
                    (ldexp(1, 2 * bits) - 1) / (signs ? 12 : 3) / sqrt(90.0 * (high > 1 ? high : 1));
                assert_true(fabs((double)b.slope[k] - factor * change) < 1e-5 * factor * 10);
            }
            for (int j = 0; j < before.count; j++)
                step += (double)gradient[3 + j] * (double)before.level[j] / (signs ? 1 : 0.5);
            assert_true(fabs((signs ? 2 : 1) * along / squares - step / sqrt(90.0 * (high > 1 ? high : 1))) <
                        1e-4);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_basis_levels_are_sorted_and_the_nearest_is_taken),
        cmocka_unit_test(test_basis_solution_is_a_minimum),
        cmocka_unit_test(test_basis_fit_is_monotone_and_binary_is_the_mean),
        cmocka_unit_test(test_alternation_is_monotone),
        cmocka_unit_test(test_dots_of_planes_are_dots_of_values),
        cmocka_unit_test(test_a_settled_basis_has_the_same_levels),
        cmocka_unit_test(test_a_singular_basis_is_left_as_it_is),
        cmocka_unit_test(test_the_moving_average_forgets_its_start),
        cmocka_unit_test(test_the_gradient_of_a_basis_is_that_of_its_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
