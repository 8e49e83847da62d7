// judge.mjs - ONNX Runtime's opinion of a file. It shares no code with quantd: what it measures is what a user gets.
import { readFileSync } from 'node:fs';
import * as ort from 'onnxruntime-web';
import { readTest } from './idx.mjs';

const BATCH = 500;

ort.env.wasm.numThreads = 1;

async function open(onnxPath) {
  // Optimization would fuse QuantizeLinear pairs into integer kernels: the file is judged as it is written.
  return ort.InferenceSession.create(readFileSync(onnxPath), {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'disabled',
  });
}

// Pixels as networks are fed them, every step rounded to a float: p / 255, less a mean, over a deviation.
function table(mean, std) {
  const f = Math.fround;
  return Float32Array.from({ length: 256 }, (_, p) => f(f(f(p / 255) - f(mean)) / f(std)));
}

function largest(scores, from, classes) {
  let best = 0;
  for (let k = 1; k < classes; k++) if (scores[from + k] > scores[from + best]) best = k;
  return best;
}

async function classify(session, data, first, count) {
  const channels = data.mean.length, plane = data.height * data.width, size = channels * plane;
  const numbers = data.mean.map((mean, c) => table(mean, data.std[c]));
  const pixels = Float32Array.from(data.images.subarray(first * size, (first + count) * size),
    (p, i) => numbers[Math.floor(i / plane) % channels][p]);
  const input = new ort.Tensor('float32', pixels, [count, channels, data.height, data.width]);
  const output = (await session.run({ [session.inputNames[0]]: input }))[session.outputNames[0]];
  const classes = output.dims.at(-1);
  return Array.from({ length: count }, (_, i) => largest(output.data, i * classes, classes));
}

// Classify test images, pixels divided by 255. source: a directory with MNIST's files, or { images, labels, height, width,
// mean, std }, channel by channel, mean and std of each. limit: only the first so many; batch: images at once.
// Returns { correct, samples, predicted }.
export async function judgeTop1(onnxPath, source, limit = Infinity, batch = BATCH) {
  const data = typeof source === 'string' ? { mean: [0], std: [1], ...readTest(source) } : { height: 28, width: 28, mean: [0], std: [1], ...source };
  const samples = Math.min(limit, data.labels.length);
  const session = await open(onnxPath);
  const predicted = [];
  for (let first = 0; first < samples; first += batch)
    predicted.push(...(await classify(session, data, first, Math.min(batch, samples - first))));
  await session.release();
  const correct = predicted.filter((k, i) => k === data.labels[i]).length;
  return { correct, samples, predicted };
}
