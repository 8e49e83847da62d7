/* list.h - the formats and built-in data sets by name; everybody else goes through the lists of dataset.h. */
#ifndef WORKER_DATA_LIST_H
#define WORKER_DATA_LIST_H

#include "worker/data/dataset.h"

extern const struct dataset_format dataset_format_idx, dataset_format_cifar, dataset_format_npy,
    dataset_format_images;
extern const struct dataset_builtin dataset_builtin_glyphs;

#endif
