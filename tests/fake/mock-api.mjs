// A quantd made of memory: enough of the HTTP contract to try out the dashboard and quantctl with staged situations
// (a thousand jobs, a job that fails, a broken stream, a demanded token). `node mock-api.mjs [PORT]` runs it by hand.
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { capabilities, complete } from "./capabilities.mjs";

const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml" };
const FINAL = ["succeeded", "failed", "cancelled"];
const sha = (data) => "sha256:" + createHash("sha256").update(data).digest("hex");
const iso = (ms) => (ms ? new Date(ms).toISOString() : null);

export function mockJob(id, over = {}) {
  const { spec } = complete({ kind: "quantize", name: `run ${id}`, model: "zoo:lenet5", dataset: "builtin:glyphs", ...over.given });
  return { id, kind: spec.kind, name: spec.name, tags: spec.tags, owner: "", state: "queued", reason: "", priority: spec.priority, position: 0,
    created: iso(Date.now()), started: null, finished: null, updated: iso(Date.now()), not_before: null, progress: null, attempts: [], result: null,
    spec, series: {}, log: [], files: {}, version: 1, ...over };
}

const LAYERS = [["conv1", "Conv", 520, 8], ["conv2", "Conv", 25050, 4], ["ip1", "Gemm", 400500, 4], ["ip2", "Gemm", 5010, 8]];
const result = (job) => ({
  format: 1, metric: "top1", value: 0.9897, float_value: 0.9912, trained_value: 0.9899, samples: 2000, float_bytes: 1724320, file_bytes: 438112,
  payload_bytes: 218305, ratio: 7.898, seed: 1, threads: 1, version: "0.1.0", kernels: "avx2", blas: "none", wall_s: 214.2, cpu_s: 211.9,
  weights_sha256: sha("w" + job.id), method: "msqe",
  layers: LAYERS.map(([name, op, parameters, bits]) => ({ name, op, parameters, weight_bits: bits, activation_bits: 8, sparsity: 0.11 * (bits === 4),
    entropy_bits: bits * 0.83, bytes: Math.ceil((parameters * bits) / 8), msqe: 3.2e-5 / bits })),
});

/** What a search has seen: two on the front, one beaten. */
const search = () => ({
  metric: "top1", target_bytes: null, min_metric: 0.98, met: true, best: 2, trials_most: 8, held_out: { samples: 800, value: 0.985, float_value: 0.991 },
  trials: [[1, 0.9, 4, 9100, 0.989, true], [2, 0.98, 3, 3210, 0.985, true], [3, 0.9, 5, 9900, 0.988, false]].map(([trial, sparsity, bits, bytes, top1, pareto]) => ({ trial, sparsity, bits, price: null, bytes, metric: top1, pareto, met: true })),
});

/** One training step's worth of everything, t in 0..1. */
function sample(t, step, rough = Math.sin(step * 12.9898) * 0.5) {
  return { loss: 2.3 * Math.exp(-5 * t) + 0.04 + 0.12 * rough * Math.exp(-3 * t), msqe: 2e-3 * Math.exp(-6 * t) + 2e-6, coefficient: Math.exp(7 * t),
    error_in_steps: 0.29 * Math.exp(-4.5 * t) + 0.002, learning_rate: 0.005 * (1 + Math.cos(Math.PI * t)) };
}

export async function startMock({ port = 0, webui, token = null, tick = 120, steps = 60, drop = false } = {}) {
  const jobs = new Map(), streams = new Set(), timers = new Set(), events = [], keys = new Map();
  const assets = { models: new Map(), datasets: new Map() };
  let dropNext = drop, lastJob = 0, lastAsset = 0;

  const emit = (job, type, data) => {
    const seq = events.length + 1;
    const ev = { seq, job: job.id, type, data: { job: job.id, seq, ...data } };
    events.push(ev);
    for (const s of streams) if (!s.job || s.job === job.id) send(s.res, ev);
    if (dropNext && type === "progress" && data.step > steps / 3) {
      dropNext = false;
      for (const s of streams) s.res.destroy();
    }
  };
  const send = (res, ev) => res.write(`id: ${ev.seq}\nevent: ${ev.type}\ndata: ${JSON.stringify(ev.data)}\n\n`);
  const move = (job, state, reason = "") => {
    Object.assign(job, { state, reason, updated: iso(Date.now()), version: job.version + 1 });
    if (state === "running") job.started = job.updated;
    if (FINAL.includes(state)) Object.assign(job, { finished: job.updated, progress: null });
    emit(job, "state", { state, reason });
  };
  const metric = (job, series, step, value) => {
    const s = (job.series[series] ??= { steps: [], values: [] });
    s.steps.push(step);
    s.values.push(value);
    emit(job, "metric", { t: "metric", series, step, value });
  };
  const line = (job, text, level = "info") => {
    job.log.push(`${iso(Date.now())} ${level} ${text}`);
    emit(job, "log", { t: "log", level, text });
  };
  const later = (ms, f) => {
    const t = setTimeout(() => (timers.delete(t), f()), ms);
    timers.add(t);
  };

  function finish(job) {
    job.result = job.kind === "evaluate" ? { ...result(job), layers: [] } : job.tags.includes("goal") ? { ...result(job), search: search() } : result(job);
    job.files = { "model.onnx": Buffer.from("onnx of job " + job.id + "\n" + "x".repeat(5000)), "curves.csv": Buffer.from("series,step,value\n"),
      "report.html": Buffer.from("<!doctype html><title>report</title>"), "result.json": Buffer.from(JSON.stringify(job.result)) };
    move(job, "succeeded");
  }
  function run(job, step = 0) {
    if (job.state === "cancelling") return move(job, "cancelled", "cancelled by a person");
    if (step === 0) {
      move(job, "running");
      emit(job, "phase", { t: "phase", phase: "train" });
      line(job, "8000 training and 2000 test samples");
    }
    if (job.name === "doomed" && step > steps / 2) return move(job, "failed", "DIVERGED: the loss is not a number at step 31\u001b[31m");
    if (step >= steps) return finish(job);
    const t = step / steps;
    const n = step * 25;
    for (const [k, v] of Object.entries(sample(t, step))) metric(job, k, n, v);
    if (step % 6 === 5) {
      metric(job, "top1", n, 0.99 - 0.6 * Math.exp(-5 * t));
      metric(job, "train_top1", n, 0.995 - 0.62 * Math.exp(-5 * t));
      line(job, `epoch ${(step + 1) / 6}: top1 ${(0.99 - 0.6 * Math.exp(-5 * t)).toFixed(4)}`);
    }
    job.progress = { phase: "train", step: n, steps: steps * 25, eta_s: ((steps - step) * tick) / 1000 };
    emit(job, "progress", { t: "progress", step: n, steps: steps * 25, eta_s: job.progress.eta_s });
    later(tick, () => run(job, step + 1));
  }
  function start(job) {
    later(tick, () => job.state === "queued" && (move(job, "starting"), later(tick, () => run(job))));
  }

  // --- answers -----------------------------------------------------------------------------------------------------
  const json = (res, status, body, headers = {}) => {
    res.writeHead(status, { "Content-Type": status >= 400 ? "application/problem+json" : "application/json", ...headers });
    res.end(JSON.stringify(body));
  };
  const problem = (res, status, title, detail, errors = []) =>
    json(res, status, { type: "https://quantd.invalid/problems/x", title, status, detail, errors, request_id: "0123456789abcdef" });
  const view = (job, full) => {
    const { series, log, files, version, attempts, spec, ...rest } = job;
    const self = `/v1/jobs/${job.id}`;
    const q = spec.quantize;
    return { ...rest, ...(full ? { attempts, spec } : {}), method: q?.method ?? null, weight_bits: q?.weights?.bits ?? null,
      activation_bits: q?.activations?.bits ?? null, links: { self, events: self + "/events", metrics: self + "/metrics", log: self + "/log", artifacts: self + "/artifacts" } };
  };
  const body = async (req) => {
    const parts = [];
    for await (const c of req) parts.push(c);
    return Buffer.concat(parts);
  };
  const page = (res, path, all, query, show) => {
    const limit = Number(query.get("limit") ?? 50), from = Number(query.get("cursor") ?? 0);
    query.set("limit", limit);
    query.set("cursor", from + limit);
    json(res, 200, { items: all.slice(from, from + limit).map(show), next: from + limit < all.length ? `${path}?${query}` : null });
  };
  const stream = (req, res, query, job) => {
    res.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    res.write("retry: 200\n\n");
    const given = req.headers["last-event-id"] ?? query.get("after");
    const after = given != null ? Number(given) : job ? 0 : events.length;
    for (const ev of events) if (ev.seq > after && (!job || ev.job === job)) send(res, ev);
    const s = { res, job };
    streams.add(s);
    res.on("close", () => streams.delete(s));
  };

  async function files(res, path) {
    const name = path === "/" ? "index.html" : normalize(path.slice(4));
    try {
      const data = await readFile(join(webui, name));
      res.writeHead(200, { "Content-Type": TYPES[extname(name)] ?? "application/octet-stream", "Content-Security-Policy": CSP });
      res.end(data);
    } catch {
      problem(res, 404, "Not found", path);
    }
  }

  async function asset(req, res, url, kind, id) {
    const all = assets[kind];
    if (req.method === "POST") {
      const data = await body(req);
      if (data.includes("broken")) return problem(res, 422, "The file can't be read", "operator Loop is not supported", [{ pointer: "node loop_1 (Loop)", code: "unsupported", detail: "operator Loop is not supported" }]);
      const info = kind === "models"
        ? { format: "onnx", opset: 13, ir_version: 7, inputs: [{ name: "x", shape: ["N", 1, 28, 28] }], outputs: [{ name: "y", shape: ["N", 10] }], parameters: 431080, macs: 2293000, operators: { Conv: 2, Gemm: 2 }, layers: LAYERS.map(([name, op, parameters]) => ({ name, op, parameters, macs: parameters * 10, shape: [1] })), memory_bytes: 5e6 }
        : { format: url.searchParams.get("format") ?? "idx", shape: [1, 28, 28], classes: 10, train: 60000, test: 10000 };
      const a = { id: ++lastAsset, name: url.searchParams.get("name") || "unnamed", sha256: sha(data), bytes: data.length, created: iso(Date.now()), format: info.format, info };
      all.set(a.id, a);
      return json(res, 201, a, { Location: `/v1/${kind}/${a.id}` });
    }
    if (!id) return page(res, `/v1/${kind}`, [...all.values()].reverse(), url.searchParams, (a) => a);
    if (!all.has(id)) return problem(res, 404, "Not found", `there is no ${kind.slice(0, -1)} ${id}`);
    if (req.method === "DELETE") return all.delete(id), res.writeHead(204).end();
    json(res, 200, all.get(id));
  }

  async function submit(req, res, url) {
    const text = (await body(req)).toString();
    const key = req.headers["idempotency-key"];
    let given;
    try {
      given = JSON.parse(text);
    } catch {
      return problem(res, 400, "The request is malformed", "the body is not JSON");
    }
    const { spec, errors } = complete(given);
    if (errors.length) return problem(res, 422, "The input is not valid", `${errors.length} places are wrong`, errors);
    if (url.searchParams.get("dry_run")) return json(res, 200, { spec, estimate: { memory_bytes: 48e6 } });
    const known = key && keys.get(key);
    if (known && known.text !== text) return problem(res, 422, "The key was used with another body", key);
    const job = known ? jobs.get(known.id) : mockJob(++lastJob, { given });
    jobs.set(job.id, job);
    if (key) keys.set(key, { id: job.id, text });
    if (!known) {
      emit(job, "state", { state: "queued", reason: "" });
      if (job.name === "stuck") Object.assign(job, { reason: "waiting for 1 cpu: 2 of 2 slots are taken" });
      else if (job.name === "hopeless") later(tick, () => move(job, "parked", "3 attempts were lost"));
      else start(job);
    }
    json(res, 202, view(job, true), { Location: `/v1/jobs/${job.id}` });
  }

  async function one(req, res, url, id, rest, name) {
    const job = jobs.get(id);
    if (!job) return problem(res, 404, "Not found", `there is no job ${id}`);
    if (req.method === "POST" && rest === "cancel") {
      if (FINAL.includes(job.state)) return problem(res, 409, "Not possible in the present state", `job ${id} is ${job.state}`);
      move(job, job.state === "running" ? "cancelling" : "cancelled", "");
      return json(res, 202, view(job, true));
    }
    if (req.method === "POST" && rest === "retry") return move(job, "queued"), start(job), json(res, 202, view(job, true));
    if (req.method === "DELETE") return jobs.delete(id), res.writeHead(204).end();
    if (!rest) return json(res, 200, view(job, true), { ETag: `W/"${job.version}"` });
    if (rest === "events") return stream(req, res, url.searchParams, id);
    if (rest === "metrics") return json(res, 200, { series: job.series });
    if (rest === "log") return res.writeHead(200, { "Content-Type": "text/plain; charset=utf-8" }).end(job.log.join("\n") + "\n");
    if (!name) return json(res, 200, { items: Object.entries(job.files).map(([n, d]) => ({ name: n, bytes: d.length, sha256: sha(d), content_type: "application/octet-stream", url: `/v1/jobs/${id}/artifacts/${n}` })) });
    if (!job.files[name]) return problem(res, 404, "Not found", name);
    res.writeHead(200, { "Content-Type": "application/octet-stream", ETag: `"${sha(job.files[name])}"`, "Content-Disposition": `attachment; filename="${name}"` }).end(job.files[name]);
  }

  const server = createServer((req, res) => handle(req, res).catch((e) => problem(res, 500, "Internal error", String(e))));
  async function handle(req, res) {
    const url = new URL(req.url, "http://x");
    const path = url.pathname;
    if (path === "/" || path.startsWith("/ui/")) return files(res, path);
    if (token && req.headers.authorization !== `Bearer ${token}`) return problem(res, 401, "A valid token is needed", "send Authorization: Bearer qd_...");
    if (path === "/v1/version") return json(res, 200, { version: "0.1.0", api: "v1" });
    if (path === "/v1/capabilities") return json(res, 200, { ...capabilities, server: { ...capabilities.server, accounts: !!token } });
    if (path === "/metrics") {
      const count = {};
      for (const j of jobs.values()) count[j.state] = (count[j.state] ?? 0) + 1;
      return res.end(Object.entries(count).map(([s, n]) => `quantd_jobs{state="${s}"} ${n}\n`).join("") + "quantd_slots 2\n");
    }
    if (path === "/v1/events") return stream(req, res, url.searchParams, 0);
    const m = path.match(/^\/v1\/(jobs|models|datasets)(?:\/(\d+)(?:\/(\w+)(?:\/(.+))?)?)?$/);
    if (!m) return problem(res, 404, "Not found", path);
    if (m[1] !== "jobs") return asset(req, res, url, m[1], m[2] ? Number(m[2]) : 0);
    if (m[2]) return one(req, res, url, Number(m[2]), m[3], m[4]);
    if (req.method === "POST") return submit(req, res, url);
    const f = ["state", "kind", "owner"];
    const all = [...jobs.values()].filter((j) => f.every((k) => !url.searchParams.get(k) || j[k] === url.searchParams.get(k)));
    page(res, "/v1/jobs", all.sort((a, b) => b.id - a.id), url.searchParams, (j) => view(j, false));
  }

  await new Promise((ok) => server.listen(port, "127.0.0.1", ok));
  return {
    url: `http://127.0.0.1:${server.address().port}`, jobs, assets, move,
    add(over) {
      const job = mockJob(++lastJob, over);
      jobs.set(job.id, job);
      return job;
    },
    finish, run, start,
    close() {
      for (const t of timers) clearTimeout(t);
      server.closeAllConnections();
      return new Promise((ok) => server.close(ok));
    },
  };
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const mock = await startMock({ port: Number(process.argv[2] ?? 0), webui: process.env.WEBUI ?? "build/webui" });
  console.log(`listening on ${mock.url}`);
}
