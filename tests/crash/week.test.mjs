// A week's use in a minute: uploads, jobs that end in every way, cancelling, retrying, deleting, and kill -9 of the daemon in
// the middle of it. Afterwards the data directory is sound and holds nothing that nobody needs.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { api, binDir, killWorkers, readLock, removeDir, sleep, startQuantd, startTime } from "../lib/quantd.mjs";
import { spec } from "./lib.mjs";

let seed = 20260131;
const random = (n) => ((seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) >>> 8) % n; // its low bits are no good
const pick = (list) => list[random(list.length)];

const check = (dir) => spawnSync(path.join(binDir, "quantd"), ["--data", dir, "--check"], { encoding: "utf8" });
const start = (dir) => startQuantd({ dir, worker: "fake", args: ["--retry-delay", "0", "--grace", "1", "--slots", "3"] });

/** A request whose answer, if there is one, does not matter: the daemon may be killed under it. */
const send = (url, method, target, body, headers) => api(url, method, target, body, headers).catch(() => null);

const blob = () => pick(["model ", "model ", "model ", "BAD ", "CRASH "]) + "x".repeat(random(300000)) + random(40);
const raw = { "Content-Type": "application/octet-stream" };
const endings = ["end=done", "end=done out=200000", "end=error", "end=segv once", "end=segv", "end=exit", "end=again once", "deaf", "torn"];

/** An upload that stops half-way and stays open. */
function stall(url) {
  const { hostname, port } = new URL(url);
  const socket = net.connect(Number(port), hostname, () =>
    socket.write(`POST /v1/models?name=stalled HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Length: 5000000\r\n\r\n` + "x".repeat(1 << 20)));
  socket.on("error", () => {});
  return socket;
}

async function anyJob(url) {
  const items = (await send(url, "GET", "/v1/jobs?limit=50"))?.body?.items ?? [];
  return items.length ? pick(items).id : 1;
}

const acts = [
  (url) => send(url, "POST", "/v1/jobs", spec(`steps=${1 + random(8)} ms=20 ${pick(endings)}`)),
  (url) => send(url, "POST", "/v1/jobs", spec(`steps=${1 + random(8)} ms=20 ${pick(endings)}`)),
  (url) => send(url, "POST", "/v1/jobs", spec("steps=2 ms=10"), { "Idempotency-Key": `key-${random(5)}` }),
  (url) => send(url, "POST", "/v1/jobs", spec("steps=2 ms=10", { model: `model-${random(4)}` })),
  (url) => send(url, "POST", `/v1/models?name=model-${random(4)}`, blob(), raw),
  (url) => send(url, "POST", `/v1/datasets?name=set-${random(4)}`, blob(), raw),
  (url) => {
    const content = blob();
    return send(url, "PUT", `/v1/blobs/sha256:${createHash("sha256").update(content).digest("hex")}`, content, raw);
  },
  (url) => send(url, "DELETE", `/v1/models/model-${random(4)}`),
  (url) => send(url, "DELETE", `/v1/datasets/set-${random(4)}`),
  async (url) => send(url, "POST", `/v1/jobs/${await anyJob(url)}/cancel`),
  async (url) => send(url, "POST", `/v1/jobs/${await anyJob(url)}/retry`),
  async (url) => send(url, "DELETE", `/v1/jobs/${await anyJob(url)}`),
];

async function use(q, dir, ms) {
  const end = Date.now() + ms, under = [];
  while (Date.now() < end) {
    under.push(pick(acts)(q.url));
    await sleep(random(40));
    const lock = readLock(dir, await anyJob(q.url));
    if (random(12) === 0 && lock && startTime(lock.pid) === lock.start) process.kill(-lock.pid, "SIGKILL");
  }
  return under;
}

async function settle(q) {
  for (const end = Date.now() + 60000; ; await sleep(100)) {
    const open = [];
    for (const state of ["scheduled", "queued", "starting", "running", "cancelling"])
      open.push(...(await api(q.url, "GET", `/v1/jobs?limit=200&state=${state}`)).body.items);
    if (open.length === 0) return;
    for (const job of open) if (job.state !== "cancelling") await send(q.url, "POST", `/v1/jobs/${job.id}/cancel`);
    assert.ok(Date.now() < end, `${open.length} jobs don't end: ${open[0].id} is ${open[0].state}`);
  }
}

test("after a week of jobs, uploads and kill -9, --check is silent", { timeout: 240000 }, async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "quantd-week-"));
  try {
    for (let day = 0; day < 14; day++) {
      const q = await start(dir);
      const socket = stall(q.url);
      const under = await use(q, dir, 500 + random(900));
      await q.kill();
      socket.destroy();
      await Promise.all(under);
      // What a crash may leave is only what the next start takes away: no rule is broken, no content lost.
      for (const line of check(dir).stdout.split("\n").slice(0, -2))
        assert.match(line, /^stray file .*\/(tmp\/[^/]+|jobs\/(\.new-)?\d+|blobs\/..\/[0-9a-f]{62})$/, `day ${day}`);
    }
    // The rare leftovers, in case no kill has hit their moment.
    for (const name of ["jobs/987654", "jobs/.new-3", "blobs/00"]) fs.mkdirSync(path.join(dir, name), { recursive: true });
    for (const name of ["jobs/987654/spec.json", "jobs/.new-3/spec.json", "tmp/.upload.abc.tmp", "blobs/00/" + "1".repeat(62)])
      fs.writeFileSync(path.join(dir, name), "x");
    let q = await start(dir);
    await settle(q);
    await q.terminate();
    const end = check(dir);
    assert.equal(end.stdout + end.stderr, "findings: 0\n");

    // When everything is deleted, nothing is left but blobs in their grace time.
    q = await start(dir);
    for (const list of ["jobs", "models", "datasets"])
      for (const { id } of (await api(q.url, "GET", `/v1/${list}?limit=200`)).body.items) {
        if (list === "jobs") await send(q.url, "POST", `/v1/jobs/${id}/cancel`); // the parked ones
        assert.equal((await api(q.url, "DELETE", `/v1/${list}/${id}`)).status, 204);
      }
    await q.terminate();
    assert.deepEqual(fs.readdirSync(path.join(dir, "jobs")), []);
    assert.deepEqual(fs.readdirSync(path.join(dir, "tmp")), []);
    assert.equal(check(dir).stdout, "findings: 0\n");
  } finally {
    killWorkers(dir);
    await removeDir(dir);
  }
});
