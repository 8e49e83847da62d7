// What the crash tests share: jobs of the fake worker.
import assert from "node:assert/strict";
import { api } from "../lib/quantd.mjs";

/** A specification whose name tells the fake worker what to do. */
export const spec = (name, more = {}) => ({ kind: "quantize", name, model: "zoo:lenet5", dataset: "builtin:glyphs", ...more });

export async function submit(url, name, more, headers) {
  const answer = await api(url, "POST", "/v1/jobs", spec(name, more), headers);
  assert.equal(answer.status, 202, answer.text);
  return answer.body.id;
}

export const get = async (url, id) => (await api(url, "GET", `/v1/jobs/${id}`)).body;

/** Polls until check(job) is true. */
export async function until(url, id, check, timeoutMs = 15000) {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const job = await get(url, id);
    if (check(job)) return job;
    if (Date.now() > end) throw new Error(`job ${id} is ${job.state} (${job.reason}), progress ${JSON.stringify(job.progress)}`);
    await new Promise((wake) => setTimeout(wake, 30));
  }
}

export const started = (url, id) => until(url, id, (job) => job.state === "running" && (job.progress?.step ?? 0) >= 1);

/** The steps of series loss as the daemon stored them. */
export async function lossSteps(url, id) {
  return (await api(url, "GET", `/v1/jobs/${id}/metrics?series=loss`)).body.series.loss.steps;
}

export const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);
