/* tasks.h - the tasks by name; everybody else goes through the list of task.h. */
#ifndef WORKER_TRAIN_TASKS_H
#define WORKER_TRAIN_TASKS_H

#include "worker/train/task.h"

extern const struct task task_classify, task_superres;

#endif
