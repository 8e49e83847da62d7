/* describe_words.h - the words that a parameter may be, from the list of what they name. New references. */
#ifndef WORKER_DESCRIBE_WORDS_H
#define WORKER_DESCRIBE_WORDS_H

#include <jansson.h>

json_t *list_kinds(void);
json_t *list_methods(void);
json_t *list_pruners(void);
json_t *list_grids(void);
json_t *list_optimizers(void);
json_t *list_schedules(void);
json_t *list_losses(void);
json_t *list_ranges(void);
json_t *list_engines(void);
json_t *list_tasks(void);
json_t *list_scopes(void);
json_t *list_structures(void);
json_t *list_augments(void);
json_t *list_precisions(void);
json_t *list_granularities(void);
json_t *list_basis_rules(void);

#endif
