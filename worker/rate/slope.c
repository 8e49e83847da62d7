#include "worker/rate/slope.h"

#include <math.h>
#include <string.h>

#define LEAST_FIRST 0.5
#define LEAST_MORE  0.3

/* Logarithm of the odds of `seen` in `count`, when beforehand half a one of the rarer kind was seen at p. */
static double log_odds(double seen, double count, double p)
{
    const double before = 0.5 / (p < 0.5 ? p : 1 - p), share = (before * p + seen) / (before + count);

    return log(share / (1 - share));
}

static size_t place(const struct slope_tensor *t, size_t row, size_t column)
{
    return (t->turned ? column * t->rows + row : row * t->columns + column) * t->inner;
}

/* Codes that are not zero: of each row and column into odds, of each size; returns that of all. */
static double count_codes(const struct slope_tensor *t, double *odds, double size[SLOPE_LEVELS])
{
    double total = 0;

    memset(odds, 0, (t->rows + t->columns) * sizeof *odds);
    for (int m = 0; m < SLOPE_LEVELS; m++)
        size[m] = 0;
    for (size_t r = 0; r < t->rows; r++)
        for (size_t c = 0; c < t->columns; c++) {
            const int8_t *code = t->code + place(t, r, c);
            for (size_t k = 0; k < t->inner; k++) {
                const int m = code[k] < 0 ? -code[k] : code[k];
                if (!m)
                    continue;
                size[m < SLOPE_LEVELS ? m - 1 : SLOPE_LEVELS - 1]++;
                odds[r]++;
                odds[t->rows + c]++;
                total++;
            }
        }
    return total;
}

/* Bits of each size of a code that is not zero. */
static void size_bits(const double count[SLOPE_LEVELS], double total, double bits[SLOPE_LEVELS])
{
    for (int m = 0; m < SLOPE_LEVELS; m++)
        bits[m] = -log2((count[m] + 0.5) / (total + 0.5 * SLOPE_LEVELS));
}

/* One block: its codes share their odds. Returns their bits. */
static double charge_block(const struct slope_tensor *t, size_t at, double odds, const double size[],
                           float *slope)
{
    const double rare = log2(1 + exp(-odds)), none = log2(1 + exp(odds)); /* -log2 of p and of 1 - p */
    const double first = rare - none + 1 + size[0];
    double bits = 0;

    for (size_t k = 0; k < t->inner; k++) {
        const int m = t->code[at + k] < 0 ? -t->code[at + k] : t->code[at + k];
        slope[at + k] = (float)(first > LEAST_FIRST ? first : LEAST_FIRST);
        bits += m ? rare + 1 + size[m < SLOPE_LEVELS ? m - 1 : SLOPE_LEVELS - 1] : none;
    }
    return bits;
}

double slope_bits(const struct slope_tensor *t, float *slope, double more[SLOPE_LEVELS], double *odds)
{
    double count[SLOPE_LEVELS], size[SLOPE_LEVELS], bits = 0;
    const double codes = (double)t->rows * (double)t->columns * (double)t->inner;
    const double total = count_codes(t, odds, count), p = (total + 0.5) / (codes + 1);

    size_bits(count, total, size);
    for (int m = 0; m + 1 < SLOPE_LEVELS; m++)
        more[m] = size[m + 1] - size[m] > LEAST_MORE ? size[m + 1] - size[m] : LEAST_MORE;
    more[SLOPE_LEVELS - 1] = LEAST_MORE;
    for (size_t r = 0; r < t->rows; r++)
        odds[r] = log_odds(odds[r], codes / (double)t->rows, p);
    for (size_t c = t->rows; c < t->rows + t->columns; c++)
        odds[c] = log_odds(odds[c], codes / (double)t->columns, p);
    for (size_t r = 0; r < t->rows; r++)
        for (size_t c = 0; c < t->columns; c++) {
            const size_t at = place(t, r, c);
            double here = 0, sum = odds[r] + odds[t->rows + c];
            for (size_t k = 0; k < t->inner; k++)
                here += t->code[at + k] != 0;
            sum = t->inner > 1 ? (sum + log_odds(here, (double)t->inner, p)) / 3 : sum / 2;
            bits += charge_block(t, at, sum, size, slope);
        }
    return bits;
}

double slope_of_step(const struct slope_tensor *t, const float *slope, const double more[SLOPE_LEVELS])
{
    const size_t codes = t->rows * t->columns * t->inner;
    double count[SLOPE_LEVELS + 1] = { 0 }, first = 0, sum = 0;

    for (size_t i = 0; i < codes; i++) {
        const int m = t->code[i] < 0 ? -t->code[i] : t->code[i];
        count[m < SLOPE_LEVELS ? m : SLOPE_LEVELS]++;
        first += (double)slope[i];
    }
    count[0] *= 2; /* the others lie on two sides, and zero's cell is theirs by halves */
    for (int m = 1; m <= SLOPE_LEVELS; m++)
        sum += (m - 0.5) * sqrt(count[m - 1] * count[m]) * (m > 1 ? more[m - 2] : first / (double)codes);
    return sum;
}
