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

size_t task_room_memory(size_t memory)
{
    return memory / 2;
}

struct room task_room(const struct task_job *j)
{
    return (
        struct room){ .limit = TASK_DATA_MAX, .memory = task_room_memory(j->memory), .spill_dir = j->dir };
}
