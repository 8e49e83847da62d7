// A job specification from what stands in the form, by the capabilities' parameter list. No page is touched here.

const keys = (pointer) => pointer.split("/").slice(1).map((k) => k.replaceAll("~1", "/").replaceAll("~0", "~"));

export function at(root, pointer) {
  return keys(pointer).reduce((o, k) => (o == null ? undefined : o[k]), root);
}

export function put(root, pointer, value) {
  const path = keys(pointer);
  const end = path.pop();
  path.reduce((o, k) => (o[k] ??= {}), root)[end] = value;
}

/** Used by this kind, this task and this method, and not a member of a list. */
export const applies = (p, kind, task, method) =>
  !p.pointer.includes("/*/") && (!p.kinds || p.kinds.includes(kind)) && (!p.tasks || !task || p.tasks.includes(task)) &&
  (!p.methods || !method || p.methods.includes(method));

/** The task that the fields say, or the default; and the method. */
const word = (pointer) => (parameters, raw) => raw[pointer] ?? parameters.find((p) => p.pointer === pointer)?.default;
export const taskOf = word("/task"), methodOf = word("/quantize/method");
export const members = (parameters, list) => parameters.filter((p) => p.pointer.startsWith(`${list}/*/`));

/** "/train/epochs" -> "train"; "/priority" -> "". */
export const section = (p) => (p.type === "list" ? keys(p.pointer)[0] : keys(p.pointer).length > 1 ? keys(p.pointer)[0] : "");

/** What a field's text means. Text that is no number goes as it is: the server says what is wrong with it. */
export function value(p, raw) {
  if (p.type === "boolean") return !!raw;
  if (p.type === "list") return raw;
  const text = String(raw).trim();
  if (p.type === "strings") return text === "" ? [] : text.split(",").map((s) => s.trim()).filter(Boolean);
  if (text === "" && p.default === null) return null;
  if (p.type === "numbers") return text.split(",").map((s) => plain(s.trim()));
  return ["integer", "number"].includes(p.type) ? plain(text) : text;
}
const plain = (text) => (text !== "" && Number.isFinite(Number(text)) ? Number(text) : text);

/** What a field shows for a value. */
export function shown(p, v) {
  if (v == null) return "";
  return Array.isArray(v) && p.type !== "list" ? v.join(", ") : p.type === "boolean" ? v : p.type === "list" ? v : String(v);
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** Only what differs from the defaults, in the order of the parameters; `raw` maps pointers to field contents. */
export function build(parameters, kind, raw) {
  const spec = {}, task = taskOf(parameters, raw), method = methodOf(parameters, raw);
  for (const p of parameters) {
    if (!applies(p, kind, task, method)) continue;
    const v = p.pointer === "/kind" ? kind : p.type === "list" ? rows(parameters, p, raw[p.pointer] ?? []) : raw[p.pointer] === undefined ? undefined : value(p, raw[p.pointer]);
    const absent = v === undefined || (v === "" && (p.required || p.type === "reference")) || (!p.required && same(v, p.default ?? (p.type === "list" ? [] : undefined)));
    if (!absent) put(spec, p.pointer, v);
  }
  return spec;
}

/** The rows of a list parameter; a member left empty is left out. */
function rows(parameters, list, all) {
  const inner = members(parameters, list.pointer);
  return all.map((row) => {
    const object = {};
    for (const m of inner) {
      const raw = row[m.pointer];
      if (raw !== undefined && raw !== "") put(object, m.pointer.slice(list.pointer.length + 2), value(m, raw));
    }
    return object;
  });
}

/** Field contents from a stored specification: the way back. */
export function fill(parameters, spec) {
  const raw = {};
  for (const p of parameters) {
    if (p.pointer.includes("/*/")) continue;
    const v = at(spec, p.pointer);
    if (v === undefined || (same(v, p.default) && !p.required)) continue;
    if (p.type !== "list") raw[p.pointer] = shown(p, v);
    else raw[p.pointer] = v.map((row) => Object.fromEntries(members(parameters, p.pointer).map((m) => [m.pointer, at(row, m.pointer.slice(p.pointer.length + 2))]).filter(([, x]) => x != null).map(([k, x]) => [k, String(x)])));
  }
  return raw;
}

/** "1 to 8, or 32" for this parameter under this method; "" when anything goes. */
export function range(p, method) {
  const limit = method?.limits?.[p.pointer];
  const [low, high] = limit && typeof limit[0] === "number" ? limit : [p.minimum, p.maximum];
  if (low == null && high == null) return "";
  const also = p.also?.length ? `, or ${p.also.join(", ")}` : "";
  const big = (n) => (Math.abs(n) >= 1e6 ? n.toExponential(0).replace("e+", "e") : n);
  if (p.maximum >= 2 ** 53 - 1) return `from ${low}`;
  return `${low} to ${big(high)}${also}`;
}

/** An enum's values that the method can do. */
export function choices(p, method) {
  const limit = method?.limits?.[p.pointer];
  return limit && typeof limit[0] === "string" ? p.values.filter((v) => limit.includes(v)) : p.values;
}
