#include "worker/data/patch.h"

#include "base/mem.h"

#include <stdlib.h>

/* Top left corners along one side, in steps of scale. */
static int64_t places(int side, const struct patches *p)
{
    const int whole = side - side % p->scale;

    return whole < p->size ? 0 : (whole - p->size) / p->scale + 1;
}

int patches_new(const struct imageset_split *set, int size, int scale, struct patches *p, struct err *e)
{
    *p = (struct patches){ .set = set, .size = size, .scale = scale };
    if (scale < 1 || size < scale || size % scale != 0)
        return err_set(e, ERR_INVALID, "patches of %d pixels can't be shrunk by %d", size, scale);
    p->before = mem_array((size_t)set->count + 1, sizeof *p->before);
    if (p->before == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int64_t i = 0; i < set->count; i++) {
        const struct image *image = &set->item[i].image;
        p->before[i + 1] = p->before[i] + places(image->width, p) * places(image->height, p);
    }
    if (p->before[set->count] > 0)
        return 0;
    patches_free(p);
    return err_set(e, ERR_INVALID, "no image is large enough for patches of %dx%d pixels", size, size);
}

void patches_free(struct patches *p)
{
    free(p->before);
    p->before = NULL;
}

/* The image in which position n lies: the last i with before[i] <= n. */
static int64_t image_at(const struct patches *p, int64_t n)
{
    int64_t low = 0, high = p->set->count;

    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (p->before[middle] <= n)
            low = middle;
        else
            high = middle;
    }
    return low;
}

struct patch patch_pick(const struct patches *p, bool turn, struct rng r)
{
    const uint64_t total = (uint64_t)p->before[p->set->count];
    /* multiply and shift: uneven by less than total / 2^64 */
    const int64_t n = (int64_t)((unsigned __int128)rng_u64(&r) * total >> 64);
    const int64_t image = image_at(p, n), at = n - p->before[image];
    const int64_t across = places(p->set->item[image].image.width, p);

    return (struct patch){ .image = image,
                           .top = (int)(at / across) * p->scale,
                           .left = (int)(at % across) * p->scale,
                           .turn = turn ? (int)rng_below(&r, 8) : 0 };
}
