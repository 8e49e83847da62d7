// Every architecture of the zoo trains: node tests/reproduce/zoo.mjs [--cpus N] [NAME...]
// A short run from random weights on a few hundred real images through the daemon. Classifiers get CIFAR-10 in their 32x32
// form (LeNet-5: MNIST; AlexNet, which can't take 32x32: every pixel twice in both directions), super-resolution T91.
// Prints the loss at the beginning and at the end (means over a quarter of the steps); exit code 1 where it did not fall by a
// twentieth.
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { startQuantd, api, dataDir } from '../lib/quantd.mjs';
import { npyHeader, tar } from '../lib/files.mjs';
import { finished, submit } from '../crash/kills.mjs';

const TRAIN = 256, TEST = 32, FALL = 0.95, HOURS = 3600e3;
const args = process.argv.slice(2), at = args.indexOf('--cpus');
const cpus = at < 0 ? 2 : Number(args.splice(at, 2)[1]);
const data = dataDir();
if (!data) {
  console.error('no real data: set QUANTD_DATA');
  process.exit(2);
}
const scratch = mkdtempSync(join(tmpdir(), 'quantd-zoo-'));
const daemon = await startQuantd({ args: ['--slots', String(cpus)] });

async function upload(name, dir) {
  const answer = await api(daemon.url, 'POST', `/v1/datasets?name=${name}`, tar(dir, ['.']), { 'content-type': 'application/octet-stream' });
  if (answer.status !== 201) throw new Error(`${name}: ${JSON.stringify(answer.body)}`);
}
const unpacked = (path) => gunzipSync(readFileSync(join(data, path)));
const numpy = (shape, bytes) => Buffer.concat([npyHeader('|u1', shape), bytes]);

/** parts: images (N,C,H,W) with their labels of train and test. */
async function uploadArrays(name, shape, parts) {
  const dir = join(scratch, name);
  mkdirSync(dir);
  for (const [part, count, { images, labels }] of [['train', TRAIN, parts[0]], ['test', TEST, parts[1]]]) {
    writeFileSync(join(dir, `x_${part}.npy`), numpy([count, ...shape], images));
    writeFileSync(join(dir, `y_${part}.npy`), numpy([count], labels));
  }
  await upload(name, dir);
}

function mnist(part, count) {
  const images = unpacked(`mnist/${part}-images-idx3-ubyte.gz`), labels = unpacked(`mnist/${part}-labels-idx1-ubyte.gz`);
  return { images: images.subarray(16, 16 + count * 784), labels: labels.subarray(8, 8 + count) };
}

function cifar(file, count) {
  const records = unpacked(`cifar10/${file}.bin.gz`), record = (i) => records.subarray(i * 3073, (i + 1) * 3073);
  const all = Array.from({ length: count }, (_, i) => record(i));
  return { images: Buffer.concat(all.map((r) => r.subarray(1))), labels: Buffer.from(all.map((r) => r[0])) };
}

async function uploadImages() {
  const dir = join(scratch, 't91'), take = (part, from, wanted) => {
    mkdirSync(join(dir, part), { recursive: true });
    for (const file of readdirSync(join(data, from)).filter(wanted)) copyFileSync(join(data, from, file), join(dir, part, file));
  };
  take('train', 'sr/T91', () => true);
  take('test', 'sr/Set5_LR', (file) => file.includes('SRF_4')); // the smallest images that there are
  await upload('t91', dir);
}

const adam = { optimizer: 'adam', learning_rate: 0.001, weight_decay: 0 };
const classify = { epochs: 5, batch_size: 32, ...adam };
const superres = { epochs: 2, samples_per_epoch: 128, batch_size: 8, patch: 48, ...adam };
/** Deep and without normalization: smaller steps, and more of them. */
const careful = { epochs: 10, learning_rate: 0.0002 };
const special = {
  'lenet5': { dataset: 'mnist' },
  'alexnet': { train: careful },
  'vgg16': { train: careful },
  'googlenet': { train: careful },
  'mobilenet-v1-x0.5': { train: { epochs: 10 } },
};

function job(z) {
  const { dataset, train } = { dataset: 'cifar10', ...special[z.name] };
  const common = { kind: 'train', resources: { cpus, memory_mb: 4096 } };
  if (z.scale) return { ...common, task: 'superres', scale: z.scale > 1 ? z.scale : 2, model: `zoo:${z.name}`, dataset: 't91', train: { ...superres, ...train } };
  return { ...common, model: dataset === 'mnist' ? `zoo:${z.name}` : `zoo:${z.name}@3x32x32/10`, dataset, train: { ...classify, ...train } };
}

const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
async function falls(z) {
  const spec = job(z), id = await submit(daemon, spec);
  const { attempts } = await finished(daemon, id, HOURS);
  const { values } = (await api(daemon.url, 'GET', `/v1/jobs/${id}/metrics?series=loss`)).body.series.loss;
  const quarter = Math.floor(values.length / 4), first = mean(values.slice(0, quarter)), last = mean(values.slice(-quarter));
  const good = last < FALL * first;
  console.log(`${spec.model.slice(4).padEnd(34)} ${String(values.length).padStart(3)} steps  loss ${first.toPrecision(4)} -> ${last.toPrecision(4)}  ` +
    `${attempts.at(-1).cpu_s.toFixed(0)} s of processor time${good ? '' : '  DID NOT FALL'}`);
  return good;
}

let good = true;
try {
  await uploadArrays('mnist', [1, 28, 28], [mnist('train', TRAIN), mnist('t10k', TEST)]);
  const color = [cifar('data_batch_1', TRAIN), cifar('test_batch', TEST)];
  await uploadArrays('cifar10', [3, 32, 32], color);
  await uploadImages();
  const { zoo } = (await api(daemon.url, 'GET', '/v1/capabilities')).body;
  for (const z of zoo.filter((z) => args.length === 0 || args.includes(z.name))) good = (await falls(z)) && good;
} finally {
  await daemon.stop();
  rmSync(scratch, { recursive: true, force: true });
}
process.exitCode = good ? 0 : 1;
