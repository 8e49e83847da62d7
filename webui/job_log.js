// The end of a job's log, fetched again when events say that there is more; a filter; sticks to the end unless scrolled.
import { html, useEffect, useRef, useState } from "./html.js";
import { request } from "./api.js";
import { isFinal } from "./format.js";
import { Card, Save, useThrottled } from "./parts.js";

const MOST = 2000; // lines shown

const level = (row) => (/ (error|warning|warn) /.exec(row)?.[1] ?? "").replace("warning", "warn");

/** logged: a number that rises with every log event of the stream. */
export function Log({ id, logged, state }) {
  const [text, setText] = useState(null), [search, setSearch] = useState("");
  const box = useRef(), sticky = useRef(true), top = useRef(0);
  const load = useThrottled(async () => {
    try {
      setText(await (await request(`/v1/jobs/${id}/log`)).text());
    } catch {
      setText((old) => old ?? "");
    }
  }, 1500);

  useEffect(load, [id, logged, isFinal(state)]);
  const rows = (text ?? "").split("\n").filter(Boolean);
  const shown = (search ? rows.filter((r) => r.toLowerCase().includes(search.toLowerCase())) : rows).slice(-MOST);
  useEffect(() => {
    if (sticky.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text, search]);
  // Only a person moves upwards: growth while we scroll must not look like one.
  const scrolled = ({ target: t }) => {
    if (t.scrollTop < top.current) sticky.current = false;
    if (t.scrollHeight - t.scrollTop - t.clientHeight < 8) sticky.current = true;
    top.current = t.scrollTop;
  };

  const empty = text === null ? "Loading…" : search ? "No line fits the filter." : "Nothing was logged yet.";
  const side = html`<input type="search" placeholder="Filter" aria-label="Filter the log" value=${search} onInput=${(e) => setSearch(e.target.value)} />
    <${Save} url=${`/v1/jobs/${id}/log`} name=${`job-${id}.log`}>Download<//>`;
  return html`<${Card} title="Log" id="log" side=${side} kind="flush">
    <div class="log" ref=${box} tabindex="0" role="log" aria-label="Log lines" onScroll=${scrolled}>
      ${shown.length ? shown.map((row) => html`<div class=${level(row)}>${row}</div>`) : html`<div class="quiet">${empty}</div>`}
    </div>
  <//>`;
}
