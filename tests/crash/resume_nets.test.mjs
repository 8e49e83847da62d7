// As resume.test.mjs, for a network with normalization (its running statistics are state, too) and for learned bases (so are
// their moving averages): killed several times, on one thread and on three, the weights are those of an undisturbed run. The
// data are made here; tests/reproduce/resume.mjs does it with real data, and for super-resolution.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startQuantd, api } from '../lib/quantd.mjs';
import { npy, tar } from '../lib/files.mjs';
import { finished, killAgainAndAgain, submit } from './kills.mjs';

const PATIENCE = 600000;
let daemon, scratch;

before(async () => {
  daemon = await startQuantd({ args: ['--slots', '3'] });
  scratch = mkdtempSync(join(tmpdir(), 'quantd-resume-'));
});
after(async () => {
  await daemon?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

async function upload(name, files) {
  const dir = join(scratch, name);
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(join(dir, path, '..'), { recursive: true });
    writeFileSync(join(dir, path), bytes);
  }
  const answer = await api(daemon.url, 'POST', `/v1/datasets?name=${name}`, tar(dir, ['.']), { 'content-type': 'application/octet-stream' });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
}

async function compare(spec, most) {
  const run = async (cpus, kills) => {
    const id = await submit(daemon, { ...spec, resources: { cpus } });
    await killAgainAndAgain(daemon, id, kills, (k) => (k * 67) % 160);
    return finished(daemon, id, PATIENCE);
  };
  const undisturbed = await run(1, 0);
  assert.match(undisturbed.result.weights_sha256, /^sha256:[0-9a-f]{64}$/);
  for (const cpus of [3, 1]) {
    const job = await run(cpus, most);
    assert.equal(job.attempts.length, most + 1);
    assert.equal(job.result.weights_sha256, undisturbed.result.weights_sha256, `${cpus} threads`);
    assert.equal(job.result.value, undisturbed.result.value);
  }
  return undisturbed.result.weights_sha256;
}

test('ResNet-20, killed five times: the same weights', { timeout: PATIENCE }, async () => {
  const image = (i) => (i * 31 + (i >> 5) * 7 + (i >> 12) * 53) & 255;
  await upload('squares', {
    'x_train.npy': npy([64, 32, 32, 3], image), 'y_train.npy': npy([64], (i) => i % 10),
    'x_test.npy': npy([16, 32, 32, 3], image), 'y_test.npy': npy([16], (i) => i % 10),
  });
  await compare({ kind: 'train', model: 'zoo:resnet20', dataset: 'squares',
    train: { epochs: 14, batch_size: 16, learning_rate: 0.05, augment: 'crop-flip-cutout', seed: 7 } }, 5);
});

test('LQ-Nets on LeNet-5, killed twice: the same bases, levels and weights, whatever the bases follow', { timeout: PATIENCE }, async () => {
  const weights = [];
  for (const basis of ['qem', 'gradient'])
    weights.push(await compare({ kind: 'quantize', model: 'zoo:lenet5', dataset: 'builtin:glyphs',
      quantize: { method: 'lq-nets', weights: { bits: 2 }, activations: { bits: 2, basis } },
      train: { epochs: 3, batch_size: 64, learning_rate: 0.02, augment: 'shift', seed: 7 } }, 2));
  assert.notEqual(weights[0], weights[1]);
});
