// What HTTP itself promises: big bodies both ways, ranges, refusals that arrive, streams that wake, guards.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { api, binDir, removeDir, sleep, startQuantd, waitState } from "../lib/quantd.mjs";

const hashOf = (bytes) => "sha256:" + createHash("sha256").update(bytes).digest("hex");
const spec = (name) => ({ kind: "quantize", name, model: "zoo:lenet5", dataset: "builtin:glyphs" });
const metric = async (url, name) => Number(new RegExp(`^${name} (\\S+)`, "m").exec((await api(url, "GET", "/metrics")).text)[1]);

let q;
const limit = 60 << 20;
before(async () => (q = await startQuantd({ worker: "fake", args: ["--upload-max", String(limit)] })));
after(() => q.stop());

/** Sends raw bytes, gives everything that comes back until `until` matches or the server closes. */
function raw(url, request, until = /$^/, timeoutMs = 5000) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    let got = "";
    const socket = net.connect(Number(port), hostname, () => socket.write(request));
    const end = () => (socket.destroy(), resolve(got));
    socket.setTimeout(timeoutMs, end);
    socket.on("data", (chunk) => until.test((got += chunk.toString("latin1"))) && end());
    socket.on("close", end);
    socket.on("error", end);
  });
}

test("50 MB up and down, byte for byte, in bounded memory", async () => {
  const bytes = randomBytes(50 << 20), hash = hashOf(bytes);
  const before = await metric(q.url, "process_resident_memory_bytes");
  const t0 = performance.now();
  const put = await api(q.url, "PUT", `/v1/blobs/${hash}`, bytes);
  const t1 = performance.now();
  assert.equal(put.status, 201, put.text);
  const response = await fetch(`${q.url}/v1/blobs/${hash}`);
  const back = Buffer.from(await response.arrayBuffer());
  const t2 = performance.now();
  assert.ok(back.equals(bytes));
  const after = await metric(q.url, "process_resident_memory_bytes");
  console.log(`50 MB: up ${(t1 - t0).toFixed(0)} ms, down ${(t2 - t1).toFixed(0)} ms, resident ${before >> 10} -> ${after >> 10} kB`);
  if (!process.env.QUANTD_MODE) assert.ok(after - before < 16 << 20);
  assert.equal((await api(q.url, "PUT", `/v1/blobs/${hash}`, bytes)).status, 200);
  assert.equal((await api(q.url, "PUT", `/v1/blobs/${hash}`, bytes.subarray(1))).status, 422);
});

test("ranges, conditions, HEAD", async () => {
  const bytes = randomBytes(100000), hash = hashOf(bytes), url = `/v1/blobs/${hash}`;
  await api(q.url, "PUT", url, bytes);
  const get = async (headers, method = "GET") => {
    const r = await fetch(q.url + url, { method, headers });
    return { r, bytes: Buffer.from(await r.arrayBuffer()) };
  };
  const etag = (await get()).r.headers.get("etag");
  assert.ok(etag);
  const part = await get({ Range: "bytes=1000-1999" });
  assert.equal(part.r.status, 206);
  assert.equal(part.r.headers.get("content-range"), "bytes 1000-1999/100000");
  assert.ok(part.bytes.equals(bytes.subarray(1000, 2000)));
  const tail = await get({ Range: "bytes=-10", "If-Range": etag });
  assert.ok(tail.bytes.equals(bytes.subarray(99990)));
  assert.equal((await get({ Range: "bytes=0-1", "If-Range": '"other"' })).r.status, 200);
  const none = await get({ Range: "bytes=100000-" });
  assert.equal(none.r.status, 416);
  assert.equal(none.r.headers.get("content-range"), "bytes */100000");
  assert.equal(none.r.headers.get("cache-control"), "no-store");
  assert.equal(none.r.headers.get("content-disposition"), null);
  assert.equal((await get({ "If-None-Match": `"a", ${etag}` })).r.status, 304);
  const head = await get({}, "HEAD");
  assert.equal(head.r.headers.get("content-length"), "100000");
  assert.equal(head.r.headers.get("accept-ranges"), "bytes");
  assert.match(head.r.headers.get("x-request-id"), /^[0-9a-f]{16}$/);
});

test("bodies that are too large are refused with an answer that arrives", async () => {
  for (const size of [1.5, 3, 30]) {
    const json = JSON.stringify({ name: "x".repeat(size << 20) });
    const answer = await api(q.url, "POST", "/v1/jobs", json, { "Content-Type": "application/json" });
    assert.equal(answer.status, 413, `${size} MiB of JSON`);
    assert.equal(answer.body.status, 413);
  }
  const upload = await api(q.url, "POST", "/v1/models?name=big", Buffer.alloc(limit + 1));
  assert.equal(upload.status, 413);
  const stream = (bytes) => new ReadableStream({
    pull(c) {
      if (bytes <= 0) return c.close();
      c.enqueue(Buffer.alloc(65536, 32));
      bytes -= 65536;
    },
  });
  const chunked = await fetch(`${q.url}/v1/jobs`, { method: "POST", body: stream(4 << 20), duplex: "half",
    headers: { "Content-Type": "application/json" } });
  assert.equal(chunked.status, 413);
  const over = await fetch(`${q.url}/v1/models?name=over`, { method: "POST", body: stream(limit + (1 << 20)), duplex: "half" });
  assert.equal(over.status, 413);
  const left = () => fs.readdirSync(path.join(q.dir, "tmp"));
  for (let i = 0; i < 100 && left().length; i++) await sleep(20); // the answer may overtake the last write
  assert.deepEqual(left(), []);
});

test("Expect: 100-continue is answered, or refused at once", async () => {
  const body = '{"kind":"nothing"}';
  const head = (length) => `POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
    `Expect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`;
  const accepted = await raw(q.url, head(body.length), /100 Continue/);
  assert.match(accepted, /^HTTP\/1.1 100 Continue/);
  const both = await raw(q.url, head(body.length) + body, /\r\n\r\n\{.*\}/s);
  assert.match(both, /422/);
  const refused = await raw(q.url, head(5 << 20), /\r\n\r\n\{/);
  assert.match(refused, /^HTTP\/1.1 413/);
});

test("one connection serves on after a refusal", async () => {
  const body = "x".repeat(200000);
  const request = `POST /v1/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}` +
    "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const got = await raw(q.url, request, /ok\n$/);
  assert.match(got, /^HTTP\/1.1 404.*HTTP\/1.1 200/s);
});

test("paths and methods: 404, 405 with Allow, encoded slashes stay inside a segment", async () => {
  assert.equal((await api(q.url, "GET", "/nothing")).status, 404);
  const wrong = await api(q.url, "DELETE", "/v1/jobs");
  assert.equal(wrong.status, 405);
  assert.match(wrong.headers.get("allow"), /GET.*POST|POST.*GET/);
  assert.equal((await api(q.url, "GET", "/v1/jobs/1%2Fevents")).status, 404);
  assert.equal((await api(q.url, "GET", "/v1/jobs/" + "1".repeat(2000))).status, 404);
  const media = await api(q.url, "POST", "/v1/jobs", "a=b", { "Content-Type": "application/x-www-form-urlencoded" });
  assert.equal(media.status, 415);
});

/** Opens an event stream; next(check) waits for an event. */
async function listen(url, pathname, headers = {}) {
  const abort = new AbortController();
  const response = await fetch(url + pathname, { headers, signal: abort.signal });
  if (response.status !== 200) return { status: response.status, close: () => abort.abort() };
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const events = [];
  const pump = async (ms) => {
    const timer = setTimeout(() => abort.abort(), ms);
    const { value, done } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return false;
    const blocks = (text += value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const lines = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2)));
      events.push(lines.data ? { ...lines, data: JSON.parse(lines.data) } : { comment: block });
    }
    return true;
  };
  return {
    status: 200, events, close: () => abort.abort(),
    async next(check, ms = 10000) {
      for (;;) {
        const found = events.find(check);
        if (found) return found;
        if (!(await pump(ms))) throw new Error("the stream has ended");
      }
    },
    async end() {
      while (await pump(10000));
    },
  };
}

test("a sleeping stream wakes, resumes by Last-Event-ID, and loses nothing", async () => {
  const all = await listen(q.url, "/v1/events");
  await sleep(300); // asleep by now
  const { body } = await api(q.url, "POST", "/v1/jobs", spec("steps=20 ms=20"));
  const queued = await all.next((e) => e.event === "state" && e.data.job === body.id, 500); // nobody else wakes it
  assert.equal(queued.data.state, "queued");
  await all.next((e) => e.event === "state" && e.data.state === "succeeded" && e.data.job === body.id);
  const metrics = all.events.filter((e) => e.event === "metric" && e.data.job === body.id);
  assert.deepEqual(metrics.map((e) => e.data.step), Array.from({ length: 20 }, (_, i) => i + 1));
  const middle = metrics[9];
  assert.equal(Number(middle.id), middle.data.seq);
  const again = await listen(q.url, `/v1/jobs/${body.id}/events`, { "Last-Event-ID": middle.id });
  await again.next((e) => e.event === "state" && e.data.state === "succeeded");
  assert.equal(again.events.find((e) => e.event === "metric").data.step, 11);
  all.close();
  again.close();
});

test("a stream beats every 15 s, and one whose client is gone is noticed", { timeout: 60000 }, async () => {
  const open = await metric(q.url, "quantd_streams");
  const gone = await listen(q.url, "/v1/events"), stays = await listen(q.url, "/v1/events");
  assert.equal(await metric(q.url, "quantd_streams"), open + 2);
  gone.close();
  await stays.next((e) => e.comment?.startsWith(": ping"), 20000);
  await sleep(200);
  assert.ok((await metric(q.url, "quantd_streams")) <= open + 1);
  stays.close();
});

test("64 streams, no more; SIGTERM ends them all at once", async () => {
  const other = await startQuantd({ worker: "fake" });
  const streams = await Promise.all(Array.from({ length: 64 }, () => listen(other.url, "/v1/events")));
  assert.ok(streams.every((s) => s.status === 200));
  assert.equal((await listen(other.url, "/v1/events")).status, 503);
  const { body } = await api(other.url, "POST", "/v1/jobs", spec("steps=1 ms=1"));
  await Promise.all(streams.map((s) => s.next((e) => e.data?.state === "succeeded" && e.data.job === body.id)));
  const t0 = performance.now();
  const [end] = await Promise.all([other.stop(), ...streams.map((s) => s.end())]);
  assert.equal(end.code, 0);
  assert.ok(performance.now() - t0 < 2000);
});

test("tokens: 401 with WWW-Authenticate, then not; revoked ones stop working", async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "quantd-test-"));
  const run = (...args) => spawnSync(path.join(binDir, "quantd"), ["--data", dir, ...args], { encoding: "utf8" });
  const open = run("--listen", "0.0.0.0:0");
  assert.notEqual(open.status, 0);
  assert.match(open.stderr, /--add-token/);
  const token = run("--add-token", "anna").stdout.trim();
  assert.match(token, /^qd_[0-9a-f]{64}$/);
  const guarded = await startQuantd({ dir, worker: "fake", args: ["--listen", "0.0.0.0:0"] });
  const url = guarded.url.replace("0.0.0.0", "127.0.0.1");
  const bare = await api(url, "GET", "/v1/jobs");
  assert.equal(bare.status, 401);
  assert.match(bare.headers.get("www-authenticate"), /^Bearer/);
  assert.equal((await api(url, "GET", "/v1/jobs", undefined, { Authorization: "Bearer qd_00" })).status, 401);
  assert.equal((await api(url, "GET", "/healthz")).status, 200);
  const mine = { Authorization: `Bearer ${token}` };
  const made = await api(url, "POST", "/v1/jobs", spec("steps=1 ms=1"), mine);
  assert.equal(made.body.owner, "anna");
  assert.equal((await api(url, "POST", "/v1/jobs", Buffer.alloc(3 << 20))).status, 401);
  await guarded.terminate();
  assert.equal(run("--revoke-token", "anna").status, 0);
  await removeDir(dir);
});

test("without accounts, pages of other sites and rebound names are refused", async () => {
  const foreign = await api(q.url, "POST", "/v1/jobs", spec("steps=1"), { Origin: "https://evil.example" });
  assert.equal(foreign.status, 403);
  const own = await api(q.url, "POST", "/v1/jobs?dry_run=1", spec("steps=1"), { Origin: q.url });
  assert.equal(own.status, 200);
  const rebound = await raw(q.url, "GET /v1/jobs HTTP/1.1\r\nHost: evil.example\r\n\r\n", /\r\n\r\n\{/);
  assert.match(rebound, /^HTTP\/1.1 403/);
});

test("a full disk is told before it is full: 507", async () => {
  const other = await startQuantd({ worker: "fake", args: ["--disk-floor", String(2 ** 49)] });
  assert.equal((await api(other.url, "POST", "/v1/models?name=m", "x".repeat(1000))).status, 507);
  const ready = await api(other.url, "GET", "/readyz");
  assert.equal(ready.status, 503);
  assert.match(ready.body.reason, /free on disk/);
  await other.stop();
});

test("the inspector's crash is the client's 422 and nothing else; many uploads at once", async () => {
  const crash = await api(q.url, "POST", "/v1/models?name=crash", "CRASH");
  assert.equal(crash.status, 422);
  assert.match(crash.body.detail, /inspector crashed \(signal 11\)/);
  const bad = await api(q.url, "POST", "/v1/models?name=bad", "BAD");
  assert.equal(bad.status, 422);
  assert.equal(bad.body.errors[0].pointer, "node n1 (Foo)");
  const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => api(q.url, "POST", `/v1/models?name=m${i}`, `model ${i}`)));
  assert.deepEqual(answers.map((a) => a.status), Array(8).fill(201));
  const job = await api(q.url, "POST", "/v1/jobs", { ...spec("steps=1 ms=1"), model: "m3" });
  assert.equal((await waitState(q.url, job.body.id, "succeeded")).state, "succeeded");
  const link = path.join(q.dir, "jobs", String(job.body.id));
  assert.ok(!fs.existsSync(path.join(link, "in")), "inputs are given back after success");
});

test("an upload that breaks off leaves nothing behind; stopping during one is clean", async () => {
  const other = await startQuantd({ worker: "fake" });
  const head = "POST /v1/models?name=m HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n";
  await raw(other.url, head + "x".repeat(3000000), /$^/, 300);
  await sleep(300);
  assert.deepEqual(fs.readdirSync(path.join(other.dir, "tmp")), []);
  const pending = raw(other.url, head + "x".repeat(3000000));
  const inspecting = raw(other.url, "POST /v1/models?name=h HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nHANG");
  await sleep(300);
  const end = await other.stop();
  assert.equal(end.code, 0, other.log());
  await Promise.all([pending, inspecting]);
});

/** The text format 0.0.4: the samples by their whole name; throws where a line breaks its rules. */
function exposition(text) {
  assert.ok(text.endsWith("\n"));
  const samples = new Map(), types = new Map();
  let helped = null;
  for (const line of text.slice(0, -1).split("\n")) {
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (\S.*)$/.exec(line), type = /^# TYPE (\S+) (counter|gauge)$/.exec(line);
    const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)((?:\{[a-zA-Z_]\w*="[^"\\\n]*"\})?) (-?[0-9.e+]+)$/.exec(line);
    if (help) helped = help[1];
    else if (type) {
      assert.equal(type[1], helped, "TYPE follows its own HELP");
      assert.ok(!types.has(type[1]), `${type[1]} is one group`);
      assert.equal(type[2] === "counter", type[1].endsWith("_total"));
      types.set(type[1], type[2]);
    } else {
      assert.ok(sample, line);
      assert.equal(sample[1], helped, "samples follow their TYPE");
      assert.ok(Number.isFinite(Number(sample[3])), line);
      assert.ok(!samples.has(sample[1] + sample[2]), `${line} is there twice`);
      samples.set(sample[1] + sample[2], Number(sample[3]));
    }
  }
  return samples;
}

test("/metrics keeps the rules of its format and counts what happens", async () => {
  const read = async () => {
    const answer = await fetch(`${q.url}/metrics`);
    assert.match(answer.headers.get("content-type"), /^text\/plain; version=0\.0\.4/);
    return exposition(await answer.text());
  };
  const before = await read();
  const content = randomBytes(1000);
  assert.equal((await api(q.url, "PUT", `/v1/blobs/${hashOf(content)}`, content)).status, 201);
  assert.equal((await api(q.url, "PUT", `/v1/blobs/${hashOf(randomBytes(9))}`, content)).status, 422);
  assert.equal((await api(q.url, "GET", "/v1/jobs/999999")).status, 404);
  const { body } = await api(q.url, "POST", "/v1/jobs", spec("steps=1000 ms=20"));
  await waitState(q.url, body.id, "running");
  const after = await read(), risen = (name) => after.get(name) - (before.get(name) ?? 0);
  assert.equal(risen("quantd_upload_bytes_total"), 2000);
  assert.equal(risen('quantd_requests_total{code="201"}'), 1);
  assert.equal(risen('quantd_requests_total{code="422"}'), 1);
  assert.equal(risen('quantd_requests_total{code="404"}'), 1);
  assert.equal(risen('quantd_jobs{state="running"}'), 1);
  assert.equal(risen("quantd_attempts_running"), 1);
  assert.equal((await api(q.url, "POST", `/v1/jobs/${body.id}/cancel`)).status, 202);
  await waitState(q.url, body.id, "cancelled");
});

test("a refused upload does not take the same bytes from somebody who stored them meanwhile", async () => {
  for (let ms = 0; ms < 50; ms += 5) {
    const bytes = Buffer.concat([Buffer.from("BAD"), randomBytes(1000)]), at = "/v1/blobs/" + hashOf(bytes);
    const refused = api(q.url, "POST", "/v1/models?name=refused", bytes);
    await sleep(ms);
    const stored = await api(q.url, "PUT", at, bytes);
    assert.ok(stored.status === 200 || stored.status === 201, stored.text);
    assert.equal((await refused).status, 422);
    assert.equal((await api(q.url, "HEAD", at)).status, 200, `${stored.status} after ${ms} ms`);
  }
});

test("512 connections are all it takes; when one goes, the next is served at once", async (t) => {
  const own = await startQuantd({ worker: "fake" });
  t.after(() => own.stop());
  const { hostname, port } = new URL(own.url);
  const connect = () => new Promise((done, failed) => {
    const socket = net.connect(Number(port), hostname, () => done(socket)).on("error", failed);
  });
  const ask = (ms) => raw(own.url, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", undefined, ms);
  const sockets = await Promise.all(Array.from({ length: 512 }, connect));
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  await sleep(200);
  // on a busy machine the last of them may have to knock again
  for (let left = 20; (await ask(300)) !== ""; left--) assert.ok(left > 0, "one more is served");
  await sleep(200); // let the one that was not heard go, too
  sockets.pop().destroy();
  await sleep(200);
  assert.match(await ask(), /^HTTP\/1.1 200/);
});
