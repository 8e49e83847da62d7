/* zoo.c - from a reference to a network. */
#include "worker/zoo/zoo.h"

#include "base/variant.h"
#include "worker/zoo/build.h"

#include <string.h>

const struct zoo *zoo_find(const char *name)
{
    for (const struct zoo *const *z = zoo_list; *z; ++z)
        if (strcmp((*z)->name, name) == 0)
            return *z;
    return NULL;
}

static int check_range(const char *name, const char *what, int value, int low, int high, struct err *e)
{
    if (value >= low && value <= high)
        return 0;
    return err_set(e, ERR_INVALID, "zoo:%s takes %s from %d to %d, not %d", name, what, low, high, value);
}

static int check(const struct zoo_request *r, struct err *e)
{
    const struct zoo *z = r->zoo;
    int bad = check_range(z->name, "channels", r->channels, 1, ZOO_CHANNELS, e);
    if (!bad)
        bad = check_range(z->name, "heights", r->height, z->smallest, ZOO_SIDE, e);
    if (!bad)
        bad = check_range(z->name, "widths", r->width, z->smallest, ZOO_SIDE, e);
    if (!bad && z->scale && r->classes)
        return err_set(e, ERR_INVALID, "zoo:%s makes images: it has no classes", z->name);
    return bad || z->scale ? bad : check_range(z->name, "classes", r->classes, 1, ZOO_CLASSES, e);
}

int zoo_parse(const char *reference, struct zoo_request *r, struct err *e)
{
    struct variant v;
    *r = (struct zoo_request){ 0 };
    if (!variant_parse(reference, &v))
        return err_set(e, ERR_INVALID, "\"%.80s\" is not of the form NAME[@CxHxW][/CLASSES]", reference);
    const struct zoo *z = zoo_find(v.name);
    if (!z)
        return err_set(e, ERR_NOT_FOUND, "the zoo has no %s", v.name);
    *r = (struct zoo_request){
        .zoo = z,
        .channels = v.channels ? v.channels : z->channels,
        .height = v.height ? v.height : z->height,
        .width = v.width ? v.width : z->width,
        .classes = v.classes ? v.classes : z->classes,
        .seed = 1,
    };
    return check(r, e);
}

static int make(const struct zoo_request *r, size_t parameters, struct graph **g, struct err *e)
{
    struct zoo_build b;
    zoo_start(&b, r, parameters, e);
    r->zoo->layers(&b);
    return zoo_done(&b, g);
}

/* First without numbers, which costs little and tells how many there will be: they get one block of that
 * size. */
int zoo_make(const struct zoo_request *r, struct graph **g, struct err *e)
{
    struct zoo_request hollow = *r;
    hollow.hollow = true;
    const int bad = make(&hollow, 0, g, e);
    if (bad || r->hollow)
        return bad;
    const size_t parameters = (*g)->param_count, bytes = parameters * sizeof *(*g)->param;
    graph_free(*g);
    *g = NULL;
    if (r->limit && bytes > r->limit)
        return err_set(e, ERR_MEMORY, "The parameters of zoo:%s take %zu MB; %zu MB are allowed",
                       r->zoo->name, bytes >> 20, r->limit >> 20);
    return make(r, parameters, g, e);
}

int zoo_graph(const char *reference, uint64_t seed, struct graph **g, struct err *e)
{
    struct zoo_request r;
    *g = NULL;
    const int bad = zoo_parse(reference, &r, e);
    r.seed = seed;
    return bad ? bad : zoo_make(&r, g, e);
}
