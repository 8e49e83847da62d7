// What keeps quantd from starting, and what it says then; the commands that serve nothing.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { api, binDir, fakeWorker, startQuantd, waitState } from "../lib/quantd.mjs";

const top = fs.mkdtempSync(path.join(os.tmpdir(), "quantd-start-"));
after(() => fs.rmSync(top, { recursive: true, force: true }));

let dirs = 0;
const newDir = () => {
  const dir = path.join(top, String(++dirs));
  fs.mkdirSync(dir);
  return dir;
};
const quantd = (dir, ...args) =>
  spawnSync(path.join(binDir, "quantd"), ["--listen", "127.0.0.1:0", "--data", dir, ...args], { encoding: "utf8", timeout: 60000 });

function worker(script) {
  const file = path.join(newDir(), "worker");
  fs.writeFileSync(file, script, { mode: 0o755 });
  return file;
}

for (const [what, script, says] of [
  ["fails", '#!/bin/sh\necho "no library libfoo" >&2\nexit 127\n', /no library libfoo\n[^]*can't be used: .*worker describe: it ended with exit code 127/],
  ["crashes", "#!/bin/sh\nkill -SEGV $$\n", /can't be used: .* describe: it was killed by signal 11 \(Segmentation fault\)/],
  ["prints rubbish", "#!/bin/sh\necho hello\n", /can't be used: the answer of .*worker describe: line 1:/],
  ["prints without end", "#!/bin/sh\nexec yes\n", /can't be used: .* describe: it prints more than 4 MiB/],
])
  test(`a worker that ${what}: quantd does not start and says why`, () => {
    const end = quantd(newDir(), "--worker", worker(script));
    assert.equal(end.status, 1, end.stderr);
    assert.match(end.stderr, says);
    assert.equal(end.stdout, "");
  });

test("a worker that is not there", () => {
  const end = quantd(newDir(), "--worker", path.join(top, "none"));
  assert.equal(end.status, 1);
  assert.match(end.stderr, /the worker .*none: No such file/);
});

test("a damaged database is refused at the start, and --check says what is wrong with it", async () => {
  const dir = newDir();
  const q = await startQuantd({ dir, worker: "fake" });
  const spec = { kind: "quantize", name: "x".repeat(80), model: "zoo:lenet5", dataset: "builtin:glyphs", not_before: "2099-01-01T00:00:00Z" };
  for (let i = 0; i < 60; i++) assert.equal((await api(q.url, "POST", "/v1/jobs", spec)).status, 202);
  await q.terminate();
  const file = path.join(dir, "quantd.db");
  const fd = fs.openSync(file, "r+");
  fs.writeSync(fd, Buffer.alloc(4096, 0x5a), 0, 4096, fs.statSync(file).size - 2 * 4096);
  fs.closeSync(fd);
  const end = quantd(dir, "--worker", fakeWorker);
  assert.equal(end.status, 1);
  assert.match(end.stderr, /the database is damaged/);
  const check = quantd(dir, "--check");
  assert.equal(check.status, 1);
  assert.match(check.stdout, /database: .*\n[^]*findings: [1-9]/);
});

test("a data directory named from here: jobs run in it", async () => {
  const here = newDir();
  const q = await startQuantd({ dir: "relative/data", cwd: here, worker: "fake" });
  const made = await api(q.url, "POST", "/v1/jobs", { kind: "quantize", name: "steps=2 ms=1", model: "zoo:lenet5", dataset: "builtin:glyphs" });
  assert.equal((await waitState(q.url, made.body.id, ["succeeded", "failed", "parked"])).state, "succeeded");
  await q.terminate();
  assert.equal(spawnSync(path.join(binDir, "quantd"), ["--data", "relative/data", "--check"], { cwd: here }).status, 0);
});

test("a file that is no database", () => {
  const dir = newDir();
  fs.writeFileSync(path.join(dir, "quantd.db"), "hello, world\n".repeat(1000));
  const end = quantd(dir, "--worker", fakeWorker);
  assert.equal(end.status, 1);
  assert.match(end.stderr, /file is not a database/);
});

test("names of tokens", () => {
  const dir = newDir();
  for (const name of ["lab", "Zoë's laptop", "n".repeat(63)]) {
    const made = quantd(dir, "--add-token", name);
    assert.equal(made.status, 0, made.stderr);
    assert.match(made.stdout, /^qd_[0-9a-f]{64}\n$/);
  }
  for (const name of ["a\nb", "\u202eevil", " ", "n".repeat(64)]) {
    const refused = quantd(dir, "--add-token", name);
    assert.notEqual(refused.status, 0, JSON.stringify(name));
    assert.match(refused.stderr, /1 to 63 bytes/);
    assert.equal(refused.stdout, "");
  }
  assert.match(quantd(dir, "--add-token", "lab").stderr, /there is a token with the name lab already/);
  assert.equal(quantd(dir, "--revoke-token", "lab").status, 0);
});

test("without a built dashboard / says how to get one, and the sources are not served", async () => {
  const dir = newDir(), bin = path.join(dir, "build");
  fs.mkdirSync(bin);
  fs.copyFileSync(path.join(binDir, "quantd"), path.join(bin, "quantd"));
  fs.mkdirSync(path.join(dir, "webui"));
  fs.writeFileSync(path.join(dir, "webui", "index.html"), "the sources");
  const q = await startQuantd({ dir: newDir(), worker: "fake", program: path.join(bin, "quantd") });
  const answer = await fetch(q.url + "/");
  assert.equal(answer.status, 404);
  assert.match(answer.headers.get("content-type"), /^text\/plain/);
  assert.match(await answer.text(), /`make` builds it/);
  await q.terminate();
});
