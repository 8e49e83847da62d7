// What a quantize job exports is judged by ONNX Runtime, which shares no code with us: the same top-1 as re-scored here.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startQuantd, api, waitState, dataDir } from '../lib/quantd.mjs';
import { npy, tar } from '../lib/files.mjs';
import { readTest } from './idx.mjs';
import { judgeTop1 } from './judge.mjs';

const data = dataDir();
const skip = data ? false : 'SKIP: no real data';
const octets = { 'content-type': 'application/octet-stream' };
let daemon, scratch;

before(async () => {
  if (skip) return;
  daemon = await startQuantd();
  scratch = mkdtempSync(join(tmpdir(), 'quantd-judge-'));
  execFileSync('tar', ['cf', join(scratch, 'mnist.tar'), '-C', data, 'mnist']);
  const model = await api(daemon.url, 'POST', '/v1/models?name=lenet', readFileSync(join(data, 'models/lenet5_mnist.onnx')), octets);
  const set = await api(daemon.url, 'POST', '/v1/datasets?name=mnist', readFileSync(join(scratch, 'mnist.tar')), octets);
  assert.deepEqual([model.status, set.status], [201, 201]);
});
after(async () => {
  await daemon?.stop();
  if (scratch) rmSync(scratch, { recursive: true, force: true });
});

// The end of an evaluate job by an engine, of a model that a job wrote.
async function evaluated(engine, job, onnx, dataset = 'mnist') {
  const model = await api(daemon.url, 'POST', `/v1/models?name=quantized${job}`, onnx, octets);
  const { body } = await api(daemon.url, 'POST', '/v1/jobs', JSON.stringify({ kind: 'evaluate', engine,
    model: model.body.sha256, dataset, resources: { cpus: 2 } }), { 'content-type': 'application/json' });
  return waitState(daemon.url, body.id, ['succeeded', 'failed', 'parked'], 300000);
}

// The class of every image, and the result.
async function engineClasses(engine, job, onnx, dataset) {
  const done = await evaluated(engine, job, onnx, dataset);
  assert.equal(done.state, 'succeeded', done.reason);
  const csv = await (await fetch(`${daemon.url}/v1/jobs/${done.id}/artifacts/classes.csv`)).text();
  const classes = csv.trim().split('\n').slice(1).map((line) => Number(line.split(',')[2]));
  return { classes, result: (await api(daemon.url, 'GET', `/v1/jobs/${done.id}`)).body.result };
}

// widths with and without a Clip between QuantizeLinear and DequantizeLinear; signed and unsigned activations; a scale for
// each output channel, of weights and of biases; bases and levels, which the integer engine does not run
for (const [method, bits, activations, grid, outer, granularity] of [
  ['msqe', 2, 8, 'sym', 8], ['msqe', 3, 4, 'midrise', 4], ['lsq', 2, 2, 'twos', 8, 'channel'], ['lsq', 2, 2, 'midrise', 8], ['lq-nets', 2, 2, 'sym', 8]])
  test(`${method} W${bits}/A${activations} ${grid}, first and last at least ${outer} bits`, { skip }, async () => {
    const { status, body } = await api(daemon.url, 'POST', '/v1/jobs', JSON.stringify({
      kind: 'quantize', model: 'lenet', dataset: 'mnist',
      quantize: { method, weights: { bits, grid, ...(granularity && { granularity }) }, activations: { bits: activations }, first_last_bits: outer },
      train: { epochs: 1, batch_size: 128 }, resources: { cpus: 2 },
    }), { 'content-type': 'application/json' });
    assert.equal(status, 202, JSON.stringify(body));
    const done = await waitState(daemon.url, body.id, ['succeeded', 'failed', 'parked'], 300000);
    assert.equal(done.state, 'succeeded', done.reason);
    const { result } = (await api(daemon.url, 'GET', `/v1/jobs/${body.id}`)).body;
    const file = join(scratch, 'model.onnx');
    writeFileSync(file, Buffer.from(await (await fetch(`${daemon.url}/v1/jobs/${body.id}/artifacts/model.onnx`)).arrayBuffer()));
    const judged = await judgeTop1(file, join(data, 'mnist'));
    assert.equal(judged.samples, 10000);
    assert.ok(Math.abs(judged.correct - result.correct) <= 1, `onnxruntime ${judged.correct}, ours ${result.correct}`);
    assert.ok(result.value > 0.975, `${result.value}`);
    if (method === 'lq-nets') {
      const refused = await evaluated('integer', body.id, readFileSync(file));
      assert.equal(refused.state, 'failed');
      assert.match(refused.reason, /engine bits.*QuantdLevels/);
      const { classes, result: by } = await engineClasses('bits', body.id, readFileSync(file));
      const others = classes.filter((c, i) => c !== judged.predicted[i]).length;
      assert.equal(classes.length, 10000);
      assert.equal(by.bit_layers, 2);
      assert.ok(others <= 3, `${others} classes differ`); // a number at a threshold, to the last bit of a float
      return;
    }
    const integer = await engineClasses('integer', body.id, readFileSync(file));
    assert.deepEqual(integer.classes, judged.predicted);
    const bit = await engineClasses('bits', body.id, readFileSync(file));
    assert.deepEqual(bit.classes, integer.classes);
    assert.equal(bit.result.bit_layers > 0, activations <= 4);
  });

test('scales of few bits: every class is ours, of every width', { skip }, async () => {
  for (const [weights, activations] of [[8, 8], [4, 4], [2, 8]]) {
    const { body } = await api(daemon.url, 'POST', '/v1/jobs', JSON.stringify({
      kind: 'quantize', model: 'lenet', dataset: 'mnist', export: { exact: true },
      quantize: { method: 'msqe', weights: { bits: weights }, activations: { bits: activations } }, train: { epochs: 1, batch_size: 128 },
      resources: { cpus: 2 },
    }), { 'content-type': 'application/json' });
    const done = await waitState(daemon.url, body.id, ['succeeded', 'failed', 'parked'], 300000);
    assert.equal(done.state, 'succeeded', done.reason);
    const { result } = (await api(daemon.url, 'GET', `/v1/jobs/${body.id}`)).body;
    assert.equal(result.exact_layers, 4);
    const file = join(scratch, 'exact.onnx');
    writeFileSync(file, Buffer.from(await (await fetch(`${daemon.url}/v1/jobs/${body.id}/artifacts/model.onnx`)).arrayBuffer()));
    const judged = await judgeTop1(file, join(data, 'mnist'));
    assert.equal(judged.correct, result.correct);
    for (const engine of ['integer', 'float'])
      assert.deepEqual((await engineClasses(engine, `${body.id}${engine}`, readFileSync(file))).classes, judged.predicted);
  }
});

test('normalizations that have become a part of their layers', { skip }, async () => {
  const { images, labels } = readTest(join(data, 'mnist')), count = 100, folder = join(scratch, 'hundred');
  mkdirSync(folder);
  for (const part of ['train', 'test']) {
    writeFileSync(join(folder, `x_${part}.npy`), npy([count, 28, 28, 1], (i) => images[i]));
    writeFileSync(join(folder, `y_${part}.npy`), npy([count], (i) => labels[i]));
  }
  assert.equal((await api(daemon.url, 'POST', '/v1/datasets?name=hundred', tar(folder, ['.']), octets)).status, 201);
  const judged = [];
  for (const fold_normalization of [false, true]) {
    const { body } = await api(daemon.url, 'POST', '/v1/jobs', JSON.stringify({
      kind: 'quantize', model: 'zoo:resnet20@1x28x28/10', dataset: 'hundred', export: { fold_normalization },
      quantize: { method: 'ptq', weights: { bits: 8 }, activations: { bits: 8 } }, resources: { cpus: 2 },
    }), { 'content-type': 'application/json' });
    const done = await waitState(daemon.url, body.id, ['succeeded', 'failed', 'parked'], 300000);
    assert.equal(done.state, 'succeeded', done.reason);
    const onnx = Buffer.from(await (await fetch(`${daemon.url}/v1/jobs/${body.id}/artifacts/model.onnx`)).arrayBuffer());
    assert.equal(onnx.includes('BatchNormalization'), !fold_normalization);
    writeFileSync(join(scratch, 'hundred.onnx'), onnx);
    judged.push((await judgeTop1(join(scratch, 'hundred.onnx'), { images, labels: labels.subarray(0, count) })).predicted);
    if (fold_normalization) judged.push((await engineClasses('integer', body.id, onnx, 'hundred')).classes);
  }
  for (const classes of judged.slice(1)) assert.deepEqual(classes, judged[0]);
});
