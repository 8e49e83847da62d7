// A new job. The form knows no method and no parameter: it draws what /v1/capabilities lists and lets the server judge
// every change by a dry run.
import { html, useEffect, useMemo, useRef, useState } from "./html.js";
import { all, curl, describe, get, post } from "./api.js";
import { applies, at, build, fill, section, taskOf } from "./spec.js";
import { bytes, shape, title } from "./format.js";
import { Command, Trouble } from "./parts.js";
import { Field, List, fieldId } from "./form_fields.js";
import { Upload } from "./upload.js";
import { ZooSize, zooOf } from "./zoo_size.js";

/** What a reference may name, in groups of [value, label]; which group is meant, the parameter's own name says. */
function references(capabilities, models, datasets) {
  const uploaded = (list) => list.map((a) => [a.sha256, `${a.name} · ${shape(a.info?.inputs?.[0]?.shape?.slice(1) ?? a.info?.shape)}`]);
  return {
    "/model": [["Built in", capabilities.zoo.map((z) => [`zoo:${z.name}`, `${z.title ?? z.name} · ${shape(z.shape)}`])], ["Uploaded", uploaded(models)]],
    "/dataset": [["Built in", capabilities.datasets.map((d) => [`builtin:${d.name}`, `${d.title ?? d.name} · ${shape(d.shape)}`])], ["Uploaded", uploaded(datasets)]],
  };
}

/** What is known of each data set, by reference: {shape, classes}. */
const contents = (capabilities, datasets) =>
  Object.fromEntries([...capabilities.datasets.map((d) => [`builtin:${d.name}`, d]), ...datasets.map((d) => [d.sha256, d.info ?? {}])]);

/** Sections in the order of the capabilities: [name, parameters]; "" holds the top-level ones. */
function sections(parameters, kind, task, method) {
  const map = new Map([["", []]]);
  for (const p of parameters.filter((q) => applies(q, kind, task, method) && q.pointer !== "/kind")) {
    if (!map.has(section(p))) map.set(section(p), []);
    map.get(section(p)).push(p);
  }
  return [...map];
}

/** The server's opinion of `spec`: null while it thinks, {spec, estimate} or {errors}. */
function useDryRun(spec) {
  const [verdict, setVerdict] = useState(null);
  const text = JSON.stringify(spec);
  useEffect(() => {
    if (!spec) return;
    let old = false;
    setVerdict((v) => v && { ...v, stale: true });
    const t = setTimeout(async () => {
      const v = await post("/v1/jobs?dry_run=1", spec).catch((problem) => ({ problem, errors: problem.errors ?? [] }));
      if (!old) setVerdict(v);
    }, 250);
    return () => ((old = true), clearTimeout(t));
  }, [text]);
  return verdict;
}

const randomKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");

function Kinds({ kinds, kind, set }) {
  return html`<fieldset class="kinds">
    <legend>What shall be done?</legend>
    ${kinds.map((k) => {
      const [head, ...more] = (k.title ?? title(k.name)).split(": ");
      return html`<label class="kind"><input type="radio" name="kind" value=${k.name} checked=${k.name === kind} onChange=${() => set(k.name)} /><span><b>${head}</b><small>${more.join(": ")}</small></span></label>`;
    })}
  </fieldset>`;
}

function Verdict({ verdict, spec, busy, failed, parameters }) {
  const errors = verdict?.errors ?? [];
  const names = Object.fromEntries(parameters.map((p) => [p.pointer, p.title]));
  const goTo = (e, pointer) => {
    e.preventDefault();
    const field = document.getElementById(fieldId(pointer));
    const fold = field?.closest("details");
    if (fold) fold.open = true;
    field?.focus();
  };
  return html`<aside class="card verdict" aria-label="Check">
    <h2>Check</h2>
    <div class=${`judgement ${errors.length || verdict?.problem ? "bad" : verdict && !verdict.stale ? "good" : ""}`} role="status">
      ${!verdict ? "Checking…" : verdict.problem && !errors.length ? verdict.problem.message : errors.length ? `${errors.length} ${errors.length === 1 ? "problem" : "problems"}` : "The server accepts this job."}
      ${verdict?.estimate?.memory_bytes > 0 && html`<small>about ${bytes(verdict.estimate.memory_bytes)} of memory</small>`}
    </div>
    ${errors.length > 0 && html`<ul class="problems">${errors.map((e) => html`<li><a href="#/new" onClick=${(ev) => goTo(ev, e.pointer)}>${names[e.pointer] ?? e.pointer}</a> ${e.detail}</li>`)}</ul>`}
    <button class="primary wide" type="submit" disabled=${busy}>${busy ? "Submitting…" : "Submit job"}</button>
    <${Trouble} problem=${failed} />
    <details open><summary>The same from a shell</summary><${Command} text=${curl("POST", "/v1/jobs", spec)} /></details>
    ${verdict?.spec && html`<details><summary>Complete specification</summary><${Command} text=${JSON.stringify(verdict.spec, null, 2)} /></details>`}
  </aside>`;
}

/** Capabilities, uploads and the job that serves as template: what must be there before the form can be drawn. */
function useBasis(from) {
  const [basis, setBasis] = useState(null), [problem, setProblem] = useState(null);
  const load = async () => {
    try {
      const [capabilities, models, datasets, template] = await Promise.all([describe(), all("/v1/models?limit=200"), all("/v1/datasets?limit=200"), from ? get(`/v1/jobs/${from}`) : null]);
      setBasis({ capabilities, references: references(capabilities, models, datasets), contents: contents(capabilities, datasets), template });
    } catch (e) {
      setProblem(e);
    }
  };
  useEffect(() => void load(), [from]);
  return { basis, problem, reload: load };
}

export function NewJob({ query }) {
  const { basis, problem, reload } = useBasis(query.get("from"));
  if (!basis) return html`<div class="heading"><h1>New job</h1></div><${Trouble} problem=${problem} />${!problem && html`<p class="quiet">Loading…</p>`}`;
  return html`<${Form} key=${query.toString()} basis=${basis} query=${query} reload=${reload} />`;
}

function initial({ capabilities, references: refs, template }, query) {
  if (template?.spec) return fill(capabilities.parameters, template.spec);
  const first = (pointer) => refs[pointer].flatMap(([, items]) => items)[0]?.[0] ?? "";
  return { "/model": query.get("model") ?? first("/model"), "/dataset": query.get("dataset") ?? first("/dataset") };
}

function Form({ basis, query, reload }) {
  const { capabilities, references: refs, template } = basis;
  const { parameters, methods, kinds } = capabilities;
  const [kind, setKind] = useState(template?.spec?.kind ?? kinds[0].name);
  const [raw, setRaw] = useState(() => initial(basis, query));
  const [busy, setBusy] = useState(false), [failed, setFailed] = useState(null);
  const key = useRef(randomKey());
  const spec = useMemo(() => build(parameters, kind, raw), [kind, raw]);
  const verdict = useDryRun(spec);
  const problemsAt = (pointer) => (verdict?.errors ?? []).filter((e) => e.pointer === pointer);
  const chosen = at(verdict?.spec ?? spec, "/quantize/method") ?? methods[0]?.name;
  const task = { name: taskOf(parameters, raw) };
  Object.assign(task, capabilities.tasks?.find((t) => t.name === task.name));
  const chosenMethod = methods.find((m) => m.name === chosen);
  const method = { ...chosenMethod, limits: { ...chosenMethod?.limits, ...task.limits } };
  const set = (pointer) => (v) => setRaw((r) => ({ ...r, [pointer]: v }));
  const used = kinds.find((k) => k.name === kind)?.sections ?? [];

  const submit = async (e) => {
    e.preventDefault();
    setBusy(true);
    try {
      const job = await post("/v1/jobs", spec, { "Idempotency-Key": key.current });
      location.hash = `#/jobs/${job.id}`;
    } catch (p) {
      key.current = randomKey();
      setFailed(p.errors?.length ? { ...p, title: p.title, message: "See the messages beside the fields.", errors: [] } : p);
      setBusy(false);
    }
  };
  const ofZoo = zooOf(capabilities.zoo, raw["/model"]);
  const shown = (p) => (p.pointer === "/model" && ofZoo ? `zoo:${ofZoo.name}` : raw[p.pointer]);
  const field = (p) =>
    p.type === "list"
      ? html`<${List} key=${p.pointer} p=${p} parameters=${parameters} rows=${raw[p.pointer]} set=${set(p.pointer)} problemsAt=${problemsAt} method=${method} />`
      : html`<${Field} key=${p.pointer} p=${p} raw=${shown(p)} set=${set(p.pointer)} problems=${problemsAt(p.pointer)} method=${method} references=${refs[p.pointer] ?? []}>
          ${refs[p.pointer] && html`<${Upload} kind=${p.pointer === "/model" ? "models" : "datasets"} formats=${capabilities.formats} compact=${true} onDone=${(a) => reload().then(() => set(p.pointer)(a.sha256))} />`}
          ${p.pointer === "/model" && ofZoo && html`<${ZooSize} chosen=${ofZoo} data=${basis.contents[raw["/dataset"]]} set=${set("/model")} />`}
        <//>`;
  const fold = ([name, list]) => {
    const touched = list.some((p) => raw[p.pointer]?.length || problemsAt(p.pointer).length);
    const heading = list[0].type === "list" ? list[0].title : title(name);
    return html`<details class="card section" key=${name} open=${used.includes(name) || touched}>
      <summary><h2>${heading}</h2></summary>
      <div class="fields">${list.map(field)}</div>
    </details>`;
  };
  const [[, general], ...others] = sections(parameters, kind, task.name, chosen);
  const main = general.filter((p) => p.required || p.pointer === "/name");
  const further = general.filter((p) => !main.includes(p));

  return html`<div class="heading"><h1>New job</h1>${template && html`<p class="quiet">as job ${template.id}</p>`}</div>
    <form class="newjob" onSubmit=${submit} noValidate>
      <div>
        <${Kinds} kinds=${kinds} kind=${kind} set=${setKind} />
        <section class="card section" aria-label="Inputs"><div class="fields inputs">${main.map(field)}</div></section>
        ${others.sort(([a], [b]) => used.includes(b) - used.includes(a)).map(fold)}
        ${further.length > 0 && fold(["further settings", further])}
      </div>
      <${Verdict} verdict=${verdict} spec=${spec} busy=${busy} failed=${failed} parameters=${parameters} />
    </form>`;
}
