// One real job from upload to artifacts, as a client sees it; and what the daemon says about it on the way.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startQuantd, api, waitState, dataDir, binDir as buildDir } from '../lib/quantd.mjs';
import { npyHeader, tar } from '../lib/files.mjs';

const json = { 'content-type': 'application/json' };
const data = dataDir();
const skip = data ? false : 'SKIP: no real data';
let daemon, scratch;

before(async () => {
  daemon = await startQuantd();
  scratch = mkdtempSync(join(tmpdir(), 'quantd-job-'));
});
after(async () => {
  await daemon?.stop();
  rmSync(scratch, { recursive: true, force: true });
});
const get = (path) => api(daemon.url, 'GET', path);
const submit = (spec, headers) => api(daemon.url, 'POST', '/v1/jobs', JSON.stringify(spec), { ...json, ...headers });
async function finish(id) {
  const job = await waitState(daemon.url, id, ['succeeded', 'failed', 'parked', 'cancelled'], 300000);
  assert.equal(job.state, 'succeeded', job.reason);
  return (await get(`/v1/jobs/${id}`)).body;
}
async function upload(kind, name, body, query = '') {
  const answer = await api(daemon.url, 'POST', `/v1/${kind}?name=${name}${query}`, body, { 'content-type': 'application/octet-stream' });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body;
}

let trained;
test('train from the zoo on built-in data', async () => {
  const answer = await submit({ kind: 'train', model: 'zoo:lenet5', dataset: 'builtin:glyphs', name: 'first',
    tags: ['t1'], train: { epochs: 2, learning_rate: 0.02 }, resources: { cpus: 2 } });
  assert.equal(answer.status, 202, JSON.stringify(answer.body));
  assert.equal(answer.headers.get('location'), `/v1/jobs/${answer.body.id}`);
  trained = await finish(answer.body.id);
  assert.ok(trained.result.value > 0.93, `top-1 ${trained.result.value}`);
  assert.ok(Math.abs(trained.result.value - trained.result.trained_value) <= 0.001);
  assert.deepEqual(trained.result.memory_bytes, { int8: null, bits: null }, 'a network in floating point');
});

test('its artifacts: sizes, hashes, ranges, ETags', async () => {
  const { items } = (await get(`/v1/jobs/${trained.id}/artifacts`)).body;
  assert.deepEqual(items.map((i) => i.name).sort(), ['curves.csv', 'curves.svg', 'layers.csv', 'log.txt', 'model.onnx',
    'model.qdz', 'report.html', 'result.json']);
  for (const item of items) {
    const response = await fetch(daemon.url + item.url);
    assert.equal(response.status, 200);
    const body = Buffer.from(await response.arrayBuffer());
    assert.equal(body.length, item.bytes);
    assert.equal(`sha256:${createHash('sha256').update(body).digest('hex')}`, item.sha256);
    const again = await fetch(daemon.url + item.url, { headers: { 'if-none-match': response.headers.get('etag') } });
    assert.equal(again.status, 304);
  }
  const model = items.find((i) => i.name === 'model.onnx');
  const tail = await fetch(daemon.url + model.url, { headers: { range: 'bytes=-16' } });
  assert.equal(tail.status, 206);
  assert.equal(tail.headers.get('content-range'), `bytes ${model.bytes - 16}-${model.bytes - 1}/${model.bytes}`);
});

test('train a network that is quantized already: the exported file is what was trained, not the integers it came with; or is quantized again, once', async () => {
  const { body: quantized } = await submit({ kind: 'quantize', model: 'zoo:lenet5', dataset: 'builtin:glyphs',
    quantize: { weights: { bits: 8 }, activations: { bits: 8 } }, train: { epochs: 0 }, resources: { cpus: 2 } });
  const { result } = await finish(quantized.id);
  assert.ok(result.memory_bytes.int8 > 431080 && result.memory_bytes.int8 < 1.1 * 431080, JSON.stringify(result.memory_bytes));
  assert.ok(result.value < 0.5, `random weights score ${result.value}`);
  const onnx = Buffer.from(await (await fetch(`${daemon.url}/v1/jobs/${quantized.id}/artifacts/model.onnx`)).arrayBuffer());
  const model = await upload('models', 'untrained', onnx);
  const job = await finish((await submit({ kind: 'train', model: model.sha256, dataset: 'builtin:glyphs',
    train: { epochs: 1, learning_rate: 0.02 }, resources: { cpus: 2 } })).body.id);
  assert.ok(job.result.value > 0.9, `top-1 ${job.result.value}`);
  assert.equal(job.result.model_file_bytes, onnx.length);

  const again = await finish((await submit({ kind: 'quantize', model: model.sha256, dataset: 'builtin:glyphs', resources: { cpus: 2 },
    quantize: { method: 'lsq', weights: { bits: 4 }, activations: { bits: 4 } }, train: { epochs: 1, learning_rate: 0.02 } })).body.id);
  assert.ok(again.result.value > 0.9, `top-1 ${again.result.value}`);
  assert.match(await (await fetch(`${daemon.url}/v1/jobs/${again.id}/log`)).text(), /the inputs of 4 layers came quantized/);
  const file = Buffer.from(await (await fetch(`${daemon.url}/v1/jobs/${again.id}/artifacts/model.onnx`)).arrayBuffer());
  assert.equal(file.toString('latin1').split('QuantizeLinear').length - 1, 4, 'one quantizer for each input, not two');
});

test('compress: prune, quantize and code in one job; the small file is the network', async () => {
  const job = await finish((await submit({
    kind: 'compress', model: 'zoo:lenet5', dataset: 'builtin:glyphs',
    prune: { epochs: 1, sparsity: 0.97 }, quantize: { weights: { bits: 3 }, activations: { bits: 8 } },
    train: { epochs: 1, batch_size: 64, seed: 3 }, resources: { cpus: 2 },
  })).body.id);
  const r = job.result;
  assert.ok(r.value > 0.5, `top-1 ${r.value}`);
  assert.ok(r.prune.sparsity > 0.969 && r.prune.sparsity < 0.971);
  assert.ok(r.prune.parameters < 431080 && r.prune.units_removed > 0);
  assert.equal(r.float_bytes, 4 * 431080);
  assert.equal(r.skeleton_bytes, 0);
  assert.ok(r.file_bytes < 20000 && r.payload_bytes < r.file_bytes, `${r.file_bytes} bytes`);
  assert.ok(Math.abs(r.ratio / (r.float_bytes / r.file_bytes) - 1) < 1e-12);
  assert.equal(r.model_file_bytes, null, 'of the zoo');
  assert.ok(r.memory_bytes.int8 >= r.prune.parameters && r.memory_bytes.int8 < 3 * r.prune.parameters + 4000, JSON.stringify(r.memory_bytes));
  assert.ok(r.memory_bytes.bits <= r.memory_bytes.int8, JSON.stringify(r.memory_bytes));
  assert.ok(r.payload_bytes < r.file_bytes && r.file_bytes < r.memory_bytes.bits && r.memory_bytes.int8 < r.float_bytes);
  const file = Buffer.from(await (await fetch(`${daemon.url}/v1/jobs/${job.id}/artifacts/model.qdz`)).arrayBuffer());
  assert.equal(file.length, r.file_bytes);
  writeFileSync(join(scratch, 's.qdz'), file);
  execFileSync(join(buildDir, 'quantd-worker'), ['decode', join(scratch, 's.qdz'), '-o', join(scratch, 's.onnx')]);
  await upload('models', 'small', readFileSync(join(scratch, 's.onnx')));
  const again = await finish((await submit({ kind: 'evaluate', model: 'small', dataset: 'builtin:glyphs' })).body.id);
  assert.equal(again.result.correct, r.correct);
  const { series } = (await api(daemon.url, 'GET', `/v1/jobs/${job.id}/metrics`)).body;
  for (const name of ['sparsity', 'sparsity.fc1', 'pruned_energy', 'prune_coefficient', 'msqe', 'top1']) assert.ok(series[name], name);
});

test('quantize: normalizations measure their statistics again under the final weights, when asked to', async () => {
  const folder = join(scratch, 'few'), few = (shape, pattern) => Buffer.concat([npyHeader('|u1', shape), Buffer.alloc(shape.reduce((a, b) => a * b), pattern)]);
  mkdirSync(folder);
  for (const part of ['train', 'test']) {
    writeFileSync(join(folder, `x_${part}.npy`), few([64, 32, 32, 3], Buffer.from(Uint8Array.from({ length: 9973 }, (_, i) => i * 31 + (i >> 5) * 7))));
    writeFileSync(join(folder, `y_${part}.npy`), few([64], Buffer.from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])));
  }
  await upload('datasets', 'few', tar(folder, ['.']));
  for (const epochs of [0, 1])
    for (const precision of ['fp32', 'mixed']) {
      const hashes = new Set();
      for (const samples of [0, 30, null]) {
        const job = await finish((await submit({
          kind: 'quantize', model: 'zoo:resnet20', dataset: 'few', calibrate: { statistics_samples: samples },
          quantize: { weights: { bits: 2 }, activations: { bits: 4 } }, train: { epochs, precision, batch_size: 32 }, resources: { cpus: 2 },
        })).body.id);
        const log = await (await fetch(`${daemon.url}/v1/jobs/${job.id}/log`)).text();
        assert.equal(/statistics of 19 normalizations were measured again/.test(log), samples !== 0);
        hashes.add(job.result.weights_sha256);
      }
      assert.equal(hashes.size, 3, `${epochs} epochs, ${precision}`);
    }
});

test('quantize: normalizations as parts of their layers, in model.onnx and from model.qdz', async () => {
  const job = await finish((await submit({
    kind: 'quantize', model: 'zoo:resnet20', dataset: 'few', export: { fold_normalization: true }, quantize: { weights: { bits: 2 } }, train: { epochs: 0 },
  })).body.id);
  const artifact = async (name) => Buffer.from(await (await fetch(`${daemon.url}/v1/jobs/${job.id}/artifacts/${name}`)).arrayBuffer());
  assert.ok(!(await artifact('model.onnx')).includes('BatchNormalization'));
  writeFileSync(join(scratch, 'n.qdz'), await artifact('model.qdz'));
  for (const fold of [[], ['--fold-normalization']]) {
    execFileSync(join(buildDir, 'quantctl'), ['decode', join(scratch, 'n.qdz'), '-o', join(scratch, 'n.onnx'), ...fold]);
    assert.equal(readFileSync(join(scratch, 'n.onnx')).includes('BatchNormalization'), !fold.length);
  }
});

test('quantize: scales of few bits, the same classes from floats as from integers', async () => {
  const quantize = { weights: { bits: 4 }, activations: { bits: 4 } };
  const job = await finish((await submit({
    kind: 'quantize', model: 'zoo:resnet20', dataset: 'few', export: { exact: true }, quantize, train: { epochs: 0 },
  })).body.id);
  assert.equal(job.result.exact_layers, job.result.layers.length);
  const log = async (id) => (await fetch(`${daemon.url}/v1/jobs/${id}/log`)).text();
  assert.match(await log(job.id), /20 of 20 layers are exact in floating point/);
  const artifact = async (id, name) => Buffer.from(await (await fetch(`${daemon.url}/v1/jobs/${id}/artifacts/${name}`)).arrayBuffer());
  const onnx = await artifact(job.id, 'model.onnx');
  assert.ok(!onnx.includes('BatchNormalization'));
  const model = await api(daemon.url, 'POST', '/v1/models?name=exact', onnx, { 'content-type': 'application/octet-stream' }), classes = [];
  for (const engine of ['integer', 'bits', 'float']) {
    const { id } = await finish((await submit({ kind: 'evaluate', engine, model: model.body.name, dataset: 'few' })).body.id);
    classes.push((await artifact(id, 'classes.csv')).toString());
  }
  assert.deepEqual(classes, Array(3).fill(classes[0]));

  writeFileSync(join(scratch, 'e.qdz'), await artifact(job.id, 'model.qdz'));
  for (const how of [['--exact'], ['--fold-normalization', '--exact']]) { // but for what the job wrote beside the network
    execFileSync(join(buildDir, 'quantctl'), ['decode', join(scratch, 'e.qdz'), '-o', join(scratch, 'e.onnx'), ...how]);
    const again = await api(daemon.url, 'POST', `/v1/models?name=exact${how.length}`, readFileSync(join(scratch, 'e.onnx')), { 'content-type': 'application/octet-stream' });
    const { id } = await finish((await submit({ kind: 'evaluate', model: again.body.name, dataset: 'few' })).body.id);
    assert.equal((await artifact(id, 'classes.csv')).toString(), classes[0]);
  }

  const inexact = await finish((await submit({
    kind: 'quantize', model: 'zoo:resnet20', dataset: 'few', export: { exact: true }, quantize: { ...quantize, activations: { bits: 32 } }, train: { epochs: 0 },
  })).body.id);
  assert.equal(inexact.result.exact_layers, 0);
  assert.match(await log(inexact.id), /warning node \S+ \(Conv\) is not exact in floating point: its input is not quantized/);
});

test('quantize: a layer that has collapsed is named', async () => {
  const log = async (weight_decay) => {
    const job = await finish((await submit({
      kind: 'quantize', model: 'zoo:lenet5@3x32x32/10', dataset: 'few', quantize: { method: 'lsq', weights: { bits: 2 }, activations: { bits: 8 } },
      train: { epochs: 8, batch_size: 16, learning_rate: 0.02, momentum: 0.9, schedule: 'constant', weight_decay }, resources: { cpus: 2 },
    })).body.id);
    return (await fetch(`${daemon.url}/v1/jobs/${job.id}/log`)).text();
  };
  assert.match(await log(1), /warning every weight of layer \S+ is rounded to zero since step \d+ \(\d+ such layers\)/);
  assert.doesNotMatch(await log(0), /rounded to zero/);
});

test('quantize: the histogram of the weights between their levels is whole, and nothing that a worker says is left out', async () => {
  const job = await finish((await submit({
    kind: 'quantize', model: 'zoo:lenet5', dataset: 'builtin:glyphs', quantize: { method: 'lsq-br', weights: { bits: 2 }, activations: { bits: 8 } }, train: { epochs: 1 }, resources: { cpus: 2 },
  })).body.id);
  const { series } = (await api(daemon.url, 'GET', `/v1/jobs/${job.id}/metrics`)).body;
  const cells = Object.keys(series).filter((name) => name.startsWith('bins/'));
  assert.deepEqual(cells.map((name) => Number(name.slice(5))).sort((a, b) => a - b), Array.from({ length: 16 }, (_, k) => Number(((k + 0.5) / 16 - 0.5).toFixed(3))));
  assert.ok(Math.abs(cells.reduce((sum, name) => sum + series[name].values.at(-1), 0) - 1) < 1e-9);
  assert.doesNotMatch(daemon.log(), /left out/);
});

test('prune: layers with a sparsity of their own', async () => {
  const job = await finish((await submit({
    kind: 'prune', model: 'zoo:lenet5', dataset: 'builtin:glyphs', prune: { method: 'magnitude', sparsity: 0, epochs: 0, structure: 'rows' },
    overrides: [{ match: 'conv*', prune: { sparsity: 0.5 } }, { match: 'conv1', prune: { sparsity: 0.6 } }, { match: 'fc1', prune: { sparsity: 0.9 } }],
    train: { epochs: 0 },
  })).body.id);
  assert.deepEqual(job.result.layers.map((l) => l.parameters), [8 * 26, 25 * (8 * 25 + 1), 50 * (25 * 16 + 1), 10 * 51]);
});

test('compress: where bits cost, coarser steps leave fewer codes from the start', async () => {
  const bytes = [];
  for (const coarseness of [1, 2.4]) {
    const job = await finish((await submit({
      kind: 'compress', model: 'zoo:lenet5', dataset: 'builtin:glyphs', prune: { sparsity: 0, epochs: 0 },
      quantize: { method: 'lsq', weights: { bits: 2 }, activations: { bits: 32 } }, rate: { lambda: 1e-6, coarseness }, train: { epochs: 0 },
    })).body.id);
    bytes.push(job.result.file_bytes);
  }
  assert.ok(bytes[1] < 0.8 * bytes[0], `${bytes}`);
});

test('compress: while it trains, weights whose code is zero count as gone', async () => {
  const job = await finish((await submit({
    kind: 'compress', model: 'zoo:lenet5', dataset: 'builtin:glyphs', prune: { sparsity: 0, epochs: 0 }, resources: { cpus: 2 },
    quantize: { method: 'lsq', weights: { bits: 2 }, activations: { bits: 32 } }, train: { epochs: 1 },
  })).body.id);
  const { series } = (await get(`/v1/jobs/${job.id}/metrics`)).body, fc1 = job.result.layers.find((l) => l.name === 'fc1');
  assert.ok(fc1.sparsity > 0.1, `${fc1.sparsity}`);
  assert.ok(Math.abs(series['sparsity.fc1'].values.at(-1) - fc1.sparsity) < 0.01, `${series['sparsity.fc1'].values.at(-1)}, ${fc1.sparsity}`);
});

test('compress: polish makes the file smaller, and the metric on training samples falls by no more than is allowed', async () => {
  const bytes = [], spec = (polish) => ({
    kind: 'compress', model: 'zoo:lenet5', dataset: 'builtin:glyphs', prune: { sparsity: 0.9, epochs: 0 }, resources: { cpus: 2 },
    quantize: { weights: { bits: 3 }, activations: { bits: 32 }, first_last_bits: 3 }, rate: { polish }, train: { epochs: 1, learning_rate: 0.02 } });
  for (const polish of [null, 0.01]) {
    const job = await finish((await submit(spec(polish))).body.id);
    bytes.push(job.result.file_bytes);
    const log = await (await fetch(`${daemon.url}/v1/jobs/${job.id}/log`)).text();
    const said = /(\d+) of \d+ codes became zero.* ([\d.]+) to ([\d.]+)$/m.exec(log);
    assert.equal(said !== null, polish !== null);
    if (said) assert.ok(Number(said[1]) > 0 && Number(said[2]) - Number(said[3]) <= polish + 1e-5, said[0]);
  }
  assert.ok(bytes[1] < 0.98 * bytes[0], `${bytes}`);
});

test('hints: layers that pruning has narrowed get none, and that is said; the job goes on', async () => {
  const job = await finish((await submit({
    kind: 'compress', model: 'zoo:lenet5', dataset: 'builtin:glyphs', prune: { sparsity: 0.99, epochs: 1, structure: 'rows' }, resources: { cpus: 2 },
    quantize: { weights: { bits: 4 } }, train: { epochs: 1, distill: { features: 0.1 } } })).body.id);
  const log = await (await fetch(`${daemon.url}/v1/jobs/${job.id}/log`)).text();
  assert.match(log, /3 layers learn from what those of the model as it came give out/); // conv1, conv2, fc1 before the cut
  assert.match(log, /pruning has narrowed every layer/);
});

test('what is pruned needs a level at zero: a method of learned bases is refused with its place', async () => {
  const { status, body } = await submit({ kind: 'compress', model: 'zoo:lenet5', dataset: 'builtin:glyphs', quantize: { method: 'lq-nets' } });
  assert.equal(status, 422);
  assert.deepEqual(body.errors.map((e) => e.pointer), ['/kind']);
  assert.match(body.errors[0].detail, /"lq-nets" can do quantize or sensitivity, not "compress"/);
});

test('model.qdz decodes to the network of model.onnx', async () => {
  const item = async (name) => Buffer.from(await (await fetch(`${daemon.url}/v1/jobs/${trained.id}/artifacts/${name}`)).arrayBuffer());
  writeFileSync(join(scratch, 'm.qdz'), await item('model.qdz'));
  execFileSync(join(buildDir, 'quantd-worker'), ['decode', join(scratch, 'm.qdz'), '-o', join(scratch, 'm.onnx')]);
  const direct = await upload('models', 'direct', await item('model.onnx'));
  // quantctl does it without a server, and without a name for the result
  execFileSync(join(buildDir, 'quantctl'), ['decode', join(scratch, 'm.qdz'), '-o', join(scratch, 'c.onnx')]);
  assert.deepEqual(readFileSync(join(scratch, 'c.onnx')), readFileSync(join(scratch, 'm.onnx')));
  const decoded = await upload('models', 'decoded', readFileSync(join(scratch, 'm.onnx')));
  assert.deepEqual(decoded.info.layers, direct.info.layers);
  const evaluate = async (model) => (await finish((await submit({ kind: 'evaluate', model, dataset: 'builtin:glyphs' })).body.id)).result.correct;
  assert.equal(await evaluate('decoded'), trained.result.correct);
  assert.equal(await evaluate('direct'), trained.result.correct);
});

test('curves as JSON and CSV, thinned on request', async () => {
  const { series } = (await get(`/v1/jobs/${trained.id}/metrics`)).body;
  assert.ok(series.loss.steps.length > 50 && series.top1.values.length === 3);
  assert.ok(series.loss.values.at(-1) < series.loss.values[0] / 2);
  const few = (await get(`/v1/jobs/${trained.id}/metrics?series=loss&points=10`)).body.series;
  assert.deepEqual(Object.keys(few), ['loss']);
  assert.ok(few.loss.steps.length <= 10);
  assert.equal(few.loss.steps.at(-1), series.loss.steps.at(-1));
  const csv = await (await fetch(`${daemon.url}/v1/jobs/${trained.id}/metrics?format=csv`)).text();
  assert.match(csv, /^series,step,value\r?\nloss|^series,step,value\r?\n/);
});

test('the event stream starts again where it was left', async () => {
  const read = async (headers) => {
    const stop = new AbortController();
    const response = await fetch(`${daemon.url}/v1/jobs/${trained.id}/events`, { headers, signal: stop.signal });
    assert.match(response.headers.get('content-type'), /^text\/event-stream/);
    const ids = [];
    let text = '';
    for await (const chunk of response.body) {
      text += Buffer.from(chunk).toString();
      if (/"state":\s*"succeeded"/.test(text)) break;
    }
    stop.abort();
    for (const m of text.matchAll(/^id: (\d+)$/gm)) ids.push(Number(m[1]));
    return ids;
  };
  const all = await read({});
  assert.ok(all.length > 5);
  assert.deepEqual(all, [...all].sort((a, b) => a - b));
  const middle = all[all.length >> 1];
  const rest = await read({ 'last-event-id': String(middle) });
  assert.deepEqual(rest, all.filter((id) => id > middle));
});

test('quantize what was trained; the coefficient rises and the snap changes little', async () => {
  const onnx = Buffer.from(await (await fetch(`${daemon.url}/v1/jobs/${trained.id}/artifacts/model.onnx`)).arrayBuffer());
  const model = await upload('models', 'trained', onnx);
  assert.equal(model.info.parameters, 431080);
  const answer = await submit({ kind: 'quantize', model: model.sha256, dataset: 'builtin:glyphs',
    quantize: { weights: { bits: 2 } }, train: { epochs: 2 }, overrides: [{ match: 'conv2', weights: { bits: 3 } }],
    resources: { cpus: 2 } });
  assert.equal(answer.status, 202, JSON.stringify(answer.body));
  const job = await finish(answer.body.id);
  const layers = Object.fromEntries(job.result.layers.map((l) => [l.name, l]));
  assert.deepEqual([8, 3, 2, 8], ['conv1', 'conv2', 'fc1', 'fc2'].map((n) => layers[n].weight_bits));
  assert.ok(job.result.value > trained.result.value - 0.02, `${job.result.value} after ${trained.result.value}`);
  assert.ok(Math.abs(job.result.snap.before - job.result.snap.after) <= 0.002);
  assert.ok(job.result.file_bytes < job.result.float_bytes / 12);
  const { series } = (await get(`/v1/jobs/${job.id}/metrics`)).body;
  const alpha = series.coefficient.values;
  assert.ok(alpha.at(-1) > 1e4 * alpha[0], `${alpha[0]} -> ${alpha.at(-1)}`);
  assert.ok(series.error_in_steps.values.at(-1) < series.error_in_steps.values[0]);
});

test('quantization without training: equalized, corrected, and nothing of a training is asked for', async () => {
  const ptq = (more = {}) => ({ kind: 'quantize', model: 'trained', dataset: 'builtin:glyphs', resources: { cpus: 2 },
    quantize: { method: 'ptq', weights: { bits: 4 }, activations: { bits: 4 } }, ...more });
  const values = [];
  for (const range of ['error', 'percentile', 'extremes']) {
    const { body } = await submit(ptq({ calibrate: { samples: 500, range, equalize: true } }));
    assert.ok(body.id, JSON.stringify(body));
    const { result, spec } = await finish(body.id);
    assert.equal(spec.train.epochs, undefined);
    assert.equal(spec.calibrate.range, range);
    assert.ok(result.value > result.float_value - 0.05, `${range}: ${result.float_value} to ${result.value}`);
    assert.ok(result.file_bytes < result.float_bytes / 4);
    values.push(result.weights_sha256);
    const log = await fetch(`${daemon.url}/v1/jobs/${body.id}/log`).then((r) => r.text());
    assert.match(log, /the channels of \d+ layers were equalized/);
    assert.match(log, /the biases of [1-9]\d* layers were corrected/);
  }
  assert.equal(new Set(values).size, 3);
  const refused = async (more, pointer) => {
    const { status, body } = await submit(ptq(more));
    assert.equal(status, 422);
    assert.equal(body.errors[0].pointer, pointer);
  };
  await refused({ train: { epochs: 3 } }, '/train/epochs');
  await refused({ kind: 'compress' }, '/kind');
  await refused({ calibrate: { range: 'widest' } }, '/calibrate/range');
  await refused({ calibrate: { percentile: 20 } }, '/calibrate/percentile');
});
test('sensitivity: every layer at every width; a budget takes bits where they tell least', async () => {
  const base = { model: 'trained', dataset: 'builtin:glyphs', resources: { cpus: 2 } };
  const { result } = await finish((await submit({ kind: 'sensitivity', ...base, quantize: { method: 'ptq' } })).body.id);
  assert.deepEqual(result.sensitivity.map((l) => l.name), ['conv1', 'conv2', 'fc1', 'fc2']);
  for (const l of result.sensitivity)
    for (const what of ['weights_snr', 'activations_snr']) assert.ok(l[what][8] > l[what][2] + 10, `${l.name} ${what}`);
  const quantize = (budget, more = {}) => ({ kind: 'quantize', ...base,
    quantize: { method: 'ptq', weights: { bits: 8 }, first_last_bits: 1, budget }, ...more });
  const weights = 430500; // of LeNet-5, without biases
  const job = await finish((await submit(quantize({ bytes: weights * 3 / 8 }, { overrides: [{ match: 'fc2', weights: { bits: 7 } }] }))).body.id);
  const bits = job.result.layers.map((l) => l.weight_bits);
  const bytes = job.result.layers.reduce((sum, l, i) => sum + ({ conv1: 500, conv2: 25000, fc1: 400000, fc2: 5000 })[l.name] * bits[i] / 8, 0);
  assert.ok(bytes <= weights * 3 / 8 && bytes > weights * 2 / 8, `${bits}`);
  assert.equal(bits[3], 7);
  assert.ok(bits[0] > bits[2], `${bits}`);
  assert.ok(job.result.value > job.result.float_value - 0.02, `${job.result.float_value} to ${job.result.value}`);
  const least = await submit(quantize({ bytes: 1000 }));
  const failed = await waitState(daemon.url, least.body.id, ['failed'], 60000);
  assert.match(failed.reason, /even the least widths take 107\d{3} bytes/);
  const refused = await submit({ kind: 'sensitivity', ...base, quantize: { weights: { bits: 4 } } });
  assert.equal(refused.status, 422);
  assert.equal(refused.body.errors[0].pointer, '/quantize/weights/bits');
});
test('mixed precision is for what quantizes', async () => {
  const spec = { kind: 'quantize', model: 'zoo:lenet5', dataset: 'builtin:glyphs', train: { precision: 'fp32' } };
  const dry = (body) => api(daemon.url, 'POST', '/v1/jobs?dry_run=1', JSON.stringify(body), json);
  assert.equal((await dry(spec)).body.spec.train.precision, 'fp32');
  assert.equal((await dry({ ...spec, train: {} })).body.spec.train.precision, 'mixed');
  const refused = await dry({ ...spec, kind: 'train' });
  assert.equal(refused.status, 422);
  assert.equal(refused.body.errors[0].pointer, '/train/precision');
});

test('the integer engine finds the same classes, and says what it takes', async () => {
  const model = (await get('/v1/jobs?kind=quantize&state=succeeded')).body.items[0];
  const onnx = Buffer.from(await (await fetch(`${daemon.url}/v1/jobs/${model.id}/artifacts/model.onnx`)).arrayBuffer());
  const { sha256 } = await upload('models', 'coded', onnx);
  const spec = { kind: 'evaluate', engine: 'integer', model: sha256, dataset: 'builtin:glyphs' };
  const { result } = await finish((await submit(spec)).body.id);
  assert.ok(Math.abs(result.value - model.result.value) <= 0.001, `${result.value}, not ${model.result.value}`);
  assert.equal(result.engine, 'integer');
  assert.ok(result.images_per_s > 0 && result.float_images_per_s > 0, JSON.stringify(result));
  const bits = (await finish((await submit({ ...spec, engine: 'bits' })).body.id)).result;
  assert.equal(bits.value, result.value);
  assert.equal(bits.engine, 'bits');
  assert.ok(bits.images_per_s > 0 && bits.bit_layers >= 0, JSON.stringify(bits));
  const { body } = await submit({ ...spec, model: 'zoo:lenet5' });
  const failed = await waitState(daemon.url, body.id, ['succeeded', 'failed', 'parked'], 60000);
  assert.equal(failed.state, 'failed');
  assert.match(failed.reason, /conv1.*not quantized|not quantized/);
  assert.equal((await submit({ kind: 'train', engine: 'integer', model: 'zoo:lenet5', dataset: 'builtin:glyphs' })).status, 422);
});

test('the same key with another body is refused; with the same body it is the same job', async () => {
  const spec = { kind: 'evaluate', model: 'zoo:lenet5', dataset: 'builtin:glyphs' };
  const first = await submit(spec, { 'idempotency-key': 'k1' });
  const second = await submit(spec, { 'idempotency-key': 'k1' });
  assert.equal(second.body.id, first.body.id);
  assert.equal((await submit({ ...spec, name: 'other' }, { 'idempotency-key': 'k1' })).status, 422);
  await finish(first.body.id);
});

test('dry run: complete specification, nothing stored', async () => {
  const before = (await get('/v1/jobs')).body.items.length;
  const answer = await api(daemon.url, 'POST', '/v1/jobs?dry_run=1',
    JSON.stringify({ kind: 'train', model: 'zoo:lenet5', dataset: 'builtin:glyphs' }), json);
  assert.equal(answer.status, 200);
  assert.equal(answer.body.spec.train.batch_size, 64);
  assert.equal((await get('/v1/jobs')).body.items.length, before);
});

test('change, cancel, retry, delete', async () => {
  const { body: job } = await submit({ kind: 'train', model: 'zoo:lenet5', dataset: 'builtin:glyphs',
    not_before: '2099-01-01T00:00:00Z' });
  assert.equal(job.state, 'scheduled');
  const path = `/v1/jobs/${job.id}`;
  const etag = (await get(path)).headers.get('etag');
  const patch = (headers) => api(daemon.url, 'PATCH', path, JSON.stringify({ priority: 7, tags: ['a'] }), { ...json, ...headers });
  assert.equal((await patch({ 'if-match': 'W/"999"' })).status, 412);
  const changed = await patch({ 'if-match': etag });
  assert.equal(changed.status, 200);
  assert.equal(changed.body.priority, 7);
  assert.equal((await api(daemon.url, 'DELETE', path)).status, 409);
  assert.equal((await api(daemon.url, 'POST', `${path}/cancel`)).body.state, 'cancelled');
  assert.equal((await api(daemon.url, 'POST', `${path}/cancel`)).status, 409);
  assert.equal((await api(daemon.url, 'DELETE', path)).status, 204);
  assert.equal((await get(path)).status, 404);
});

/** Uploads a folder of real data as a tar, and each model; evaluates and looks at the number of right answers. */
async function exactly(folder, format, models, files = ['.']) {
  const file = join(scratch, `${folder}.tar`);
  execFileSync('tar', ['cf', file, '-C', join(data, folder), ...files]);
  const set = await upload('datasets', folder, readFileSync(file), `&format=${format}`);
  assert.deepEqual([set.info.test, set.info.classes], [10000, 10]);
  for (const { name, parameters, correct, normalize } of models) {
    const model = await upload('models', name, readFileSync(join(data, 'models', `${name}.onnx`)));
    assert.equal(model.info.parameters, parameters);
    const job = await finish((await submit({ kind: 'evaluate', model: name, dataset: folder, normalize, resources: { cpus: 2 } })).body.id);
    assert.deepEqual([job.result.correct, job.result.samples], [correct, 10000], name);
  }
}

test('real models on MNIST, exactly', { skip }, () => exactly('mnist', 'idx', [
  { name: 'lenet5_mnist', parameters: 431080, correct: 9930 },
  { name: 'lenet5_caffe_mnist', parameters: 431080, correct: 9914 },
  { name: 'mnist-8', parameters: 5994, correct: 9891, normalize: { std: [1 / 255] } }, // wants pixels from 0 to 255
]));

test('ResNet-20 on CIFAR-10, exactly', { skip }, () => exactly('cifar10', 'cifar', [
  { name: 'resnet20_cifar10', parameters: 269722, correct: 9173,
    normalize: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } },
], ['data_batch_1.bin.gz', 'test_batch.bin.gz']));
