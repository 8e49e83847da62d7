#include "worker/train/optimizer.h"

static void sgd_update(const struct update_pass *p, const struct optimizer_step *s, real *w, const real *g,
                       real *const moment[2], size_t count)
{
    p->sgd(s, w, g, moment[0], count);
}

static void adam_update(const struct update_pass *p, const struct optimizer_step *s, real *w, const real *g,
                        real *const moment[2], size_t count)
{
    p->adam(s, w, g, moment[0], moment[1], count);
}

static real shrunk(real w, real by)
{
    return w > by ? w - by : w < -by ? w + by : 0;
}

/* A steady gradient moves it by rate / (1 - momentum). */
static void sgd_shrink(const struct optimizer_step *s, real *w, const real *cost, real *const moment[2],
                       size_t count)
{
    const real reach = s->learning_rate / (1 - s->momentum);
    (void)moment;

    for (size_t i = 0; i < count; i++)
        w[i] = shrunk(w[i], reach * cost[i]);
}

/* By at most the learning rate, as any gradient that lasts. */
static void adam_shrink(const struct optimizer_step *s, real *w, const real *cost, real *const moment[2],
                        size_t count)
{
    const real correction = (real)(1 / (1 - pow(0.999, (double)s->number)));

    for (size_t i = 0; i < count; i++) {
        const real ratio = cost[i] / (real_sqrt(moment[1][i] * correction) + (real)1e-8);
        w[i] = shrunk(w[i], s->learning_rate * (ratio < 1 ? ratio : 1));
    }
}

static const struct optimizer optimizer_sgd = { "sgd", 1, 0, sgd_update, sgd_shrink };
static const struct optimizer optimizer_adam = { "adam", 2, 4, adam_update, adam_shrink };

const struct optimizer *const optimizer_list[] = { &optimizer_sgd, &optimizer_adam, NULL };

const struct optimizer *optimizer_find(const char *name)
{
    for (const struct optimizer *const *o = optimizer_list; *o; o++)
        if (strcmp((*o)->name, name) == 0)
            return *o;
    return NULL;
}

static double cosine_factor(double progress)
{
    return 0.5 * (1 + cos(M_PI * progress));
}

/* A tenth after half of the run, a hundredth after three quarters. */
static double step_factor(double progress)
{
    return progress < 0.5 ? 1 : progress < 0.75 ? 0.1 : 0.01;
}

static double constant_factor(double progress)
{
    (void)progress;
    return 1;
}

static const struct schedule schedule_cosine = { "cosine", cosine_factor };
static const struct schedule schedule_step = { "step", step_factor };
static const struct schedule schedule_constant = { "constant", constant_factor };

const struct schedule *const schedule_list[] = { &schedule_cosine, &schedule_step, &schedule_constant, NULL };

const struct schedule *schedule_find(const char *name)
{
    for (const struct schedule *const *s = schedule_list; *s; s++)
        if (strcmp((*s)->name, name) == 0)
            return *s;
    return NULL;
}
