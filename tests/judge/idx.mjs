// idx.mjs - MNIST's files: big-endian header, then bytes; plain or gzip.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const IMAGES = 2051, LABELS = 2049; // magic numbers

function load(dir, name) {
  const path = [join(dir, name), join(dir, `${name}.gz`)].find(existsSync);
  if (!path) throw new Error(`${join(dir, name)}[.gz] is not there`);
  const bytes = readFileSync(path);
  return path.endsWith('.gz') ? gunzipSync(bytes) : bytes;
}

function header(bytes, magic, axes, name) {
  const number = (i) => bytes.readUInt32BE(4 * i);
  if (number(0) !== magic) throw new Error(`${name}: magic number ${number(0)}, not ${magic}`);
  return Array.from({ length: axes }, (_, i) => number(i + 1));
}

// The test split: { images: Uint8Array of count*size, labels: Uint8Array, count, height, width }.
export function readTest(dir) {
  const pixels = load(dir, 't10k-images-idx3-ubyte'), classes = load(dir, 't10k-labels-idx1-ubyte');
  const [count, height, width] = header(pixels, IMAGES, 3, 'images');
  const [labels] = header(classes, LABELS, 1, 'labels');
  if (count !== labels) throw new Error(`${count} images, ${labels} labels`);
  return { images: pixels.subarray(16), labels: classes.subarray(8), count, height, width };
}
