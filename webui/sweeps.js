// Sweeps: the list, and one with its table, a row per combination with mean and deviation over the seeds.
import { html, useEffect, useState } from "./html.js";
import { all, get, post, remove } from "./api.js";
import { follow } from "./sse.js";
import { brief, bytes, duration, metricName, metricValue, moment, since } from "./format.js";
import { Card, Confirm, Empty, Save, State, Trouble, useThrottled } from "./parts.js";

const axisWords = (axes) => Object.entries(axes).map(([name, values]) => `${name} (${values.length})`).join(", ");

export function Sweeps() {
  const [items, setItems] = useState(null), [problem, setProblem] = useState(null);
  useEffect(() => void all("/v1/sweeps").then(setItems, setProblem), []);
  return html`<div class="heading"><h1>Sweeps</h1></div>
    <${Trouble} problem=${problem} />
    ${items?.length === 0 && html`<${Empty} title="No sweeps yet"><p>A job with <code>"sweep": {"quantize.weights.bits": [2, 4], "train.seed": [1, 2, 3]}</code> makes one job for each combination and one table of them all.</p><//>`}
    ${items?.length > 0 && html`<section class="card flush"><div class="scroll"><table class="plain">
      <thead><tr><th class="num">Id</th><th>Name</th><th>Swept</th><th class="num">Jobs</th><th class="num">Left</th><th class="num">Age</th></tr></thead>
      <tbody>${items.map((s) => html`<tr data-sweep=${s.id}>
        <td class="num quiet">${s.id}</td><td><a href=${`#/sweeps/${s.id}`}>${s.name || `sweep ${s.id}`}</a></td><td>${axisWords(s.axes)}</td>
        <td class="num">${s.jobs}</td><td class="num">${s.open}</td><td class="num" title=${moment(s.created)}>${brief(since(s.created))}</td>
      </tr>`)}</tbody>
    </table></div></section>`}`;
}

function Mean({ metric, figure, show = metricValue }) {
  if (!figure) return html`<span class="quiet">–</span>`;
  return html`<strong>${show(metric, figure.mean)}</strong>${figure.deviation != null && html` <small>± ${show(metric, figure.deviation)}</small>`}`;
}

function Row({ row, names }) {
  return html`<tr>
    ${names.map((name) => html`<td>${typeof row.values[name] === "string" ? row.values[name] : JSON.stringify(row.values[name])}</td>`)}
    <td>${Object.entries(row.states).map(([state, n]) => html`<${State} state=${state} /> ${n > 1 ? n : ""} `)}</td>
    <td>${row.jobs.map((id) => html`<a href=${`#/jobs/${id}`}>${id}</a> `)}</td>
    <td class="num"><${Mean} metric=${row.metric} figure=${row.value} /></td>
    <td class="num"><${Mean} figure=${row.file_bytes} show=${(_, v) => bytes(v)} /></td>
    <td class="num">${row.ratio ? `${row.ratio.mean.toFixed(1)}×` : "–"}</td>
    <td class="num">${row.wall_s ? duration(row.wall_s.mean) : "–"}</td>
    <td>${row.pareto ? html`<span title="No other row is at least as good in at most as many bytes">★</span>` : ""}</td>
  </tr>`;
}

function Table({ sweep }) {
  const names = Object.keys(sweep.rows[0]?.values ?? {});
  const metric = sweep.rows.find((r) => r.metric)?.metric;
  return html`<div class="scroll"><table class="plain">
    <thead><tr>${names.map((n) => html`<th><code>${n}</code></th>`)}<th>State</th><th>Jobs</th><th class="num">${metric ? metricName(metric) : "Value"}</th><th class="num">File</th><th class="num">Ratio</th><th class="num">Wall time</th><th>Best</th></tr></thead>
    <tbody>${sweep.rows.map((row) => html`<${Row} row=${row} names=${names} />`)}</tbody>
  </table></div>`;
}

export function Sweep({ id, onStatus }) {
  const [sweep, setSweep] = useState(null), [problem, setProblem] = useState(null);
  const path = `/v1/sweeps/${id}`;
  const load = () => get(path).then((s) => (setSweep(s), setProblem(null)), setProblem);
  const reload = useThrottled(load, 500);
  useEffect(() => void load(), [id]);
  const over = sweep?.open === 0;
  useEffect(() => {
    if (!sweep || over) return;
    const stop = follow("/v1/events", { event: (type) => ["state", "done"].includes(type) && reload(), status: (s) => (onStatus(s), s === "live" && reload()) });
    return () => (stop(), onStatus(""));
  }, [id, !sweep, over]);
  useEffect(() => {
    if (sweep) document.title = `${sweep.name || `sweep ${id}`} · ${sweep.jobs - sweep.open} of ${sweep.jobs} · quantd`;
  }, [sweep]);
  if (!sweep) return html`<div class="heading"><h1>Sweep ${id}</h1></div><${Trouble} problem=${problem} />${!problem && html`<p class="quiet">Loading…</p>`}`;

  return html`<nav class="crumbs"><a href="#/sweeps">Sweeps</a> / ${id}</nav>
    <div class="heading">
      <div><h1>${sweep.name || `sweep ${id}`}</h1><p class="quiet">${axisWords(sweep.axes)} · ${sweep.jobs - sweep.open} of ${sweep.jobs} jobs have ended</p></div>
      <div class="side">
        ${over
          ? html`<${Confirm} sure="Delete all its jobs?" onConfirm=${() => remove(path).then(() => (location.hash = "#/sweeps"), setProblem)}>Delete<//>`
          : html`<${Confirm} sure="Really cancel all?" onConfirm=${() => post(`${path}/cancel`).then(load, setProblem)}>Cancel<//>`}
      </div>
    </div>
    <${Trouble} problem=${problem} onClose=${() => setProblem(null)} />
    <${Card} title="Table" id="table" kind="flush" side=${html`<${Save} url=${`${path}?format=csv`} name=${`sweep-${id}.csv`} onProblem=${setProblem}>CSV<//>`}>
      <${Table} sweep=${sweep} />
    <//>`;
}
