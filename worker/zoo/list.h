/* list.h - every architecture: one file and one line here and in list.c. */
#ifndef WORKER_ZOO_LIST_H
#define WORKER_ZOO_LIST_H

#include "worker/zoo/zoo.h"

extern const struct zoo zoo_lenet5;

#endif
