#include "worker/coder/text.h"

#include "base/mem.h"
#include "worker/coder/range.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { STORED, MODELLED }; /* the first byte */
enum { ORDERS = 6, SLOT_BITS = 16, SEEN_MOST = 30 };

struct slot {
    uint16_t p; /* that the bit is 1, in 1/65536 */
    uint8_t seen, tag;
};

struct text {
    struct slot slot[ORDERS][1 << SLOT_BITS];
    uint64_t last; /* bytes before this one, the latest lowest */
    struct range_encoder encoder;
    struct range_decoder decoder;
};

enum direction { LEARN, ENCODE, DECODE };

/* The slot for a context of `order` bytes and the bits of this byte so far. One that was used for another
 * context, as its tag tells, begins anew. */
static struct slot *find_slot(struct text *t, int order, uint32_t partial)
{
    uint64_t context = order ? t->last << (64 - 8 * order) : 0;
    uint64_t h = (context + partial + 1) * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9u;
    struct slot *s = &t->slot[order][h >> (64 - SLOT_BITS)];
    uint8_t tag = (uint8_t)(h >> (56 - SLOT_BITS));
    if (!s->seen || s->tag != tag)
        *s = (struct slot){ .p = 32768, .tag = tag };
    return s;
}

/* The mean of what the contexts say: the surer and the longer, the louder; one that is new says nothing. */
static uint32_t predict(struct slot *const slot[ORDERS])
{
    uint32_t sum = 32768, weights = 1;
    for (int i = 0; i < ORDERS; i++) {
        uint32_t p = slot[i]->p, doubt = p < 32768 ? p : 65535 - p;
        uint32_t weight = ((slot[i]->seen < 4 ? slot[i]->seen : 4u) * 32768 / (doubt + 2048)) << i;
        sum += weight * p;
        weights += weight;
    }
    return sum / weights | 1;
}

/* Nearly a plain average: what came once will come again. */
static void learn(struct slot *s, bool bit)
{
    int32_t distance = (bit ? 65535 : 0) - s->p;
    s->p = (uint16_t)(s->p + distance * 10 / (10 * s->seen + 11));
    s->seen = (uint8_t)(s->seen + (s->seen < SEEN_MOST));
}

/* One byte in any direction; returns it. */
static uint8_t text_byte(struct text *t, enum direction direction, uint8_t byte)
{
    uint32_t partial = 1;
    for (int i = 7; i >= 0; i--) {
        struct slot *slot[ORDERS];
        for (int order = 0; order < ORDERS; order++)
            slot[order] = find_slot(t, order, partial);
        uint32_t p = predict(slot);
        bool bit = byte >> i & 1;
        if (direction == ENCODE)
            range_put(&t->encoder, p, bit);
        else if (direction == DECODE)
            bit = range_get(&t->decoder, p);
        for (int order = 0; order < ORDERS; order++)
            learn(slot[order], bit);
        partial = partial << 1 | bit;
    }
    t->last = t->last << 8 | (uint8_t)partial;
    return (uint8_t)partial;
}

static struct text *typical; /* what every text begins from, or NULL without memory for it */

static void learn_typical(void)
{
    struct text *t = mem_alloc(sizeof *t);
    for (size_t i = 0; t && i < text_typical_length; i++)
        text_byte(t, LEARN, (uint8_t)text_typical[i]);
    typical = t;
}

/* Learning takes longer than coding a small network, so it happens once. */
static struct text *text_new(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, learn_typical);
    struct text *t = typical ? mem_alloc(sizeof *t) : NULL;
    if (t)
        memcpy(t, typical, sizeof *t);
    return t;
}

size_t text_most(size_t coded)
{
    return coded < SIZE_MAX / 256 ? 64 * coded + 1024 : SIZE_MAX;
}

int text_encode(const uint8_t *data, size_t length, struct buf *out, struct err *e)
{
    struct text *t = text_new();
    if (!t)
        return err_set(e, ERR_NOMEM, "out of memory for the network");
    int rc = range_encoder_init(&t->encoder, e);
    for (size_t i = 0; !rc && i < length; i++)
        text_byte(t, ENCODE, data[i]);
    if (!rc)
        rc = range_encoder_finish(&t->encoder, e);
    if (!rc) {
        bool shorter = t->encoder.length < length && length <= text_most(t->encoder.length + 1);
        uint8_t head = shorter ? MODELLED : STORED;
        buf_append(out, &head, 1);
        buf_append(out, shorter ? t->encoder.data : data, shorter ? t->encoder.length : length);
        if (out->failed)
            rc = err_set(e, ERR_NOMEM, "out of memory for the network");
    }
    range_encoder_deinit(&t->encoder);
    free(t);
    return rc;
}

int text_decode(const uint8_t *data, size_t coded, uint8_t *text, size_t length, struct err *e)
{
    if (!coded || data[0] > MODELLED || (data[0] == STORED && coded - 1 != length))
        return err_set(e, ERR_CORRUPT, "the description of the network is damaged");
    if (data[0] == STORED) {
        memcpy(text, data + 1, length);
        return 0;
    }
    struct text *t = text_new();
    if (!t)
        return err_set(e, ERR_NOMEM, "out of memory for the network");
    range_decoder_init(&t->decoder, data + 1, coded - 1);
    for (size_t i = 0; i < length; i++)
        text[i] = text_byte(t, DECODE, 0);
    bool good = range_decoder_finished(&t->decoder);
    free(t);
    return good ? 0 : err_set(e, ERR_CORRUPT, "the description of the network is damaged");
}
