/* inspect_dataset.h - what `quantd-worker inspect dataset` says about a file. */
#ifndef WORKER_INSPECT_DATASET_H
#define WORKER_INSPECT_DATASET_H

#include "base/err.h"

#include <jansson.h>

/* {"format","shape":[C,H,W],"classes","train","test"}; json_decref(*out). Images that are no classes (of
 * several sizes, or in no folders) have the shape [C,"H","W"] and 0 classes. Reads all of it, so that a job
 * does not find out later. format as in dataset_load. The caller is in the sandbox already. */
int inspect_dataset(const char *path, const char *format, json_t **out, struct err *e);

#endif
