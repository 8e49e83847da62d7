// The same classes as ONNX Runtime: node tests/bench/exact.mjs ROW | FILE.qdz [--images N] [--plain]
// ROW of tests/reproduce on CIFAR-10: its job with export.exact; or a coded file that such a job has made. Both exports are
// derived from the coded file, classified by our engines and, without optimization, by onnxruntime-web, and the images whose
// class differs are counted (--plain: of the plain export too). Exit code 1 where an exact class differs.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { startQuantd, api, waitState, dataDir, binDir } from '../lib/quantd.mjs';
import { judgeTop1 } from '../judge/judge.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const [row] = process.argv.slice(2), data = dataDir();
const at = process.argv.indexOf('--images'), limit = at < 0 ? Infinity : Number(process.argv[at + 1]);
const normalize = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
if (!row || !data) {
  console.error('usage: node tests/bench/exact.mjs ROW | FILE.qdz [--images N] [--plain], with real data');
  process.exit(2);
}
const scratch = mkdtempSync(join(tmpdir(), 'quantd-exact-'));
const daemon = await startQuantd({ args: ['--slots', '1'] });

async function ask(method, path, body, headers = { 'content-type': 'application/octet-stream' }) {
  const answer = await api(daemon.url, method, path, body, headers);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}
async function run(job) {
  const { id } = await ask('POST', '/v1/jobs', JSON.stringify({ normalize, resources: { cpus: 1 }, ...job }), { 'content-type': 'application/json' });
  const done = await waitState(daemon.url, id, ['succeeded', 'failed', 'parked'], 24 * 3600e3);
  if (done.state !== 'succeeded') throw new Error(`${done.state}: ${done.reason}`);
  return { id, result: (await ask('GET', `/v1/jobs/${id}`)).result };
}
const artifact = async (id, name) => Buffer.from(await (await fetch(`${daemon.url}/v1/jobs/${id}/artifacts/${name}`)).arrayBuffer());

/** The coded file: as given, or of the row's job. */
async function coded(spec) {
  if (row.endsWith('.qdz')) return readFileSync(row);
  const { name } = await ask('POST', '/v1/models?name=model', readFileSync(join(data, spec.model)));
  const { id, result } = await run({ ...spec.job, model: name, dataset: 'data', train: { ...spec.job.train, seed: 1 }, export: { exact: true } });
  console.log(`${row}: ended with ${result.trained_value}, exported ${result.value}, ${result.exact_layers} of ${result.layers.length} layers are exact`);
  return artifact(id, 'model.qdz');
}
async function byEngine(engine, model) {
  const { id, result } = await run({ kind: 'evaluate', engine, model, dataset: 'data' });
  const classes = (await artifact(id, 'classes.csv')).toString().trim().split('\n').slice(1).map((line) => Number(line.split(',')[2]));
  return { classes, value: result.value };
}
/** The test part: a byte for the label, then 3 planes of 32 x 32. */
function testPart() {
  const bytes = gunzipSync(readFileSync(join(data, 'cifar10/test_batch.bin.gz'))), size = 3 * 32 * 32 + 1;
  const count = Math.min(bytes.length / size, limit), images = new Uint8Array(count * (size - 1)), labels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    labels[i] = bytes[i * size];
    images.set(bytes.subarray(i * size + 1, (i + 1) * size), i * (size - 1));
  }
  return { images, labels, height: 32, width: 32, ...normalize };
}
const differ = (a, b) => b.filter((k, i) => k !== a[i]).length;

try {
  symlinkSync(join(data, 'cifar10'), join(scratch, 'cifar10'));
  execFileSync('tar', ['chf', join(scratch, 'data.tar'), '-C', scratch, 'cifar10']);
  await ask('POST', '/v1/datasets?name=data&format=cifar', readFileSync(join(scratch, 'data.tar')));
  const spec = row.endsWith('.qdz') ? null : JSON.parse(readFileSync(join(here, `../reproduce/${row}.json`), 'utf8'));
  const qdz = join(scratch, 'model.qdz'), test = testPart();
  writeFileSync(qdz, await coded(spec));
  for (const how of ['--fold-normalization', '--exact']) {
    const onnx = join(scratch, `model${how}.onnx`);
    process.stderr.write(execFileSync(join(binDir, 'quantd-worker'), ['decode', qdz, '-o', onnx, how]));
    const { name } = await ask('POST', `/v1/models?name=model${how}`, readFileSync(onnx));
    const integer = await byEngine('integer', name), float = await byEngine('float', name);
    console.log(`${how}: top-1 integer ${integer.value}, float ${float.value}; ${differ(integer.classes, float.classes)} of ${float.classes.length} classes differ`);
    if (how !== '--exact' && !process.argv.includes('--plain')) continue;
    const judged = await judgeTop1(onnx, test, Infinity, 100);
    const others = differ(integer.classes, judged.predicted);
    console.log(`${how}: ONNX Runtime ${judged.correct} of ${judged.samples} right; to engine integer ${others} classes differ`);
    if (how === '--exact' && others) process.exitCode = 1;
  }
} finally {
  await daemon.stop();
  rmSync(scratch, { recursive: true, force: true });
}
