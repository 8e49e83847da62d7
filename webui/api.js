// The HTTP interface of quantd as the pages see it. Errors are Problems (RFC 9457); a 401 asks for a token.

const KEY = "quantd.token";
let token = sessionStorage.getItem(KEY) ?? "";
const locked = new Set();

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `HTTP ${status}`);
    Object.assign(this, { status, title: body.title ?? `HTTP ${status}`, detail: body.detail ?? "", errors: body.errors ?? [], request: body.request_id });
  }
}

/** Calls f whenever the server wants a (better) token; returns how to stop that. */
export function onLocked(f) {
  locked.add(f);
  return () => locked.delete(f);
}

export function setToken(text) {
  token = text.trim();
  if (token) sessionStorage.setItem(KEY, token);
  else sessionStorage.removeItem(KEY);
}

export const hasToken = () => token !== "";
export const authorization = () => (token ? { Authorization: `Bearer ${token}` } : {});

function refuse(status, body) {
  if (status === 401) for (const f of locked) f();
  return new Problem(status, body ?? {});
}

/** fetch with token; throws a Problem for anything but 2xx, and for a server out of reach (status 0). */
export async function request(path, { method = "GET", json, headers = {}, signal } = {}) {
  const init = { method, signal, headers: { ...authorization(), ...headers } };
  if (json !== undefined) {
    init.body = JSON.stringify(json);
    init.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, init);
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Problem(0, { title: "The server is out of reach", detail: "No answer came. The page goes on trying." });
  }
  if (response.ok) return response;
  throw refuse(response.status, await response.json().catch(() => null));
}

export const get = async (path, options) => (await request(path, options)).json();
export const post = async (path, json, headers) => (await request(path, { method: "POST", json, headers })).json();
export const remove = (path) => request(path, { method: "DELETE" });

/** The capabilities change only with the server's version: one request for a page's life. */
let capabilities;
export function describe() {
  capabilities ??= get("/v1/capabilities").catch((e) => {
    capabilities = undefined;
    throw e;
  });
  return capabilities;
}

/** All items of a list, following `next`, at most `most`. */
export async function all(path, most = 1000) {
  const items = [];
  for (let next = path; next && items.length < most; ) {
    const page = await get(next);
    items.push(...page.items);
    next = page.next;
  }
  return items;
}

/** POST a file from disk; progress(fraction) while it goes. XMLHttpRequest, as fetch does not tell how far it is. */
export function upload(path, file, progress, signal) {
  return new Promise((resolve, reject) => {
    const x = new XMLHttpRequest();
    x.open("POST", path);
    x.responseType = "json";
    x.setRequestHeader("Content-Type", "application/octet-stream");
    for (const [name, value] of Object.entries(authorization())) x.setRequestHeader(name, value);
    x.upload.onprogress = (e) => e.lengthComputable && progress(e.loaded / e.total);
    x.onload = () => (x.status < 300 ? resolve(x.response) : reject(refuse(x.status, x.response)));
    x.onerror = () => reject(new Problem(0, { title: "The upload broke off", detail: "The connection was lost before the server answered." }));
    x.onabort = () => reject(new DOMException("aborted", "AbortError"));
    signal?.addEventListener("abort", () => x.abort());
    x.send(file);
  });
}

/** Save what is behind a URL. With a token the browser's own download can't be used: it sends no header. */
export async function download(url, name) {
  const link = document.createElement("a");
  link.download = name;
  link.href = url;
  if (token) link.href = URL.createObjectURL(await (await request(url)).blob());
  document.body.append(link);
  link.click();
  link.remove();
  if (token) setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** The same request for a shell. `body`: something for JSON, or {file: name}. */
export function curl(method, path, body) {
  const parts = ["curl -sS"];
  if (method !== "GET") parts.push(`-X ${method}`);
  if (token) parts.push('-H "Authorization: Bearer $QUANTD_TOKEN"');
  if (body?.file) parts.push(`-T ${quoted(body.file)}`);
  else if (body !== undefined) parts.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body, null, 2))}`);
  parts.push(quoted(location.origin + path));
  return parts.join(" \\\n  ");
}
