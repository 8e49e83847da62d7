// What several pages share: state badge, progress bar, problem box, buttons, copyable command.
import { html, useEffect, useRef, useState } from "./html.js";
import { download, hasToken } from "./api.js";
import { fraction } from "./format.js";

// Form as well as colour tells the state.
const SIGNS = { scheduled: "◷", queued: "○", starting: "◐", running: "●", cancelling: "◌", parked: "‖", succeeded: "✓", failed: "✕", cancelled: "⊘" };

export const State = ({ state }) =>
  html`<span class=${`state is-${state}`}><span class="sign" aria-hidden="true">${SIGNS[state] ?? "?"}</span>${state}</span>`;

export function Progress({ value, label, state = "running" }) {
  const known = value != null;
  return html`<div
    class=${`progress is-${state} ${known ? "" : "unknown"}`}
    role="progressbar"
    aria-label=${label}
    aria-valuemin="0"
    aria-valuemax="100"
    aria-valuenow=${known ? Math.round(value * 100) : undefined}
  >
    <div class="fill" style=${{ width: known ? `${(value * 100).toFixed(2)}%` : "100%" }}></div>
  </div>`;
}

export const jobFraction = (job) => (job.state === "succeeded" ? 1 : fraction(job.progress));

export function Trouble({ problem, onClose }) {
  if (!problem) return null;
  return html`<div class="trouble" role="alert">
    <div>
      <strong>${problem.title ?? "Something went wrong"}</strong>
      ${problem.message && problem.message !== problem.title && html`<p>${problem.message}</p>`}
      ${problem.errors?.length > 0 &&
      html`<ul>
        ${problem.errors.map((e) => html`<li><code>${e.pointer}</code> ${e.detail}</li>`)}
      </ul>`}
    </div>
    ${onClose && html`<button class="plain" aria-label="Dismiss" onClick=${onClose}>✕</button>`}
  </div>`;
}

/** The clipboard needs a secure page; a lab's plain http:// host is none, so the old way is the fallback. */
async function copy(text) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

export function Copy({ text, children = "Copy", kind = "small" }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const t = setTimeout(() => setDone(false), 1500);
    return () => clearTimeout(t);
  }, [done]);
  return html`<button type="button" class=${kind} onClick=${() => copy(typeof text === "function" ? text() : text).then(() => setDone(true), () => {})}>
    ${done ? "Copied ✓" : children}
  </button>`;
}

export const Command = ({ text, label = "Copy" }) =>
  html`<div class="command">
    <pre tabindex="0" aria-label="Equivalent command">${text}</pre>
    <${Copy} text=${text}>${label}<//>
  </div>`;

/** A button that asks once more before it does something that can't be undone. */
export function Confirm({ children, sure = "Sure?", onConfirm, kind = "" }) {
  const [armed, setArmed] = useState(false);
  useEffect(() => {
    if (!armed) return;
    const t = setTimeout(() => setArmed(false), 4000);
    return () => clearTimeout(t);
  }, [armed]);
  return html`<button
    type="button"
    class=${`${kind} ${armed ? "danger" : ""}`}
    onBlur=${() => setArmed(false)}
    onClick=${() => (armed ? (setArmed(false), onConfirm()) : setArmed(true))}
  >
    ${armed ? sure : children}
  </button>`;
}

export const Empty = ({ title, children }) =>
  html`<div class="empty">
    <h2>${title}</h2>
    ${children}
  </div>`;

export const Card = ({ title, side, children, id, kind = "" }) =>
  html`<section class=${`card ${kind}`} aria-labelledby=${id}>
    <header><h2 id=${id}>${title}</h2>${side && html`<div class="side">${side}</div>`}</header>
    ${children}
  </section>`;

/** A value that must not be older than now: re-render every `ms`. */
export function useTick(ms) {
  const [, set] = useState(0);
  useEffect(() => {
    const t = setInterval(() => set((n) => n + 1), ms);
    return () => clearInterval(t);
  }, [ms]);
}

/** f, called at most every `ms`, always once more after the last request. */
export function useThrottled(f, ms) {
  const now = useRef(f), timer = useRef(0), last = useRef(0);
  now.current = f;
  useEffect(() => () => clearTimeout(timer.current), []);
  return useRef(() => {
    if (timer.current) return;
    timer.current = setTimeout(() => {
      timer.current = 0;
      last.current = Date.now();
      now.current();
    }, Math.max(0, last.current + ms - Date.now()));
  }).current;
}

/** A link that saves a file, also when the request needs the token. */
export const Save = ({ url, name, children, kind = "button small", onProblem = () => {} }) =>
  html`<a class=${kind} href=${url} download=${name} onClick=${(e) => hasToken() && (e.preventDefault(), download(url, name).catch(onProblem))}>${children}</a>`;
