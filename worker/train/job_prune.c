/* job_prune.c - the first stage of a job that prunes: training under the pruner, then the mask for good. */
#include "worker/train/job_parts.h"

#include "api/spec.h"
#include "worker/prune/dead.h"

#include <fnmatch.h>
#include <string.h>

static int word_index(const char *const *words, const char *word)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return -1;
}

/* The schedule of the training that follows, over its own epochs. */
struct trainer_settings job_prune_settings(const struct job *j)
{
    struct trainer_settings s = job_settings(j);

    s.epochs = spec_int(j->spec, "/prune/epochs", 10);
    s.learning_rate = spec_double(j->spec, "/prune/learning_rate", s.learning_rate);
    return s;
}

static int scope_of(const struct job *j)
{
    return word_index(prune_scopes, spec_text(j->spec, "/prune/scope", "network"));
}

size_t job_prune_bytes(const struct job *j)
{
    const struct graph *g = j->graph;
    size_t largest = 0;

    for (int v = 0; v < g->values; v++)
        if (g->value[v].kind == VALUE_PARAM && (size_t)shape_count(&g->value[v].shape) > largest)
            largest = (size_t)shape_count(&g->value[v].shape);
    return prune_bytes(g->param_count, largest, (enum prune_scope)scope_of(j));
}

/* The last match wins. */
double job_own_sparsity(const struct job *j, const char *layer)
{
    double own = -1;
    size_t i;
    json_t *o;

    json_array_foreach((json_t *)spec_at(j->spec, "/overrides"), i, o)
    {
        if (fnmatch(spec_text(o, "/match", ""), layer, 0) == 0)
            own = spec_double(o, "/prune/sparsity", own);
    }
    return own;
}

static int make(struct job *j, struct err *e)
{
    const int structure = word_index(prune_structures, spec_text(j->spec, "/prune/structure", "none")),
              scope = scope_of(j);
    const struct prune_rule rule = { .pruner = pruner_find(spec_text(j->spec, "/prune/method", "partial-l2")),
                                     .sparsity = spec_double(j->spec, "/prune/sparsity", 0.9),
                                     .lambda = spec_double(j->spec, "/prune/lambda", 1),
                                     .scope = (enum prune_scope)scope,
                                     .structure = (enum prune_structure)structure,
                                     .ramp = spec_double(j->spec, "/prune/ramp", -1) };

    if (!rule.pruner || structure < 0 || scope < 0)
        return err_set(e, ERR_INVALID, "unknown pruning method, structure or scope");
    const int status = prune_new(j->graph, &rule, &j->prune, e);
    for (int i = 0; !status && i < j->prune->weights; i++)
        j->prune->weight[i].sparsity = job_own_sparsity(j, j->prune->weight[i].layer);
    return status;
}

/* The accuracy before and after the doomed are gone shows how much they still did. */
static int fix(struct job *j, struct trainer *t, struct err *e)
{
    const struct task_subject now = { .graph = j->graph, .net = j->net, .batch = t->settings.batch_size };
    double before, after;
    int status = job_judge(j, &now, false, &before, e);

    if (status)
        return status;
    prune_fix(j->prune, j->graph);
    if ((status = job_judge(j, &now, false, &after, e)))
        return status;
    j->pruned_before = before;
    j->pruned_value = after;
    events_log(j->events, "info", "%lld of %lld weights pruned; %s %.4f before the cut, %.4f after",
               (long long)j->prune->marked, (long long)j->prune->total, j->task->metric, before, after);
    return 0;
}

/* Filters and hidden units that are dead by now leave the network: what follows is faster, the file smaller.
 */
static int bury(struct job *j, struct err *e)
{
    int status = dead_remove(j->graph, &j->units_removed, e);

    if (!status)
        status = prune_adopt(j->prune, j->graph, e);
    if (!status && job_rate_lambda(j) > 0)
        prune_release(j->prune);
    if (!status && j->units_removed)
        events_log(j->events, "info", "%lld dead units removed: %lld of %lld parameters are left",
                   (long long)j->units_removed, (long long)graph_parameters(j->graph),
                   (long long)j->float_bytes / 4);
    return status;
}

int job_prune(struct job *j, struct err *e)
{
    const struct job_stage stage = {
        .phase = "prune",
        .checkpoint = "checkpoint-prune",
        .settings = job_prune_settings(j),
        .epochs_after = job_settings(j).epochs,
        .after = fix,
    };
    int status = make(j, e);

    if (!status)
        status = job_stage(j, &stage, e);
    return status ? status : bury(j, e);
}
