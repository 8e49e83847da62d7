// An ONNX file of 100 MB, written byte by byte: a convolution, then two dense layers with nearly all the weights.

/** Protocol buffers: a number, and bytes, a string or a message (all length-delimited). */
function varint(n) {
  const out = [];
  for (; n >= 128; n = Math.floor(n / 128)) out.push(n % 128 | 128);
  return Buffer.from([...out, n]);
}
const number = (field, n) => Buffer.concat([varint(field * 8), varint(n)]);
function bytes(field, ...parts) {
  const body = Buffer.concat(parts.map((p) => (typeof p === 'string' ? Buffer.from(p) : p)));
  return Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);
}

/** Weights of standard deviation sqrt(2 / fan-in), uniform, from a counter. */
function weights(count, fanIn) {
  const w = new Float32Array(count), width = 2 * Math.sqrt(6 / fanIn);
  for (let i = 0, state = count; i < count && fanIn; i++) w[i] = (((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32) - 0.5) * width;
  return Buffer.from(w.buffer);
}
const tensor = (name, shape, fanIn) =>
  bytes(5, ...shape.map((d) => number(1, d)), number(2, 1), bytes(8, name), bytes(9, weights(shape.reduce((a, b) => a * b), fanIn)));
const ints = (name, list) => bytes(5, bytes(1, name), ...list.map((v) => number(8, v)), number(20, 7));
const one = (name, v) => bytes(5, bytes(1, name), number(3, v), number(20, 2));
const node = (op, name, inputs, output, ...attributes) =>
  bytes(1, ...inputs.map((i) => bytes(1, i)), bytes(2, output), bytes(3, name), bytes(4, op), ...attributes);
const dimension = (d) => bytes(1, typeof d === 'string' ? bytes(2, d) : number(1, d));
const value = (field, name, shape) => bytes(field, bytes(1, name), bytes(2, bytes(1, number(1, 1), bytes(2, ...shape.map(dimension)))));

/** Images of 3 x side x side to classes: convolution 16x16 step 16 to 16 channels, then 5,120 and `classes` units, and as many
 * units in between as make 100 MB. Returns the file. */
export function denseModel({ side, classes }) {
  const features = 16 * (side / 16) ** 2, units = 5120;
  const between = Math.round((25e6 - features * units) / units);
  const graph = bytes(7,
    node('Conv', 'conv', ['x', 'conv.w', 'conv.b'], 'c', ints('kernel_shape', [16, 16]), ints('strides', [16, 16])),
    node('Relu', 'relu0', ['c'], 'r0'), node('Flatten', 'flatten', ['r0'], 'f'),
    node('Gemm', 'fc1', ['f', 'fc1.w', 'fc1.b'], 'd1', one('transB', 1)), node('Relu', 'relu1', ['d1'], 'r1'),
    node('Gemm', 'fc2', ['r1', 'fc2.w', 'fc2.b'], 'd2', one('transB', 1)), node('Relu', 'relu2', ['d2'], 'r2'),
    node('Gemm', 'fc3', ['r2', 'fc3.w', 'fc3.b'], 'y', one('transB', 1)),
    bytes(2, 'large'),
    tensor('conv.w', [16, 3, 16, 16], 768), tensor('conv.b', [16], 0),
    tensor('fc1.w', [units, features], features), tensor('fc1.b', [units], 0),
    tensor('fc2.w', [between, units], units), tensor('fc2.b', [between], 0),
    tensor('fc3.w', [classes, between], between), tensor('fc3.b', [classes], 0),
    value(11, 'x', ['N', 3, side, side]), value(12, 'y', ['N', classes]));
  return Buffer.concat([number(1, 7), graph, bytes(8, bytes(1, ''), number(2, 13))]);
}
