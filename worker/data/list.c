#include "worker/data/list.h"

const struct dataset_format *const dataset_formats[] = { &dataset_format_idx, &dataset_format_cifar,
                                                         &dataset_format_npy, &dataset_format_images, NULL };

const struct dataset_builtin *const dataset_builtins[] = { &dataset_builtin_glyphs, NULL };
