#include "worker/data/member.h"

#include "worker/data/dataset.h"

#include <string.h>
#include <strings.h>

/* Zip files from Windows have backslashes; both separate components. */
#define SEPARATORS "/\\"

int member_check(const char *name, struct err *e)
{
    char shown[MEMBER_SHOWN];

    member_show(name, shown);
    if (*name == '\0')
        return err_set(e, ERR_INVALID, "a file in the archive has no name");
    if (strchr(SEPARATORS, *name) != NULL)
        return err_set(e, ERR_INVALID, "'%s' in the archive has an absolute name", shown);
    for (const char *p = name; *p != '\0'; p += strcspn(p, SEPARATORS), p += *p != '\0')
        if (strncmp(p, "..", 2) == 0 && (p[2] == '\0' || strchr(SEPARATORS, p[2]) != NULL))
            return err_set(e, ERR_INVALID, "'%s' in the archive leads out of it by '..'", shown);
    for (const char *p = name; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return err_set(e, ERR_INVALID, "'%s' in the archive has control characters in its name", shown);
    return 0;
}

void member_show(const char *name, char out[MEMBER_SHOWN])
{
    size_t length = strlen(name), n = 0;

    if (length >= MEMBER_SHOWN)
        name += length - (MEMBER_SHOWN - 1);
    for (; *name != '\0'; name++)
        out[n++] = (unsigned char)*name < 0x20 || (unsigned char)*name >= 0x7f ? '?' : *name;
    out[n] = '\0';
}

const char *member_base(const char *name)
{
    const char *base = name;

    for (const char *p = name; *p != '\0'; p++)
        if (strchr(SEPARATORS, *p) != NULL && p[1] != '\0')
            base = p + 1;
    return base;
}

bool member_hidden(const char *name)
{
    return *member_base(name) == '.' || strncmp(name, "__MACOSX/", 9) == 0;
}

bool member_has(const char *base, const char *word)
{
    return strcasestr(base, word) != NULL;
}

static int split_of_folder(const char *part, size_t length)
{
    if (length == 5 && strncasecmp(part, "train", length) == 0)
        return SPLIT_TRAIN;
    return length == 4 && strncasecmp(part, "test", length) == 0 ? SPLIT_TEST : -1;
}

int member_split_folder(const char *name, const char **below)
{
    const char *base = member_base(name);

    for (const char *p = name; p < base;) {
        size_t length = strcspn(p, SEPARATORS);
        int split = split_of_folder(p, length);
        p += length + strspn(p + length, SEPARATORS);
        if (split >= 0) {
            *below = p;
            return split;
        }
    }
    *below = name;
    return -1;
}

int member_split(const char *name)
{
    const char *below, *base = member_base(name);
    int split = member_split_folder(name, &below);

    if (split >= 0)
        return split;
    if (member_has(base, "train"))
        return SPLIT_TRAIN;
    return member_has(base, "t10k") || member_has(base, "test") ? SPLIT_TEST : -1;
}

#define HEAD(text) text, sizeof text - 1

static const struct {
    const char *head;
    size_t length;
    const char *kind;
    bool compressed;
} kinds[] = {
    { HEAD("\0\0\x08\x03"), "an IDX file of images", false },
    { HEAD("\0\0\x08\x01"), "an IDX file of labels", false },
    { HEAD("\x1f\x8b"), "a gzip file", true },
    { HEAD("BZh"), "a bzip2 file", true },
    { HEAD("\xfd"
           "7zXZ\0"),
      "an xz file", true },
    { HEAD("\x28\xb5\x2f\xfd"), "a zstd file", true },
    { HEAD("PK\x03\x04"), "a zip archive", false },
    { HEAD("\x93NUMPY"), "a NumPy array", false },
    { HEAD("\x89PNG"), "a PNG image", false },
    { HEAD("\xff\xd8\xff"), "a JPEG image", false },
    { HEAD("BM"), "a BMP image", false },
    { HEAD("GIF8"), "a GIF image", false },
    { HEAD("II*\0"), "a TIFF image", false },
    { HEAD("MM\0*"), "a TIFF image", false },
    { HEAD("RIFF"), "a WebP image, or another RIFF file", false },
    { HEAD("\x80\x02"), "a Python pickle", false },
    { HEAD("\x80\x04"), "a Python pickle", false },
    { HEAD("<"), "HTML or XML text", false },
    { HEAD("{"), "JSON text", false },
};

static const int kind_count = sizeof kinds / sizeof *kinds;

static int kind_find(const uint8_t *head, size_t length)
{
    for (int i = 0; i < kind_count; i++)
        if (length >= kinds[i].length && memcmp(head, kinds[i].head, kinds[i].length) == 0)
            return i;
    return kind_count;
}

const char *member_kind(const uint8_t *head, size_t length)
{
    int i = kind_find(head, length);

    if (i < kind_count)
        return kinds[i].kind;
    if (length == 0)
        return "an empty file";
    for (size_t k = 0; k < length; k++)
        if (head[k] != 0)
            return "a file of unknown kind";
    return "an empty tar archive, or other zeros";
}

bool member_compressed(const uint8_t *head, size_t length)
{
    int i = kind_find(head, length);

    return i < kind_count && kinds[i].compressed;
}
