/* The configuration file. */
#include "server/config.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct config c;
    struct err e = { 0 };
    config_defaults(&c);
    if (config_text(&c, (const char *)data, size, &e)) {
        assert(e.code && strncmp(e.text, "line ", 5) == 0);
        return 0;
    }
    assert(c.listen[0] && c.data[0] && c.slots >= 0 && c.upload_max >= 1 && c.grace >= 0);
    assert(memchr(c.worker, 0, sizeof c.worker) && memchr(c.log_level, 0, sizeof c.log_level));
    return 0;
}
