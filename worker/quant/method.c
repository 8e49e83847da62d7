#include "worker/quant/method.h"

#include <string.h>

static const char *const uniform_grids[] = { "sym", "twos", "midrise", NULL };
static const char *const per_layer[] = { "layer", NULL };

static const struct method method_msqe = {
    .name = "msqe",
    .title = "MSQE regularization with a learnable coefficient",
    .source = "Choi, El-Khamy, Lee, arXiv 1809.00095",
    .weight_bits = { 1, 8 },
    .activation_bits = { 2, 8 },
    .grids = uniform_grids,
    .granularities = per_layer,
    .regularizer = &regularizer_msqe,
};

const struct method *const method_list[] = { &method_msqe, NULL };

const struct method *method_find(const char *name)
{
    for (const struct method *const *m = method_list; *m; m++)
        if (strcmp((*m)->name, name) == 0)
            return *m;
    return NULL;
}
