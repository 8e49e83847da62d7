// Sweeps over HTTP, with a worker that answers at once: many jobs from one specification and one table of them.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { api, binDir, sleep, startQuantd } from "../lib/quantd.mjs";

let q;
before(async () => (q = await startQuantd({ worker: "fake", args: ["--slots", "2"] })));
after(() => q.stop());

const spec = { kind: "quantize", model: "zoo:lenet5", dataset: "builtin:glyphs", name: "seeded steps=1 ms=1 x" };
const axes = { "quantize.weights.bits": [2, 4], "train.seed": [1, 2, 3] };
const post = (body, headers, query = "") => api(q.url, "POST", `/v1/jobs${query}`, body, headers);

async function finished(id) {
  for (const end = Date.now() + 60000; Date.now() < end; await sleep(100)) {
    const { body } = await api(q.url, "GET", `/v1/sweeps/${id}`);
    if (body.open === 0) return body;
  }
  throw new Error(`sweep ${id} has not ended`);
}

test("a job for each combination, and a table over the seeds", async () => {
  const made = await post({ ...spec, sweep: axes });
  assert.equal(made.status, 202);
  assert.equal(made.headers.get("location"), `/v1/sweeps/${made.body.id}`);
  assert.deepEqual([made.body.jobs, made.body.open, made.body.axes], [6, 6, axes]);
  const done = await finished(made.body.id);
  assert.deepEqual(done.rows.map((r) => r.values), [{ "quantize.weights.bits": 2 }, { "quantize.weights.bits": 4 }]);
  for (const row of done.rows) {
    assert.deepEqual(row.states, { succeeded: 3 });
    assert.equal(row.metric, "top1");
    assert.equal(row.value.n, 3);
    assert.ok(Math.abs(row.value.mean - 0.02) < 1e-12 && Math.abs(row.value.deviation - 0.01) < 1e-12);
    assert.deepEqual(row.file_bytes, { n: 3, mean: 1000 * row.values["quantize.weights.bits"], deviation: 0 });
    assert.equal(row.ratio, null);
  }
  assert.deepEqual(done.rows.map((r) => r.pareto), [true, false]); // as good, and half the size
  const job = (await api(q.url, "GET", `/v1/jobs/${done.rows[1].jobs[2]}`)).body;
  assert.deepEqual([job.sweep, job.spec.quantize.weights.bits, job.spec.train.seed], [done.id, 4, 3]);
  assert.equal(job.name, "seeded steps=1 ms=1 x: quantize.weights.bits=4 train.seed=3");
  assert.equal((await api(q.url, "GET", `/v1/jobs?sweep=${done.id}`)).body.items.length, 6);
  const csv = await api(q.url, "GET", `/v1/sweeps/${done.id}?format=csv`);
  assert.deepEqual(csv.text.split("\n").map((line) => line.split(",").slice(0, 5).join()),
    ["quantize.weights.bits,jobs,succeeded,metric,value_mean", "2,3,3,top1,0.02", "4,3,3,top1,0.02", ""]);
});

test("the same key makes one sweep; a dry run makes none", async () => {
  const headers = { "Idempotency-Key": "again" }, body = { ...spec, sweep: { "train.seed": [1, 2] } };
  const [one, two] = [await post(body, headers), await post(body, headers)];
  assert.deepEqual([one.status, two.status, two.body.id], [202, 202, one.body.id]);
  assert.equal((await post({ ...body, priority: 1 }, headers)).status, 422);
  const before_ = (await api(q.url, "GET", "/v1/sweeps")).body.items.length;
  const dry = await post({ ...spec, sweep: axes }, {}, "?dry_run=1");
  assert.deepEqual([dry.status, dry.body.jobs, dry.body.spec.train.seed], [200, 6, 1]);
  assert.equal((await api(q.url, "GET", "/v1/sweeps")).body.items.length, before_);
});

test("what is wrong names its place, and nothing is left", async () => {
  const jobs = (await api(q.url, "GET", "/v1/jobs?limit=200")).body.items.length;
  const cases = [
    [{ ...spec, sweep: 3 }, "/sweep"],
    [{ ...spec, sweep: { "train.sead": [1] } }, "/sweep/train.sead"],
    [{ ...spec, sweep: { "quantize.weights.bits": [2, 99] } }, "/sweep/quantize.weights.bits/1"],
    [{ ...spec, sweep: { model: ["zoo:lenet5", "nobody"] } }, "/model"],
    [{ ...spec, kind: "evaluate", sweep: { "train.seed": [1] } }, "/train"],
    [{ ...spec, train: 5, sweep: { "train.seed": [1] } }, "/train"],
  ];
  for (const [body, pointer] of cases) {
    const answer = await post(body);
    assert.deepEqual([answer.status, answer.body.errors[0].pointer], [422, pointer], answer.text);
  }
  const some = await post({ ...spec, sweep: { model: ["zoo:lenet5", "nobody"] } });
  assert.match(some.body.errors[0].detail, /with model=nobody/);
  assert.equal((await api(q.url, "GET", "/v1/jobs?limit=200")).body.items.length, jobs);
  for (const [method, path_] of [["GET", "/v1/sweeps/99"], ["GET", "/v1/sweeps/x"], ["POST", "/v1/sweeps/99/cancel"], ["DELETE", "/v1/sweeps/99"]])
    assert.equal((await api(q.url, method, path_)).status, 404);
  assert.equal((await api(q.url, "GET", "/v1/jobs?sweep=x")).status, 400);
  assert.equal((await api(q.url, "GET", "/v1/sweeps/1?format=xml")).status, 400);
});

test("cancelled and deleted as a whole", async () => {
  const { body } = await post({ ...spec, name: "steps=1000 ms=50", sweep: { "quantize.lambda": [1, 2, 3] } });
  assert.equal((await api(q.url, "DELETE", `/v1/sweeps/${body.id}`)).status, 409);
  assert.equal((await api(q.url, "POST", `/v1/sweeps/${body.id}/cancel`)).status, 202);
  const done = await finished(body.id);
  assert.deepEqual(done.rows.map((r) => r.states), [{ cancelled: 1 }, { cancelled: 1 }, { cancelled: 1 }]);
  assert.equal((await api(q.url, "POST", `/v1/sweeps/${body.id}/cancel`)).status, 202); // nothing left to cancel
  assert.equal((await api(q.url, "DELETE", `/v1/sweeps/${body.id}`)).status, 204);
  assert.equal((await api(q.url, "GET", `/v1/sweeps/${body.id}`)).status, 404);
  assert.equal((await api(q.url, "GET", `/v1/jobs/${done.rows[0].jobs[0]}`)).status, 404);
});

test("from the command line", async () => {
  const run = async (...words) => {
    const options = { env: { ...process.env, QUANTD_URL: q.url } };
    const { stdout } = await promisify(execFile)(path.join(binDir, "quantctl"), words, options);
    return stdout;
  };
  const made = await run("jobs", "submit", "--kind", "quantize", "--model", "zoo:lenet5", "--dataset", "builtin:glyphs", "--name",
    "seeded steps=1 ms=1 x", "--set", '/sweep={"quantize.weights.bits":[3],"train.seed":[1,3]}', "--watch");
  const id = Number(/sweep (\d+) with 2 jobs/.exec(made)[1]);
  const wanted = /quantize\.weights\.bits=3 +2\/2 +2\.00 % \+- 1\.41 % +2\.9 KiB/;
  assert.match(made, wanted);
  assert.match(await run("sweeps", "get", String(id)), wanted);
  assert.match(await run("sweeps", "ls"), new RegExp(`${id} .*quantize.weights.bits \\(1\\), train.seed \\(2\\)`));
  assert.equal((await run("jobs", "ls", "--sweep", String(id))).trim().split("\n").length, 3);
  await run("sweeps", "rm", String(id));
  assert.doesNotMatch(await run("sweeps", "ls"), new RegExp(`^ *${id} `, "m"));
});
