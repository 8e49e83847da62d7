/* qdz_decode.h - the integers of a .qdz file in a device that knows its network: one C file, C99, no library
 * but memcpy and memset, no allocation, no floating point but the scales that are read. Take both files.
 *
 *      qdz_open(&q, file, length)          check sum, version
 *      qdz_network(&q, &network)           units that are left, activation quantizers
 *      qdz_tensor(&q, &tensor, work, n)    once for each parameter, in the order of the network
 *
 * Files whose coder is cabac are read (what a job writes). Every function returns 0, or a negative QDZ_
 * number; a damaged file never makes it write outside what it was given. */
#ifndef QDZ_DECODE_H
#define QDZ_DECODE_H

#include <stddef.h>
#include <stdint.h>

enum { QDZ_DAMAGED = -1, QDZ_UNKNOWN = -2, QDZ_ROOM = -3 };

struct qdz_counter {
    int32_t p, n;
};

struct qdz_numbers {
    struct qdz_counter width[33], mantissa[33][4];
};

struct qdz {
    const uint8_t *data;
    size_t length, position;
    uint32_t code, range;
    int reference; /* 0: the network is described in the file; else 1 + 2 * row + (another size than the
                      row's) */
    int64_t weight[12][10];
    int32_t seen[12];
    struct qdz_counter coded, fits, channels, symmetric, usual, dead[3], same_mantissa, zero[2], sign, text,
        alone;
    struct qdz_numbers number, exponent, layout;
    uint32_t mantissa, last_exponent;
    int by_first; /* decisions of this tensor are their first counter's alone */
    int16_t stretch[4096];
    uint16_t squash[2 * 2815 + 1];
};

/* What the reader knows of a named network: how many nodes read each activation (the input first), and how
 * many layers may have lost units. In a file of reference 0 it is not asked. */
struct qdz_network {
    const uint8_t *readers;
    unsigned values, unit_layers;
    uint32_t size[4];          /* out: channels, height, width, classes, if the file says so */
    uint32_t gone[32];         /* out: units less than the architecture has, of each such layer */
    unsigned quantizers;       /* out */
    int32_t low[32], high[32]; /* out: codes of each quantized activation; its step is a tensor at the end */
};

extern const uint8_t qdz_lenet5_readers[8]; /* values 8, unit_layers 3: conv1, conv2, fc1 */

struct qdz_tensor {
    /* in */
    uint32_t rank, dim[4];
    int32_t *code; /* room for all elements; floats come as their bits */
    float *scale;  /* room for the largest dimension, or 1; times bits for a basis */
    size_t scales; /* of that room */
    /* out */
    int is_float, bits, axis; /* axis of the scales; -1: one */
    int basis;                /* 0: value = code * scale. 1: for each position on the axis there are `bits`
                                 scales v; code is a sum of +-2^k, the value the sum of +-v_k */
};

int qdz_open(struct qdz *q, const uint8_t *file, size_t length);
int qdz_network(struct qdz *q, struct qdz_network *n);
/* work: bytes of scratch, aligned as int32_t; qdz_work says how many a tensor takes. */
size_t qdz_work(const struct qdz_tensor *t);
int qdz_tensor(struct qdz *q, struct qdz_tensor *t, void *work, size_t bytes);
int qdz_end(const struct qdz *q); /* 0 when everything was read as it was written */

#endif
