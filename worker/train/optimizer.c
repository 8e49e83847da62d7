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

static const struct optimizer optimizer_sgd = { "sgd", 1, sgd_update };
static const struct optimizer optimizer_adam = { "adam", 2, adam_update };

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
