#include "worker/kernels/kernels.h"

double kernels_peak_generic(double seconds);
#ifndef QUANTD_DOUBLE
double kernels_peak_avx2(double seconds);
double kernels_peak_avx512(double seconds);
double kernels_peak_avx512_vnni(double seconds);
#endif

static const struct {
    const char *set;
    double (*measure)(double seconds);
} peaks[] = {
#ifndef QUANTD_DOUBLE
    { "avx512-vnni", kernels_peak_avx512_vnni },
    { "avx512", kernels_peak_avx512 },
    { "avx2", kernels_peak_avx2 },
#endif
    { "generic", kernels_peak_generic },
};

/* blas uses whatever the CPU has: it is held to the best set. */
double kernels_peak(const struct kernels *k, double seconds)
{
    const char *set = k->name;

    if (strcmp(set, "blas") == 0)
        for (int i = 0; kernels_list[i]; i++)
            if (kernels_list[i]->usable()) {
                set = kernels_list[i]->name;
                break;
            }
    for (size_t i = 0; i < sizeof peaks / sizeof *peaks; i++)
        if (strcmp(peaks[i].set, set) == 0)
            return peaks[i].measure(seconds);
    return 0;
}
