/* glyphs_strokes.h - how the ten digits are written: a few strokes each, in some variants. */
#ifndef WORKER_DATA_GLYPHS_STROKES_H
#define WORKER_DATA_GLYPHS_STROKES_H

#include <stdint.h>

enum { GLYPH_DIGITS = 10, GLYPH_VARIANTS = 3, GLYPH_STROKES = 2, GLYPH_POINTS = 14 };

/* The control points of a quadratic B-spline in a box 100 wide and high, y down. The curve begins and ends in
 * the first and last point and passes the middles between the inner ones. A point given twice is a corner. */
struct glyph_stroke {
    int count;                   /* 3..GLYPH_POINTS; 0: no stroke */
    int8_t at[2 * GLYPH_POINTS]; /* x, y of each */
};

struct glyph {
    struct glyph_stroke stroke[GLYPH_STROKES];
};

extern const struct glyph glyph_table[GLYPH_DIGITS][GLYPH_VARIANTS];

#endif
