// Super-resolution through the daemon: the published figures from the real files, a short training, what is refused.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startQuantd, api, waitState, dataDir } from '../lib/quantd.mjs';

const json = { 'content-type': 'application/json' };
const data = dataDir();
const skip = data && existsSync(join(data, 'sr/Set5')) ? false : 'SKIP: no real images';
let daemon, scratch;

before(async () => {
  daemon = await startQuantd({ args: ['--slots', '2'] });
  scratch = mkdtempSync(join(tmpdir(), 'quantd-superres-'));
});
after(async () => {
  await daemon?.stop();
  rmSync(scratch, { recursive: true, force: true });
});
const submit = (spec) => api(daemon.url, 'POST', '/v1/jobs', JSON.stringify(spec), json);
async function run(spec) {
  const answer = await submit(spec);
  assert.equal(answer.status, 202, JSON.stringify(answer.body));
  const job = await waitState(daemon.url, answer.body.id, ['succeeded', 'failed', 'parked', 'cancelled'], 600000);
  return (await api(daemon.url, 'GET', `/v1/jobs/${job.id}`)).body;
}
async function finish(spec) {
  const job = await run(spec);
  assert.equal(job.state, 'succeeded', job.reason);
  return job;
}
async function upload(kind, name, body) {
  const answer = await api(daemon.url, 'POST', `/v1/${kind}?name=${name}`, body, { 'content-type': 'application/octet-stream' });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body;
}
const seriesOf = async (job) => (await api(daemon.url, 'GET', `/v1/jobs/${job.id}/metrics`)).body.series;
const artifact = async (job, name) => Buffer.from(await (await fetch(`${daemon.url}/v1/jobs/${job.id}/artifacts/${name}`)).arrayBuffer());

/** A 24-bit BMP of smooth waves with an edge: something to be learned. */
function bmp(width, height, phase) {
  const row = (width * 3 + 3) & ~3;
  const file = Buffer.alloc(54 + row * height);
  file.write('BM');
  file.writeUInt32LE(file.length, 2);
  file.writeUInt32LE(54, 10);
  file.writeUInt32LE(40, 14);
  file.writeInt32LE(width, 18);
  file.writeInt32LE(height, 22);
  file.writeUInt16LE(1, 26);
  file.writeUInt16LE(24, 28);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++)
        file[54 + y * row + 3 * x + c] = 120 + 60 * Math.sin(0.9 * x + phase + c) + ((x + 2 * y + 9 * phase) % 37 > 18 ? 60 : 0);
  return file;
}

function drawnSet(folder, count) {
  mkdirSync(join(scratch, folder), { recursive: true });
  for (let i = 0; i < count; i++) writeFileSync(join(scratch, folder, `${i}.bmp`), bmp(60 + 4 * i, 70 + 3 * i, i));
}

test('a data set of images of several sizes is accepted', async () => {
  drawnSet('drawn/train', 6);
  drawnSet('drawn/test', 2);
  execFileSync('tar', ['cf', join(scratch, 'drawn.tar'), '-C', scratch, 'drawn']);
  const set = await upload('datasets', 'drawn', readFileSync(join(scratch, 'drawn.tar')));
  assert.deepEqual(set.info, { format: 'images', shape: [3, 'H', 'W'], classes: 0, train: 6, test: 2 });
});

const base = { kind: 'train', task: 'superres', model: 'zoo:srcnn-9-5-5', dataset: 'drawn' };
const training = { epochs: 2, batch_size: 16, samples_per_epoch: 160, patch: 24, optimizer: 'adam', learning_rate: 0.001, weight_decay: 0 };

test('what a task does not use or cannot do is refused by its pointer', async () => {
  const refused = async (spec, pointer) => {
    const answer = await submit(spec);
    assert.equal(answer.status, 422, JSON.stringify(answer.body));
    assert.deepEqual(answer.body.errors.map((e) => e.pointer), [pointer]);
  };
  const classify = { kind: 'train', model: 'zoo:lenet5', dataset: 'builtin:glyphs' };
  await refused({ ...classify, scale: 2 }, '/scale');
  await refused({ ...classify, train: { loss: 'l1' } }, '/train/loss');
  await refused({ ...classify, train: { augment: 'turn' } }, '/train/augment');
  await refused({ ...base, scale: 5 }, '/scale');
  await refused({ ...base, normalize: { mean: [0.5], std: [0.5] } }, '/normalize');
  await refused({ ...base, train: { label_smoothing: 0.1 } }, '/train/label_smoothing');
  await refused({ ...base, train: { augment: 'cutout' } }, '/train/augment');
});

test('the defaults of a task are filled in, those of others are not', async () => {
  const spec = async (given) => (await api(daemon.url, 'POST', '/v1/jobs?dry_run=1', JSON.stringify(given), json)).body.spec;
  const superres = await spec(base), classify = await spec({ kind: 'train', model: 'zoo:lenet5', dataset: 'builtin:glyphs' });
  assert.equal(superres.scale, 2);
  assert.equal(superres.train.loss, null);
  assert.ok(!('label_smoothing' in superres.train) && !('normalize' in superres));
  assert.ok(!('scale' in classify) && !('patch' in classify.train));
});

let trained;
test('a short training lowers the loss; the exported file takes images of any size', async () => {
  trained = await finish({ ...base, train: training, resources: { cpus: 2 } });
  const series = await seriesOf(trained);
  assert.ok(series.loss.values.at(-1) < 0.5 * series.loss.values[0], `${series.loss.values[0]} -> ${series.loss.values.at(-1)}`);
  assert.deepEqual(series.psnr_db.steps, [0, 10, 20]);
  const r = trained.result;
  assert.equal(r.metric, 'psnr_db');
  assert.ok(Math.abs(r.value - r.trained_value) <= 0.01 && r.value > series.psnr_db.values[0]);
  assert.ok(!('float_value' in r), 'random weights are no float model');
  assert.deepEqual(r.images.map((i) => i.name), ['0.bmp', '1.bmp']);
  assert.match(r.protocol, /x2: .* 2 pixels shaved off every border/);
  const model = await upload('models', 'small', await artifact(trained, 'model.onnx'));
  assert.deepEqual(model.info.inputs[0].shape, ['N', 1, 'H', 'W']);
  assert.deepEqual(model.info.outputs[0].shape.slice(0, 2), ['N', 1]);
  const again = await finish({ kind: 'evaluate', task: 'superres', model: 'small', dataset: 'drawn' });
  assert.ok(Math.abs(again.result.value - r.value) < 1e-6);
});

test('the same weights for another number of threads, and for a worker that was killed on the way', async () => {
  const { body } = await submit({ ...base, train: training, resources: { cpus: 1 } });
  let job;
  do {
    job = (await api(daemon.url, 'GET', `/v1/jobs/${body.id}`)).body;
  } while (job.state !== 'running' || !((await seriesOf(job)).loss?.steps.length > 12));
  process.kill(Number(job.attempts.at(-1).handle.split(':')[0]), 'SIGKILL');
  job = await waitState(daemon.url, body.id, ['succeeded', 'failed', 'parked'], 60000);
  assert.equal(job.state, 'succeeded', job.reason);
  job = (await api(daemon.url, 'GET', `/v1/jobs/${body.id}`)).body;
  assert.equal(job.attempts.length, 2);
  assert.equal(job.result.weights_sha256, trained.result.weights_sha256);
  assert.match(await (await fetch(`${daemon.url}/v1/jobs/${job.id}/log`)).text(), /continuing from the checkpoint at step 10/);
});

test('quantized: integers in the file, its figure near the float one', async () => {
  const job = await finish({ kind: 'quantize', task: 'superres', model: 'small', dataset: 'drawn', resources: { cpus: 2 },
    quantize: { weights: { bits: 6 } }, train: { ...training, learning_rate: 0.0003, loss: 'charbonnier', augment: 'turn', distill: { weight: 0.5 } } });
  assert.ok(job.result.value > trained.result.value - 1, `${job.result.value} after ${trained.result.value}`);
  assert.ok(job.result.payload_bytes < job.result.float_bytes / 4);
  assert.deepEqual(job.result.layers.map((l) => l.weight_bits), [8, 6, 8]);
});

test('hints: one-bit layers come nearer to what they gave out before; not where pruning and equalizing change what that is', async () => {
  const binary = { kind: 'quantize', task: 'superres', model: 'small', dataset: 'drawn', quantize: { method: 'lsq', weights: { bits: 1, grid: 'midrise', granularity: 'channel' } },
    calibrate: { equalize: true }, train: { ...training, optimizer: 'adam', learning_rate: 0.001, distill: { weight: 0, features: 0.1 } } };
  const [one, two] = [await finish({ ...binary, resources: { cpus: 1 } }), await finish({ ...binary, resources: { cpus: 2 } })];
  assert.equal(one.result.weights_sha256, two.result.weights_sha256);
  const { values } = (await seriesOf(one)).feature_error;
  assert.ok(values[0] < 2 && values.at(-1) < 0.8 * values[0], `${values[0]} to ${values.at(-1)}`); // the teacher is equalized, too
  const refused = await run({ ...binary, kind: 'compress', prune: { epochs: 0, sparsity: 0.3 }, quantize: { weights: { bits: 4 } } });
  assert.equal(refused.state, 'failed');
  assert.match(refused.reason, /distill.features can.t compare.*\/calibrate\/equalize/);
});

test('a compression with a goal holds training images out, and shows the test images nothing but its end', async () => {
  const { result } = await finish({ kind: 'compress', task: 'superres', model: 'small', dataset: 'drawn', resources: { cpus: 2 },
    prune: { epochs: 0, sparsity: 0.3 }, quantize: { weights: { bits: 4 } }, train: { ...training, epochs: 1 }, goal: { min_metric: 10, trials: 2 } });
  const { search } = result;
  assert.equal(search.held_out.samples, 1);
  assert.equal(search.trials.length, 2);
  assert.ok(search.met && search.trials[search.best - 1].bytes === result.file_bytes && search.trials[1].bytes < search.trials[0].bytes, JSON.stringify(search));
  assert.deepEqual(result.images.map((i) => i.name), ['0.bmp', '1.bmp']);
});

test('a model that enlarges by another factor is refused, and a job that would not fit', async () => {
  const wrong = await run({ kind: 'evaluate', task: 'superres', model: 'zoo:edsr-baseline', dataset: 'drawn', scale: 3 });
  assert.equal(wrong.state, 'failed');
  assert.match(wrong.reason, /neither as large nor 3 times larger/);
  const large = await run({ ...base, train: { ...training, batch_size: 2048 }, resources: { memory_mb: 300 } });
  assert.equal(large.state, 'failed');
  assert.match(large.reason, /needs \d+ MiB .* may have 300 MiB/);
});

test('the published figures', { skip }, async () => {
  mkdirSync(join(scratch, 'set5'));
  for (const file of readdirSync(join(data, 'sr/Set5'))) copyFileSync(join(data, 'sr/Set5', file), join(scratch, 'set5', file));
  execFileSync('tar', ['cf', join(scratch, 'set5.tar'), '-C', scratch, 'set5']);
  await upload('datasets', 'set5', readFileSync(join(scratch, 'set5.tar')));
  await upload('models', 'vdsr', readFileSync(join(data, 'models/vdsr.onnx')));
  for (const [scale, psnr, bicubic] of [[2, '37.65', '33.69'], [3, '33.77', '30.41'], [4, '31.45', '28.43']]) {
    const { result } = await finish({ kind: 'evaluate', task: 'superres', model: 'vdsr', dataset: 'set5', scale, resources: { cpus: 2 } });
    assert.equal(result.value.toFixed(2), psnr);
    assert.equal(result.bicubic_psnr_db.toFixed(2), bicubic);
    assert.equal(result.samples, 5);
    assert.ok(Math.abs(result.peak_bytes / result.planned_bytes - 1) < 0.1, `${result.planned_bytes} planned, ${result.peak_bytes} used`);
  }
});
