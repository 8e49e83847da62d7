// Server-sent events over fetch: EventSource can't send the Authorization header. Same rules as the standard:
// resumes with Last-Event-ID, honours `retry:`, and gives up only when told to.
import { authorization, Problem, request } from "./api.js";

const SILENCE = 45000; // the server sends a comment every 15 s: after three missed ones the line is dead
const LONGEST_WAIT = 30000;

/** Feed it text; it calls event({type, id, data}) for each whole event and retry(ms) when told. */
export function parser({ event, retry }) {
  let rest = "", type = "", id = "", data = [];
  const line = (text) => {
    if (text === "") {
      if (data.length) event({ type: type || "message", id, data: data.join("\n") });
      type = "";
      data = [];
      return;
    }
    const colon = text.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (field === "event") type = value;
    else if (field === "data") data.push(value);
    else if (field === "id") id = value;
    else if (field === "retry" && /^\d+$/.test(value)) retry(Number(value));
  };
  return (text) => {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop();
    lines.forEach(line);
  };
}

/** Follow `path`. on.event(type, data, id); on.status("live" | "waiting"). Returns stop(). */
export function follow(path, on) {
  let last = "", pause = 2000, tries = 0, stopped = false, abort, timer, wake;

  const watch = () => {
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(), SILENCE);
  };
  async function once() {
    abort = new AbortController();
    watch();
    const headers = { Accept: "text/event-stream", ...authorization(), ...(last ? { "Last-Event-ID": last } : {}) };
    const response = await request(path, { headers, signal: abort.signal });
    on.status?.("live");
    const feed = parser({
      retry: (ms) => (pause = ms),
      event: ({ type, id, data }) => {
        if (stopped) return;
        tries = 0;
        if (id) last = id;
        on.event(type, JSON.parse(data), id);
      },
    });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part; !(part = await reader.read()).done; ) {
      watch();
      feed(part.value);
    }
  }
  async function forever() {
    while (!stopped) {
      try {
        await once();
      } catch (e) {
        if (e instanceof Problem && [401, 403, 404].includes(e.status)) return;
      }
      clearTimeout(timer);
      if (stopped) return;
      on.status?.("waiting");
      const wait = Math.min(pause * 2 ** Math.min(tries++, 5), LONGEST_WAIT);
      await new Promise((ok) => (wake = setTimeout(ok, wait)));
    }
  }
  forever();
  return () => {
    stopped = true;
    clearTimeout(timer);
    clearTimeout(wake);
    abort?.abort();
  };
}
