/* npy_header.h - the header of a NumPy array file: a Python dict literal with three keys.
 *
 *     "\x93NUMPY", u8 major, u8 minor, u16 (major 1) or u32 length, then {'descr': '<f4', 'fortran_order':
 * False, 'shape': (60000, 28, 28), } padded with blanks, then the elements */
#ifndef WORKER_DATA_NPY_HEADER_H
#define WORKER_DATA_NPY_HEADER_H

#include "worker/data/source.h"

#define NPY_DIMS_MAX 8

struct npy_header {
    char type[16]; /* descr as it stands, for errors: "<f4" */
    char kind;     /* 'u', 'i', 'f', 'b' ... */
    int size;      /* bytes of an element, 1 .. 16 */
    bool big;      /* big-endian, and more than one byte */
    bool fortran;  /* first index fastest, and more than one dimension */
    int dims;
    int64_t shape[NPY_DIMS_MAX];
    char shape_text[100]; /* "(60000, 28, 28)" */
};

bool npy_probe(const uint8_t *head, size_t length);

/* Reads up to the first element. ERR_CORRUPT for damage, ERR_UNSUPPORTED for records and object arrays; the
 * place is the member and the offset of the fault. */
int npy_header_read(struct source *in, struct npy_header *h, struct err *e);

#endif
