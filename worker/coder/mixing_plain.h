/* mixing_plain.h - decide() of lanes_matrix.c for every machine: one counter after the other. */

ALWAYS int64_t stretch_of(const struct mixed *c)
{
    return (int64_t)(c->opinion & UINT32_MAX);
}

ALWAYS void learn(struct mixed *c, bool first, bool bit)
{
    const int64_t p = c->learned & (MIXING_ONE - 1), step = (int64_t)(c->learned >> 44);
    const int64_t n = c->learned >> 30 & MIXING_LIMIT;
    const int64_t next = bit ? p + ((MIXING_ONE - p) * step >> MIXING_STEP) : p - (p * step >> MIXING_STEP);

    *c = mixed_of((int32_t)next, (int32_t)(n + (n < MIXING_LIMIT)), first);
}

ALWAYS bool decide(struct mixing *m, bool decoding, int set, struct mixed *const *c, int count, bool bit)
{
    const double least = MIXING_WEIGHT_ZERO - MIXING_WEIGHT_MOST,
                 most = MIXING_WEIGHT_ZERO + MIXING_WEIGHT_MOST;
    double opinion[MIXING_INPUTS], sum = 0, *w = m->weight[set];

    for (int i = 0; i < count; i++)
        if (__builtin_expect(!c[i]->learned, 0))
            mixing_begin(c, count);
    for (int i = 0; i < count; i++) {
        const int64_t difference = stretch_of(c[i]) - (i ? stretch_of(c[0]) : MIXING_REACH);
        opinion[i] = (double)(difference * (int64_t)(c[i]->opinion >> 32) / 65536);
        sum += (w[i] - MIXING_WEIGHT_ZERO) * opinion[i];
    }
    const uint32_t p = mixing_squashed[mixing_place(sum)];
    if (!decoding)
        range_put(&m->encoder, p, bit);
    else
        bit = range_get(&m->decoder, p);
    const double by = mixing_rate(m, set) * MIXING_WEIGHT_ONE * (int32_t)((bit ? 65536 : 0) - p);
    for (int i = 0; i < count; i++) {
        const double next = w[i] + (double)(int64_t)(opinion[i] * by) / MIXING_WEIGHT_ONE;
        w[i] = next > most ? most : next < least ? least : next;
        learn(c[i], !i, bit);
    }
    return bit;
}
