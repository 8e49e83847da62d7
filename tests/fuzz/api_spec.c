/* A job specification as a client sends it: parse, complete, check. What was completed once is complete. */
#include "api/document.h"
#include "api/spec.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static const json_t *capabilities(void)
{
    static json_t *loaded; /* kept for the life of the process */

    if (!loaded)
        loaded = json_load_file("tests/unit/api_capabilities.json", 0, NULL);
    assert(loaded);
    return loaded;
}

static void check_texts(const struct spec_problems *p)
{
    for (int i = 0; i < p->count; i++)
        assert(p->problem[i].code[0] && p->problem[i].detail[0]);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    json_t *given, *spec = NULL, *again = NULL;
    struct spec_problems p = { .count = 0 };

    if (document_parse((const char *)data, size, &given, NULL) < 0)
        return 0;
    if (spec_complete(capabilities(), given, &spec, &p) == 0) {
        assert(p.count == 0);
        assert(spec_complete(capabilities(), spec, &again, &p) == 0 && json_equal(spec, again));
        spec_check_overrides(spec, spec_at(capabilities(), "/zoo/0/layers"), &p);
    } else {
        assert(p.count > 0 && !spec);
    }
    check_texts(&p);
    json_decref(given);
    json_decref(spec);
    json_decref(again);
    return 0;
}
