/* program.h - the inside of the engine: a list of steps over tensors, each for one block of 16 samples. */
#ifndef WORKER_ENGINE_PROGRAM_H
#define WORKER_ENGINE_PROGRAM_H

#include "worker/engine/engine.h"
#include "worker/engine/tiles.h"
#include "worker/kernels/bits.h"
#include "worker/kernels/fixed.h"

enum activation_form { TENSOR_CODES, TENSOR_NUMBERS };

/* An activation of one block. Codes may have margins, which hold the code of zero; those of tiles, what is
 * beside them in the picture. */
struct activation {
    enum activation_form form;
    int C, H, W;
    int height, width;   /* of the whole picture: H and W unless there are tiles */
    struct patch *patch; /* owned; of tiles */
    int patches;
    int top, left, bottom, right; /* margins; grow while readers are found */
    int zero;                     /* codes */
    double bound;                 /* no value is larger in magnitude */
    int last;                     /* step that reads it last */
    size_t offset;                /* in the arena */
};

struct picture {
    int C, H, W;
};
struct picture picture_of(const struct shape *s); /* channels, rows, the product of all else */

/* How real values become codes: clip(round(value / scale) + zero, low, high); all + 128 for signed ones. */
struct quantizer {
    double scale;
    int zero, low, high;
};

/* Codes whose bits are worth numbers of any kind: value = base + sum of worth[i] over the bits that are set.
 */
struct planes {
    int count;
    double base, worth[BITS_CODES];
};

/* How real values become such codes: above threshold[k] the code is code[k + 1] or a later one. */
struct stair {
    int count;                         /* of thresholds */
    double threshold[15], least, most; /* least, most: of the values */
    uint8_t code[16];
    struct fixed_stair numbers; /* the same for numbers between layers */
};

struct program;
struct engine_step;

/* Memory of one thread, and the block that it works on. */
struct frame {
    const struct program *program;
    char *arena;
    void *scratch;
    real *one; /* outputs of one sample in lane 0 */
    const real *x;
    real *y;
    int sample; /* of the block: the one that is in tiles */
};

struct step_type {
    const char *name;
    void (*run)(const struct frame *f, const struct engine_step *s);
};

extern const struct step_type step_input, step_conv, step_add, step_codes, step_numbers, step_max, step_mean,
    step_move, step_output, step_stair;

enum { NOTHING = -1 };

/* A layer of few bits. */
struct thin_layer {
    struct bits_conv k;
    struct bits_weights w;
};

struct engine_step {
    const struct step_type *type;
    const struct node *node;
    int in, more, out, codes; /* tensors; NOTHING */
    struct quantizer quantizer;
    struct stair *stair;         /* owned: instead of the quantizer */
    double rule;                 /* numbers to codes or back; steps of the sum of a mean */
    double low, high;            /* clip, in values */
    const struct window *window; /* of pools; borrowed from the node, or: */
    struct window *tile;         /* owned */
    struct patch *gather; /* owned: how an operator that moves, or a gathered convolution, finds its tiles */
    int gathers;
    int32_t *source; /* owned: without tiles, which pixel of the input each of the output is; -1: none */
    /* convolution */
    struct int8_conv k;
    enum int8_form form;
    bool gathered;           /* the input's tiles don't lie as the output's do: */
    struct conv whole;       /* of the picture */
    int8_t *w;               /* packed; or: */
    struct thin_layer *thin; /* owned: by bit planes */
    bool borrowed;           /* all that is packed */
    int32_t *start;          /* owned */
    double *factor, *shift;  /* owned: value = sum * factor + shift; made rules by program_finish */
    double *bound;           /* owned: of |sum|, per output */
    double number_bound;     /* of what codes are made of */
};

struct program {
    const struct graph *graph;
    const struct kernels *kernels;
    enum engine_bits bits;
    bool tiled; /* one sample in tiles, instead of sixteen */
    const struct program
        *like; /* of the same graph: its packed weights are used, it must live longer; NULL */
    struct activation *tensor;
    int tensors, tensors_capacity;
    struct engine_step *step;
    int steps, steps_capacity;
    struct activation result; /* the picture that comes out; only its sizes count */
    size_t arena, scratch;
};

int program_compile(struct program *p, struct err *e); /* compile.c: the steps of p->graph */
int program_finish(struct program *p, struct err *e);  /* program.c: rules, places in the arena */
void step_deinit(struct engine_step *s);
void program_deinit(struct program *p);

int program_add_activation(struct program *p, enum activation_form form, const struct shape *shape,
                           struct err *e);
struct engine_step *program_add_step(struct program *p, const struct step_type *type, const struct node *n,
                                     struct err *e); /* valid until the next; NULL: out of memory */

/* Bytes of one block of a tensor, its distances in pixels, and where it lies. */
size_t activation_bytes(const struct activation *t);
ptrdiff_t activation_row(const struct activation *t);
ptrdiff_t activation_plane(const struct activation *t);
uint8_t *frame_codes(const struct frame *f, int tensor); /* pixel (0, 0) of the first quad */
double *frame_numbers(const struct frame *f, int tensor);
/* Up to four channels of the sample(s) that go in, as rows of pixels; in tiles, if there are any. */
const real *frame_input(const struct frame *f, const struct activation *t, int channel, int channels);
void frame_margins(const struct frame *f, int tensor); /* fills them, when all else is there */
size_t step_window(const struct engine_step *s);       /* bytes of what a convolution gathers */

#endif
