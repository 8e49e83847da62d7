/* stream.h - what the counter-based random numbers of a job are for. Stream = purpose << 32 | epoch or node.
 */
#ifndef WORKER_TRAIN_STREAM_H
#define WORKER_TRAIN_STREAM_H

#include <stdint.h>

enum stream_purpose {
    STREAM_ORDER = 1,
    STREAM_AUGMENT,
    STREAM_SPLIT,
    STREAM_INIT,
    STREAM_CALIBRATE,
    STREAM_PATCH
};

static inline uint64_t stream_of(enum stream_purpose purpose, uint64_t part)
{
    return (uint64_t)purpose << 32 | part;
}

#endif
