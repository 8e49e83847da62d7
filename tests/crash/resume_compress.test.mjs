// As resume.test.mjs, for a job of two stages: killed while it prunes and while it trains under the mask, on three
// threads, it ends with the weights and the file of an undisturbed run on one.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { startQuantd, api } from '../lib/quantd.mjs';
import { finished, killAgainAndAgain, submit } from './kills.mjs';

const PATIENCE = 600000;
const spec = (cpus) => ({
  kind: 'compress', model: 'zoo:lenet5', dataset: 'builtin:glyphs',
  prune: { sparsity: 0.95, scope: 'adaptive', ramp: 0.5, epochs: 1, learning_rate: 0.02 },
  quantize: { weights: { bits: 2 }, activations: { bits: 32 }, first_last_bits: 4 },
  train: { epochs: 1, batch_size: 64, learning_rate: 0.02, seed: 5 }, resources: { cpus },
});
let daemon;

before(async () => {
  daemon = await startQuantd({ args: ['--slots', '3'] });
});
after(() => daemon?.stop());

const file = async (id) => Buffer.from(await (await fetch(`${daemon.url}/v1/jobs/${id}/artifacts/model.qdz`)).arrayBuffer());

test('killed in each stage: the same weights and the same file', { timeout: PATIENCE }, async () => {
  const first = await submit(daemon, spec(1));
  const undisturbed = await finished(daemon, first, PATIENCE);
  assert.ok(undisturbed.result.prune.units_removed > 0);
  assert.ok(undisturbed.result.value > 0.5, `top-1 ${undisturbed.result.value}`);
  const id = await submit(daemon, spec(3));
  await killAgainAndAgain(daemon, id, 1, () => 50, 'checkpoint-prune');
  await killAgainAndAgain(daemon, id, 1, () => 50);
  const job = await finished(daemon, id, PATIENCE);
  assert.equal(job.attempts.length, 3);
  assert.equal(job.result.weights_sha256, undisturbed.result.weights_sha256);
  assert.equal(job.result.value, undisturbed.result.value);
  assert.ok((await file(id)).equals(await file(first)));
});
