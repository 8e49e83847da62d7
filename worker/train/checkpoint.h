/* checkpoint.h - everything that training needs to go on with the same bits, in one file replaced atomically.
 *
 *   "QDCP" version:u32 spec:32 bytes   position   parameters   moments   quantizers' state
 *   state and masks of pruning   crc:u32
 *
 * Native byte order: a checkpoint is continued on the machine kind that wrote it. It is bound to the
 * specification by its SHA-256: another job's checkpoint is refused. */
#ifndef WORKER_TRAIN_CHECKPOINT_H
#define WORKER_TRAIN_CHECKPOINT_H

#include "base/hash.h"
#include "worker/train/trainer.h"

int checkpoint_save(const char *path, const unsigned char spec[HASH_BYTES], const struct trainer *t,
                    struct err *e);
/* 0; ERR_NOT_FOUND when there is none; ERR_CORRUPT when it is damaged or another job's (nothing is changed
 * then). */
int checkpoint_load(const char *path, const unsigned char spec[HASH_BYTES], struct trainer *t, struct err *e);

#endif
