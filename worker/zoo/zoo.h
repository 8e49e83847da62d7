/* zoo.h - architectures by name: `zoo:lenet5`, later `zoo:NAME@CxHxW/CLASSES`. One file per family, one list.
 */
#ifndef WORKER_ZOO_ZOO_H
#define WORKER_ZOO_ZOO_H

#include "worker/graph/graph.h"

struct zoo {
    const char *name, *title, *source; /* "lenet5", "LeNet-5 (Caffe)", the paper */
    int channels, height, width, classes;
    int64_t parameters; /* published count */
    /* Finished graph; parameters drawn from seed (fan-in scaled as the architecture's paper does). */
    int (*build)(uint64_t seed, struct graph **g, struct err *e);
};

extern const struct zoo *const zoo_list[];    /* NULL-terminated */
const struct zoo *zoo_find(const char *name); /* without the "zoo:" */

#endif
