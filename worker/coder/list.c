/* list.c - the coders that a job may name. Adding one is one file and one line here; param.c gives it the
 * number that files carry. */
#include "worker/coder/coder_impl.h"

#include <string.h>

const struct coder *const coder_list[] = { &coder_cabac, &coder_huffman, &coder_bzip2, &coder_raw, NULL };

const struct coder *coder_find(const char *name)
{
    for (int i = 0; name && coder_list[i]; i++)
        if (!strcmp(coder_list[i]->name, name))
            return coder_list[i];
    return NULL;
}
