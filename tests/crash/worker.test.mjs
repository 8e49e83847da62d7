// Workers that are killed, crash, hang, grow or say strange things.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { after, before, test } from "node:test";
import { api, readLock, sleep, startQuantd, startTime, waitState } from "../lib/quantd.mjs";
import { get, lossSteps, started, submit, until, upTo } from "./lib.mjs";

let q;
before(async () => (q = await startQuantd({ worker: "fake", args: ["--slots", "4", "--grace", "1", "--retry-delay", "0"] })));
after(() => q.stop());

const ends = (job) => job.attempts.map((a) => a.end);
const gone = async (lock) => {
  for (let i = 0; i < 100 && startTime(lock.pid) === lock.start; i++) await sleep(20);
  return startTime(lock.pid) !== lock.start;
};

test("kill -9 of the worker: a new attempt, not charged, goes on from the checkpoint", async () => {
  const id = await submit(q.url, "steps=30 ms=30");
  await started(q.url, id);
  process.kill(readLock(q.dir, id).pid, "SIGKILL");
  const job = await waitState(q.url, id, "succeeded");
  assert.deepEqual(ends(job), ["lost", "done"]);
  assert.equal(job.attempts[0].signal, 9);
  assert.equal(job.attempts[0].charged, false);
  assert.deepEqual(await lossSteps(q.url, id), upTo(30));
});

test("SIGTERM to the worker from outside: checkpoint, exit 75, another attempt", async () => {
  const id = await submit(q.url, "steps=30 ms=30");
  await started(q.url, id);
  process.kill(readLock(q.dir, id).pid, "SIGTERM");
  const job = await waitState(q.url, id, "succeeded");
  assert.deepEqual(ends(job), ["stopped", "done"]);
  assert.equal(job.attempts[0].exit_code, 75);
});

test("a crash is charged; three of them park the job; retry gives it another chance", async () => {
  const id = await submit(q.url, "steps=5 ms=10 end=segv");
  const job = await waitState(q.url, id, "parked");
  assert.deepEqual(job.attempts.map((a) => [a.signal, a.charged]), Array(3).fill([11, true]));
  assert.match(job.reason, /3 attempts failed.*signal 11/);
  const again = await api(q.url, "POST", `/v1/jobs/${id}/retry`);
  assert.equal(again.status, 202);
  const parked = await until(q.url, id, (j) => j.state === "parked" && j.attempts.length === 6);
  assert.equal(parked.state, "parked");
});

test("one crash, then it works", async () => {
  const id = await submit(q.url, "steps=5 ms=10 end=segv once at=2");
  const job = await waitState(q.url, id, "succeeded");
  assert.deepEqual(ends(job), ["failed", "done"]);
  assert.deepEqual(job.attempts.map((a) => a.charged), [true, false]);
});

test("lost ten times in a row without progress: parked", async () => {
  const id = await submit(q.url, "steps=1 ms=1 end=again at=1");
  const job = await waitState(q.url, id, "parked", 30000);
  assert.ok(job.attempts.length >= 10 && job.attempts.length <= 11, `${job.attempts.length} attempts`);
  assert.match(job.reason, /10 times in a row/);
});

test("an error event fails the job at once, with its words", async () => {
  const id = await submit(q.url, "steps=3 ms=10 end=error");
  const job = await waitState(q.url, id, ["failed", "parked"]);
  assert.equal(job.state, "failed");
  assert.equal(job.attempts.length, 1);
  assert.equal(job.reason, "the loss is not a number (epoch 1)");
});

test("exit codes without a word are charged, exit 0 without a result as well", async () => {
  for (const end of ["exit", "silent"]) {
    const id = await submit(q.url, `steps=1 ms=1 end=${end}`);
    const job = await waitState(q.url, id, "parked");
    assert.deepEqual(ends(job), ["failed", "failed", "failed"]);
    assert.match(job.reason, /no result/);
  }
});

test("cancel: TERM lets the worker write its checkpoint", async () => {
  const id = await submit(q.url, "steps=1000 ms=20");
  await started(q.url, id);
  const lock = readLock(q.dir, id);
  assert.equal((await api(q.url, "POST", `/v1/jobs/${id}/cancel`)).status, 202);
  const job = await waitState(q.url, id, "cancelled");
  assert.equal(job.attempts[0].exit_code, 75);
  assert.equal(job.attempts[0].end, "cancelled");
  assert.ok(await gone(lock));
  const again = await api(q.url, "POST", `/v1/jobs/${id}/cancel`);
  assert.equal(again.status, 409);
});

test("cancel of a worker that does not listen: KILL after the grace, children too", async () => {
  const id = await submit(q.url, "steps=1000 ms=20 deaf");
  await started(q.url, id);
  const asked = Date.now();
  await api(q.url, "POST", `/v1/jobs/${id}/cancel`);
  const job = await waitState(q.url, id, "cancelled");
  const took = Date.now() - asked;
  assert.ok(took >= 900 && took < 5000, `${took} ms`);
  assert.equal(job.attempts[0].signal, 9);
});

test("the memory limit ends a job that grows, and says so", async () => {
  const id = await submit(q.url, "steps=1000 ms=20 mb=300", { resources: { memory_mb: 200 } });
  const job = await waitState(q.url, id, ["failed", "parked", "succeeded"]);
  assert.equal(job.state, "failed");
  assert.equal(job.attempts[0].end, "memory");
  assert.match(job.reason, /memory_mb = 200/);
  assert.ok(job.attempts[0].peak_kb > 200 * 1024);
});

test("the wall time ends a job, with a checkpoint, and says so", async () => {
  const id = await submit(q.url, "steps=1000 ms=20", { resources: { wall_s: 1 } });
  const job = await waitState(q.url, id, ["failed", "parked", "succeeded"]);
  assert.equal(job.state, "failed");
  assert.equal(job.attempts[0].end, "timeout");
  assert.match(job.reason, /wall_s = 1 s/);
});

test("torn lines, long lines and rubbish in events.jsonl do no harm", async () => {
  const id = await submit(q.url, "steps=30 ms=30 torn end=segv once at=15");
  await started(q.url, id);
  const file = path.join(q.dir, "jobs", String(id), "events.jsonl");
  fs.appendFileSync(file, "rubbish\n" + "x".repeat(200000) + "\n" + '{"seq":1,"t":"metric"}\n\n');
  const job = await waitState(q.url, id, "succeeded");
  assert.equal(job.attempts.length, 2);
  assert.deepEqual(await lossSteps(q.url, id), upTo(30));
});

for (const [what, make] of [
  ["a directory", (file) => fs.mkdirSync(file)],
  ["a file without rights", (file) => fs.writeFileSync(file, "x", { mode: 0 })],
  ["a socket", (file) => new Promise((made) => net.createServer().listen(file, made).unref())],
])
  test(`${what} in out/ fails the job, which gives its cpus back`, async () => {
    const id = await submit(q.url, "steps=10 ms=50");
    await started(q.url, id);
    await make(path.join(q.dir, "jobs", String(id), "out", "odd"));
    const job = await waitState(q.url, id, ["succeeded", "failed"]);
    assert.equal(job.state, "failed");
    assert.match(job.reason, /out\/odd is not a file/);
    assert.equal((await api(q.url, "DELETE", `/v1/jobs/${id}`)).status, 204);
  });

// Made aside and moved over: the worker, which opens its file anew for each line, must not find the place empty.
const pipe = (file) => {
  execFileSync("mkfifo", [`${file}.pipe`]);
  fs.renameSync(`${file}.pipe`, file);
};

test("pipes in the place of a worker's files don't stop the daemon", async () => {
  const events = await submit(q.url, "steps=1000 ms=20"), result = await submit(q.url, "steps=40 ms=20 end=silent");
  const dir = (id) => path.join(q.dir, "jobs", String(id));
  for (const id of [events, result]) await started(q.url, id);
  pipe(path.join(dir(events), "events.jsonl")); // the fake worker hangs on it
  assert.equal((await api(q.url, "POST", `/v1/jobs/${events}/cancel`)).status, 202);
  pipe(path.join(dir(result), "result.json"));
  fs.appendFileSync(path.join(dir(result), "events.jsonl"), '{"seq":9999,"t":"done","time":1,"attempt":1}\n');
  assert.equal((await waitState(q.url, events, "cancelled")).state, "cancelled");
  const job = await waitState(q.url, result, ["succeeded", "failed"]);
  assert.match(job.reason, /result.json is not a regular file/);
});

test("links and hidden files in out/ are not adopted", async () => {
  const id = await submit(q.url, "steps=30 ms=30");
  await started(q.url, id);
  const out = path.join(q.dir, "jobs", String(id), "out");
  fs.symlinkSync("/etc/passwd", path.join(out, "link.txt"));
  const job = await waitState(q.url, id, ["failed", "succeeded"]);
  assert.equal(job.state, "failed");
  assert.match(job.reason, /link.txt is not a file/);
});

test("the queue: cpus are shared out, priority first, the head says why it waits", async () => {
  const first = await submit(q.url, "steps=1000 ms=20", { resources: { cpus: 3 } });
  await started(q.url, first);
  const big = await submit(q.url, "steps=2 ms=10", { resources: { cpus: 4 }, priority: 5 });
  const small = await submit(q.url, "steps=2 ms=10", { resources: { cpus: 1 } });
  assert.equal((await waitState(q.url, small, "succeeded")).state, "succeeded");
  const waiting = await get(q.url, big);
  assert.equal(waiting.state, "queued");
  assert.match(waiting.reason, /waits for 4 free cpus: 1 of 4 are free/);
  assert.equal(waiting.position, 0);
  await api(q.url, "POST", `/v1/jobs/${first}/cancel`);
  const done = await waitState(q.url, big, "succeeded");
  assert.equal(done.reason, "");
});

test("a job with not_before waits for its time", async () => {
  const at = new Date(Date.now() + 1500).toISOString();
  const id = await submit(q.url, "steps=1 ms=1", { not_before: at });
  assert.equal((await get(q.url, id)).state, "scheduled");
  const job = await waitState(q.url, id, "succeeded");
  assert.ok(Date.parse(job.started) >= Date.parse(at));
});

test("200 POSTs with one Idempotency-Key from 16 clients make one job", async () => {
  const before = (await api(q.url, "GET", "/v1/jobs?limit=1")).body.items[0].id;
  const ids = new Set();
  let left = 200;
  const client = async () => {
    while (left-- > 0) ids.add(await submit(q.url, "steps=1 ms=1", {}, { "Idempotency-Key": "the-same" }));
  };
  await Promise.all(Array.from({ length: 16 }, client));
  assert.equal(ids.size, 1);
  assert.equal((await api(q.url, "GET", "/v1/jobs?limit=1")).body.items[0].id, before + 1);
  await waitState(q.url, [...ids][0], "succeeded");
});

test("the environment of a worker is clean", async () => {
  const other = await startQuantd({ worker: "fake", env: { SECRET: "x", QUANTD_SEEN: "1", OPENBLAS_NUM_THREADS: "1" } });
  const id = await submit(other.url, "steps=1000 ms=50");
  await started(other.url, id);
  const seen = fs.readFileSync(`/proc/${readLock(other.dir, id).pid}/environ`, "latin1").split("\0");
  const names = seen.filter(Boolean).map((entry) => entry.split("=")[0]);
  assert.ok(names.includes("QUANTD_SEEN") && names.includes("PATH") && names.includes("OPENBLAS_NUM_THREADS"));
  assert.ok(names.every((n) => /^(PATH|HOME|LANG|PWD|_|SHLVL|OLDPWD|QUANTD_.*|OPENBLAS_.*)$/.test(n)), names.join(" "));
  await other.stop();
});

test("an idle daemon is small", async () => {
  const idle = await startQuantd({ worker: "fake" });
  await api(idle.url, "GET", "/v1/jobs");
  await sleep(300);
  const rss = Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${idle.pid}/status`, "latin1"))[1]);
  console.log(`idle: ${rss} kB resident`);
  if (!process.env.QUANTD_MODE) assert.ok(rss < 25 * 1024, `${rss} kB`);
  await idle.stop();
});
