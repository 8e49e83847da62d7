// Run one row through a daemon of its own on loopback:
//   node tests/reproduce/run.mjs ROW [--cpus N] [--seeds 1,2,3] [--precision fp32|mixed] [--hold-out N] [--model FILE]
// ROW is a file of this directory without .json. Prints a line per seed, the mean and standard deviation, and whether the
// bar is reached (exit code 1 where it is not). A bar may ask for none, or any of: mean, min (of all seeds) of the metric; gap, the
// most that any seed may lose against the model as it came; file_bytes, the largest file of any seed; wall_s of any seed; against
// other rows, whose same seeds have run before: the mean metric of each must be passed by more than `gain`, and of its mean
// variance within bins at most `bin_variance` may be left.
// A model "row:NAME" is what the first seed of that row has left here, so that row runs before. With --hold-out the last N
// training images stand for the test images (of MNIST's form): settings are chosen so, from a --model that has not seen them
// (row:NAME is then that row's model from a run with --hold-out).
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir, availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { holdOut } from './holdout.mjs';
import { startQuantd, api, waitState, dataDir } from '../lib/quantd.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const row = process.argv[2];
const option = (name, fallback) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : process.argv[at + 1];
};
if (!row) {
  console.error('usage: node tests/reproduce/run.mjs ROW [--cpus N] [--seeds 1,2,3] [--precision fp32|mixed] [--hold-out N] [--model FILE]');
  process.exit(2);
}
const data = dataDir();
if (!data) {
  console.error('no real data: set QUANTD_DATA');
  process.exit(2);
}
const spec = JSON.parse(readFileSync(join(here, `${row}.json`), 'utf8'));
const cpus = Number(option('--cpus', availableParallelism()));
const precision = option('--precision'), heldOut = Number(option('--hold-out', 0)), modelFile = option('--model');
const seeds = option('--seeds', spec.seeds.join(',')).split(',').map(Number);
const scratch = mkdtempSync(join(tmpdir(), 'quantd-reproduce-'));
const daemon = await startQuantd({ args: ['--slots', String(availableParallelism())] });
const left = (name) => join(here, '../../build/reproduce', [name, heldOut && 'held-out'].filter(Boolean).join('-'));
const out = left([row, precision].filter(Boolean).join('-'));
mkdirSync(out, { recursive: true });

async function ask(method, path, body, headers = { 'content-type': 'application/octet-stream' }) {
  const answer = await api(daemon.url, method, path, body, headers);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}
// One folder as it is, or two as train/ and test/.
function archive(dataset) {
  const file = join(scratch, 'data.tar');
  const folders = dataset.path ? { [basename(dataset.path)]: dataset.path } : { train: dataset.train, test: dataset.test };
  for (const [name, path] of Object.entries(folders))
    if (heldOut) holdOut(join(data, path), heldOut, join(scratch, name));
    else symlinkSync(join(data, path), join(scratch, name));
  execFileSync('tar', ['chf', file, '-C', scratch, ...Object.keys(folders)]);
  return readFileSync(file);
}
// The file that a row begins from.
function modelPath() {
  const name = modelFile ?? spec.model;
  if (!name.startsWith('row:')) return modelFile ?? join(data, name);
  const path = join(left(name.slice(4)), 'seed1.onnx');
  if (!existsSync(path)) throw new Error(`${row} begins from what row ${name.slice(4)} leaves: run that one first`);
  return path;
}
const average = (list) => list.reduce((a, b) => a + b, 0) / list.length;
// What the seeds of a row have left: results, and the last value of each series.
function leftBy(name) {
  const read = (seed, kind) => {
    const path = join(left(name), `seed${seed}.${kind}.json`);
    if (!existsSync(path)) throw new Error(`${row} is compared with seed ${seed} of row ${name}: run that one first`);
    return JSON.parse(readFileSync(path, 'utf8'));
  };
  return seeds.map((seed) => ({ value: read(seed, 'result').value, variance: read(seed, 'metrics').bin_variance }));
}
// top-1 is a share, everything else is printed as it is
const show = (value, metric) => (value === undefined ? '-' : metric === 'top1' ? `${(100 * value).toFixed(2)} %` : value.toFixed(2));

try {
  const { bar } = spec, others = (bar.against ?? []).map((other) => ({ ...other, left: leftBy(other.row) }));
  const model = !modelFile && spec.model.startsWith('zoo:') ? spec.model
    : (await ask('POST', '/v1/models?name=model', readFileSync(modelPath()))).name;
  const format = spec.dataset.format ? `&format=${spec.dataset.format}` : '';
  await ask('POST', `/v1/datasets?name=data${format}`, archive(spec.dataset));
  const values = [], bytes = [], gaps = [], walls = [], variances = [];
  let metric;
  console.log(precision ? `${spec.title}, ${precision}` : spec.title);
  for (const seed of seeds) {
    const job = { ...spec.job, model, dataset: 'data', train: { ...spec.job.train, ...(precision && { precision }), seed }, resources: { ...spec.job.resources, cpus } };
    const { id } = await ask('POST', '/v1/jobs', JSON.stringify(job), { 'content-type': 'application/json' });
    const done = await waitState(daemon.url, id, ['succeeded', 'failed', 'parked', 'cancelled'], 24 * 3600e3);
    if (done.state !== 'succeeded') throw new Error(`seed ${seed}: ${done.state}: ${done.reason}`);
    const { result } = await ask('GET', `/v1/jobs/${id}`);
    const { series } = await ask('GET', `/v1/jobs/${id}/metrics`);
    const { items } = await ask('GET', `/v1/jobs/${id}/artifacts`);
    for (const kind of ['onnx', 'qdz']) {
      if (!items.some(({ name }) => name === `model.${kind}`)) continue; // of what only trains there is no .qdz
      const file = await fetch(`${daemon.url}/v1/jobs/${id}/artifacts/model.${kind}`);
      if (!file.ok) throw new Error(`model.${kind} of job ${id}: ${file.status}`);
      writeFileSync(join(out, `seed${seed}.${kind}`), Buffer.from(await file.arrayBuffer()));
    }
    writeFileSync(join(out, `seed${seed}.result.json`), JSON.stringify(result, null, 2));
    const last = Object.fromEntries(Object.entries(series).map(([name, { values: all }]) => [name, all.at(-1)]));
    writeFileSync(join(out, `seed${seed}.metrics.json`), JSON.stringify(last, null, 2));
    variances.push(last.bin_variance);
    values.push(result.value);
    bytes.push(result.file_bytes);
    gaps.push(result.float_value - result.value);
    walls.push(result.wall_s);
    metric = result.metric;
    const steps = last.error_in_steps?.toExponential(2) ?? '-', coefficient = last.coefficient?.toExponential(2) ?? '-';
    console.log(`seed ${seed}: before ${show(result.float_value, metric)}  re-scored ${show(result.value, metric)}  ` +
      `snap ${show(result.snap?.before, metric)} -> ${show(result.snap?.after, metric)}  error ${steps} steps  ` +
      `coefficient ${coefficient}  variance in bins ${last.bin_variance?.toFixed(4) ?? '-'}  ${result.file_bytes} B  ${result.wall_s.toFixed(0)} s`);
  }
  const mean = average(values);
  const deviation = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / Math.max(1, values.length - 1));
  const spread = metric === 'top1' ? `${(100 * deviation).toFixed(3)} points` : deviation.toFixed(3);
  console.log(`mean ${show(mean, metric)} +- ${spread}`);
  const least = Math.min(...values), most = Math.max(...bytes), gap = Math.max(...gaps), wall = Math.max(...walls);
  const lost = (g) => (g === undefined ? '-' : metric === 'top1' ? `${(100 * g).toFixed(2)} points` : `${g.toFixed(3)} dB`);
  const compared = others.flatMap(({ row: name, gain, bin_variance: share, left: seen }) => {
    const gained = mean - average(seen.map(({ value }) => value)), sharper = average(variances) / average(seen.map(({ variance }) => variance));
    return [[`gain over ${name}`, gain, gained > gain, lost(gained), `over ${lost(gain)}`],
      [`variance in bins of ${name}`, share, sharper <= share, sharper.toFixed(3), share]];
  });
  const checks = [
    ['mean', bar.mean, mean >= bar.mean, show(mean, metric), show(bar.mean, metric)],
    ['worst seed', bar.min, least >= bar.min, show(least, metric), show(bar.min, metric)],
    ['largest gap', bar.gap, gap <= bar.gap + 1e-9, lost(gap), lost(bar.gap)],
    ['longest run', bar.wall_s, wall <= bar.wall_s, `${wall.toFixed(0)} s`, `${bar.wall_s} s`],
    ['largest file', bar.file_bytes, most <= bar.file_bytes, `${most} B`, `${bar.file_bytes} B`],
    ...compared,
  ].filter(([, asked]) => asked !== undefined);
  for (const [name, , reached, is, asked] of checks) console.log(`${name} ${is}  bar ${asked}: ${reached ? 'reached' : 'MISSED'}`);
  process.exitCode = checks.every(([, , reached]) => reached) ? 0 : 1;
} finally {
  await daemon.stop();
  rmSync(scratch, { recursive: true, force: true });
}
