/* One line of events.jsonl, and the same as an event of a stream. */
#include "api/event.h"
#include "api/stream.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct worker_event ev;
    struct event stored = { .seq = 1, .job = 2, .type = "log" };
    struct err e = { 0 };
    struct buf b;

    if (worker_event_parse((const char *)data, size, &ev, &e) < 0) {
        assert(e.code == ERR_CORRUPT && e.text[0]);
        return 0;
    }
    assert(ev.seq >= 1 && ev.time_ms >= 0 && ev.attempt >= 0 && ev.step >= 0 && ev.steps >= 0);
    assert(isfinite(ev.value) && isfinite(ev.eta_s) && strlen(ev.series) < sizeof ev.series);
    stored.data = json_dumps(ev.object, 0);
    buf_init(&b, 0);
    assert(stream_format(&stored, &b) == 0);
    /* Nothing in the data can end the event early. */
    assert(strstr(b.data, "\n\n") == b.data + b.length - 2);
    buf_free(&b);
    free(stored.data);
    worker_event_release(&ev);
    return 0;
}
