/* text.h - bytes of the server made fit for a terminal, and figures in the words that people read. */
#ifndef API_CLIENT_TEXT_H
#define API_CLIENT_TEXT_H

#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>

#define TEXT_SHORT 32

/* Append text without control characters (C0, DEL, C1, bidirectional overrides); bytes that are no UTF-8
 * become '?'. Line ends and tabs stay when `lines`, else they become blanks. */
void text_clean(struct buf *out, const char *text, size_t length, bool lines);

/* The same straight to a stream. */
void text_put(FILE *out, const char *text, bool lines);

size_t text_width(const char *text); /* columns: code points of UTF-8 */

const char *text_bytes(int64_t bytes, char out[TEXT_SHORT]);     /* "1.6 MiB" */
const char *text_duration(double seconds, char out[TEXT_SHORT]); /* "3 min 12 s"; "-" when negative */
const char *text_age(const char *iso, char out[TEXT_SHORT]);     /* "5 h" since then; "-" when NULL */
/* "98.97 %" for top1, "33.12 dB" for psnr_db, else plain. */
const char *text_metric(const char *metric, double value, char out[TEXT_SHORT]);

#endif
