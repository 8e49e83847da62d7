// One job: what it does now, its curves, its result, and everything to take home.
import { html, useEffect, useRef, useState } from "./html.js";
import { curl, get, post, remove } from "./api.js";
import { follow } from "./sse.js";
import { append, fromMetrics } from "./series.js";
import { canCancel, canRetry, duration, isFinal, method, moment, since } from "./format.js";
import { Card, Confirm, Copy, Progress, Save, State, Trouble, jobFraction, useThrottled, useTick } from "./parts.js";
import { Charts } from "./charts.js";
import { Artifacts, Attempts, Layers, Result, Search, Specification } from "./job_parts.js";
import { Log } from "./job_log.js";

const PHASES = { load: "Loading", baseline: "Scoring the given model", calibrate: "Measuring activations", prune: "Pruning", train: "Training", snap: "Snapping weights to their grid", export: "Writing the model", score: "Scoring the exported file", report: "Writing the report" };

/** The job, its series and its log lines, live. Mutable stores behind a version number: events come by the hundred. */
function useJob(id, onStatus) {
  const [job, setJob] = useState(null), [problem, setProblem] = useState(null), [version, setVersion] = useState(0);
  const series = useRef(new Map()), logged = useRef(0), live = useRef({});
  const path = `/v1/jobs/${id}`;

  const load = async () => {
    try {
      setJob(await get(path));
      setProblem(null);
    } catch (e) {
      setProblem(e);
    }
  };
  const reload = useThrottled(load, 300);
  const redraw = useThrottled(() => {
    setVersion((v) => v + 1);
    const { progress, ...rest } = live.current;
    live.current = {};
    if (progress) setJob((j) => j && !isFinal(j.state) && { ...j, ...rest, progress: { ...j.progress, ...progress } } || j);
  }, 150);
  const loadSeries = async () => {
    try {
      series.current = fromMetrics(await get(`${path}/metrics?points=1500`));
      redraw();
    } catch {
      // no metrics yet: they come with the stream
    }
  };
  const apply = {
    state: reload,
    done: reload,
    error: reload,
    metric: (d) => append(series.current, d.series, d.step, d.value),
    phase: (d) => (live.current.progress = { phase: d.phase, step: 0, steps: 0, eta_s: -1 }),
    progress: (d) => (live.current.progress = { ...live.current.progress, step: d.step, steps: d.steps, eta_s: d.eta_s }),
    log: () => logged.current++,
    warning: () => logged.current++,
  };

  const over = job && isFinal(job.state);
  useEffect(() => (load(), loadSeries(), undefined), [id]);
  useEffect(() => {
    if (!job || over) return;
    const stop = follow(`${path}/events`, {
      event: (type, data) => (apply[type]?.(data), redraw()),
      status: (s) => (onStatus(s), s === "live" && reload()),
    });
    return () => (stop(), onStatus(""));
  }, [id, !job, over]);
  useEffect(() => over && void loadSeries(), [over]);
  return { job, problem, setProblem, series: series.current, version, logged: logged.current, load };
}

function Status({ job }) {
  const p = job.progress;
  const done = jobFraction(job);
  useTick(1000);
  const facts = [
    ["Created", html`<span title=${moment(job.created)}>${duration(since(job.created))} ago</span>`],
    job.started && ["Running time", duration(since(job.started, job.finished ? Date.parse(job.finished) : Date.now()))],
    job.state === "running" && p?.eta_s >= 0 && ["Time left", duration(p.eta_s)],
    job.state === "queued" && job.position != null && ["Jobs ahead", job.position],
    job.not_before && ["Not before", moment(job.not_before)],
    ["Priority", job.priority],
    job.owner && ["Owner", job.owner],
    job.sweep && ["Sweep", html`<a href=${`#/sweeps/${job.sweep}`}>${job.sweep}</a>`],
  ].filter(Boolean);
  return html`<section class="card status" aria-label="Status">
    <div class="now">
      <${State} state=${job.state} />
      ${job.reason && html`<p class="reason">${job.reason}</p>`}
      ${!isFinal(job.state) && p && html`<p>${PHASES[p.phase] ?? p.phase}${p.steps ? ` · step ${p.step} of ${p.steps}` : ""}</p>`}
    </div>
    ${!isFinal(job.state) && job.state !== "parked" && html`<${Progress} value=${done} state=${job.state} label="Progress" />`}
    <dl class="facts">${facts.map(([k, v]) => html`<div><dt>${k}</dt><dd>${v}</dd></div>`)}</dl>
  </section>`;
}

export function Job({ id, onStatus }) {
  const { job, problem, setProblem, series, version, logged, load } = useJob(id, onStatus);
  const path = `/v1/jobs/${id}`;
  const act = (f) => async () => {
    try {
      await f();
      setProblem(null);
      await load();
    } catch (e) {
      setProblem(e);
    }
  };
  useEffect(() => {
    if (job) document.title = `${job.name || `job ${job.id}`} · ${job.state} · quantd`;
  }, [job?.name, job?.state]);
  if (!job) return html`<div class="heading"><h1>Job ${id}</h1></div><${Trouble} problem=${problem} />${!problem && html`<p class="quiet">Loading…</p>`}`;

  const command = () => curl("POST", "/v1/jobs", job.spec);
  return html`<nav class="crumbs"><a href="#/">Queue</a> / ${job.id}</nav>
    <div class="heading">
      <div>
        <h1>${job.name || `${job.kind} ${job.id}`}</h1>
        <p class="quiet">${job.kind} ${method(job)} · ${job.spec?.model} on ${job.spec?.dataset} ${job.tags?.map((t) => html`<a class="tag" href=${`#/?tag=${encodeURIComponent(t)}`}>${t}</a> `)}</p>
      </div>
      <div class="side">
        <${Copy} text=${command} kind="">Copy as curl<//>
        <a class="button" href=${`#/new?from=${id}`}>Use as template</a>
        ${canRetry(job.state) && html`<button type="button" class="primary" onClick=${act(() => post(`${path}/retry`))}>Retry</button>`}
        ${canCancel(job.state) && html`<${Confirm} sure="Really cancel?" onConfirm=${act(() => post(`${path}/cancel`))}>Cancel<//>`}
        ${isFinal(job.state) && html`<${Confirm} sure="Delete for ever?" onConfirm=${() => remove(path).then(() => (location.hash = "#/"), setProblem)}>Delete<//>`}
      </div>
    </div>
    <${Trouble} problem=${problem} onClose=${() => setProblem(null)} />
    <${Status} job=${job} />
    ${job.result && html`<${Result} job=${job} />`}
    ${job.result?.search && html`<${Search} search=${job.result.search} />`}
    <${Card} title="Curves" id="curves" side=${series.size > 0 && html`<${Save} url=${`${path}/metrics?format=csv`} name=${`job-${id}.csv`} onProblem=${setProblem}>CSV<//>`}>
      <${Charts} runs=${[{ label: "", series }]} version=${version} />
    <//>
    ${job.result?.layers?.length > 0 && html`<${Layers} layers=${job.result.layers} />`}
    <div class="columns">
      ${isFinal(job.state) && html`<${Artifacts} id=${id} state=${job.state} onProblem=${setProblem} />`}
      <${Attempts} attempts=${job.attempts ?? []} />
    </div>
    <${Log} id=${id} logged=${logged} state=${job.state} />
    <${Specification} spec=${job.spec} command=${command} />`;
}
