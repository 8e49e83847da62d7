// One labelled field per parameter, whatever its type; messages of the server stand beside the field they are about.
import { html } from "./html.js";
import { choices, members, range } from "./spec.js";

export const fieldId = (pointer) => `f${pointer.replaceAll(/[^\w-]/g, "-")}`;

function Widget({ p, id, raw, set, method, described, invalid, references }) {
  const common = { id, name: p.pointer, "aria-describedby": described, "aria-invalid": invalid ? "true" : undefined };
  const text = (e) => set(e.target.value);
  const standing = raw ?? (p.default == null ? "" : Array.isArray(p.default) ? p.default.join(", ") : p.default);
  if (p.type === "boolean") return html`<input ...${common} type="checkbox" checked=${!!(raw ?? p.default)} onChange=${(e) => set(e.target.checked)} />`;
  if (p.type === "enum") {
    return html`<select ...${common} value=${standing} onChange=${text}>
      ${p.default === null && html`<option value="" selected=${standing === ""}>as usual</option>`}
      ${choices(p, method).map((v) => html`<option value=${v} selected=${v === standing}>${v}</option>`)}
    </select>`;
  }
  if (p.type === "reference") {
    return html`<select ...${common} value=${standing} onChange=${text}>
      <option value="" selected=${!standing}>Choose…</option>
      ${references.map(([group, items]) => items.length > 0 && html`<optgroup label=${group}>${items.map(([v, label]) => html`<option value=${v} selected=${v === standing}>${label}</option>`)}</optgroup>`)}
    </select>`;
  }
  if (["integer", "number"].includes(p.type)) return html`<input ...${common} type="number" step=${p.type === "integer" ? 1 : "any"} value=${standing} placeholder=${p.default ?? ""} onInput=${text} />`;
  const hint = p.type === "strings" ? "comma separated" : p.type === "numbers" ? "0.5, 0.5, 0.5" : "";
  return html`<input ...${common} type="text" value=${standing} placeholder=${hint} maxlength=${p.maxLength} autocomplete="off" spellcheck=${false} onInput=${text} />`;
}

/** raw: what stands in the field (undefined: untouched); problems: of the server for this pointer. */
export function Field({ p, pointer = p.pointer, raw, set, problems = [], method, references, children }) {
  const id = fieldId(pointer);
  const limits = range(p, method);
  return html`<div class=${`field type-${p.type} ${problems.length ? "wrong" : ""}`} data-pointer=${pointer}>
    <div class="caption">
      <label for=${id}>${p.title || pointer}${p.required && html` <abbr title="must be given">*</abbr>`}</label>
      ${limits && html`<span class="range" id=${`${id}-range`}>${limits}</span>`}
    </div>
    <div class="input">
      <${Widget} p=${p} id=${id} raw=${raw} set=${set} method=${method} described=${`${limits ? `${id}-range ` : ""}${id}-hint ${id}-error`} invalid=${problems.length > 0} references=${references} />
      ${p.unit && html`<span class="unit">${p.unit}</span>`}${children}
    </div>
    <p class="hint" id=${`${id}-hint`}>${p.help}</p>
    <p class="error" id=${`${id}-error`} role="alert">${problems.map((e) => e.detail).join("; ")}</p>
  </div>`;
}

/** A list of objects, one row each: per-layer overrides and whatever comes of that kind. */
export function List({ p, parameters, rows = [], set, problemsAt, method }) {
  const inner = members(parameters, p.pointer);
  const change = (i, pointer, v) => set(rows.map((r, k) => (k === i ? { ...r, [pointer]: v } : r)));
  return html`<div class="list" data-pointer=${p.pointer}>
    ${p.help && html`<p class="hint">${p.help}</p>`}
    ${problemsAt(p.pointer).map((e) => html`<p class="error" role="alert">${e.detail}</p>`)}
    ${rows.map(
      (row, i) => html`<fieldset class="listrow">
        <legend>${p.title} ${i + 1}</legend>
        ${inner.map((m) => {
          const pointer = m.pointer.replace("*", i);
          return html`<${Field} key=${pointer} p=${m} pointer=${pointer} raw=${row[m.pointer] ?? ""} set=${(v) => change(i, m.pointer, v)} problems=${problemsAt(pointer)} method=${method} />`;
        })}
        <button type="button" class="small" onClick=${() => set(rows.filter((_, k) => k !== i))}>Remove</button>
      </fieldset>`,
    )}
    <button type="button" class="small" onClick=${() => set([...rows, {}])} disabled=${p.maxItems != null && rows.length >= p.maxItems}>Add</button>
  </div>`;
}
