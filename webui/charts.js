// Small multiples of a job's (or several jobs') series, drawn by uPlot; the cursors of all charts move together.
import { html, useEffect, useRef, useState } from "./html.js";
import uPlot from "./vendor/uplot.js";
import { metricValue, number, title } from "./format.js";

/** What belongs together and how; series that are not here get a chart of their own. */
const KNOWN = [
  { title: "Loss", series: ["loss"] },
  { title: "Top-1 accuracy", series: ["top1", "train_top1", "held_out_top1"], format: (v) => metricValue("top1", v), tick: (v) => `${+(v * 100).toFixed(2)} %` },
  { title: "PSNR", series: ["psnr_db", "held_out_psnr_db"] },
  { title: "Quantization error (MSQE)", series: ["msqe"] },
  { title: "Coefficient α", series: ["coefficient"], log: true },
  { title: "Error in steps", series: ["error_in_steps"], log: true },
  { title: "Error of what layers give out", series: ["feature_error"], log: true },
  { title: "Learning rate", series: ["learning_rate"] },
];
const LABELS = { top1: "test", held_out_top1: "held out", train_top1: "training", psnr_db: "test", held_out_psnr_db: "held out" };

// Okabe and Ito's palette, without its yellow (too light on white) and black (absent on dark).
export const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9"];
const BRIGHT = ["#56b4e9", "#e69f00", "#2bb891", "#cc79a7", "#f0763a", "#8ab8ff"];
const DASHES = [[], [5, 3], [2, 3], [8, 3, 2, 3]];
const dark = matchMedia("(prefers-color-scheme: dark)");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const colour = (i) => (dark.matches ? BRIGHT : COLOURS)[i % COLOURS.length];

// Shares of the weights by their distance to the nearest level: one series for each distance, "bins/-0.469" to "bins/0.469".
const BINS = "bins/";
const distance = (name) => +name.slice(BINS.length);

/** One chart over the distances instead of one over steps for each: of one run how it began and how it is now. */
function histogram(runs, names) {
  const x = names.sort((a, b) => distance(a) - distance(b));
  const shown = runs.filter((r) => x.some((n) => r.series.has(n)));
  const line = (run, label, at) => ({ label, run, colour: runs.indexOf(run), dash: 0, points: () => x.map((n) => run.series.get(n)?.values.at(at)) });
  const lines = runs.length > 1 ? shown.map((r) => line(r, r.label, -1)) : shown.flatMap((r) => [line(r, "now", -1), line(r, "at the beginning", 0)]);
  const percent = (v) => `${+(v * 100).toFixed(2)} %`;
  return { title: "Weights between their levels", over: "the distance to the level, in steps", place: (d) => `${number(d, 3)} of a step`, series: [BINS], x: x.map(distance), lines, many: runs.length > 1, format: percent, tick: percent };
}

/** The charts for these runs [{label, series: Map}]: [{title, lines: [{label, name, run}], …}]. */
export function layout(runs) {
  const names = new Set(runs.flatMap((r) => [...r.series.keys()]));
  const known = new Set(KNOWN.flatMap((k) => k.series));
  const bins = [...names].filter((n) => n.startsWith(BINS));
  const rest = [...names].filter((n) => !known.has(n) && !n.startsWith(BINS)).map((n) => ({ title: title(n), series: [n] }));
  const curves = [...KNOWN, ...rest]
    .map((k) => ({ ...k, lines: k.series.flatMap((name, dash) => runs.filter((r) => r.series.has(name)).map((run) => ({ name, run, dash, colour: runs.indexOf(run) }))) }))
    .filter((k) => k.lines.length)
    .map((k) => ({ ...k, many: runs.length > 1, lines: k.lines.map((l) => ({ ...l, label: runs.length > 1 ? l.run.label + (k.series.length > 1 ? ` ${LABELS[l.name] ?? ""}` : "") : LABELS[l.name] ?? title(l.name) })) }));
  return bins.length ? [...curves, histogram(runs, bins)] : curves;
}

const table = (chart, log) => {
  const drawn = (values) => (log ? values.map((v) => (v > 0 ? v : null)) : values);
  if (chart.x) return [chart.x, ...chart.lines.map((l) => drawn(l.points()))];
  return uPlot.join(chart.lines.map(({ run, name }) => [run.series.get(name).steps, drawn(run.series.get(name).values)]));
};

/** On a logarithmic axis of many decades only the powers of ten get lines. */
const decades = (u, splits) => {
  const many = splits.length > 30;
  return splits.map((v) => (many && Math.abs(Math.log10(v) - Math.round(Math.log10(v))) > 1e-6 ? null : v));
};

function options(chart, log, width, onCursor) {
  const ink = css("--quiet"), rule = css("--rule");
  const axis = { stroke: ink, font: "11px system-ui, sans-serif", grid: { stroke: rule, width: 1 }, ticks: { show: false }, border: { show: false } };
  // One run has a line per series, several runs a colour per run and a dash per series.
  const line = (l, i) => ({ label: l.label, stroke: colour(chart.many ? l.colour : i), width: 1.6, dash: chart.many ? DASHES[l.dash] : DASHES[i], spanGaps: true, points: { show: !chart.x && l.run.series.get(l.name).steps.length < 2, size: 5 } });
  return {
    width,
    height: 170,
    padding: [8, 10, 0, 0],
    legend: { show: false },
    cursor: { ...(chart.x ? {} : { sync: { key: "charts", scales: ["x", null] } }), y: false, points: { size: 7 }, drag: { x: true, y: false } },
    scales: { x: { time: false }, y: log ? { distr: 3 } : { range: (u, a, b) => (a === b ? [a - (Math.abs(a) || 1) * 0.1, b + (Math.abs(b) || 1) * 0.1] : uPlot.rangeNum(a, b, 0.08, false)) } },
    axes: [
      { ...axis, size: 26, space: 60, values: (u, v) => v.map((x) => (x == null ? "" : number(x, 6))) },
      { ...axis, size: 58, space: 28, grid: { ...axis.grid, ...(log ? { filter: decades } : {}) }, values: (u, v) => v.map((x) => (x == null ? "" : (chart.tick ?? ((y) => number(y, 3)))(x))) },
    ],
    series: [{}, ...chart.lines.map(line)],
    hooks: { setCursor: [(u) => onCursor(u.cursor.idxs, u.cursor.idx)] },
  };
}

function Chart({ chart, version }) {
  const box = useRef(), plot = useRef(), values = useRef(), step = useRef();
  const [log, setLog] = useState(!!chart.log);
  const [theme, setTheme] = useState(0);
  const format = chart.format ?? ((v) => number(v));
  const shape = chart.lines.map((l) => l.name + l.label).join("|");

  const show = (indices, at) => {
    const data = plot.current?.data;
    if (!data || !values.current) return;
    const live = at != null && at >= 0;
    step.current.textContent = live ? (chart.place ?? ((x) => `step ${x}`))(data[0][at]) : "";
    chart.lines.forEach((l, i) => {
      const v = live ? data[i + 1][indices?.[i + 1] ?? at] : l.run.series.get(l.name)?.values.at(-1);
      values.current.children[i].lastChild.textContent = v != null ? format(v) : chart.x && !live ? "" : "–";
    });
  };
  const latest = useRef(show);
  latest.current = show;

  useEffect(() => {
    const f = () => setTheme((n) => n + 1);
    dark.addEventListener("change", f);
    return () => dark.removeEventListener("change", f);
  }, []);
  useEffect(() => {
    const element = box.current;
    const width = () => Math.max(200, element.clientWidth);
    plot.current = new uPlot(options(chart, log, width(), (...a) => latest.current(...a)), table(chart, log), element);
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: width(), height: 170 }));
    observer.observe(element);
    latest.current(null, null);
    return () => (observer.disconnect(), plot.current.destroy(), (plot.current = null));
  }, [shape, log, theme]);
  useEffect(() => {
    plot.current?.setData(table(chart, log));
    latest.current(plot.current?.cursor.idxs, plot.current?.cursor.idx);
  }, [version]);

  const legend = chart.lines.map((l, i) => html`<span class="value"><i class="swatch" style=${{ background: colour(chart.many ? l.colour : i) }}></i>${chart.lines.length > 1 && html`<small>${l.label}</small>`}<b></b></span>`);
  return html`<figure class="chart" data-series=${chart.series.join(" ")}>
    <figcaption>
      <h3>${chart.title}</h3>
      <small class="step" ref=${step}></small>
      <button type="button" class="plain toggle" aria-pressed=${log} title="Logarithmic scale" onClick=${() => setLog(!log)}>log</button>
    </figcaption>
    <div class="values" ref=${values}>${legend}</div>
    <div class="plot" ref=${box} role="img" aria-label=${`${chart.title} over ${chart.over ?? "training steps"}`}></div>
  </figure>`;
}

/** runs: [{label, series}]; version: any number that changes with the data. */
export function Charts({ runs, version }) {
  const charts = layout(runs);
  if (!charts.length) return html`<p class="quiet">No numbers yet: curves appear with the first training steps.</p>`;
  return html`<div class="charts">${charts.map((c) => html`<${Chart} key=${c.title} chart=${c} version=${version} />`)}</div>`;
}
