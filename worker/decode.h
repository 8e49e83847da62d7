/* decode.h - `quantd-worker decode`: a .qdz file back to the ONNX file that it was made from. */
#ifndef WORKER_DECODE_H
#define WORKER_DECODE_H

int decode_file(const char *input, const char *output); /* the process's exit code; errors go to stderr */

#endif
