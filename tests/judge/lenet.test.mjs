// The judge itself is right: it counts on the shared float model what its makers counted.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { judgeTop1 } from './judge.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const data = process.env.QUANTD_DATA ?? join(root, '..', 'shared', 'data');
const mnist = join(data, 'mnist'), model = join(data, 'models', 'lenet5_mnist.onnx');
const skip = existsSync(mnist) && existsSync(model) ? false : `SKIP: no MNIST or model below ${data}`;
if (skip) console.log(skip);

test('ONNX Runtime finds 9930 of 10000 with the float LeNet-5', { skip }, async () => {
  const { correct, samples, predicted } = await judgeTop1(model, mnist);
  assert.equal(samples, 10000);
  assert.equal(predicted.length, 10000);
  assert.equal(correct, 9930);
});

test('a limit takes the first images, and the batch size changes nothing', { skip }, async () => {
  const some = await judgeTop1(model, mnist, 130, 500);
  const small = await judgeTop1(model, mnist, 130, 7);
  assert.equal(some.samples, 130);
  assert.deepEqual(small.predicted, some.predicted);
});
