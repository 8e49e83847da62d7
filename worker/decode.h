/* decode.h - `quantd-worker decode`: a .qdz file back to the ONNX file that it was made from. */
#ifndef WORKER_DECODE_H
#define WORKER_DECODE_H

#include <stdbool.h>

/* fold: normalizations become a part of their layers (quant/fold.h); exact: that, and scales of few bits
 * (quant/exact.h): as a job does that is asked to. Returns the process's exit code; errors, and nodes that
 * are not exact, go to stderr. */
int decode_file(const char *input, const char *output, bool fold, bool exact);

#endif
