// The end of a job's log: loaded once, then lines from the event stream; a filter; sticks to the end unless scrolled.
import { html, useEffect, useRef, useState } from "./html.js";
import { request } from "./api.js";
import { isFinal } from "./format.js";
import { Card, Save } from "./parts.js";

const MOST = 2000;

export function Log({ id, lines, version, state }) {
  const [text, setText] = useState(null), [search, setSearch] = useState("");
  const box = useRef(), sticky = useRef(true);
  const over = isFinal(state);

  useEffect(() => {
    request(`/v1/jobs/${id}/log`)
      .then((r) => r.text())
      .then(setText, () => setText(""));
    // What came by stream so far is in the loaded text.
    lines.length = 0;
  }, [id, over]);
  const rows = [...(text ?? "").split("\n").filter(Boolean), ...lines.map((l) => `${l.time ? new Date(l.time).toISOString() : ""} ${l.level ?? "info"} ${l.text}`.trim())];
  const wanted = search ? rows.filter((r) => r.toLowerCase().includes(search.toLowerCase())) : rows;
  const shown = [...new Set(wanted)].slice(-MOST);
  useEffect(() => {
    if (sticky.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [shown.length, version]);
  const level = (row) => (/ (error|warning|warn) /.exec(` ${row} `)?.[1] ?? "").replace("warning", "warn");

  const side = html`<input type="search" placeholder="Filter" aria-label="Filter the log" value=${search} onInput=${(e) => setSearch(e.target.value)} />
    <${Save} url=${`/v1/jobs/${id}/log`} name=${`job-${id}.log`}>Download<//>`;
  return html`<${Card} title="Log" id="log" side=${side} kind="flush">
    <div class="log" ref=${box} tabindex="0" role="log" aria-label="Log lines" onScroll=${(e) => (sticky.current = e.target.scrollHeight - e.target.scrollTop - e.target.clientHeight < 20)}>
      ${shown.length ? shown.map((row) => html`<div class=${level(row)}>${row}</div>`) : html`<div class="quiet">${text === null ? "Loading…" : search ? "No line fits the filter." : "Nothing was logged yet."}</div>`}
    </div>
  <//>`;
}
