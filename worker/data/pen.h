/* pen.h - a soft round pen on a small square canvas. Only + - * / and sqrt, which IEEE 754 rounds the same
 * way everywhere: the same strokes give the same bits on every machine. */
#ifndef WORKER_DATA_PEN_H
#define WORKER_DATA_PEN_H

#include <stdint.h>

#define PEN_SIDE 28

struct pen_point {
    double x, y; /* pixels; the centre of the top left pixel is 0, 0 */
};

struct pen {
    double radius; /* where the ink has faded to one half */
    double soft;   /* half the width of the edge's slope, > 0 */
    double ink;    /* 0..1 in the middle of the line; negative: erases */
};

struct canvas {
    double ink[PEN_SIDE][PEN_SIDE]; /* 0 paper .. 1 */
};

/* A straight line with round ends. Ink does not add up where lines cross: the darker one wins. */
void pen_line(struct canvas *c, struct pen pen, struct pen_point from, struct pen_point to);

#endif
