// Models and data sets: what is built in, what was uploaded, and what the worker found inside.
import { Fragment, html, useEffect, useState } from "./html.js";
import { all, describe, remove } from "./api.js";
import { brief, bytes, count, moment, shape, since } from "./format.js";
import { Card, Confirm, Copy, Save, Trouble } from "./parts.js";
import { Upload } from "./upload.js";

/** What an inspected upload has and a zoo entry does not: totals over its layers. */
function sums(layers) {
  const operators = {};
  for (const l of layers) operators[l.op] = (operators[l.op] ?? 0) + 1;
  return { operators, macs: layers.reduce((n, l) => n + (l.macs ?? 0), 0) };
}

const KINDS = {
  models: {
    title: "Models",
    use: "model",
    builtin: (c) => c.zoo.map((z) => ({ ...z, reference: `zoo:${z.name}`, ...sums(z.layers ?? []) })),
    columns: [
      ["Input", (i) => shape(i.shape ?? i.inputs?.[0]?.shape)],
      ["Parameters", (i) => count(i.parameters)],
      ["Operations", (i) => (i.macs ? `${count(i.macs)} MAC` : "–")],
      ["Operators", (i) => Object.entries(i.operators ?? {}).map(([op, n]) => `${op} ${n}`).join(", ") || "–"],
    ],
  },
  datasets: {
    title: "Data sets",
    use: "dataset",
    builtin: (c) => c.datasets.map((d) => ({ ...d, reference: `builtin:${d.name}` })),
    columns: [
      ["Sample", (i) => shape(i.shape)],
      ["Classes", (i) => i.classes ?? "–"],
      ["Training", (i) => count(i.train)],
      ["Test", (i) => count(i.test)],
      ["Format", (i) => i.format ?? "–"],
    ],
  },
};

function Detail({ info }) {
  return html`<table class="plain">
    <thead><tr><th>Layer</th><th>Operator</th><th>Shape</th><th class="num">Parameters</th><th class="num">Operations</th></tr></thead>
    <tbody>${info.layers.map((l) => html`<tr><td>${l.name}</td><td>${l.op}</td><td>${shape(l.shape)}</td><td class="num">${count(l.parameters)}</td><td class="num">${l.macs ? count(l.macs) : "–"}</td></tr>`)}</tbody>
  </table>`;
}

function Row({ what, name, sub, info, use, cells, actions }) {
  const [open, setOpen] = useState(false);
  const layers = info.layers?.length > 0;
  return html`<${Fragment}>
    <tr>
      <td>${layers ? html`<button type="button" class="plain" aria-expanded=${open} onClick=${() => setOpen(!open)}>${open ? "▾" : "▸"} ${name}</button>` : name}<small>${sub}</small></td>
      ${what.columns.map(([, f]) => html`<td>${f(info)}</td>`)}
      ${cells}
      <td class="actions"><a class="button small" href=${`#/new?${what.use}=${encodeURIComponent(use)}`}>Use</a>${actions}</td>
    </tr>
    ${open && html`<tr class="inner"><td colspan=${what.columns.length + 4}><${Detail} info=${info} /></td></tr>`}
  <//>`;
}

export function Assets({ kind }) {
  const what = KINDS[kind];
  const [items, setItems] = useState(null), [capabilities, setCapabilities] = useState(null), [problem, setProblem] = useState(null);
  const load = () => all(`/v1/${kind}?limit=200`).then(setItems, setProblem);
  useEffect(() => {
    setItems(null);
    load();
    describe().then(setCapabilities, setProblem);
  }, [kind]);
  const drop = (a) => () => remove(`/v1/${kind}/${a.id}`).then(load, setProblem);
  const added = async (a) => {
    setProblem(null);
    await load();
    // The list may be thin; the answer of the upload is complete.
    setItems((list) => list?.map((x) => (x.id === a.id ? { ...a, fresh: true } : x)));
  };
  const head = (extra) => html`<thead><tr><th>Name</th>${what.columns.map(([t]) => html`<th>${t}</th>`)}${extra}<th><span class="hidden">Actions</span></th></tr></thead>`;
  const builtin = capabilities ? what.builtin(capabilities) : [];

  return html`<div class="heading"><h1>${what.title}</h1></div>
    <${Trouble} problem=${problem} onClose=${() => setProblem(null)} />
    <${Upload} key=${kind} kind=${kind} formats=${capabilities?.formats} onDone=${added} />
    ${items?.length > 0 &&
    html`<${Card} title="Uploaded" id="uploaded" kind="flush">
      <div class="scroll"><table>
        ${head(html`<th class="num">Size</th><th class="num">Age</th>`)}
        <tbody>
          ${items.map(
            (a) => html`<${Row} key=${a.id} what=${what} name=${a.name} use=${a.sha256} info=${{ format: a.format, ...a.info }} sub=${html`<code>${a.sha256.slice(7, 19)}</code>`}
              cells=${html`<td class="num">${bytes(a.bytes)}</td><td class="num" title=${moment(a.created)}>${brief(since(a.created))}</td>`}
              actions=${html`<${Save} url=${`/v1/${kind}/${a.id}/content`} name=${a.name + (kind === "models" ? ".onnx" : "")} onProblem=${setProblem}>Download<//><${Copy} text=${a.sha256}>SHA-256<//><${Confirm} kind="small" onConfirm=${drop(a)}>Delete<//>`} />`,
          )}
        </tbody>
      </table></div>
    <//>`}
    ${builtin.length > 0 &&
    html`<${Card} title="Built in" id="builtin" kind="flush">
      <div class="scroll"><table>
        ${head(null)}
        <tbody>${builtin.map((b) => html`<${Row} key=${b.reference} what=${what} name=${b.title ?? b.name} sub=${html`<code>${b.reference}</code>`} info=${b} use=${b.reference} />`)}</tbody>
      </table></div>
    <//>`}`;
}
