#include "worker/data/list.h"

const struct dataset_format *const dataset_formats[] = { &dataset_format_idx, &dataset_format_cifar, NULL };

const struct dataset_builtin *const dataset_builtins[] = { &dataset_builtin_glyphs, NULL };
