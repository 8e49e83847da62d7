// Everything that a client can get wrong is answered with the right status and a place, leaves nothing behind, and does
// not grow the daemon.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync, readdirSync, rmSync, mkdirSync, statSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startQuantd, api, dataDir } from '../lib/quantd.mjs';

let daemon, scratch;
const data = dataDir();
const skip = data ? false : 'SKIP: no real data';

before(async () => {
  daemon = await startQuantd();
  scratch = mkdtempSync(join(tmpdir(), 'quantd-bad-'));
});
after(async () => {
  await daemon?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

const json = { 'content-type': 'application/json' };
const binary = { 'content-type': 'application/octet-stream' };
const post = (path, body, headers) => api(daemon.url, 'POST', path, body, headers);
const job = (more) => ({ kind: 'train', model: 'zoo:lenet5', dataset: 'builtin:glyphs', ...more });

function residentKb() {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))[1]);
}
function filesBelow(dir) {
  return readdirSync(dir, { recursive: true, withFileTypes: true }).filter((f) => f.isFile()).length;
}
function leftovers() {
  return filesBelow(join(daemon.dir, 'tmp')) + filesBelow(join(daemon.dir, 'jobs')) + filesBelow(join(daemon.dir, 'blobs'));
}
function assertProblem(answer, status, where) {
  assert.equal(answer.status, status, JSON.stringify(answer.body));
  assert.match(answer.headers.get('content-type'), /^application\/problem\+json/);
  assert.equal(answer.body.status, status);
  assert.ok(answer.body.title && answer.body.type && answer.body.detail !== undefined);
  if (where) {
    const places = (answer.body.errors ?? []).map((e) => `${e.pointer} ${e.code} ${e.detail}`).concat(answer.body.detail);
    assert.ok(places.some((p) => where.test(p)), `no ${where} in ${JSON.stringify(answer.body)}`);
  }
}

// --- job specifications ------------------------------------------------------------------------------------------
const quantize = (q, more) => job({ kind: 'quantize', quantize: q, ...more });
const specifications = [
  ['unknown key', job({ epochs: 3 }), 422, /\/epochs unknown_key/],
  ['unknown nested key', job({ train: { epoch: 3 } }), 422, /\/train\/epoch unknown_key/],
  ['section of another kind', job({ quantize: { weights: { bits: 2 } } }), 422, /\/quantize/],
  ['bits 0', quantize({ weights: { bits: 0 } }), 422, /\/quantize\/weights\/bits/],
  ['bits 33', quantize({ weights: { bits: 33 } }), 422, /\/quantize\/weights\/bits/],
  ['activation bits 1', quantize({ activations: { bits: 1 } }), 422, /\/quantize\/activations\/bits/],
  ['bits as text', quantize({ weights: { bits: '4' } }), 422, /\/quantize\/weights\/bits type/],
  ['bits as a fraction', quantize({ weights: { bits: 4.5 } }), 422, /\/quantize\/weights\/bits/],
  ['wrong method', quantize({ method: 'magic' }), 422, /\/quantize\/method enum/],
  ['override that matches nothing', quantize({}, { overrides: [{ match: 'conv9*', weights: { bits: 8 } }] }), 422,
    /\/overrides\/0\/match/],
  ['override without match', quantize({}, { overrides: [{ weights: { bits: 8 } }] }), 422, /\/overrides\/0\/match required/],
  ['a sparsity for what does not prune', quantize({}, { overrides: [{ match: 'fc1', prune: { sparsity: 0.5 } }] }), 422,
    /\/overrides\/0\/prune.* unknown_key/],
  ['bits for what does not quantize', job({ kind: 'prune', overrides: [{ match: 'fc1', weights: { bits: 4 } }] }), 422,
    /\/overrides\/0\/weights.* unknown_key/],
  ['kind missing', { model: 'zoo:lenet5', dataset: 'builtin:glyphs' }, 422, /\/kind required/],
  ['unknown kind', job({ kind: 'improve' }), 422, /\/kind enum/],
  ['unknown model', job({ model: 'nobody' }), 422, /\/model/],
  ['unknown zoo model', job({ model: 'zoo:nothing' }), 422, /\/model/],
  ['zoo model at a size it cannot take', job({ model: 'zoo:alexnet@3x15x15/10' }), 422, /\/model limit/],
  ['unknown data set', job({ dataset: 'builtin:nothing' }), 422, /\/dataset/],
  ['too many cpus', job({ resources: { cpus: 200 } }), 422, /\/resources\/cpus/],
  ['negative epochs', job({ train: { epochs: -1 } }), 422, /\/train\/epochs/],
  ['an array', [1, 2], 422, /./],
  ['time that is none', job({ not_before: 'tomorrow' }), 422, /\/not_before/],
];
for (const [name, spec, status, where] of specifications)
  test(`specification: ${name}`, async () => {
    assertProblem(await post('/v1/jobs', JSON.stringify(spec), json), status, where);
  });

test('all problems of a specification are told at once', async () => {
  const answer = await post('/v1/jobs', JSON.stringify(quantize({ weights: { bits: 0 }, method: 'x' }, { zzz: 1 })), json);
  assertProblem(answer, 422);
  assert.equal(answer.body.errors.length, 3, JSON.stringify(answer.body.errors));
});

test('JSON that is none', async () => {
  assertProblem(await post('/v1/jobs', '{"kind": "train",', json), 400);
  assertProblem(await post('/v1/jobs', '{"kind": "train", "kind": "train"}', json), 400);
});
test('five megabytes of JSON', async () => {
  const answer = await post('/v1/jobs', `{"name": "${'x'.repeat(5 << 20)}"}`, json).catch((e) => e);
  // a client that insists on sending it all may only see the connection closed
  if (!(answer instanceof Error)) assertProblem(answer, 413);
});
test('deep JSON', async () => {
  assertProblem(await post('/v1/jobs', '['.repeat(100000) + ']'.repeat(100000), json), 400);
});

// --- HTTP ----------------------------------------------------------------------------------------------------------
test('unknown paths and methods', async () => {
  assertProblem(await api(daemon.url, 'GET', '/v1/nothing'), 404);
  assertProblem(await api(daemon.url, 'GET', '/v1/jobs/12345'), 404);
  const answer = await api(daemon.url, 'PUT', '/v1/jobs', '{}', json);
  assertProblem(answer, 405);
  assert.match(answer.headers.get('allow'), /GET/);
});
test('bad query parameters', async () => {
  assertProblem(await api(daemon.url, 'GET', '/v1/jobs?limit=0'), 400, /limit/);
  assertProblem(await api(daemon.url, 'GET', '/v1/jobs?limit=5x'), 400, /limit/);
  assertProblem(await api(daemon.url, 'GET', '/v1/jobs?cursor=%00zz'), 400, /cursor/);
  assertProblem(await api(daemon.url, 'GET', '/v1/jobs?colour=red'), 400, /colour/);
  assertProblem(await api(daemon.url, 'GET', '/v1/jobs?tag=a%00b'), 400, /tag.* zero byte/);
  assertProblem(await api(daemon.url, 'GET', '/v1/jobs?state=asleep'), 400, /state/);
});

// --- models ----------------------------------------------------------------------------------------------------------
// A protobuf field: number, wire type 2 (bytes).
function field(number, payload) {
  const body = Buffer.from(payload);
  const length = [];
  for (let n = body.length; ; n >>>= 7) {
    length.push(n > 127 ? (n & 127) | 128 : n);
    if (n <= 127) break;
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), body]);
}
const varint = (number, value) => Buffer.from([number << 3, value]);
const text = (number, s) => field(number, Buffer.from(s));

function dimension(v) {
  return field(1, typeof v === 'number' ? varint(1, v) : text(2, v));
}
function valueInfo(name, dims) {
  return Buffer.concat([text(1, name), field(2, field(1, Buffer.concat([varint(1, 1), field(2, Buffer.concat(dims.map(dimension)))])))]);
}
function onnx(nodes, { input = ['N', 1, 4, 4], initializers = [], output = 'y' } = {}) {
  const graph = Buffer.concat([...nodes, text(2, 'g'), ...initializers.map((i) => field(5, i)),
    field(11, valueInfo('x', input)), field(12, valueInfo(output, ['N', 10]))]);
  return Buffer.concat([varint(1, 7), field(7, graph), field(8, varint(2, 13))]);
}
const node = (op, inputs, outputs, name) =>
  field(1, Buffer.concat([...inputs.map((i) => text(1, i)), ...outputs.map((o) => text(2, o)), text(3, name), text(4, op)]));

// graph -> node -> attribute -> graph -> ...: a parser that recurses would go down once per level. Built from the
// inside out without copying: only the headers of the levels are real.
function nested(bytes) {
  const numbers = [6, 5, 1]; // attribute.g, node.attribute, graph.node
  const headers = [];
  let length = 0;
  for (let depth = 0; length < bytes; depth++) {
    const size = [];
    for (let n = length; ; n >>>= 7) {
      size.push(n > 127 ? (n & 127) | 128 : n);
      if (n <= 127) break;
    }
    headers.push(Buffer.from([(numbers[depth % 3] << 3) | 2, ...size]));
    length += headers.at(-1).length;
  }
  return field(7, Buffer.concat(headers.reverse()));
}

const zeros = (name, dims, raw) =>
  Buffer.concat([...dims.map((d) => varint(1, d)), varint(2, 1), text(8, name), field(9, raw)]);

const models = [
  ['empty body', () => Buffer.alloc(0), [400, 422]],
  ['not ONNX', () => Buffer.from('this is not a model at all'), [422]],
  ['unknown operator', () => onnx([node('Fancy', ['x'], ['y'], 'odd_one')]), [422], /odd_one/],
  ['missing input', () => onnx([node('Relu', ['nowhere'], ['y'], 'relu1')]), [422], /relu1|nowhere/],
  ['wrong shapes', () => onnx([node('Gemm', ['x', 'w'], ['y'], 'fc')], {
    input: ['N', 16], initializers: [zeros('w', [5, 10], Buffer.alloc(200))] }), [422], /fc/],
  ['dims that lie', () => onnx([node('Gemm', ['x', 'w'], ['y'], 'fc')], {
    input: ['N', 16], initializers: [zeros('w', [127, 127], Buffer.alloc(40))] }), [422], /w/],
  ['714 KB of nested messages', () => nested(714000), [422]],
];
for (const [name, make, statuses, where] of models)
  test(`model: ${name}`, async () => {
    const answer = await post('/v1/models?name=bad', make(), binary);
    assert.ok(statuses.includes(answer.status), `${answer.status} ${JSON.stringify(answer.body)}`);
    assertProblem(answer, answer.status, where);
  });

test('model: truncated', { skip }, async () => {
  const whole = readFileSync(join(data, 'models/lenet5_mnist.onnx'));
  for (const length of [1, 100, 5000, whole.length - 1])
    assertProblem(await post('/v1/models?name=cut', whole.subarray(0, length), binary), 422);
});

// --- data sets -------------------------------------------------------------------------------------------------------
function idx(magic, dims, payload) {
  const head = Buffer.alloc(4 + 4 * dims.length);
  head.writeUInt32BE(magic, 0);
  dims.forEach((d, i) => head.writeUInt32BE(d, 4 + 4 * i));
  return Buffer.concat([head, payload]);
}
function tar(files) {
  const dir = mkdtempSync(join(scratch, 'tar-'));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content);
  const out = `${dir}.tar`;
  execFileSync('tar', ['cf', out, '-C', dir, ...Object.keys(files)]);
  return readFileSync(out);
}
const images = (count, held = count) => idx(2051, [count, 28, 28], Buffer.alloc(held * 784));
const labels = (values) => idx(2049, [values.length], Buffer.from(values));
const four = (more) => ({ 'train-images-idx3-ubyte': images(4), 'train-labels-idx1-ubyte': labels([0, 1, 2, 3]),
  't10k-images-idx3-ubyte': images(2), 't10k-labels-idx1-ubyte': labels([0, 1]), ...more });
function escaping() {
  const dir = mkdtempSync(join(scratch, 'esc-'));
  mkdirSync(join(dir, 'in'));
  writeFileSync(join(dir, 'x'), 'x');
  execFileSync('tar', ['cPf', join(dir, 'e.tar'), '../x'], { cwd: join(dir, 'in') });
  execFileSync('mv', [join(dir, 'e.tar'), join(dir, 'in', 'e.tar')]);
  return readFileSync(join(dir, 'in', 'e.tar'));
}
const datasets = [
  ['empty archive', () => tar({ 'readme.txt': 'nothing' }), /./],
  ['count that lies', () => tar(four({ 'train-images-idx3-ubyte': images(4, 2) })), /train-images/],
  ['2 GiB claim in a small body', () => tar(four({ 'train-images-idx3-ubyte': idx(2051, [2739137, 28, 28], Buffer.alloc(84)) })),
    /train-images/],
  ['labels that do not match', () => tar(four({ 'train-labels-idx1-ubyte': labels([0, 1]) })), /train/],
  ['wrong magic', () => tar(four({ 'train-images-idx3-ubyte': idx(1234, [4, 28, 28], Buffer.alloc(4 * 784)) })), /train-images/],
  ['tar with ../x', escaping, /\.\.\/x/],
  ['truncated gzip', () => tar(four({ 'train-images-idx3-ubyte.gz': gzipSync(images(4)).subarray(0, 20) })), /train-images/],
  ['noise', () => Buffer.from(Array.from({ length: 1000 }, (_, i) => (i * 7919) & 255)), /./],
];
for (const [name, make, where] of datasets)
  test(`data set: ${name}`, async () => {
    assertProblem(await post('/v1/datasets?name=bad&format=idx', make(), binary), 422, where);
  });
test('data set: label out of range', async () => {
  const answer = await post('/v1/datasets?name=bad&format=idx', tar(four({ 'train-labels-idx1-ubyte': labels([0, 1, 2, 255]) })), binary);
  assertProblem(answer, 422, /label/);
});
test('data set: unknown format', async () => {
  assertProblem(await post('/v1/datasets?name=bad&format=xyz', tar(four()), binary), 422, /format/);
});

// --- ranges and blobs ------------------------------------------------------------------------------------------------
test('a range beyond the end; a blob whose hash differs', async () => {
  const body = tar(four());
  const made = await post('/v1/datasets?name=four&format=idx', body, binary);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const blob = `/v1/blobs/${made.body.sha256}`;
  const part = await fetch(daemon.url + blob, { headers: { range: 'bytes=0-9' } });
  assert.equal(part.status, 206);
  assert.deepEqual(Buffer.from(await part.arrayBuffer()), body.subarray(0, 10));
  const beyond = await fetch(daemon.url + blob, { headers: { range: `bytes=${body.length + 5}-` } });
  assert.equal(beyond.status, 416);
  await beyond.arrayBuffer();
  assertProblem(await api(daemon.url, 'PUT', `/v1/blobs/sha256:${'0'.repeat(64)}`, body, binary), 422);
  assertProblem(await api(daemon.url, 'PUT', '/v1/blobs/sha256:xyz', body, binary), 400);
  assert.equal((await api(daemon.url, 'DELETE', `/v1/datasets/${made.body.id}`)).status, 204);
});

test('nothing is left behind, and the daemon has not grown', async () => {
  const before = leftovers();
  const start = residentKb();
  for (let round = 0; round < 5; round++) {
    for (const [, make] of models) await post('/v1/models?name=bad', make(), binary);
    for (const [, make] of datasets) await post('/v1/datasets?name=bad&format=idx', make(), binary);
    for (const [, spec] of specifications) await post('/v1/jobs', JSON.stringify(spec), json);
  }
  assert.equal((await api(daemon.url, 'GET', '/v1/jobs')).body.items.length, 0);
  assert.equal((await api(daemon.url, 'GET', '/v1/models')).body.items.length, 0);
  assert.equal((await api(daemon.url, 'GET', '/v1/datasets')).body.items.length, 0);
  assert.equal(leftovers(), before);
  assert.equal(filesBelow(join(daemon.dir, 'tmp')), 0);
  const grown = residentKb() - start;
  assert.ok(grown < 8 * 1024, `grew by ${grown} KiB`);
  assert.ok(statSync(join(daemon.dir, 'quantd.db')).size < 4 << 20);
});
