/* The check before unpacking: whatever it lets through, protobuf-c must digest. */
#include "worker/onnx/onnx.h"
#include "worker/onnx/pb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = { 0 };
    if (pb_check(data, size, &e) == 0) {
        Onnx__ModelProto *m = onnx__model_proto__unpack(NULL, size, data);
        if (m)
            onnx__model_proto__free_unpacked(m, NULL);
    }
    return 0;
}
