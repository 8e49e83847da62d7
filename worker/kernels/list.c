#include "worker/kernels/kernels.h"

#include <stdlib.h>

extern const struct kernels kernels_generic;
#ifndef QUANTD_DOUBLE
extern const struct kernels kernels_avx512_vnni, kernels_avx512, kernels_avx2, kernels_gemm;
#endif

const struct kernels *const kernels_list[] = {
#ifndef QUANTD_DOUBLE
    &kernels_avx512_vnni,
    &kernels_avx512,
    &kernels_avx2,
#endif
    &kernels_generic,
#ifndef QUANTD_DOUBLE
    &kernels_gemm,
#endif
    NULL,
};

const struct kernels *kernels_find(const char *name)
{
    for (int i = 0; kernels_list[i]; i++)
        if (!strcmp(kernels_list[i]->name, name))
            return kernels_list[i]->usable() ? kernels_list[i] : NULL;
    return NULL;
}

const struct kernels *kernels_best(void)
{
    const char *wanted = getenv("QUANTD_KERNELS");
    const struct kernels *k = wanted ? kernels_find(wanted) : NULL;
    for (int i = 0; !k; i++) /* generic is always usable */
        k = kernels_list[i]->usable() ? kernels_list[i] : NULL;
    return k;
}
