// A compression with a goal, killed inside a trial, right after one, and while another prunes: the trials, the weights and
// the file of an undisturbed run.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { startQuantd } from '../lib/quantd.mjs';
import { finished, killAgainAndAgain, submit } from './kills.mjs';

const PATIENCE = 600000;
const spec = (cpus) => ({
  kind: 'compress', model: 'zoo:lenet5', dataset: 'builtin:glyphs', goal: { target_bytes: 5000, trials: 3 },
  prune: { sparsity: 0.9, ramp: 0.5, epochs: 1, learning_rate: 0.02 },
  quantize: { weights: { bits: 3 }, activations: { bits: 32 }, first_last_bits: 4 },
  train: { epochs: 1, batch_size: 64, learning_rate: 0.02, seed: 5 }, resources: { cpus },
});
let daemon;

before(async () => {
  daemon = await startQuantd({ args: ['--slots', '3'] });
});
after(() => daemon?.stop());

const file = async (id, name) => Buffer.from(await (await fetch(`${daemon.url}/v1/jobs/${id}/artifacts/${name}`)).arrayBuffer());

test('killed inside trials and between them: the same search, the same file', { timeout: PATIENCE }, async () => {
  const first = await submit(daemon, spec(1));
  const undisturbed = await finished(daemon, first, PATIENCE);
  assert.equal(undisturbed.result.search.trials.length, 3);
  const id = await submit(daemon, spec(2));
  await killAgainAndAgain(daemon, id, 1, () => 50, 'trial-1-checkpoint-prune');
  await killAgainAndAgain(daemon, id, 1, () => 0, 'trial-1.json');
  await killAgainAndAgain(daemon, id, 1, () => 50, 'trial-2-checkpoint');
  const job = await finished(daemon, id, PATIENCE);
  assert.equal(job.attempts.length, 4);
  assert.deepEqual(job.result.search, undisturbed.result.search);
  assert.equal(job.result.weights_sha256, undisturbed.result.weights_sha256);
  assert.equal(job.result.value, undisturbed.result.value);
  for (const name of ['model.qdz', 'model.onnx', 'pareto.csv', 'curves.csv']) assert.ok((await file(id, name)).equals(await file(first, name)), name);
});
