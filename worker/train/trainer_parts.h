/* trainer_parts.h - trainer.c's share of trainer_update.c. */
#ifndef WORKER_TRAIN_TRAINER_PARTS_H
#define WORKER_TRAIN_TRAINER_PARTS_H

#include "worker/train/trainer.h"

/* t->piece: the fixed cut of all trainable parameters. 0 or ERR_NOMEM. */
int trainer_cut(struct trainer *t, struct err *e);
/* Moves everything that learns at this rate, from the gradients of the net's last pass. */
void trainer_update(struct trainer *t, double rate);

#endif
