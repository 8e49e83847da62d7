// A job whose worker is killed again and again, each time a while after it has written a new checkpoint: so it goes on from
// somewhere else every time, and loses some steps every time.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { api, waitState } from '../lib/quantd.mjs';

const ended = ['succeeded', 'failed', 'parked', 'cancelled'];

export async function submit(daemon, spec) {
  const answer = await api(daemon.url, 'POST', '/v1/jobs', spec);
  if (answer.status !== 202) throw new Error(JSON.stringify(answer.body));
  return answer.body.id;
}

/** Waits for the end and gives the job with its result and attempts. */
export async function finished(daemon, id, timeoutMs) {
  const job = await waitState(daemon.url, id, ended, timeoutMs);
  if (job.state !== 'succeeded') throw new Error(`job ${id} ${job.state}: ${job.reason}`);
  return (await api(daemon.url, 'GET', `/v1/jobs/${id}`)).body;
}

function checkpointTime(daemon, id, file) {
  try {
    return statSync(join(daemon.dir, 'jobs', String(id), file)).mtimeMs;
  } catch {
    return 0;
  }
}

/** kill -9 `kills` times, `wait(k)` milliseconds after a checkpoint (of that name) that is newer than the last kill. */
export async function killAgainAndAgain(daemon, id, kills, wait, file = 'checkpoint') {
  for (let k = 0, last = 0; k < kills; ) {
    const job = (await api(daemon.url, 'GET', `/v1/jobs/${id}`)).body;
    if (ended.includes(job.state)) throw new Error(`${job.state} after ${k} kills (${job.reason}): make the job longer`);
    if (job.state !== 'running' || checkpointTime(daemon, id, file) <= last) {
      await sleep(20);
      continue;
    }
    await sleep(wait(k));
    const now = (await api(daemon.url, 'GET', `/v1/jobs/${id}`)).body;
    if (now.state !== 'running' || now.attempts.length !== job.attempts.length) continue;
    process.kill(Number(now.attempts.at(-1).handle.split(':')[0]), 'SIGKILL');
    last = Date.now();
    k++;
  }
}
