// Compressions with a goal: what is searched, by which samples, and what is said of it.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { startQuantd, api, waitState, binDir } from '../lib/quantd.mjs';

const json = { 'content-type': 'application/json' };
let daemon;

before(async () => {
  daemon = await startQuantd();
});
after(() => daemon?.stop());

const get = async (path) => (await api(daemon.url, 'GET', path)).body;
const submit = (spec) => api(daemon.url, 'POST', '/v1/jobs', JSON.stringify(spec), json);
const spec = (goal, more) => ({
  kind: 'compress', model: 'zoo:lenet5', dataset: 'builtin:glyphs', prune: { epochs: 0, sparsity: 0.9 },
  quantize: { weights: { bits: 3 }, activations: { bits: 32 }, first_last_bits: 4 },
  train: { epochs: 1, learning_rate: 0.02, seed: 3 }, goal, resources: { cpus: 2 }, ...more,
});
async function finish(given) {
  const answer = await submit(given);
  assert.equal(answer.status, 202, JSON.stringify(answer.body));
  const job = await waitState(daemon.url, answer.body.id, ['succeeded', 'failed', 'parked', 'cancelled'], 300000);
  assert.equal(job.state, 'succeeded', job.reason);
  return get(`/v1/jobs/${answer.body.id}`);
}
const artifact = async (id, name) => (await fetch(`${daemon.url}/v1/jobs/${id}/artifacts/${name}`)).text();

let job;
test('so many bytes: trials come nearer, the best of them is delivered', async () => {
  job = await finish(spec({ target_bytes: 6000, trials: 4 }));
  const { search } = job.result, best = search.trials[search.best - 1];
  assert.ok(search.met && search.trials.length > 1 && search.trials.length <= 4, JSON.stringify(search));
  assert.equal(search.trials[0].sparsity, 0.9);
  assert.equal(best.bytes, job.result.file_bytes);
  assert.ok(best.bytes <= 6000 && best.met && best.pareto);
  for (const t of search.trials) assert.ok(t.bytes > 6000 || t.metric <= best.metric, JSON.stringify(t));
  const file = Buffer.from(await (await fetch(`${daemon.url}/v1/jobs/${job.id}/artifacts/model.qdz`)).arrayBuffer());
  assert.equal(file.length, best.bytes);
});

test('trials are judged on a tenth of the training part, the test part is judged once', async () => {
  const { datasets } = await get('/v1/capabilities'), glyphs = datasets.find((d) => d.name === 'glyphs');
  assert.equal(job.result.search.held_out.samples, glyphs.train / 10);
  assert.equal(job.result.samples, glyphs.test);
  const { series } = await get(`/v1/jobs/${job.id}/metrics`);
  assert.deepEqual(series.top1.values, [job.result.value]);
  assert.ok(series.held_out_top1.values.length > job.result.search.trials.length);
  for (const [name, key] of [['bytes', 'bytes'], ['metric', 'metric'], ['sparsity', 'sparsity'], ['bits', 'bits']]) {
    const points = series[`search.${name}`];
    assert.deepEqual(points.steps, job.result.search.trials.map((t) => t.trial));
    assert.deepEqual(points.values, job.result.search.trials.map((t) => t[key]));
  }
  assert.equal(job.result.search.held_out.value, job.result.trained_value);
});

test('the table of what was seen', async () => {
  const table = JSON.parse(await artifact(job.id, 'pareto.json'));
  assert.deepEqual(table, job.result.search);
  const lines = (await artifact(job.id, 'pareto.csv')).trim().split('\n');
  assert.equal(lines[0], 'trial,sparsity,bits,price,bytes,metric,pareto,met');
  assert.deepEqual(lines.slice(1).map((l) => Number(l.split(',')[4])), table.trials.map((t) => t.bytes));
  for (const t of table.trials)
    assert.equal(t.pareto, !table.trials.some((o) => o.bytes <= t.bytes && o.metric >= t.metric && (o.bytes < t.bytes || o.metric > t.metric || o.trial < t.trial)));
});

test('quantctl tells what the search has found', () => {
  const out = execFileSync(join(binDir, 'quantctl'), ['jobs', 'watch', String(job.id)], { encoding: 'utf8', env: { ...process.env, QUANTD_URL: daemon.url } });
  assert.match(out, /goal met by trial \d of \d/);
  assert.match(out, new RegExp(`\\* +${job.result.search.best} .* ${job.result.file_bytes} `));
});

test('a goal that nothing meets: the best one, with a warning', async () => {
  const hard = await finish(spec({ min_metric: 1, target_bytes: 300, trials: 2 }, { rate: { lambda: 1e-5 }, train: { epochs: 0 } }));
  const { search } = hard.result;
  assert.equal(search.met, false);
  assert.equal(search.trials.length, 2);
  assert.ok(search.trials[1].price !== search.trials[0].price);
  assert.equal(hard.result.file_bytes, search.trials[search.best - 1].bytes);
  const log = await artifact(hard.id, 'log.txt');
  assert.match(log, /warning top1 of at least 1 in at most 300 bytes: none of 2 trials/);
});

test('goals that make no sense are refused with their place', async () => {
  const refused = async (given, pointer) => {
    const answer = await submit(given);
    assert.equal(answer.status, 422, JSON.stringify(answer.body));
    assert.ok(answer.body.errors.some((p) => p.pointer === pointer), JSON.stringify(answer.body));
  };
  await refused(spec({ min_metric: 1.5 }), '/goal/min_metric');
  await refused(spec({ target_bytes: 0 }), '/goal/target_bytes');
  await refused(spec({ target_bytes: 1000, trials: 65 }), '/goal/trials');
  await refused({ kind: 'prune', model: 'zoo:lenet5', dataset: 'builtin:glyphs', goal: { target_bytes: 1000 } }, '/goal');
});
