#include "worker/train/task.h"

#include "worker/train/tasks.h"

const struct task *const task_list[] = { &task_classify, &task_superres, NULL };

const struct task *task_find(const char *name)
{
    for (const struct task *const *t = task_list; *t; t++)
        if (strcmp((*t)->name, name) == 0)
            return *t;
    return NULL;
}

struct room task_room(const struct task_job *j)
{
    return (struct room){ .limit = TASK_DATA_MAX, .memory = j->memory / 2, .spill_dir = j->dir };
}
