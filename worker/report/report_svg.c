/* report_svg.c - small multiples: one panel per series, three in a row; one for all bins/DISTANCE together.
 *
 *      title                    last value
 *      1.0 ┤
 *      0.5 ┤ ╲__
 *      0.0 ┼────────────────────
 *          0      5k      10k   step
 *
 * Colours are mid-tones that read on white and on black; grey parts follow the reader's colour scheme. */
#include "worker/report/report_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTH = 960,
    PER_ROW = 3,
    GAP = 24,
    PANEL_WIDTH = (WIDTH - (PER_ROW - 1) * GAP) / PER_ROW,
    PANEL_HEIGHT = 208,
    LEFT = 46, /* of the drawing inside its panel */
    RIGHT = 10,
    TOP = 36,
    BOTTOM = 40,
    PLOT_WIDTH = PANEL_WIDTH - LEFT - RIGHT,
    PLOT_HEIGHT = PANEL_HEIGHT - TOP - BOTTOM,
    BUCKETS = 250, /* a curve is thinned to the extremes within so many parts of the axis */
    BINS_MOST = 64
};

#define BLUE   "#2f7fc1"
#define GREEN  "#159a74"
#define ORANGE "#d9730d"
#define PURPLE "#a86bc4"
#define GREY   "#7d8794"

static const struct series_kind kinds[] = {
    { "loss", "Training loss", "", 1, false, BLUE },
    { "test_loss", "Test loss", "", 1, false, BLUE },
    { "top1", "Top-1 accuracy, test", "%", 100, false, GREEN },
    { "train_top1", "Top-1 accuracy, training", "%", 100, false, GREEN },
    { "held_out_top1", "Top-1 accuracy, held out", "%", 100, false, GREEN },
    { "psnr_db", "PSNR, test", "dB", 1, false, GREEN },
    { "held_out_psnr_db", "PSNR, held out", "dB", 1, false, GREEN },
    { "search.bytes", "File of each trial", "bytes", 1, false, PURPLE },
    { "search.metric", "Metric of each trial", "", 1, false, GREEN },
    { "ssim", "SSIM, test", "", 1, false, GREEN },
    { "msqe", "Quantization error (MSQE)", "", 1, true, ORANGE },
    { "coefficient", "Regularization coefficient", "", 1, true, PURPLE },
    { "error_in_steps", "RMS error", "steps", 1, true, ORANGE },
    { "bin_variance", "Variance within bins", "", 1, true, ORANGE },
    { "feature_error", "Error of what layers give out", "", 1, true, ORANGE },
    { "sparsity", "Sparsity", "%", 100, false, ORANGE },
    { "learning_rate", "Learning rate", "", 1, false, GREY },
};

const struct series_kind *report_series_kind(const char *name)
{
    static const struct series_kind other = { "", NULL, "", 1, false, BLUE };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, name))
            return &kinds[i];
    return &other;
}

struct panel {
    const struct series *series;
    const struct series_kind *kind;
    const char *over; /* what the x axis is */
    struct axis x, y;
    double left, top; /* of the drawing, in the whole picture */
    int first, last;  /* finite points */
};

static double shown(const struct panel *p, int i)
{
    return p->kind->scale * p->series->point[i].value;
}

static double place_x(const struct panel *p, double x)
{
    return p->left + PLOT_WIDTH * axis_place(&p->x, x);
}

static double place_y(const struct panel *p, double y)
{
    return p->top + PLOT_HEIGHT * (1 - axis_place(&p->y, y));
}

/* Axes around all finite points; false when there are none. */
static bool measure(struct panel *p)
{
    double low = INFINITY, high = -INFINITY;
    p->first = -1;
    for (int i = 0; i < p->series->count; i++) {
        double y = shown(p, i);
        if (!isfinite(y))
            continue;
        p->last = i;
        if (p->first < 0)
            p->first = i;
        low = fmin(low, y);
        high = fmax(high, y);
    }
    if (p->first < 0)
        return false;
    double from = (double)p->series->point[p->first].step, to = (double)p->series->point[p->last].step;
    p->x = axis_make(from, to, false, 6);
    if (to > from) { /* the curve fills the width; ticks are where they are */
        p->x.low = from;
        p->x.high = to;
    }
    p->y = axis_make(low, high, p->kind->logarithmic, 5);
    return true;
}

/* 0, 500, 12k, 1.5M: the ticks of the step axis. */
static void step_label(double x, char out[32])
{
    if (fabs(x) >= 1e6)
        snprintf(out, 32, "%gM", x / 1e6);
    else if (fabs(x) >= 1e4)
        snprintf(out, 32, "%gk", x / 1e3);
    else
        snprintf(out, 32, "%g", x);
}

static void draw_axes(struct buf *out, const struct panel *p)
{
    char text[32];
    for (int i = 0; i < p->y.ticks; i++) {
        double y = place_y(p, p->y.tick[i]);
        buf_printf(out, "<path class=\"qc-grid\" d=\"M%.1f %.1fh%d\"/>", p->left, y, PLOT_WIDTH);
        buf_printf(out, "<text class=\"qc-tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                   p->left - 6, y + 3.5, report_number(p->y.tick[i], text));
    }
    for (int i = 0; i < p->x.ticks; i++) {
        if (p->x.tick[i] < p->x.low || p->x.tick[i] > p->x.high)
            continue;
        double x = place_x(p, p->x.tick[i]);
        step_label(p->x.tick[i], text);
        buf_printf(out, "<path class=\"qc-axis\" d=\"M%.1f %.1fv4\"/>", x, p->top + PLOT_HEIGHT);
        buf_printf(out, "<text class=\"qc-tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", x,
                   p->top + PLOT_HEIGHT + 16, text);
    }
    buf_printf(out, "<path class=\"qc-axis\" d=\"M%.1f %.1fh%d\"/>", p->left, p->top + PLOT_HEIGHT,
               PLOT_WIDTH);
    buf_printf(out, "<text class=\"qc-tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s%s</text>\n",
               p->left + PLOT_WIDTH / 2.0, p->top + PLOT_HEIGHT + 31, p->over,
               p->y.logarithmic ? ", logarithmic values" : "");
}

static void draw_point(struct buf *out, const struct panel *p, int i, bool *pen_down)
{
    double x = place_x(p, (double)p->series->point[i].step), y = place_y(p, shown(p, i));
    buf_printf(out, "%c%.1f %.1f", *pen_down ? 'L' : 'M', x, y);
    *pen_down = true;
}

/* The points from..to-1 share a bucket: its lowest and highest are enough, in their order. A value that is
 * not finite lifts the pen. */
static void draw_bucket(struct buf *out, const struct panel *p, int from, int to, bool *pen_down)
{
    int lowest = -1, highest = -1;
    for (int i = from; i < to; i++) {
        double y = shown(p, i);
        if (!isfinite(y)) {
            *pen_down = false;
            continue;
        }
        if (lowest < 0 || y < shown(p, lowest))
            lowest = i;
        if (highest < 0 || y > shown(p, highest))
            highest = i;
    }
    if (lowest < 0)
        return;
    draw_point(out, p, lowest < highest ? lowest : highest, pen_down);
    if (lowest != highest)
        draw_point(out, p, lowest < highest ? highest : lowest, pen_down);
}

static void draw_curve(struct buf *out, const struct panel *p)
{
    bool pen_down = false;
    int count = p->last - p->first + 1;
    int buckets = count > 2 * BUCKETS ? BUCKETS : count;
    buf_printf(out, "<path class=\"qc-line\" stroke=\"%s\" d=\"", p->kind->colour);
    for (int b = 0; b < buckets; b++)
        draw_bucket(out, p, p->first + (int)((int64_t)count * b / buckets),
                    p->first + (int)((int64_t)count * (b + 1) / buckets), &pen_down);
    buf_printf(out, "\"/>\n<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n",
               place_x(p, (double)p->series->point[p->last].step), place_y(p, shown(p, p->last)),
               p->kind->colour);
}

/* The place of panel `index` in the picture, and its title. */
static struct panel begin_panel(struct buf *out, const struct series_kind *kind, const char *name, int index)
{
    const double left = index % PER_ROW * (PANEL_WIDTH + GAP), top = index / PER_ROW * (PANEL_HEIGHT + GAP);

    buf_printf(out, "<g><text class=\"qc-title\" x=\"%.1f\" y=\"%.1f\">", left, top + 14);
    report_text(out, kind->title ? kind->title : name);
    if (*kind->unit)
        buf_printf(out, "<tspan class=\"qc-tick\"> in %s</tspan>", kind->unit);
    buf_text(out, "</text>\n");
    return (struct panel){ .kind = kind, .over = "step", .left = left + LEFT, .top = top + TOP };
}

/* What stands at the right of the title. */
static void draw_last(struct buf *out, const struct panel *p, const char *value, const char *unit)
{
    buf_printf(
        out, "<text class=\"qc-last\" fill=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s%s%s</text>\n",
        p->kind->colour, p->left + PLOT_WIDTH, p->top - TOP + 14, value, *unit ? " " : "", unit);
}

static void draw_panel(struct buf *out, const struct series *s, int index)
{
    struct panel p = begin_panel(out, report_series_kind(s->name), s->name, index);
    char value[32];

    p.series = s;
    if (measure(&p)) {
        draw_last(out, &p, report_number(shown(&p, p.last), value), p.kind->unit);
        draw_axes(out, &p);
        draw_curve(out, &p);
    } else {
        buf_printf(out,
                   "<text class=\"qc-tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">no values</text>\n",
                   p.left + PLOT_WIDTH / 2.0, p.top + PLOT_HEIGHT / 2.0);
    }
    buf_text(out, "</g>\n");
}

/* Shares of the weights by their distance to the nearest level, each a series: "bins/-0.469". */
static bool is_bin(const struct series *s)
{
    return strncmp(s->name, "bins/", 5) == 0 && s->count > 0;
}

static double distance_of(const struct series *s)
{
    return strtod(s->name + 5, NULL);
}

/* Pointers to the bins, the least distance first; number of them. */
static int find_bins(const struct curves *c, const struct series *bin[BINS_MOST])
{
    int count = 0;

    for (int i = 0; i < c->count && count < BINS_MOST; i++) {
        if (!is_bin(&c->series[i]))
            continue;
        int at = count++;
        for (; at > 0 && distance_of(bin[at - 1]) > distance_of(&c->series[i]); at--)
            bin[at] = bin[at - 1];
        bin[at] = &c->series[i];
    }
    return count;
}

static double share_of(const struct series *bin, bool now)
{
    const double share = bin->point[now ? bin->count - 1 : 0].value;

    return isfinite(share) ? share : 0;
}

static void draw_shares(struct buf *out, const struct panel *p, const struct series *const *bin, int count,
                        bool now)
{
    buf_printf(out, "<path class=\"qc-line\" stroke=\"%s\"%s d=\"", now ? p->kind->colour : GREY,
               now ? "" : " stroke-dasharray=\"4 3\"");
    for (int i = 0; i < count; i++)
        buf_printf(out, "%c%.1f %.1f", i ? 'L' : 'M', place_x(p, distance_of(bin[i])),
                   place_y(p, p->kind->scale * share_of(bin[i], now)));
    buf_text(out, "\"/>\n");
}

/* How the weights lay at the beginning, and how they lie at the end. */
static void draw_histogram(struct buf *out, const struct series *const *bin, int count, int index)
{
    static const struct series_kind kind = {
        "bins/", "Weights between their levels", "%", 100, false, ORANGE
    };
    struct panel p = begin_panel(out, &kind, NULL, index);
    double most = 0;

    for (int i = 0; i < count; i++)
        most = fmax(most, kind.scale * fmax(share_of(bin[i], false), share_of(bin[i], true)));
    p.over = "steps to the level; dashed: before";
    p.x = axis_make(distance_of(bin[0]), distance_of(bin[count - 1]), false, 5);
    p.x.low = distance_of(bin[0]);
    p.x.high = count > 1 ? distance_of(bin[count - 1]) : p.x.high;
    p.y = axis_make(0, most, false, 5);
    draw_last(out, &p, "now", "");
    draw_axes(out, &p);
    draw_shares(out, &p, bin, count, false);
    draw_shares(out, &p, bin, count, true);
    buf_text(out, "</g>\n");
}

static const char style[] =
    "<style>\n"
    ".qc text{font-family:system-ui,-apple-system,\"Segoe UI\",\"Liberation Sans\",\"DejaVu "
    "Sans\",sans-serif}\n"
    ".qc .qc-title{font-size:13px;font-weight:600;fill:#1c2430}\n"
    ".qc .qc-last{font-size:13px;font-weight:600}\n"
    ".qc .qc-tick{font-size:11px;fill:#5d6876}\n"
    ".qc .qc-grid{stroke:#8894a3;stroke-opacity:.25;fill:none}\n"
    ".qc .qc-axis{stroke:#8894a3;fill:none}\n"
    ".qc .qc-line{fill:none;stroke-width:1.75;stroke-linejoin:round;stroke-linecap:round}\n"
    "@media (prefers-color-scheme:dark){.qc .qc-title{fill:#e6eaf0}.qc .qc-tick{fill:#a3adba}}\n"
    "@media print{.qc .qc-title{fill:#1c2430}.qc .qc-tick{fill:#5d6876}}\n"
    "</style>\n";

void report_svg(struct buf *out, const struct curves *c, bool standalone)
{
    const struct series *bin[BINS_MOST];
    const int bins = find_bins(c, bin), panels = c->count - bins + (bins > 0);
    int rows = (panels + PER_ROW - 1) / PER_ROW, index = 0;
    int margin = standalone ? GAP : 0;
    int height = rows ? rows * (PANEL_HEIGHT + GAP) - GAP : 40;
    if (standalone)
        buf_text(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    buf_printf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"qc\" viewBox=\"%d %d %d %d\"%s role=\"img\">\n"
        "<title>Curves of the job</title>\n",
        -margin, -margin, WIDTH + 2 * margin, height + 2 * margin, standalone ? "" : " width=\"100%\"");
    buf_text(out, style);
    if (standalone)
        buf_text(out, "<style>:root{color-scheme:light dark}</style>\n");
    if (!c->count)
        buf_text(out, "<text class=\"qc-tick\" x=\"0\" y=\"24\">This job measured no curves.</text>\n");
    for (int i = 0; i < c->count; i++)
        if (!is_bin(&c->series[i]))
            draw_panel(out, &c->series[i], index++);
    if (bins)
        draw_histogram(out, bin, bins, index);
    buf_text(out, "</svg>\n");
}
