/* job_search.c - a compression with a goal: trials with other settings, judged on samples that are held out
 * of the training part, until the bound is known or enough was tried. The best one is delivered whether it
 * meets the goal or not; only then is the test part looked at. */
#include "worker/train/job_parts.h"

#include "api/spec.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

bool job_searches(const struct job *j)
{
    return j->kind->prunes && j->kind->quantizes &&
           (json_is_number(spec_at(j->spec, "/goal/target_bytes")) ||
            json_is_number(spec_at(j->spec, "/goal/min_metric")));
}

/* --- room ----------------------------------------------------------------------------------------------- */

/* Do the settings of the network say anything about some layer? */
static int find_room(const struct job *j, struct search *s, struct err *e)
{
    struct layer *layers = NULL;
    struct quant_options o;
    int count, status = job_quant_options(j, &o, e);

    if (!status)
        status = graph_layers(j->graph, &layers, &count, e);
    if (status)
        return status;
    s->room.price = job_rate_lambda(j) > 0;
    s->room.bits_most =
        o.method->weight_bits[1] < o.grid->bits_max ? o.method->weight_bits[1] : o.grid->bits_max;
    for (int i = 0; i < count; i++) {
        s->room.sparsity |= job_own_sparsity(j, layers[i].name) < 0;
        s->room.bits |= !job_overridden(j, layers[i].name);
    }
    s->room.bits = s->room.bits && s->start.bits <= s->room.bits_most;
    free(layers);
    return 0;
}

static int begin(const struct job *j, struct search *s, struct err *e)
{
    *s =
        (struct search){ .goal = { spec_double(j->spec, "/goal/target_bytes", NAN),
                                   spec_double(j->spec, "/goal/min_metric", NAN) },
                         .start = { spec_double(j->spec, "/prune/sparsity", 0.9),
                                    (int)spec_int(j->spec, "/quantize/weights/bits", 4), job_rate_lambda(j) },
                         .trials_most = j->trials };
    const int status = find_room(j, s, e);

    if (status || s->room.price || s->room.sparsity || s->room.bits)
        return status;
    err_set(e, ERR_INVALID, "every layer has widths and a sparsity of its own: there is nothing to search");
    return err_at(e, "/overrides");
}

/* --- what was seen -------------------------------------------------------------------------------------- */

static json_t *number_or_null(double x)
{
    return isnan(x) ? json_null() : json_real(x);
}

static json_t *describe_trial(const struct search *s, int i)
{
    const struct search_trial *t = &s->trial[i];

    return json_pack("{s:i, s:f, s:i, s:o, s:I, s:f, s:b, s:b}", "trial", i + 1, "sparsity", t->at.sparsity,
                     "bits", t->at.bits, "price", t->at.price > 0 ? json_real(t->at.price) : json_null(),
                     "bytes", (json_int_t)t->bytes, "metric", t->metric, "pareto", search_pareto(s, i), "met",
                     search_met(s, i));
}

static json_t *describe_search(const struct job *j, const struct search *s)
{
    const int best = search_best(s);
    json_t *trials = json_array();

    for (int i = 0; i < s->trials; i++)
        json_array_append_new(trials, describe_trial(s, i));
    return json_pack("{s:s, s:o, s:o, s:b, s:i, s:i, s:{s:I, s:f, s:f}, s:o}", "metric", j->task->metric,
                     "target_bytes", number_or_null(s->goal.bytes), "min_metric",
                     number_or_null(s->goal.metric), "met", search_met(s, best), "best", best + 1,
                     "trials_most", s->trials_most, "held_out", "samples", (json_int_t)j->samples, "value",
                     s->trial[best].metric, "float_value", j->float_value, "trials", trials);
}

static int write_table(const struct job *j, const struct search *s, struct err *e)
{
    char path[4096], *text = json_dumps(j->search, JSON_INDENT(2));
    struct buf csv;
    int status = text ? 0 : err_set(e, ERR_NOMEM, "out of memory");

    buf_init(&csv, (size_t)1 << 20);
    buf_text(&csv, "trial,sparsity,bits,price,bytes,metric,pareto,met\n");
    for (int i = 0; i < s->trials; i++) {
        const struct search_trial *t = &s->trial[i];
        buf_printf(&csv, "%d,%.6g,%d,%.4g,%.0f,%.17g,%d,%d\n", i + 1, t->at.sparsity, t->at.bits, t->at.price,
                   t->bytes, t->metric, search_pareto(s, i), search_met(s, i));
    }
    snprintf(path, sizeof path, "%s/out/pareto.json", j->dir);
    if (!status)
        status = file_publish(path, text, strlen(text), 0644, e);
    snprintf(path, sizeof path, "%s/out/pareto.csv", j->dir);
    if (!status)
        status = csv.failed ? err_set(e, ERR_NOMEM, "out of memory")
                            : file_publish(path, csv.data, csv.length, 0644, e);
    buf_free(&csv);
    free(text);
    return status;
}

/* What was wished for and what there is. */
static void warn(const struct job *j, const struct search *s, int best)
{
    const struct search_trial *t = &s->trial[best];
    char wish[120];
    int n = 0;

    if (!isnan(s->goal.metric))
        n = snprintf(wish, sizeof wish, "%s of at least %g", j->task->metric, s->goal.metric);
    if (!isnan(s->goal.bytes))
        snprintf(wish + n, sizeof wish - (size_t)n, "%sat most %.0f bytes", n ? " in " : "", s->goal.bytes);
    events_emit(
        j->events, "warning",
        json_pack("{s:s, s:o}", "code", "goal_not_met", "text",
                  json_sprintf("%s: none of %d trials has met that; the best one is delivered, %.0f bytes "
                               "with %s %.4f on what is held out",
                               wish, s->trials, t->bytes, j->task->metric, t->metric)));
}

/* --- the search ----------------------------------------------------------------------------------------- */

/* All trials, done or to be done; their findings. Files of those that are not the best go. */
static int run(struct job *j, struct search *s, json_t *found, struct err *e)
{
    struct search_point p;
    json_t *one;

    while (search_next(s, &p)) {
        const int status = job_trial(j, s->trials, &p, &one, e);
        if (status)
            return status;
        s->trial[s->trials++] =
            (struct search_trial){ p, (double)json_integer_value(json_object_get(one, "bytes")),
                                   json_number_value(json_object_get(one, "metric")) };
        json_array_append_new(found, one);
        for (int i = 0; i < s->trials; i++)
            if (i != search_best(s))
                job_trial_drop(j, i);
    }
    return 0;
}

/* The test part, once: of the model as it came and of the delivered file. */
static int judge_last(struct job *j, int trials, struct err *e)
{
    const struct task_subject input = { .graph = j->source };

    j->held_out = false;
    int status = job_judge(j, &input, false, &j->float_value, e);
    if (!status)
        status = job_score_file(j, e);
    if (status)
        return status;
    const int64_t step = trials * job_steps(j);
    curves_add(&j->curves, j->task->metric, step, j->value);
    events_metric(j->events, j->task->metric, step, j->value);
    return 0;
}

static int deliver(struct job *j, const struct search *s, json_t *found, struct err *e)
{
    const int best = search_best(s);
    const json_t *of = json_array_get(found, (size_t)best);

    if (json_is_true(json_object_get(of, "diverged")))
        return err_set(e, ERR_DIVERGED, "all of %d trials have diverged: try a smaller learning rate",
                       s->trials);
    int status = job_trial_deliver(j, best, e);
    if (!status && !(j->search = describe_search(j, s)))
        status = err_set(e, ERR_NOMEM, "out of memory");
    if (!status)
        status = write_table(j, s, e);
    if (status)
        return status;
    if (!search_met(s, best))
        warn(j, s, best);
    job_trial_adopt(j, of);
    return judge_last(j, s->trials, e);
}

int job_search(struct job *j, struct err *e)
{
    json_t *found = json_array();
    struct search s;
    int status = found ? begin(j, &s, e) : err_set(e, ERR_NOMEM, "out of memory");

    j->source = j->graph;
    j->graph = NULL;
    if (!status)
        status = run(j, &s, found, e);
    job_forget(j);
    if (!status)
        status = deliver(j, &s, found, e);
    json_decref(found);
    return status;
}
