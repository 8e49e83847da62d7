// Several jobs side by side: one table and overlaid curves.
import { html, useEffect, useState } from "./html.js";
import { get } from "./api.js";
import { fromMetrics } from "./series.js";
import { at } from "./spec.js";
import { bytes, duration, metricDelta, metricName, metricValue } from "./format.js";
import { Card, State, Trouble } from "./parts.js";
import { Charts, colour } from "./charts.js";

const RESULTS = [
  ["Value", (r) => metricValue(r.metric, r.value)],
  ["Float", (r) => metricValue(r.metric, r.float_value)],
  ["Against float", (r) => metricDelta(r.metric, r.value, r.float_value)],
  ["Payload", (r) => bytes(r.payload_bytes)],
  ["Ratio", (r) => (r.ratio ? `${r.ratio.toFixed(1)}×` : "–")],
  ["Wall time", (r) => duration(r.wall_s)],
];

/** Pointers at which the specifications differ, name aside. */
function differences(specs) {
  const leaves = (o, base = "") => (o && typeof o === "object" && !Array.isArray(o) ? Object.entries(o).flatMap(([k, v]) => leaves(v, `${base}/${k}`)) : [base]);
  const pointers = [...new Set(specs.flatMap((s) => leaves(s)))];
  return pointers.filter((p) => p !== "/name" && new Set(specs.map((s) => JSON.stringify(at(s, p)))).size > 1);
}

/** Mean and standard deviation of runs that differ in nothing but the seed. */
function Spread({ jobs, different }) {
  const values = jobs.map((j) => j.result?.value).filter((v) => v != null);
  if (values.length < 2 || different.some((p) => p !== "/train/seed")) return null;
  const mean = values.reduce((a, b) => a + b) / values.length;
  const deviation = Math.sqrt(values.reduce((a, v) => a + (v - mean) ** 2, 0) / (values.length - 1));
  const name = jobs[0].result.metric;
  return html`<p>${metricName(name)} over ${values.length} seeds: <strong>${metricValue(name, mean)}</strong> ± ${metricValue(name, deviation)}</p>`;
}

export function Compare({ query }) {
  const ids = (query.get("ids") ?? "").split(",").filter((x) => /^\d+$/.test(x)).slice(0, 8);
  const [jobs, setJobs] = useState(null), [problem, setProblem] = useState(null);
  useEffect(() => {
    Promise.all(ids.map(async (id) => ({ ...(await get(`/v1/jobs/${id}`)), series: fromMetrics(await get(`/v1/jobs/${id}/metrics?points=800`)) }))).then(setJobs, setProblem);
  }, [ids.join()]);
  if (!jobs) return html`<div class="heading"><h1>Compare</h1></div><${Trouble} problem=${problem} />${!problem && html`<p class="quiet">Loading…</p>`}`;

  const different = differences(jobs.map((j) => j.spec));
  const row = (name, f, kind = "") => html`<tr class=${kind}><th scope="row">${name}</th>${jobs.map((j) => html`<td>${f(j)}</td>`)}</tr>`;
  return html`<nav class="crumbs"><a href="#/">Queue</a> / compare</nav>
    <div class="heading"><h1>Compare ${jobs.length} jobs</h1></div>
    <${Card} title="Side by side" id="side" kind="flush">
      <div class="scroll"><table class="compare">
        <thead><tr><th></th>${jobs.map((j, i) => html`<th><i class="swatch" style=${{ background: colour(i) }}></i><a href=${`#/jobs/${j.id}`}>${j.id} ${j.name}</a></th>`)}</tr></thead>
        <tbody>
          ${row("State", (j) => html`<${State} state=${j.state} />`)}
          ${different.map((p) => row(html`<code>${p}</code>`, (j) => JSON.stringify(at(j.spec, p)) ?? "–"))}
          ${RESULTS.map(([name, f]) => row(name, (j) => (j.result ? f(j.result) : "–")))}
        </tbody>
      </table></div>
      <${Spread} jobs=${jobs} different=${different} />
    <//>
    <${Card} title="Curves" id="curves"><${Charts} runs=${jobs.map((j) => ({ label: `${j.id}`, series: j.series }))} version=${0} /><//>`;
}
