/* lanes_peak.c - what one core can do at best with this instruction set: independent chains of multiply-add
 * that stay in registers. The denominator of every "share of peak". */
#include "base/clock.h"
#include "worker/kernels/kernels.h"

#if defined(__AVX512F__)
#define REGISTER 64
#elif defined(__AVX2__)
#define REGISTER 32
#else
#define REGISTER 16
#endif

typedef real part __attribute__((vector_size(REGISTER)));

#define CHAINS       12 /* more than latency times throughput of any of them */
#define ROUNDS       200000

#define JOIN(a, b)   a##b
#define SYMBOL(a, b) JOIN(a, b)

double SYMBOL(kernels_peak_, KERNEL_SET)(double seconds);

double SYMBOL(kernels_peak_, KERNEL_SET)(double seconds)
{
    part chain[CHAINS], factor, term;
    volatile real sink = 0; /* the result is used: the chains can't be dropped */
    double best = 0;

    for (size_t l = 0; l < REGISTER / sizeof(real); l++) {
        factor[l] = (real)0.999 + (real)l / 1000000;
        term[l] = (real)0.001;
    }
    for (int c = 0; c < CHAINS; c++)
        chain[c] = term * (real)c;
    for (int64_t end = clock_mono_ns() + (int64_t)(seconds * 1e9); clock_mono_ns() < end;) {
        int64_t begin = clock_mono_ns();
        for (int round = 0; round < ROUNDS; round++)
#pragma GCC unroll 12
            for (int c = 0; c < CHAINS; c++)
                chain[c] = chain[c] * factor + term;
        double gflops = 2.0 * (REGISTER / sizeof(real)) * CHAINS * ROUNDS / (double)(clock_mono_ns() - begin);
        best = gflops > best ? gflops : best;
    }
    for (int c = 0; c < CHAINS; c++)
        sink = sink + chain[c][0];
    return best;
}
