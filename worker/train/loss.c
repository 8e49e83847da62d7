/* loss.c - the list, and cross entropy. */
#include "worker/train/loss.h"

const struct loss *const loss_list[] = { &loss_cross_entropy, &loss_l2, &loss_l1, &loss_charbonnier, NULL };

const struct loss *loss_find(const char *name)
{
    for (const struct loss *const *l = loss_list; *l; l++)
        if (strcmp((*l)->name, name) == 0)
            return *l;
    return NULL;
}

/* softmax(y / T) of one lane, ready to be asked class by class; shifted by its greatest output. */
struct softmax {
    const real *y; /* [classes][LANES] at the lane */
    int best;
    real top;
    double temperature, sum;
};

static double exponent(const struct softmax *s, int c)
{
    return (double)(s->y[(size_t)c * LANES] - s->top) / s->temperature;
}

static double share(const struct softmax *s, int c)
{
    return exp(exponent(s, c)) / s->sum;
}

static double log_share(const struct softmax *s, int c)
{
    return exponent(s, c) - log(s->sum);
}

static struct softmax softmax_of(const real *y, int classes, double temperature)
{
    struct softmax s = { .y = y, .temperature = temperature };

    for (int c = 1; c < classes; c++)
        if (y[(size_t)c * LANES] > y[(size_t)s.best * LANES])
            s.best = c;
    s.top = y[(size_t)s.best * LANES];
    for (int c = 0; c < classes; c++)
        s.sum += exp(exponent(&s, c));
    return s;
}

/* The label's term and, with smoothing, its share of all others. */
static double label_loss(const struct softmax *p, int label, double smoothing, int classes)
{
    double own = exponent(p, label);

    if (smoothing > 0) {
        own *= 1 - smoothing;
        for (int c = 0; c < classes; c++)
            own += smoothing / classes * exponent(p, c);
    }
    return log(p->sum) - own;
}

static double teacher_loss(const struct softmax *soft, const struct softmax *teacher, int classes)
{
    double divergence = 0;

    for (int c = 0; c < classes; c++)
        divergence += share(teacher, c) * (log_share(teacher, c) - log_share(soft, c));
    return soft->temperature * soft->temperature * divergence;
}

/* One sample; y, teacher and gradient point at its lane. */
static double lane_loss(const struct loss_call *k, const real *y, const real *teacher, int label,
                        int64_t *correct, real *gradient)
{
    const int classes = k->features;
    const double weight = teacher ? k->distill.weight : 0, T = k->distill.temperature;
    const struct softmax p = softmax_of(y, classes, 1);
    struct softmax soft, wise;
    double loss = label_loss(&p, label, k->smoothing, classes);

    *correct += p.best == label;
    if (teacher) {
        soft = softmax_of(y, classes, T);
        wise = softmax_of(teacher, classes, T);
        loss = (1 - weight) * loss + weight * teacher_loss(&soft, &wise, classes);
    }
    for (int c = 0; gradient && c < classes; c++) {
        double d = share(&p, c) - ((1 - k->smoothing) * (c == label) + k->smoothing / classes);
        if (teacher)
            d = (1 - weight) * d + weight * T * (share(&soft, c) - share(&wise, c));
        gradient[(size_t)c * LANES] = (real)(d / k->samples);
    }
    return loss;
}

static struct loss_result run_cross_entropy(const struct loss_call *k)
{
    struct loss_result r = { 0 };

    for (int i = 0; i < k->blocks * LANES; i++) {
        const size_t at = (size_t)(i / LANES) * (size_t)k->features * LANES + (size_t)(i % LANES);
        if (i < k->samples) {
            r.loss += lane_loss(k, k->y + at, k->teacher ? k->teacher + at : NULL, k->target->label[i],
                                &r.correct, k->gradient ? k->gradient + at : NULL);
            continue;
        }
        for (int c = 0; k->gradient && c < k->features; c++)
            k->gradient[at + (size_t)c * LANES] = 0;
    }
    return r;
}

const struct loss loss_cross_entropy = { "cross-entropy", "Cross entropy of the classes", true,
                                         run_cross_entropy };
