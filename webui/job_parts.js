// The tables below a job's curves: result, layers, artifacts, attempts, specification.
import { html, useEffect, useState } from "./html.js";
import { get } from "./api.js";
import { bytes, count, duration, metricDelta, metricName, metricValue, moment, number } from "./format.js";
import { Card, Command, Copy, Save } from "./parts.js";

const ratio = (r) => (r ? `${r.toFixed(1)}×` : "–");

export function Result({ job }) {
  const r = job.result;
  const against = (v) => html`<small>${metricDelta(r.metric, v, r.float_value)}</small>`;
  const sizes = [["Float parameters", r.float_bytes], ["Model file as it came", r.model_file_bytes], ["model.onnx", r.onnx_bytes], ["model.qdz", r.file_bytes], ["Payload of it", r.payload_bytes], ["In memory, int8", r.memory_bytes?.int8], ["In memory, bit planes", r.memory_bytes?.bits]].filter(([, n]) => n);
  const largest = Math.max(...sizes.map(([, n]) => n), 1);
  return html`<${Card} title="Result" id="result" side=${html`<span class="quiet">re-scored from the exported file, ${count(r.samples)} samples</span>`}>
    <div class="result">
      <div class="headline">
        <div><b>${metricValue(r.metric, r.value)}</b><span>${metricName(r.metric)}</span></div>
        ${r.float_value != null && html`<div><b>${metricDelta(r.metric, r.value, r.float_value)}</b><span>against float</span></div>`}
        ${r.images_per_s > 0 && html`<div><b>${count(Math.round(r.images_per_s))}</b><span>images/s, ${r.engine} engine${r.engine !== "float" && html` (float ${count(Math.round(r.float_images_per_s))}${r.bit_layers >= 0 ? `, ${r.bit_layers} layers by bit planes` : ""})`}</span></div>`}
        ${r.ratio > 0 && html`<div><b>${ratio(r.ratio)}</b><span>smaller file</span></div>`}
        ${r.wall_s != null && html`<div><b>${duration(r.wall_s)}</b><span>wall time</span></div>`}
      </div>
      <table class="plain">
        <thead><tr><th>${metricName(r.metric)}</th><th class="num">Value</th><th class="num">Against float</th></tr></thead>
        <tbody>
          ${r.float_value != null && html`<tr><th scope="row">Float model</th><td class="num">${metricValue(r.metric, r.float_value)}</td><td></td></tr>`}
          ${r.trained_value != null && !r.search && html`<tr><th scope="row">At the end of training</th><td class="num">${metricValue(r.metric, r.trained_value)}</td><td class="num">${against(r.trained_value)}</td></tr>`}
          <tr><th scope="row">Exported file, re-scored</th><td class="num"><strong>${metricValue(r.metric, r.value)}</strong></td><td class="num">${against(r.value)}</td></tr>
        </tbody>
      </table>
      ${sizes.length > 0 &&
      html`<table class="plain">
        <thead><tr><th>Size</th><th></th><th class="num">Bytes</th></tr></thead>
        <tbody>
          ${sizes.map(([name, n]) => html`<tr><th scope="row">${name}</th><td class="bar"><div style=${{ width: `${((100 * n) / largest).toFixed(2)}%` }}></div></td><td class="num" title=${`${n} bytes`}>${bytes(n)}</td></tr>`)}
        </tbody>
      </table>`}
    </div>
    <p class="quiet small">quantd ${r.version}, kernels ${r.kernels}, seed ${r.seed}, ${r.threads} ${r.threads === 1 ? "thread" : "threads"}, ${duration(r.cpu_s)} of processor time${r.weights_sha256 && html`, weights <code>${r.weights_sha256.slice(0, 19)}…</code>`}</p>
  <//>`;
}

/** What a search has tried: the trials that no other one beats, by bytes; the others on demand. */
export function Search({ search }) {
  const [all, setAll] = useState(false);
  const rows = search.trials.filter((t) => all || t.pareto || t.trial === search.best).sort((a, b) => a.bytes - b.bytes);
  const beaten = search.trials.length - search.trials.filter((t) => t.pareto || t.trial === search.best).length;
  const wishes = [search.min_metric != null && `at least ${metricValue(search.metric, search.min_metric)}`, search.target_bytes != null && `at most ${count(search.target_bytes)} bytes`].filter(Boolean);
  return html`<${Card} title="Search" id="search" side=${html`<span class="quiet">${wishes.join(", ")}: ${search.met ? "met" : "not met, the best is delivered"}</span>`} kind="flush">
    <div class="scroll"><table>
      <thead><tr><th class="num">Trial</th><th class="num">Sparsity</th><th class="num">Bits</th><th class="num">Price of a bit</th><th class="num">Bytes</th><th class="num">${metricName(search.metric)}, held out</th><th></th></tr></thead>
      <tbody>
        ${rows.map((t) => html`<tr><td class="num">${t.trial}</td><td class="num">${number(t.sparsity * 100, 5)} %</td><td class="num">${t.bits}</td><td class="num">${number(t.price)}</td><td class="num" title=${`${t.bytes} bytes`}>${bytes(t.bytes)}</td><td class="num">${metricValue(search.metric, t.metric)}</td><td>${t.trial === search.best ? html`<strong>delivered</strong>` : t.pareto ? "" : "beaten"}</td></tr>`)}
      </tbody>
    </table></div>
    <p class="quiet small">${search.trials.length} of at most ${search.trials_most} trials, judged on ${count(search.held_out.samples)} samples held out of the training part; float ${metricValue(search.metric, search.held_out.float_value)}. ${beaten > 0 && html`<button type="button" class="small" aria-pressed=${all} onClick=${() => setAll(!all)}>${all ? "Only the front" : `All (${beaten} more)`}</button>`}</p>
  <//>`;
}

const COLUMNS = [
  ["name", "Layer", (v) => v],
  ["op", "Operator", (v) => v],
  ["parameters", "Parameters", count],
  ["weight_bits", "Weights", (v) => (v === 32 ? "float" : `${v} bit`)],
  ["activation_bits", "Activations", (v) => (v === 32 ? "float" : `${v} bit`)],
  ["sparsity", "Zeros", (v) => `${(v * 100).toFixed(1)} %`],
  ["entropy_bits", "Entropy", (v) => `${v.toFixed(2)} bit`],
  ["msqe", "MSQE", (v) => number(v, 3)],
  ["bytes", "Bytes", bytes],
];

export function Layers({ layers }) {
  const [by, setBy] = useState(null);
  const columns = COLUMNS.filter(([key]) => layers.some((l) => l[key] != null));
  const rows = by ? [...layers].sort((a, b) => (typeof a[by] === "number" ? b[by] - a[by] : String(a[by]).localeCompare(b[by]))) : layers;
  const largest = Math.max(...layers.map((l) => l.bytes ?? 0), 1);
  const number_ = (key) => !["name", "op"].includes(key);
  return html`<${Card} title="Layers" id="layers" side=${html`<span class="quiet">${layers.length} with weights</span>`} kind="flush">
    <div class="scroll">
      <table>
        <thead>
          <tr>${columns.map(([key, name]) => html`<th class=${number_(key) ? "num" : ""} aria-sort=${by === key ? (number_(key) ? "descending" : "ascending") : undefined}><button type="button" class="plain" onClick=${() => setBy(by === key ? null : key)}>${name}${by === key ? " ↓" : ""}</button></th>`)}<th class="bar"></th></tr>
        </thead>
        <tbody>
          ${rows.map((l) => html`<tr>${columns.map(([key, , f]) => html`<td class=${number_(key) ? "num" : ""}>${l[key] == null ? "–" : f(l[key])}</td>`)}<td class="bar"><div style=${{ width: `${((100 * (l.bytes ?? 0)) / largest).toFixed(2)}%` }}></div></td></tr>`)}
        </tbody>
      </table>
    </div>
  <//>`;
}

const WHAT = { "model.onnx": "The quantized model, for ONNX Runtime", "model.qdz": "Entropy-coded file", "curves.csv": "All series", "curves.svg": "Curves as a picture", "layers.csv": "Per layer: bits, sparsity, bytes, error", "report.html": "Everything on one page", "result.json": "The result for programs", "log.txt": "The worker's log", "pareto.json": "What the search has tried, for programs", "pareto.csv": "The same as a table" };

export function Artifacts({ id, state, onProblem }) {
  const [items, setItems] = useState([]);
  useEffect(() => void get(`/v1/jobs/${id}/artifacts`).then((a) => setItems(a.items), onProblem), [id, state]);
  if (!items.length) return null;
  return html`<${Card} title="Artifacts" id="artifacts" kind="flush">
    <table>
      <tbody>
        ${items.map(
          (a) => html`<tr>
            <td><${Save} kind="" url=${a.url} name=${a.name} onProblem=${onProblem}>${a.name}<//><small>${WHAT[a.name] ?? ""}</small></td>
            <td class="num">${bytes(a.bytes)}</td>
            <td class="num"><${Copy} text=${a.sha256}>Copy SHA-256<//></td>
          </tr>`,
        )}
      </tbody>
    </table>
  <//>`;
}

export function Attempts({ attempts }) {
  if (!attempts.length) return null;
  const end = (a) => a.end || (a.ended ? "" : "running");
  const how = (a) => [a.signal ? `signal ${a.signal}` : a.exit_code > 0 ? `exit ${a.exit_code}` : "", a.end && a.end !== "done" && !a.charged ? "not charged" : ""].filter(Boolean).join(", ");
  return html`<${Card} title="Attempts" id="attempts" kind="flush">
    <div class="scroll"><table>
      <thead><tr><th class="num">No.</th><th>Where</th><th>Began</th><th>End</th><th class="num">Memory</th><th class="num">Processor</th></tr></thead>
      <tbody>
        ${attempts.map((a) => html`<tr><td class="num">${a.number}</td><td>${a.host || a.launcher}<small>${a.launcher} ${a.handle}</small></td><td>${moment(a.started)}</td><td>${end(a)}<small>${how(a)}</small></td><td class="num">${a.peak_kb ? bytes(a.peak_kb * 1024) : "–"}</td><td class="num">${a.cpu_s ? duration(a.cpu_s) : "–"}</td></tr>`)}
      </tbody>
    </table></div>
  <//>`;
}

export const Specification = ({ spec, command }) =>
  spec &&
  html`<details class="card">
    <summary><h2>Specification</h2></summary>
    <div class="columns">
      <${Command} text=${JSON.stringify(spec, null, 2)} label="Copy JSON" />
      <${Command} text=${command()} label="Copy as curl" />
    </div>
  </details>`;
