/* stream.h - all parameters of a network in one range-coded message: no headers, no ends in between. */
#ifndef WORKER_CODER_STREAM_H
#define WORKER_CODER_STREAM_H

#include "worker/coder/mixing.h"
#include "worker/coder/qdz.h"
#include "worker/graph/graph.h"

/* Contexts of what is said once a tensor or once a file. */
struct stream {
    struct mixing m;
    struct counter coded, fits, channels, symmetric, usual, dead[3], same_mantissa, zero[2], sign, text,
        alone;
    struct counter_number number, exponent, layout;
    uint32_t mantissa, last_exponent;
};

/* To encode (data NULL) or to decode. */
int stream_init(struct stream *s, const uint8_t *data, size_t length, struct err *e);
void stream_deinit(struct stream *s);

/* A bit, a number, a string of at most WIRE_NAME bytes: coded, or decoded and returned. */
bool stream_flag(struct stream *s, struct counter *c, bool bit);
uint32_t stream_count(struct stream *s, uint32_t value);
int32_t stream_signed(struct stream *s, struct counter_number *c, int32_t value);
int stream_text(struct stream *s, const char *in, char *out, struct err *e);

/* PARAM value v of a graph whose shapes are known: floats, or codes with their scales. Encoding: *layer gets
 * codes, payload_bytes and entropy_bits where v has codes. Decoding: v gets codes and what they mean.
 * ERR_NOMEM, ERR_CORRUPT, ERR_INVALID. */
int stream_param(struct stream *s, struct graph *g, int v, struct qdz_layer *layer, struct err *e);

#endif
