#include "worker/data/picture.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum picture picture_probe(const char *member, const uint8_t *head, size_t length)
{
    static const char *const endings[] = {
        ".png", ".bmp", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".webp"
    };
    const char *dot = strrchr(member_base(member), '.');

    if (image_probe(head, length) != NULL)
        return PICTURE_YES;
    for (size_t i = 0; dot != NULL && i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot, endings[i]) == 0)
            return PICTURE_OTHER;
    return PICTURE_NO;
}

int picture_read(struct source *in, size_t limit, struct image *image, struct err *e)
{
    uint8_t *data;
    size_t length;

    *image = (struct image){ 0 };
    if (image_probe(in->head, in->head_length) == NULL) {
        err_set(e, ERR_UNSUPPORTED, "'%s' looks like %s; PNG and BMP are read", in->shown,
                member_kind(in->head, in->head_length));
        return source_at(in, 0, e);
    }
    int r = source_rest(in, &data, &length, e);
    if (r < 0)
        return r;
    r = image_read(in->shown, data, length, limit, image, e);
    free(data);
    return r;
}
