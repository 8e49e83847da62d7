#include "worker/train/optimizer.h"

/* Heavy-ball momentum with L2 decay in the gradient: v <- m v + g + wd w; w <- w - lr v. */
static void sgd_update(const struct optimizer_step *s, real *w, const real *g, real *const moment[2],
                       size_t count)
{
    real *v = moment[0];

    for (size_t i = 0; i < count; i++) {
        v[i] = s->momentum * v[i] + (g[i] + s->weight_decay * w[i]);
        w[i] -= s->learning_rate * v[i];
    }
}

/* Adam (Kingma and Ba, arXiv 1412.6980) with decoupled decay (Loshchilov and Hutter, arXiv 1711.05101). */
static void adam_update(const struct optimizer_step *s, real *w, const real *g, real *const moment[2],
                        size_t count)
{
    const real beta1 = (real)0.9, beta2 = (real)0.999, tiny = (real)1e-8;
    real *m = moment[0], *v = moment[1];
    real c1 = (real)(1 / (1 - pow(0.9, (double)s->number)));
    real c2 = (real)(1 / (1 - pow(0.999, (double)s->number)));

    for (size_t i = 0; i < count; i++) {
        m[i] = beta1 * m[i] + (1 - beta1) * g[i];
        v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
        w[i] -= s->learning_rate * (m[i] * c1 / (real_sqrt(v[i] * c2) + tiny) + s->weight_decay * w[i]);
    }
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
