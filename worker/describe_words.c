#include "worker/describe_words.h"

#include "worker/calibrate/range.h"
#include "worker/engine/engine.h"
#include "worker/graph/precision.h"
#include "worker/prune/pruner.h"
#include "worker/quant/grid.h"
#include "worker/quant/method.h"
#include "worker/train/job.h"
#include "worker/train/optimizer.h"

#include <string.h>

/* The names of a NULL-terminated list of const structs. */
#define NAMES(function, type, list)                                                                          \
    json_t *function(void)                                                                                   \
    {                                                                                                        \
        json_t *a = json_array();                                                                            \
        for (const struct type *const *p = list; *p; p++)                                                    \
            json_array_append_new(a, json_string((*p)->name));                                               \
        return a;                                                                                            \
    }

NAMES(list_kinds, kind, kind_list)
NAMES(list_methods, method, method_list)
NAMES(list_pruners, pruner, pruner_list)
NAMES(list_grids, grid, grid_list)
NAMES(list_optimizers, optimizer, optimizer_list)
NAMES(list_schedules, schedule, schedule_list)
NAMES(list_losses, loss, loss_list)
NAMES(list_ranges, range_rule, range_rule_list)
NAMES(list_engines, engine_kind, engine_kind_list)
NAMES(list_tasks, task, task_list)

static json_t *list_words(const char *const *word)
{
    json_t *a = json_array();
    for (; *word; word++)
        json_array_append_new(a, json_string(*word));
    return a;
}

json_t *list_scopes(void)
{
    return list_words(prune_scopes);
}

json_t *list_structures(void)
{
    return list_words(prune_structures);
}

json_t *list_basis_rules(void)
{
    return list_words(quant_basis_rules);
}

/* Every word of the lists of all tasks, once. */
static void add_word(json_t *a, const char *word)
{
    json_t *there;
    size_t i;

    json_array_foreach(a, i, there) if (strcmp(json_string_value(there), word) == 0) return;
    json_array_append_new(a, json_string(word));
}

json_t *list_augments(void)
{
    json_t *a = json_array();
    for (const struct task *const *t = task_list; *t; t++)
        for (const char *const *n = (*t)->augments; *n; n++)
            add_word(a, *n);
    return a;
}

json_t *list_precisions(void)
{
    json_t *a = json_array();
    for (const char *const *p = precision_list; *p; p++)
        json_array_append_new(a, json_string(*p));
    return a;
}

json_t *list_granularities(void)
{
    json_t *a = json_array();
    for (const struct method *const *m = method_list; *m; m++)
        for (const char *const *n = (*m)->granularities; *n; n++)
            add_word(a, *n);
    return a;
}
