// A model of 100 MB and a data set of 2 GB through the daemon: node tests/bench/large.mjs [--memory MB]
// Writes both (about 2.2 GB in the temporary directory, removed at the end), uploads them, evaluates and trains an epoch,
// and prints what server and workers had in memory. Exit code 1 when a job ends otherwise than well, when a worker had more
// than its plan by a tenth, or when the server grew by more than a few MB.
import { createReadStream, mkdtempSync, openSync, closeSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir, availableParallelism } from 'node:os';
import { join } from 'node:path';
import { startQuantd, api, waitState } from '../lib/quantd.mjs';
import { npyHeader } from '../lib/files.mjs';
import { denseModel } from './large_model.mjs';

const SIDE = 256, CLASSES = 10, TRAIN = 10000, TEST = 1000; // 11,000 images of 196,608 bytes: 2.16 GB
const GROWTH_KB = 8 << 10;
const at = process.argv.indexOf('--memory');
const memory = at < 0 ? 1024 : Number(process.argv[at + 1]);
const scratch = mkdtempSync(join(tmpdir(), 'quantd-large-'));
const cpus = availableParallelism();
const daemon = await startQuantd({ args: ['--slots', String(cpus)] });
let good = true;

const serverKb = (key) => Number(new RegExp(`${key}:\\s+(\\d+)`).exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))[1]);
const mb = (kb) => `${(kb / 1024).toFixed(1)} MB`;
function server(when) {
  console.log(`${when}: quantd has ${mb(serverKb('VmRSS'))}, had at most ${mb(serverKb('VmHWM'))}`);
}
function expect(right, text) {
  if (!right) console.log(`FAIL ${text}`);
  good &&= right;
}

/** A .npy file whose numbers `rows` writes. */
function npyFile(name, shape, rows) {
  const fd = openSync(join(scratch, name), 'w');
  writeSync(fd, npyHeader('|u1', shape));
  rows(fd);
  closeSync(fd);
  return name;
}

/** Noise in which the class shows as a brighter row of pixels; each image begins elsewhere in the noise. */
function images(fd, count) {
  const bytes = SIDE * SIDE * 3, noise = Buffer.alloc(4 << 20), image = Buffer.alloc(bytes);
  for (let i = 0, state = 1; i < noise.length; i++) noise[i] = (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 26;
  for (let i = 0; i < count; i++) {
    noise.copy(image, 0, (i * 7919) % (noise.length - bytes));
    image.fill(200, (i % CLASSES) * 24 * SIDE * 3, ((i % CLASSES) * 24 + 8) * SIDE * 3);
    writeSync(fd, image);
  }
}
const labels = (fd, count) => writeSync(fd, Buffer.from(Array.from({ length: count }, (_, i) => i % CLASSES)));

function writeDataset() {
  const names = [['x_train', TRAIN], ['x_test', TEST]].map(([name, count]) =>
    npyFile(`${name}.npy`, [count, SIDE, SIDE, 3], (fd) => images(fd, count)));
  names.push(...[['y_train', TRAIN], ['y_test', TEST]].map(([name, count]) => npyFile(`${name}.npy`, [count], (fd) => labels(fd, count))));
  execFileSync('tar', ['cf', join(scratch, 'data.tar'), '--remove-files', '-C', scratch, ...names]);
  return join(scratch, 'data.tar');
}

async function upload(kind, query, body, length) {
  const began = Date.now();
  const response = await fetch(`${daemon.url}/v1/${kind}?${query}`, { method: 'POST', body, duplex: 'half',
    headers: { 'content-type': 'application/octet-stream', 'content-length': String(length) } });
  const answer = await response.json();
  if (response.status !== 201) throw new Error(JSON.stringify(answer));
  console.log(`${kind}: ${(length / 1e6).toFixed(0)} MB taken and inspected in ${((Date.now() - began) / 1000).toFixed(1)} s`);
  return answer;
}

async function run(name, spec) {
  const began = Date.now();
  const answer = await api(daemon.url, 'POST', '/v1/jobs', { ...spec, model: 'large', dataset: 'large', resources: { cpus, memory_mb: memory } });
  if (answer.status !== 202) throw new Error(JSON.stringify(answer.body));
  const job = await waitState(daemon.url, answer.body.id, ['succeeded', 'failed', 'parked', 'cancelled'], 3600e3);
  const { result, attempts } = (await api(daemon.url, 'GET', `/v1/jobs/${job.id}`)).body;
  expect(job.state === 'succeeded', `${name}: ${job.state} ${job.reason}`);
  if (result) {
    const planned = result.planned_bytes / 1024, peak = attempts.at(-1).peak_kb;
    console.log(`${name}: planned ${mb(planned)}, had ${mb(peak)} (${(100 * (planned / peak - 1)).toFixed(1)} %), ` +
      `may have ${memory} MB; value ${result.value}; ${((Date.now() - began) / 1000).toFixed(0)} s`);
    expect(Math.abs(planned / peak - 1) <= 0.1, `${name}: the plan is off by more than a tenth`);
  }
  server(`after ${name}`);
}

try {
  const model = denseModel({ side: SIDE, classes: CLASSES });
  server('at the start');
  const before = serverKb('VmRSS');
  await upload('models', 'name=large', model, model.length);
  const file = writeDataset();
  await upload('datasets', 'name=large&format=npy', createReadStream(file, { highWaterMark: 1 << 20 }), statSync(file).size);
  rmSync(file);
  server('after the uploads');
  await run('evaluate', { kind: 'evaluate' });
  await run('train', { kind: 'train', train: { epochs: 1, batch_size: 64, learning_rate: 0.001 } });
  expect(serverKb('VmHWM') - before < GROWTH_KB, `the server grew by ${mb(serverKb('VmHWM') - before)}`);
} finally {
  await daemon.stop();
  rmSync(scratch, { recursive: true, force: true });
}
process.exitCode = good ? 0 : 1;
