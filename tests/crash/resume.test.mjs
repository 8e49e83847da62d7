// A job ends with the same bits whatever happens to its processes, and for any number of threads.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { startQuantd, api, waitState } from '../lib/quantd.mjs';

const json = { 'content-type': 'application/json' };
const spec = (cpus) => ({
  kind: 'quantize', model: 'zoo:lenet5', dataset: 'builtin:glyphs',
  quantize: { weights: { bits: 2 }, activations: { bits: 8 } },
  train: { epochs: 1, batch_size: 64, augment: 'shift', seed: 5 }, resources: { cpus },
});
let daemon;

before(async () => {
  daemon = await startQuantd({ args: ['--slots', '3'] });
});
after(() => daemon?.stop());

async function submit(cpus) {
  const answer = await api(daemon.url, 'POST', '/v1/jobs', JSON.stringify(spec(cpus)), json);
  assert.equal(answer.status, 202, JSON.stringify(answer.body));
  return answer.body.id;
}
async function finished(id) {
  const job = await waitState(daemon.url, id, ['succeeded', 'failed', 'parked', 'cancelled'], 240000);
  assert.equal(job.state, 'succeeded', job.reason);
  return (await api(daemon.url, 'GET', `/v1/jobs/${id}`)).body;
}
const pidOf = (job) => Number(job.attempts.at(-1).handle.split(':')[0]);

let undisturbed;
test('one thread, undisturbed', async () => {
  const job = await finished(await submit(1));
  assert.equal(job.attempts.length, 1);
  assert.match(job.result.weights_sha256, /^sha256:[0-9a-f]{64}$/);
  assert.ok(job.result.value > 0.5, `top-1 ${job.result.value}`);
  undisturbed = job.result;
});

for (const cpus of [2, 3])
  test(`${cpus} threads: the same weights`, async () => {
    const job = await finished(await submit(cpus));
    assert.equal(job.result.threads, cpus);
    assert.equal(job.result.weights_sha256, undisturbed.weights_sha256);
    assert.equal(job.result.value, undisturbed.value);
  });

test('worker killed five times: the same weights, no attempt charged', async () => {
  const id = await submit(2);
  let seen = -1;
  for (let kills = 0; kills < 5; ) {
    await sleep(150);
    const job = (await api(daemon.url, 'GET', `/v1/jobs/${id}`)).body;
    if (job.state === 'succeeded') assert.fail(`finished after ${kills} kills: make the job longer`);
    if (job.state !== 'running' || job.attempts.length === seen) continue;
    // let it get somewhere before it dies: a step beyond what the attempt began with
    await sleep(200 + 250 * kills);
    const again = (await api(daemon.url, 'GET', `/v1/jobs/${id}`)).body;
    if (again.state !== 'running') continue;
    seen = again.attempts.length;
    try {
      process.kill(pidOf(again), 'SIGKILL');
      kills++;
    } catch {
      // it ended by itself between the two looks
    }
  }
  const job = await finished(id);
  assert.equal(job.attempts.length, 6);
  assert.ok(job.attempts.every((a) => !a.charged), JSON.stringify(job.attempts));
  assert.equal(job.result.weights_sha256, undisturbed.weights_sha256);
});

test('SIGTERM to the worker: it checkpoints, exits 75 and goes on', async () => {
  const id = await submit(1);
  for (;;) {
    const job = (await api(daemon.url, 'GET', `/v1/jobs/${id}`)).body;
    if (job.state === 'running' && (job.progress?.step ?? 0) > 20) {
      process.kill(pidOf(job), 'SIGTERM');
      break;
    }
    await sleep(100);
  }
  const job = await finished(id);
  assert.equal(job.attempts.length, 2);
  assert.equal(job.attempts[0].exit_code, 75);
  assert.equal(job.result.weights_sha256, undisturbed.weights_sha256);
  const log = await (await fetch(`${daemon.url}/v1/jobs/${id}/log`)).text();
  assert.match(log, /continuing from the checkpoint at step \d+/);
});

test('daemon killed while a job runs: the same worker goes on, no second attempt', async () => {
  const id = await submit(1);
  const job = await waitState(daemon.url, id, ['running'], 30000);
  const pid = pidOf((await api(daemon.url, 'GET', `/v1/jobs/${job.id}`)).body);
  await daemon.kill();
  process.kill(pid, 0); // still there
  daemon = await startQuantd({ args: ['--slots', '3'], dir: daemon.dir });
  const done = await finished(id);
  assert.equal(done.attempts.length, 1);
  assert.equal(done.result.weights_sha256, undisturbed.weights_sha256);
});
