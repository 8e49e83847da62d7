#include "worker/calibrate/batches.h"

size_t batch_bytes(const struct shape *s, int size)
{
    return (size_t)shape_count(s) * (((size_t)size + LANES - 1) / LANES * LANES) * sizeof(real);
}

/* An epoch of its own, that no training has. */
void batches_run(const struct batches *b, struct net *net, void (*look)(void *arg, int index, int samples),
                 void *arg)
{
    struct feed *f = b->feed;
    int64_t seen = 0;

    f->augment = b->training;
    f->type->shuffle(f, UINT32_MAX);
    for (int i = 0; i < b->count && seen < f->count; i++) {
        const int samples = f->count - seen < b->size ? (int)(f->count - seen) : b->size;
        f->type->fill(f, b->pool, seen, samples, net_blocks(net), net_input(net), b->target);
        net_forward(net, samples, b->training, 0);
        look(arg, i, samples);
        seen += samples;
    }
}
