// The daemon may be stopped, killed and started again at any moment: the job does not notice.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { api, binDir, killWorkers, readLock, removeDir, sleep, startQuantd, startTime, waitState } from "../lib/quantd.mjs";
import { get, lossSteps, started, submit, upTo } from "./lib.mjs";

const newDir = () => fs.mkdtempSync(path.join(os.tmpdir(), "quantd-test-"));

async function withDir(f) {
  const dir = newDir();
  try {
    await f(dir);
  } finally {
    killWorkers(dir);
    await removeDir(dir);
  }
}

const findings = (dir) => spawnSync(path.join(binDir, "quantd"), ["--data", dir, "--check"], { encoding: "utf8" });

for (const [how, word] of [["kill", "kill -9"], ["terminate", "SIGTERM"]]) {
  test(`${word} of the daemon during a job: the same attempt goes on and finishes`, () =>
    withDir(async (dir) => {
      let q = await startQuantd({ dir, worker: "fake" });
      const id = await submit(q.url, "steps=40 ms=50");
      await started(q.url, id);
      const before = readLock(dir, id);
      const end = await q[how]();
      if (how === "terminate") assert.equal(end.code, 0);
      await sleep(300);
      assert.equal(startTime(before.pid), before.start, "the worker lives");
      q = await startQuantd({ dir, worker: "fake" });
      assert.equal((await get(q.url, id)).state, "running");
      const job = await waitState(q.url, id, "succeeded");
      assert.equal(job.attempts.length, 1);
      assert.equal(job.attempts[0].end, "done");
      assert.deepEqual(await lossSteps(q.url, id), upTo(40), "no event is lost or doubled");
      const names = (await api(q.url, "GET", `/v1/jobs/${id}/artifacts`)).body.items.map((a) => a.name).sort();
      assert.deepEqual(names, ["curves.csv", "model.onnx", "result.json"]);
      await q.terminate();
    }));
}

test("the job ends while no daemon is there: the next one collects the result", () =>
  withDir(async (dir) => {
    let q = await startQuantd({ dir, worker: "fake" });
    const done = await submit(q.url, "steps=10 ms=50");
    const crashed = await submit(q.url, "steps=10 ms=50 end=error");
    await started(q.url, done);
    await started(q.url, crashed);
    await q.kill();
    await sleep(1500);
    q = await startQuantd({ dir, worker: "fake" });
    const job = await waitState(q.url, done, "succeeded");
    assert.equal(job.attempts.length, 1);
    assert.equal(job.result.value, 0.9);
    const failed = await waitState(q.url, crashed, "failed");
    assert.match(failed.reason, /the loss is not a number \(epoch 1\)/);
    await q.terminate();
    const check = findings(dir);
    assert.equal(check.status, 0, check.stdout + check.stderr);
  }));

test("daemon and worker die together: a new attempt, not charged, from the checkpoint", () =>
  withDir(async (dir) => {
    let q = await startQuantd({ dir, worker: "fake" });
    const id = await submit(q.url, "steps=40 ms=50");
    await started(q.url, id);
    await q.kill();
    process.kill(-readLock(dir, id).pid, "SIGKILL");
    await sleep(100);
    q = await startQuantd({ dir, worker: "fake" });
    const job = await waitState(q.url, id, "succeeded");
    assert.deepEqual(job.attempts.map((a) => [a.end, a.charged]), [["lost", false], ["done", false]]);
    assert.deepEqual(await lossSteps(q.url, id), upTo(40));
    await q.terminate();
  }));

test("a job that was being cancelled when the daemon was killed ends cancelled", () =>
  withDir(async (dir) => {
    let q = await startQuantd({ dir, worker: "fake", args: ["--grace", "2"] });
    const id = await submit(q.url, "steps=1000 ms=50 deaf");
    await started(q.url, id);
    assert.equal((await api(q.url, "POST", `/v1/jobs/${id}/cancel`)).status, 202);
    await q.kill();
    q = await startQuantd({ dir, worker: "fake", args: ["--grace", "1"] });
    const job = await waitState(q.url, id, "cancelled");
    assert.equal(job.attempts.length, 1);
    assert.equal(job.attempts[0].end, "cancelled");
    await q.terminate();
  }));

test("killed at random moments, workers too: every job is done once and nothing is left over", { timeout: 120000 }, () =>
  withDir(async (dir) => {
    let seed = 12345;
    const random = (n) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
    const ids = [];
    for (let round = 0; round < 12; round++) {
      const q = await startQuantd({ dir, worker: "fake", args: ["--retry-delay", "0"] });
      if (round < 6) ids.push(await submit(q.url, `steps=${10 + random(10)} ms=20 out=100000`));
      await sleep(random(700));
      const lock = readLock(dir, ids[random(ids.length)]);
      if (random(2) && lock && startTime(lock.pid) === lock.start) process.kill(-lock.pid, "SIGKILL");
      await q.kill();
    }
    const q = await startQuantd({ dir, worker: "fake", args: ["--retry-delay", "0"] });
    for (const id of ids) {
      const job = await waitState(q.url, id, "succeeded", 40000);
      assert.equal(job.attempts.filter((a) => a.end === "done").length, 1);
      assert.equal(job.attempts.filter((a) => a.charged).length, 0);
      assert.deepEqual(await lossSteps(q.url, id), upTo(job.progress.steps));
    }
    await q.terminate();
    const check = findings(dir);
    assert.equal(check.status, 0, check.stdout + check.stderr);
  }));

test("a second daemon on the same directory is refused", () =>
  withDir(async (dir) => {
    const q = await startQuantd({ dir, worker: "fake" });
    await assert.rejects(startQuantd({ dir, worker: "fake" }), /in use by another quantd/);
    await q.terminate();
  }));
