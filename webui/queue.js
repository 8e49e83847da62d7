// The queue: one page of jobs, kept up to date by the global event stream.
import { html, useEffect, useRef, useState } from "./html.js";
import { get, request } from "./api.js";
import { follow } from "./sse.js";
import { STATES, brief, isFinal, method, metricDelta, metricName, metricValue, moment, number, since } from "./format.js";
import { Empty, Progress, State, Trouble, jobFraction, useThrottled, useTick } from "./parts.js";

const PAGE = 50;

/** How many jobs there are in each state, from the server's own metrics; {} when it does not say. */
async function countStates() {
  const text = await (await request("/metrics")).text();
  return Object.fromEntries([...text.matchAll(/^quantd_jobs\{state="(\w+)"\} (\d+)/gm)].map(([, s, n]) => [s, Number(n)]));
}

const link = (query, change) => {
  const next = new URLSearchParams(query);
  for (const [k, v] of Object.entries({ cursor: "", ...change })) v ? next.set(k, v) : next.delete(k);
  return next.size ? `#/?${next}` : "#/";
};

function Filters({ query, counts }) {
  const chosen = query.get("state") ?? "";
  const total = Object.values(counts).reduce((a, b) => a + b, 0);
  const tab = (state, name, n) =>
    html`<a class="tab" href=${link(query, { state })} aria-current=${chosen === state ? "page" : undefined}>
      ${name}${n != null && html` <span class="count">${n}</span>`}
    </a>`;
  const shown = STATES.filter((s) => counts[s] || s === chosen || ["queued", "running", "succeeded", "failed"].includes(s));
  return html`<nav class="tabs" aria-label="Filter by state">
    ${tab("", "All", total || null)}${shown.map((s) => tab(s, s, counts[s] ?? 0))}
    ${["kind", "tag", "owner"].map((k) => query.get(k) && html`<a class="tab chosen" href=${link(query, { [k]: "" })} title="Remove this filter">${k}: ${query.get(k)} ✕</a>`)}
  </nav>`;
}

function Metric({ job }) {
  const r = job.result;
  if (r) {
    return html`<strong>${metricValue(r.metric, r.value)}</strong>
      <small>${r.float_value != null ? `${metricDelta(r.metric, r.value, r.float_value)} vs float` : metricName(r.metric)}</small>`;
  }
  if (isFinal(job.state)) return html`<span class="quiet">–</span>`;
  const live = job.live ?? {};
  const metric = ["top1", "psnr_db"].find((name) => live[name] != null);
  if (metric) return html`<span>${metricValue(metric, live[metric])}</span><small>last epoch</small>`;
  if (live.loss != null) return html`<span>${number(live.loss, 3)}</span><small>loss</small>`;
  return html`<span class="quiet">–</span>`;
}

function Row({ job, query, chosen, onChoose, owners }) {
  const done = jobFraction(job);
  const p = job.progress;
  const name = job.name || `${job.kind} ${job.id}`;
  const open = (e) => !e.target.closest("a, button, input, label") && !String(getSelection()) && (location.hash = `#/jobs/${job.id}`);
  return html`<tr onClick=${open} class=${`row is-${job.state}`} data-job=${job.id}>
    <td class="pick"><label><input type="checkbox" checked=${chosen} onChange=${() => onChoose(job.id)} aria-label=${`Choose job ${job.id} for comparison`} /></label></td>
    <td class="num quiet">${job.id}</td>
    <td class="name">
      <a href=${`#/jobs/${job.id}`}>${name}</a>
      <small>${job.tags?.map((t) => html`<a class="tag" href=${link(query, { tag: t })}>${t}</a> `)}${owners && job.owner && html`<a class="quiet" href=${link(query, { owner: job.owner })}>${job.owner}</a>`}</small>
    </td>
    <td><a class="quiet" href=${link(query, { kind: job.kind })}>${job.kind}</a><small>${method(job)}</small></td>
    <td class="status"><${State} state=${job.state} />${job.reason && html`<small title=${job.reason}>${job.reason}</small>`}${!job.reason && job.state === "queued" && job.position != null && html`<small>${job.position ? `${job.position} ahead` : "next in line"}</small>`}</td>
    <td class="way">
      ${(["running", "cancelling"].includes(job.state) || (done != null && done < 1)) &&
      html`<${Progress} value=${done} state=${job.state} label=${`Progress of job ${job.id}`} />
        <small>${p?.phase ?? ""} ${done != null ? `${Math.floor(done * 100)} %` : ""}</small>`}
    </td>
    <td class="num">${job.state === "running" && p?.eta_s >= 0 ? brief(p.eta_s) : html`<span class="quiet">–</span>`}</td>
    <td class="num">${job.priority || html`<span class="quiet">0</span>`}</td>
    <td class="num" title=${moment(job.created)}>${brief(since(job.created))}</td>
    <td class="num metric"><${Metric} job=${job} /></td>
  </tr>`;
}

/** An event moves what it can in place; everything else comes with the next look at the list. */
function applyEvent(job, type, data) {
  if (type === "progress") return { ...job, progress: { ...job.progress, step: data.step, steps: data.steps, eta_s: data.eta_s } };
  if (type === "phase") return { ...job, progress: { phase: data.phase } };
  if (type === "metric" && ["loss", "top1", "psnr_db"].includes(data.series)) return { ...job, live: { ...job.live, [data.series]: data.value } };
  return job;
}

export function Queue({ query, onStatus }) {
  const [page, setPage] = useState(null), [problem, setProblem] = useState(null), [counts, setCounts] = useState({});
  const [chosen, setChosen] = useState([]);
  const trail = useRef([]);
  const pending = useRef([]);
  const serverQuery = new URLSearchParams([["limit", PAGE], ...[...query].filter(([k]) => ["state", "kind", "tag", "owner", "cursor"].includes(k))]);
  const path = `/v1/jobs?${serverQuery}`;
  useTick(10000);

  const load = async () => {
    try {
      const fresh = await get(path);
      setProblem(null);
      setPage((old) => {
        const live = new Map(old?.items.map((j) => [j.id, j.live]));
        return { ...fresh, items: fresh.items.map((j) => ({ ...j, live: live.get(j.id) })), path };
      });
      setCounts(await countStates().catch(() => ({})));
    } catch (e) {
      setProblem(e);
    }
  };
  const reload = useThrottled(load, 700);
  const flush = useThrottled(() => {
    const events = pending.current.splice(0);
    setPage((p) => p && { ...p, items: p.items.map((j) => events.filter((e) => e.data.job === j.id).reduce((k, e) => applyEvent(k, e.type, e.data), j)) });
  }, 200);

  useEffect(() => void load(), [path]);
  useEffect(() => {
    const stop = follow("/v1/events", {
      event: (type, data) => (type === "state" || type === "done" ? reload() : (pending.current.push({ type, data }), flush())),
      status: (s) => (onStatus(s), s === "live" && reload()),
    });
    return () => (stop(), onStatus(""));
  }, []);

  const choose = (id) => setChosen((c) => (c.includes(id) ? c.filter((x) => x !== id) : [...c, id].slice(-8)));
  const next = page?.next && new URL(page.next, location.origin).searchParams.get("cursor");
  const items = page?.items ?? [];
  const owners = items.some((j) => j.owner);

  return html`<div class="heading">
      <h1>Queue</h1>
      <div class="side">
        ${chosen.length > 1 && html`<a class="button" href=${`#/compare?ids=${chosen.join(",")}`}>Compare ${chosen.length} jobs</a>`}
        <a class="button primary" href="#/new">New job</a>
      </div>
    </div>
    <${Filters} query=${query} counts=${counts} />
    <${Trouble} problem=${problem} />
    ${page && !items.length
      ? html`<${Empty} title=${query.size ? "No job fits this filter" : "Nothing here yet"}>
          <p>${query.size ? html`<a href="#/">Show all jobs</a>` : html`The first job needs no download: <a href="#/new">a small network and drawn digits</a> are built in.`}</p>
        <//>`
      : html`<div class="scroll card flush">
          <table class="queue" aria-busy=${!page}>
            <thead>
              <tr>
                <th class="pick"><span class="hidden">Choose</span></th>
                <th class="num">Id</th>
                <th>Name</th>
                <th>Kind</th>
                <th>State</th>
                <th>Progress</th>
                <th class="num">Left</th>
                <th class="num">Priority</th>
                <th class="num">Age</th>
                <th class="num">Metric</th>
              </tr>
            </thead>
            <tbody>
              ${items.map((job) => html`<${Row} key=${job.id} job=${job} query=${query} owners=${owners} chosen=${chosen.includes(job.id)} onChoose=${choose} />`)}
            </tbody>
          </table>
        </div>`}
    <nav class="pages" aria-label="Pages">
      ${query.get("cursor") && html`<a class="button" href=${link(query, { cursor: trail.current.at(-1) })} onClick=${() => trail.current.pop()}>← Newer</a>`}
      ${next && html`<a class="button" href=${link(query, { cursor: next })} onClick=${() => trail.current.push(query.get("cursor") ?? "")}>Older →</a>`}
    </nav>`;
}
