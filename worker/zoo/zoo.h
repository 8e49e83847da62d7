/* zoo.h - architectures by name: `zoo:NAME[@CxHxW][/CLASSES]`. One file per family, one list.
 *
 * A row says what the architecture is at its paper's size; a request asks for another input or another number
 * of classes. Layers have the same names whatever the size. Networks that halve the image five times leave
 * out the first two halvings when a side is below ZOO_SMALL (a 7x7 stem is then 3x3): what is done for 32x32
 * images. */
#ifndef WORKER_ZOO_ZOO_H
#define WORKER_ZOO_ZOO_H

#include "worker/graph/graph.h"

enum { ZOO_SMALL = 64, ZOO_CHANNELS = 64, ZOO_SIDE = 1024, ZOO_CLASSES = 65536 };

/* What weights begin with; biases are 0, batch normalization 1 and 0. */
enum zoo_init {
    ZOO_XAVIER, /* uniform, variance 1 / fan-in: Glorot and Bengio 2010 as Caffe has it */
    ZOO_HE,     /* normal, variance 2 / fan-in: He et al. 2015, for layers in front of a ReLU */
    ZOO_HE_OUT, /* the same with the fan-out of convolutions */
    ZOO_UNIFORM /* uniform, variance 1 / (3 fan-in): image to image, without normalization */
};

struct zoo_build; /* build.h */

struct zoo {
    const char *name, *title, *source; /* "lenet5", "LeNet-5 (Caffe)", the paper */
    int channels, height, width;
    int classes;        /* 0: the output is an image */
    int scale;          /* how much larger the image that comes out is; 0: classes come out */
    int smallest;       /* side of an image that it can take */
    int64_t parameters; /* published count: weights, biases, scale and shift of normalization */
    uint64_t macs;      /* published count per sample; 0: none was */
    enum zoo_init init;
    int size; /* what tells the members of a family apart; see there */
    void (*layers)(struct zoo_build *b);
};

extern const struct zoo *const zoo_list[];    /* NULL-terminated */
const struct zoo *zoo_find(const char *name); /* a row; NULL when there is none */

struct zoo_request {
    const struct zoo *zoo;
    int channels, height, width, classes;
    uint64_t seed; /* the parameters are a pure function of it */
    size_t limit;  /* bytes for the parameters, 0: no limit */
    bool hollow;   /* see graph.h: what it looks like, without numbers */
};

/* The text behind "zoo:" to a request of seed 1. ERR_NOT_FOUND: no such architecture; ERR_INVALID: not of
 * that form, or a size that the architecture cannot take. */
int zoo_parse(const char *reference, struct zoo_request *r, struct err *e);

/* Build it: a finished graph. ERR_MEMORY when the parameters alone pass the limit. */
int zoo_make(const struct zoo_request *r, struct graph **g, struct err *e);

/* Both in one. */
int zoo_graph(const char *reference, uint64_t seed, struct graph **g, struct err *e);

#endif
