// A folder of MNIST's form whose test part is the last `count` images of the training part: settings are chosen on those,
// so that the real test images are looked at once.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const parts = ['images-idx3-ubyte', 'labels-idx1-ubyte'];

function read(folder, name) {
  const packed = join(folder, `${name}.gz`);
  return existsSync(packed) ? gunzipSync(readFileSync(packed)) : readFileSync(join(folder, name));
}
// idx: a type whose last byte is the number of dimensions, the dimensions, bytes
function cut(idx, from, to) {
  const head = 4 + 4 * idx[3], each = (idx.length - head) / idx.readUInt32BE(4);
  const part = Buffer.concat([idx.subarray(0, head), idx.subarray(head + from * each, head + to * each)]);
  part.writeUInt32BE(to - from, 4);
  return part;
}

export function holdOut(folder, count, out) {
  mkdirSync(out, { recursive: true });
  for (const part of parts) {
    const all = read(folder, `train-${part}`), total = all.readUInt32BE(4);
    if (!(count > 0 && count < total)) throw new Error(`can't hold out ${count} of ${total} images`);
    writeFileSync(join(out, `train-${part}`), cut(all, 0, total - count));
    writeFileSync(join(out, `t10k-${part}`), cut(all, total - count, total));
  }
}
