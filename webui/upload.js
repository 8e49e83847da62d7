// Choose or drop a file, watch it go up, and hear what the server found in it.
import { html, useRef, useState } from "./html.js";
import { curl, describe, upload } from "./api.js";
import { bytes } from "./format.js";
import { Command, Progress, Trouble } from "./parts.js";

const ACCEPT = { models: ".onnx", datasets: ".tar,.zip,.npz,.npy,.gz,.xz,.zst,.tgz" };
const stem = (name) => name.replace(/\.(onnx|npz|npy|zip|tgz|tar(\.\w+)?)$/, "");

/** kind: "models" | "datasets". compact: a button only. onDone(asset). */
export function Upload({ kind, formats = [], compact, onDone }) {
  const [file, setFile] = useState(null), [fields, setFields] = useState({}), [sent, setSent] = useState(null), [problem, setProblem] = useState(null);
  const [over, setOver] = useState(false);
  const input = useRef(), abort = useRef();
  const set = (name) => (e) => setFields((f) => ({ ...f, [name]: e.target.value }));
  const path = () => `/v1/${kind}?${new URLSearchParams(Object.entries(fields).filter(([, v]) => v))}`;

  const choose = (f) => {
    if (!f) return;
    setProblem(null);
    setFile(f);
    setFields((old) => ({ ...old, name: stem(f.name) }));
  };
  const clear = () => (setFile(null), setSent(null), input.current && (input.current.value = ""));
  const send = async () => {
    abort.current = new AbortController();
    setProblem(null);
    try {
      // The server drains little of a body that it refuses: better not to begin.
      const most = (await describe()).server?.upload_max;
      if (most && file.size > most) throw { title: "Too large", message: `${bytes(file.size)}; this server takes at most ${bytes(most)}.` };
      setSent(0);
      const asset = await upload(path(), file, setSent, abort.current.signal);
      clear();
      onDone(asset);
    } catch (e) {
      setSent(null);
      if (e.name !== "AbortError") setProblem(e);
    }
  };

  const pick = html`<input type="file" class="hidden" tabindex="-1" ref=${input} accept=${ACCEPT[kind]} aria-label=${`File of the ${kind === "models" ? "model" : "data set"}`} onChange=${(e) => choose(e.target.files[0])} />
    <button type="button" class=${compact ? "small" : ""} onClick=${() => input.current.click()}>${compact ? "Upload…" : "Choose a file"}</button>`;
  if (!file && compact) return html`${pick}<${Trouble} problem=${problem} />`;
  if (!file) {
    const drop = (e) => (e.preventDefault(), setOver(false), choose(e.dataTransfer.files[0]));
    return html`<div class=${`drop ${over ? "over" : ""}`} onDragOver=${(e) => (e.preventDefault(), setOver(true))} onDragLeave=${() => setOver(false)} onDrop=${drop}>
        <p>${kind === "models" ? "Drop an ONNX file here" : "Drop a tar, zip or npz file here"}</p>
        ${pick}
      </div>
      <${Trouble} problem=${problem} />`;
  }
  const text = (name, label, hint) => html`<div class="field"><label for=${`up-${kind}-${name}`}>${label}</label><input id=${`up-${kind}-${name}`} type="text" value=${fields[name] ?? ""} placeholder=${hint} onInput=${set(name)} /></div>`;
  return html`<div class="uploading card">
    <p><b>${file.name}</b> <span class="quiet">${bytes(file.size)}</span></p>
    <div class="fields">
      ${text("name", "Name", "")}
      ${kind === "datasets" &&
      html`<div class="field">
          <label for="up-format">Format</label>
          <select id="up-format" onChange=${set("format")}><option value="">by its content</option>${formats.map((f) => html`<option value=${f.name}>${f.title ?? f.name}</option>`)}</select>
        </div>
        ${text("mean", "Mean per channel", "0.5 or 0.49, 0.48, 0.44")}${text("std", "Deviation per channel", "0.25")}`}
    </div>
    ${sent != null && html`<${Progress} value=${sent} label="Upload" /><p class="quiet">${sent < 1 ? `${Math.floor(sent * 100)} %` : "The server reads it…"}</p>`}
    <${Trouble} problem=${problem} />
    <div class="buttons">
      <button type="button" class="primary" disabled=${sent != null} onClick=${send}>Upload</button>
      <button type="button" onClick=${() => (abort.current?.abort(), clear())}>Cancel</button>
    </div>
    <details><summary>The same from a shell</summary><${Command} text=${curl("POST", path(), { file: file.name })} /></details>
  </div>`;
}
