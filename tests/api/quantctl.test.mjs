// quantctl, run as a program against a server made of memory: what it prints, what it stores, how it exits.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startMock } from "../fake/mock-api.mjs";
import { binDir, startQuantd } from "../lib/quantd.mjs";

const PROGRAM = join(binDir, "quantctl");
const BASIC = ["--kind", "quantize", "--model", "zoo:lenet5", "--dataset", "builtin:glyphs"];
let mock, dir;

function quantctl(args, { env = {}, stdin = "", cwd = dir } = {}) {
  return new Promise((resolve) => {
    const child = spawn(PROGRAM, args, { cwd, env: { ...process.env, QUANTD_URL: mock.url, QUANTD_TOKEN: "", ...env } });
    let out = "", err = "";
    child.stdout.on("data", (d) => (out += d));
    child.stderr.on("data", (d) => (err += d));
    child.stdin.on("error", () => {});
    child.stdin.end(stdin);
    child.on("close", (code) => resolve({ code, out, err }));
  });
}
const submit = async (name, ...more) => JSON.parse((await quantctl(["jobs", "submit", ...BASIC, "--name", name, "--json", ...more])).out).id;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "quantctl-"));
  mock = await startMock({ tick: 15, steps: 24 });
});
after(async () => {
  await mock.close();
  await rm(dir, { recursive: true });
});

test("help and wrong usage", async () => {
  const help = await quantctl(["--help"]);
  assert.equal(help.code, 0);
  for (const line of ["models add FILE", "jobs submit", "artifacts get JOB [NAME]", "QUANTD_TOKEN"]) assert.ok(help.out.includes(line), line);
  assert.match((await quantctl(["jobs", "submit", "--help"])).out, /--idempotency-key KEY/);
  assert.match((await quantctl(["models", "--help"])).out, /models rm/);
  for (const wrong of [[], ["jobs"], ["jobs", "fly"], ["teapots"], ["jobs", "get"], ["jobs", "get", "1x"], ["jobs", "get", "0"], ["jobs", "ls", "--colour"], ["jobs", "ls", "--state"], ["version", "now"], ["jobs", "submit", "--set", "train=1"]])
    assert.equal((await quantctl(wrong)).code, 2, wrong.join(" "));
  assert.equal((await quantctl(["version"], { env: { QUANTD_URL: "ftp://x" } })).code, 2);
});

test("no server: exit 3 at once", async () => {
  for (const args of [["version"], ["jobs", "watch", "1"]]) {
    const r = await quantctl(args, { env: { QUANTD_URL: "http://127.0.0.1:9" } });
    assert.equal(r.code, 3);
    assert.match(r.err, /127\.0\.0\.1:9/);
  }
});

test("version and capabilities", async () => {
  assert.match((await quantctl(["version"])).out, /quantctl 0\.1\.0\nquantd {3}0\.1\.0 at http/);
  const r = await quantctl(["capabilities"]);
  assert.match(r.out, /\/quantize\/weights\/bits +integer +1\.\.8, 32 +4 +bit/);
  assert.match(r.out, /zoo:lenet5/);
  assert.equal(JSON.parse((await quantctl(["capabilities", "--json"])).out).kinds[0].name, "quantize");
});

test("models and data sets: add, ls, get, rm", async () => {
  const file = join(dir, "my net.v2.onnx");
  await writeFile(file, Buffer.alloc(3_000_000, 7));
  const added = await quantctl(["models", "add", file, "--json"]);
  assert.equal(added.code, 0, added.err);
  const model = JSON.parse(added.out);
  assert.equal(model.name, "my net.v2");
  assert.equal(model.bytes, 3_000_000);
  assert.match((await quantctl(["models", "ls"])).out, /my net\.v2 +Nx1x28x28 +431080/);
  assert.match((await quantctl(["models", "get", String(model.id)])).out, /2\.9 MiB/);
  const data = await quantctl(["datasets", "add", file, "--name", "digits", "--format", "idx", "--mean", "0.5", "--std", "0.25"]);
  assert.match(data.out, /digits +idx +1x28x28 +10 +60000 +10000/);
  assert.equal((await quantctl(["models", "rm", String(model.id)])).code, 0);
  assert.equal((await quantctl(["models", "get", String(model.id)])).code, 6);
  assert.equal((await quantctl(["models", "add", join(dir, "missing.onnx")])).code, 1);
});

test("a refusal names title, detail and every place", async () => {
  const file = join(dir, "broken.onnx");
  await writeFile(file, "broken");
  const model = await quantctl(["models", "add", file]);
  assert.equal(model.code, 6);
  assert.match(model.err, /The file can't be read: operator Loop is not supported\n {2}node loop_1 \(Loop\): operator/);
  const job = await quantctl(["jobs", "submit", ...BASIC, "--set", "/quantize/weights/bits=9", "--set", "/train/epochs=soon"]);
  assert.equal(job.code, 6);
  assert.match(job.err, /\/quantize\/weights\/bits: 9 is outside/);
  assert.match(job.err, /\/train\/epochs: must be an integer/);
});

test("submit: from a file, from standard input, with --set, dry run, idempotency", async () => {
  const spec = { kind: "quantize", model: "zoo:lenet5", dataset: "builtin:glyphs", train: { epochs: 3 } };
  await writeFile(join(dir, "job.json"), JSON.stringify(spec));
  const dry = await quantctl(["jobs", "submit", "job.json", "--dry-run", "--set", "/train/seed=7", "--set", "/overrides/0/match=conv1*", "--set", "/overrides/0/weights/bits=8"]);
  assert.equal(dry.code, 0, dry.err);
  const complete = JSON.parse(dry.out);
  assert.deepEqual([complete.train.epochs, complete.train.seed, complete.overrides], [3, 7, [{ match: "conv1*", weights: { bits: 8 } }]]);
  const piped = await quantctl(["jobs", "submit", "-"], { stdin: JSON.stringify(spec) });
  assert.match(piped.out, /^job \d+ queued\n$/);
  const bad = await quantctl(["jobs", "submit", "-"], { stdin: '{"kind": }' });
  assert.equal(bad.code, 2);
  assert.match(bad.err, /line 1, column/);
  const [a, b] = [await submit("twice", "--idempotency-key", "k1"), await submit("twice", "--idempotency-key", "k1")];
  assert.equal(a, b);
  assert.equal((await quantctl(["jobs", "submit", ...BASIC, "--idempotency-key", "k1"])).code, 6);
  assert.equal((await quantctl(["jobs", "submit", ...BASIC, "--idempotency-key", "a\nb: c"])).code, 2);
});

test("watch: phases, tenths, the result; then the artifacts, checked", async () => {
  const r = await quantctl(["jobs", "submit", ...BASIC, "--name", "good", "--watch"]);
  assert.equal(r.code, 0, r.err);
  assert.match(r.out, /^train$/m);
  assert.match(r.out, /^train +50 % .*loss 0\.\d+ .*error 0\.\d+ steps/m);
  assert.match(r.out, /job \d+ succeeded in 3 min 34 s\n {2}top1 float 99\.12 % -> 98\.97 %\n {2}bytes 1724320 -> 438112 file, 218305 payload, ratio 7\.90\n$/);
  const id = /job (\d+) /.exec(r.out)[1];
  assert.match((await quantctl(["artifacts", "ls", id])).out, /model\.onnx/);
  const all = await quantctl(["artifacts", "get", id]);
  assert.equal(all.code, 0, all.err);
  assert.deepEqual((await readdir(join(dir, `job-${id}`))).sort(), ["curves.csv", "model.onnx", "report.html", "result.json"]);
  assert.deepEqual(await readFile(join(dir, `job-${id}`, "model.onnx")), mock.jobs.get(Number(id)).files["model.onnx"]);
  assert.equal((await quantctl(["artifacts", "get", id, "model.onnx", "-o", "out.onnx"])).code, 0);
  assert.ok(existsSync(join(dir, "out.onnx")));
  assert.equal((await quantctl(["artifacts", "get", id, "nothing"])).code, 6);
  assert.match((await quantctl(["jobs", "log", id])).out, /8000 training/);
});

test("an artifact that comes broken leaves nothing behind", async () => {
  const id = await submit("corrupt");
  while (mock.jobs.get(id).state !== "succeeded") await new Promise((ok) => setTimeout(ok, 20));
  let asked = 0;
  // The list takes its size and hash from the first two reads; what is sent afterwards differs.
  Object.defineProperty(mock.jobs.get(id).files, "model.onnx", { enumerable: true, get: () => Buffer.from(asked++ < 2 ? "right" : "wrong") });
  const r = await quantctl(["artifacts", "get", String(id), "model.onnx", "-o", "spoilt.onnx"]);
  assert.equal(r.code, 1);
  assert.match(r.err, /came broken/);
  assert.deepEqual((await readdir(dir)).filter((n) => n.includes("spoilt")), []);
});

test("watch: exit codes, and no control character reaches the terminal", async () => {
  const doomed = await quantctl(["jobs", "submit", ...BASIC, "--name", "doomed", "--watch"]);
  assert.equal(doomed.code, 1);
  assert.match(doomed.out, /failed: DIVERGED: the loss is not a number at step 31\[31m\n/);
  assert.equal((await quantctl(["jobs", "submit", ...BASIC, "--name", "hopeless", "--watch"])).code, 5);
  const id = await submit("stuck");
  const watching = quantctl(["jobs", "watch", String(id)]);
  await new Promise((ok) => setTimeout(ok, 150));
  assert.match((await quantctl(["jobs", "ls", "--state", "queued"])).out, /stuck .*waiting for 1 cpu/);
  assert.equal((await quantctl(["jobs", "cancel", String(id)])).code, 0);
  assert.equal((await watching).code, 4);
  assert.equal((await quantctl(["jobs", "cancel", String(id)])).code, 6);
  assert.equal((await quantctl(["jobs", "rm", String(id)])).code, 0);
  assert.equal((await quantctl(["jobs", "watch", String(id)])).code, 6);
});

test("a broken stream is taken up again where it was", async () => {
  const flaky = await startMock({ tick: 15, steps: 24, drop: true });
  try {
    const r = await quantctl(["jobs", "submit", ...BASIC, "--watch", "--json"], { env: { QUANTD_URL: flaky.url } });
    assert.equal(r.code, 0, r.err);
    const lines = r.out.trim().split("\n").map((l) => JSON.parse(l));
    const steps = lines.filter((l) => l.t === "progress").map((l) => l.step);
    assert.deepEqual(steps, [...new Set(steps)]);
    assert.equal(steps.length, 24);
    assert.equal(lines.at(-1).state, "succeeded");
  } finally {
    await flaky.close();
  }
});

test("a token is sent, and asked for when it is missing", async () => {
  const locked = await startMock({ token: "qd_secret" });
  try {
    const r = await quantctl(["jobs", "ls"], { env: { QUANTD_URL: locked.url } });
    assert.equal(r.code, 6);
    assert.match(r.err, /QUANTD_TOKEN/);
    assert.equal((await quantctl(["jobs", "ls"], { env: { QUANTD_URL: locked.url, QUANTD_TOKEN: "qd_secret" } })).code, 0);
  } finally {
    await locked.close();
  }
});

test("lists follow their pages", async () => {
  for (let i = 0; i < 260; i++) mock.add({ state: "succeeded" });
  assert.equal((await quantctl(["jobs", "ls"])).out.trim().split("\n").length, 51);
  assert.equal(JSON.parse((await quantctl(["jobs", "ls", "--limit", "230", "--json"])).out).items.length, 230);
});

test("with the real server: submit, watch, log, artifacts, delete", { timeout: 120000 }, async () => {
  const daemon = await startQuantd();
  const env = { QUANTD_URL: daemon.url };
  try {
    const bad = await quantctl(["jobs", "submit", ...BASIC, "--set", "/quantize/weights/bits=9"], { env });
    assert.equal(bad.code, 6);
    assert.match(bad.err, /\/quantize\/weights\/bits: /);
    const watched = await quantctl(["jobs", "submit", "--kind", "evaluate", "--model", "zoo:lenet5", "--dataset", "builtin:glyphs", "--watch"], { env });
    assert.equal(watched.code, 0, watched.out + watched.err);
    assert.match(watched.out, /job 1 succeeded in .*\n {2}top1 /);
    assert.equal((await quantctl(["jobs", "log", "1"], { env })).code, 0);
    const all = await quantctl(["artifacts", "get", "1", "-o", "real"], { env });
    assert.equal(all.code, 0, all.err);
    assert.equal(JSON.parse(await readFile(join(dir, "real", "result.json"), "utf8")).metric, "top1");
    const refused = await quantctl(["models", "add", join(dir, "real", "result.json")], { env });
    assert.equal(refused.code, 6, refused.out + refused.err + daemon.log());
    assert.equal((await quantctl(["jobs", "rm", "1"], { env })).code, 0);
    assert.equal((await quantctl(["jobs", "get", "1"], { env })).code, 6);
  } finally {
    await daemon.stop();
  }
});
