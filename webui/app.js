// The frame: header, router, connection light, and the token that a server with accounts asks for.
import { html, render, useEffect, useRef, useState } from "./html.js";
import { describe, hasToken, onLocked, setToken } from "./api.js";
import { Queue } from "./queue.js";
import { Job } from "./job.js";
import { NewJob } from "./form.js";
import { Assets } from "./assets.js";
import { Compare } from "./compare.js";
import { Sweep, Sweeps } from "./sweeps.js";
import { Empty } from "./parts.js";

/** Pattern, document title, page. */
const ROUTES = [
  [/^\/$/, "Queue", ({ query, onStatus }) => html`<${Queue} query=${query} onStatus=${onStatus} />`],
  [/^\/jobs\/(\d+)$/, "Job", ({ match, onStatus }) => html`<${Job} key=${match[1]} id=${match[1]} onStatus=${onStatus} />`],
  [/^\/new$/, "New job", ({ query }) => html`<${NewJob} query=${query} />`],
  [/^\/compare$/, "Compare", ({ query }) => html`<${Compare} query=${query} />`],
  [/^\/sweeps$/, "Sweeps", () => html`<${Sweeps} />`],
  [/^\/sweeps\/(\d+)$/, "Sweep", ({ match, onStatus }) => html`<${Sweep} key=${match[1]} id=${match[1]} onStatus=${onStatus} />`],
  [/^\/models$/, "Models", () => html`<${Assets} kind="models" />`],
  [/^\/datasets$/, "Data sets", () => html`<${Assets} kind="datasets" />`],
];
const NAV = [["#/", "Queue"], ["#/new", "New job"], ["#/sweeps", "Sweeps"], ["#/models", "Models"], ["#/datasets", "Data sets"]];

function useHash() {
  const [hash, set] = useState(location.hash || "#/");
  useEffect(() => {
    const f = () => set(location.hash || "#/");
    addEventListener("hashchange", f);
    return () => removeEventListener("hashchange", f);
  }, []);
  const [path, query = ""] = hash.slice(1).split("?");
  return { path: path || "/", query: new URLSearchParams(query) };
}

function Light({ status }) {
  const words = { live: "Live", waiting: "Reconnecting…" };
  return words[status] ? html`<span class=${`light ${status}`} role="status"><i aria-hidden="true"></i>${words[status]}</span>` : null;
}

function Unlock({ again, onDone }) {
  const input = useRef(), box = useRef();
  useEffect(() => box.current.showModal(), []);
  const submit = (e) => {
    e.preventDefault();
    setToken(input.current.value);
    onDone();
  };
  return html`<dialog ref=${box} aria-labelledby="unlock">
    <form onSubmit=${submit}>
      <h2 id="unlock">A token, please</h2>
      <p class="quiet">This server has accounts. The token stays in this tab until it is closed. <code>quantd --add-token NAME</code> makes one.</p>
      ${again && html`<p class="error" role="alert">That token was not accepted.</p>`}
      <div class="field"><label for="token">Token</label><input id="token" ref=${input} type="password" autocomplete="off" placeholder="qd_…" required /></div>
      <button class="primary wide" type="submit">Continue</button>
    </form>
  </dialog>`;
}

function App() {
  const { path, query } = useHash();
  const [status, setStatus] = useState(""), [server, setServer] = useState(null), [locked, setLocked] = useState(false), [round, setRound] = useState(0);
  const main = useRef();
  const [route, match] = ROUTES.map((r) => [r, r[0].exec(path)]).find(([, m]) => m) ?? [null, null];

  useEffect(() => onLocked(() => setLocked(true)), []);
  useEffect(() => void describe().then((c) => setServer(c.server), () => {}), [round]);
  useEffect(() => {
    document.title = `${route ? route[1] : "Not found"} · quantd`;
    scrollTo(0, 0);
  }, [path]);
  const skip = (e) => {
    e.preventDefault();
    main.current.focus();
  };
  const current = (href) => (path === href.slice(1) || (href === "#/" && path.startsWith("/jobs/")) ? "page" : undefined);

  return html`<a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header class="top">
      <a class="brand" href="#/"><img src="/ui/icon.svg" alt="" width="26" height="26" />quantd</a>
      <nav aria-label="Pages">${NAV.map(([href, name]) => html`<a href=${href} aria-current=${current(href)}>${name}</a>`)}</nav>
      <div class="side"><${Light} status=${status} />${server && html`<span class="quiet">${server.slots} ${server.slots === 1 ? "slot" : "slots"} · ${server.version}</span>`}</div>
    </header>
    <main id="main" ref=${main} tabindex="-1" key=${round}>
      ${route ? route[2]({ query, match, onStatus: setStatus }) : html`<${Empty} title="There is no such page"><p><a href="#/">To the queue</a></p><//>`}
    </main>
    ${locked && html`<${Unlock} again=${hasToken()} onDone=${() => (setLocked(false), setRound((n) => n + 1))} />`}`;
}

render(html`<${App} />`, document.getElementById("app"));
