/* asset.h - what the API calls the two kinds of asset. */
#ifndef API_ASSET_H
#define API_ASSET_H

#include "storage/asset.h"

struct asset_words {
    const char *noun;       /* what the inspector calls one */
    const char *collection; /* "/v1/models" */
    const char *suffix;     /* of the file's name when its content is fetched */
};

extern const struct asset_words asset_words[ASSET_KIND_COUNT];

#endif
