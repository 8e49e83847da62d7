/* text_typical.c - two small networks and common words in the form of a skeleton: what the model of text.c
 * has read before the first byte. Part of the file format: it may not change within a version. */
#include "worker/coder/text.h"

/* clang-format off */
const char text_typical[] =
    "\4norm\4pool\7dropout\7softmax\10features\12classifier\12downsample\4stem\4head\16layer1.0.conv1"
    "\16layer2.0.conv2\3bn1\14running_mean\13running_var\23num_batches_tracked\5block\5gamma\4beta\5scale"
    "\4axes\5value\4mode\4size\7MaxPool\13AveragePool\21GlobalAveragePool\11ceil_mode\21count_include_pad"
    "\10auto_pad\6NOTSET\10Identity\7Reshape\7Squeeze\11Unsqueeze\11Transpose\4perm\6Concat\4axis\3Add\3Mul"
    "\3Sub\3Div\7Sigmoid\4Tanh\11LeakyRelu\5PRelu\4Clip\3Pad\6MatMul\4Gemm\5alpha\6transA\6transB\7Softmax"
    "\12LogSoftmax\7Dropout\5ratio\15ConvTranspose\16output_padding\14DepthToSpace\11blocksize\3CRD"
    "\12ReduceMean\10keepdims\6resnet\15\1\023\0\5input\3\3  \6\14conv1.weight\4\20\20\3\003\1\5conv1"
    "\6\12bn1.weight\1\020\6\10bn1.bias\1\020\2\20bn1.running_mean\1\020\2\17bn1.running_var\1\020\1\3bn1"
    "\1\10bn1/Relu\1\7bn1/Add\6\25layer1.0.conv1.weight\4\20\20\3\003\1\16layer1.0.conv1"
    "\6\23layer1.0.bn1.weight\1\020\6\21layer1.0.bn1.bias\1\020\2\31layer1.0.bn1.running_mean\1\020"
    "\2\30layer1.0.bn1.running_var\1\020\1\14layer1.0.bn1\1\21layer1.0.bn1/Relu\1\20layer1.0.bn1/Add"
    "\10\4Conv\5conv1\2\0\2\1\2\5\11dilations\3\2\2\2\5group\0\2\14kernel_shape\3\2\6\6\4pads\3\4\2\2\2\2\7st"
    "rides\3\2\2\002"
    "\22BatchNormalization\3bn1\5\0\2\2\2\2\1\2\2\7epsilon\1\361h\343\210\265\370\344>\10momentum\1\315\314"
    "\314\314\314\314\354\077\4Relu\10bn1/Relu\1\0\1\2\000\3Add\7bn1/Add\2\1\11\1\16\000"
    "\4Conv\16layer1.0.conv1\2\21\24\1\2\5\11dilations\3\2\2\2\5group\0\2\14kernel_shape\3\2\6\6\4pads\3\4\2"
    "\2\2\2\7strides\3\2\2\002"
    "\22BatchNormalization\14layer1.0.bn1\5\0\2\2\2\2\1\2\2\7epsilon\1\361h\343\210\265\370\344>\10momentum\1"
    "\315\314\314\314\314\314\354\077\4Relu\21layer1.0.bn1/Relu\1\0\1\2\000"
    "\3Add\20layer1.0.bn1/Add\2\1\11\1\16\000\1\025\3net\15\1\031\0\5input\3\1\34\034\6\12input.step\1\001"
    "\1\16input/Quantize\6\14conv1.weight\4\24\1\5\005\6\12conv1.bias\1\024\1\5conv1\1\5pool1"
    "\6\12pool1.step\1\001\1\16pool1/Quantize\6\14conv2.weight\0042\24\5\005\6\12conv2.bias\0012\1\5conv2"
    "\1\5pool2\1\7flatten\6\14flatten.step\1\001\1\20flatten/Quantize\6\12fc1.weight\2\364\3\240\006"
    "\6\10fc1.bias\1\364\003\1\3fc1\1\5relu1\6\12relu1.step\1\001\1\16relu1/Quantize"
    "\6\12fc2.weight\2\12\364\003\6\10fc2.bias\1\012\1\6output"
    "\14\17QuantdFakeQuant\16input/Quantize\2\0\2\1\2\2\3low\0\0\4high\0\376\003"
    "\4Conv\5conv1\3\0\2\2\1\2\5\14kernel_shape\3\2\12\12\7strides\3\2\2\2\4pads\3\4\0\0\0\0\11dilations\3\2"
    "\2\2\5group\0\002\7MaxPool\5pool1\1\0\1\2\2\14kernel_shape\3\2\4\4\7strides\3\2\4\004"
    "\17QuantdFakeQuant\16pool1/Quantize\2\0\2\1\2\2\3low\0\0\4high\0\376\003"
    "\4Conv\5conv2\3\0\2\2\1\2\5\14kernel_shape\3\2\12\12\7strides\3\2\2\2\4pads\3\4\0\0\0\0\11dilations\3\2"
    "\2\2\5group\0\002\7MaxPool\5pool2\1\0\1\2\2\14kernel_shape\3\2\4\4\7strides\3\2\4\004"
    "\7Flatten\7flatten\1\0\1\2\1\4axis\0\002"
    "\17QuantdFakeQuant\20flatten/Quantize\2\0\2\1\2\2\3low\0\0\4high\0\376\003"
    "\4Gemm\3fc1\3\0\2\2\1\2\1\6transB\0\002\4Relu\5relu1\1\0\1\2\000"
    "\17QuantdFakeQuant\16relu1/Quantize\2\0\2\1\2\2\3low\0\0\4high\0\376\003"
    "\4Gemm\3fc2\3\0\2\2\1\2\1\6transB\0\002\1\000";
/* clang-format on */

const size_t text_typical_length = sizeof text_typical - 1;
