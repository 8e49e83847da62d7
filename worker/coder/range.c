#include "worker/coder/range.h"

#include "base/mem.h"

#include <stdlib.h>

#define FIRST_CAPACITY 1024

int range_encoder_init(struct range_encoder *r, struct err *e)
{
    *r = (struct range_encoder){ .data = mem_alloc(FIRST_CAPACITY), .capacity = FIRST_CAPACITY };
    if (!r->data)
        return err_set(e, ERR_NOMEM, "out of memory for the range coder");
    range_encoder_restart(r);
    return 0;
}

void range_encoder_deinit(struct range_encoder *r)
{
    free(r->data);
    r->data = NULL;
}

void range_encoder_restart(struct range_encoder *r)
{
    r->length = 0;
    r->low = 0;
    r->range = UINT32_MAX;
    r->failed = false;
}

/* The message is a number below one, so a carry always meets a byte that it can raise. */
void range_carry(struct range_encoder *r)
{
    size_t i = r->length;
    while (i > 0 && ++r->data[--i] == 0)
        ;
}

/* Without memory the old bytes are written over, so that range_put needs no error path of its own. */
void range_grow(struct range_encoder *r)
{
    uint8_t *data = mem_grow(r->data, 2, r->capacity);
    if (!data) {
        r->failed = true;
        r->length = 0;
        return;
    }
    r->data = data;
    r->capacity *= 2;
}

int range_encoder_finish(struct range_encoder *r, struct err *e)
{
    if (r->length == r->capacity)
        range_grow(r);
    range_advance(r, RANGE_MIN - 1);
    r->data[r->length++] = (uint8_t)(r->low >> 24);
    while (r->length && !r->data[r->length - 1])
        r->length--;
    return r->failed ? err_set(e, ERR_NOMEM, "out of memory for the coded weights") : 0;
}

void range_decoder_init(struct range_decoder *r, const uint8_t *data, size_t length)
{
    *r = (struct range_decoder){ .data = data, .length = length, .range = UINT32_MAX };
    for (int i = 0; i < 4; i++, r->position++)
        r->code = r->code << 8 | (r->position < length ? data[r->position] : 0);
}

/* The last byte that the encoder writes is followed by three zeros in the decoder's window of four. */
bool range_decoder_finished(const struct range_decoder *r)
{
    return r->code < RANGE_MIN && r->length + 3 <= r->position && (!r->length || r->data[r->length - 1]);
}
