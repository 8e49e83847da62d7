/* page.h - cursor paging: newest first, `limit` (1..200), an opaque `cursor`, and the path of the next page.
 */
#ifndef API_PAGE_H
#define API_PAGE_H

#include "api/exchange.h"

struct page {
    int64_t before; /* ids below this; 0: from the newest */
    int limit;
};

/* Read ?limit= and ?cursor=. ERR_SYNTAX names the one that is wrong. */
int page_read(const struct exchange *x, struct page *page, struct err *e);

/* Ask storage for limit + 1 rows: so many of the `count` that came are on this page. */
int page_shown(const struct page *page, int count);

/* Answer {"items": items, "next": ...} (reference taken); more says whether there was a row left over,
 * last_id is the id of the last item shown. */
void page_answer(struct exchange *x, const struct page *page, json_t *items, bool more, int64_t last_id);

#endif
