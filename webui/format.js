// Numbers, times and jobs in the words that people read.

const trim = (x, digits) => x.toFixed(digits).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");

export function bytes(n) {
  if (n == null) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) (n /= 1024), i++;
  return `${n >= 100 || i === 0 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

export function count(n) {
  if (n == null) return "–";
  if (n < 10000) return n.toLocaleString("en");
  const units = ["", " k", " M", " G", " T"];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) (n /= 1000), i++;
  return `${n >= 100 ? Math.round(n) : n.toFixed(1)}${units[i]}`;
}

/** A plain number in at most `digits` significant digits; powers of ten far from 1. */
export function number(x, digits = 4) {
  if (x == null || Number.isNaN(x)) return "–";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e5 || size < 1e-3) return x.toExponential(digits - 2).replace("e+", "e").replace(/\.?0+e/, "e");
  return trim(x, Math.max(0, digits - 1 - Math.floor(Math.log10(size))));
}

export function duration(s) {
  if (s == null || s < 0) return "–";
  s = Math.round(s);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** The largest unit only: for columns. */
export function brief(s) {
  if (s == null || s < 0) return "–";
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) if (s >= size) return `${Math.floor(s / size)} ${unit}`;
  return `${Math.max(0, Math.floor(s))} s`;
}

export const since = (iso, now = Date.now()) => (iso ? (now - Date.parse(iso)) / 1000 : null);
export const moment = (iso) => (iso ? new Date(iso).toLocaleString() : "–");
export const shape = (dims) => (dims ?? []).join(" × ");
export const title = (word) => word.charAt(0).toUpperCase() + word.slice(1).replaceAll("_", " ");

const METRICS = { top1: ["Top-1", (v) => `${(v * 100).toFixed(2)} %`], psnr_db: ["PSNR", (v) => `${v.toFixed(2)} dB`] };
export const metricName = (name) => METRICS[name]?.[0] ?? title(name ?? "metric");
export const metricValue = (name, v) => (v == null ? "–" : (METRICS[name]?.[1] ?? number)(v));

/** "−0.15 pp": how far a is from b in the metric's own unit. */
export function metricDelta(name, a, b) {
  if (a == null || b == null) return "";
  const d = name === "top1" ? (a - b) * 100 : a - b;
  const unit = name === "top1" ? "pp" : name === "psnr_db" ? "dB" : "";
  return `${d < 0 ? "−" : d > 0 ? "+" : "±"}${Math.abs(d).toFixed(2)} ${unit}`.trim();
}

/** "msqe W4 A8" of a job, from the list's summary or the whole specification. */
export function method(job) {
  const q = job.spec?.quantize;
  const name = job.method ?? q?.method;
  if (!name) return "";
  const bits = (letter, b) => (b == null ? "" : ` ${letter}${b === 32 ? "f" : b}`);
  return name + bits("W", job.weight_bits ?? q?.weights?.bits) + bits("A", job.activation_bits ?? q?.activations?.bits);
}

export const STATES = ["scheduled", "queued", "starting", "running", "cancelling", "parked", "succeeded", "failed", "cancelled"];
export const isFinal = (state) => ["succeeded", "failed", "cancelled"].includes(state);
export const canCancel = (state) => ["scheduled", "queued", "starting", "running", "parked"].includes(state);
export const canRetry = (state) => ["parked", "failed", "cancelled"].includes(state);

export function fraction(progress) {
  if (!progress?.steps) return null;
  return Math.max(0, Math.min(1, progress.step / progress.steps));
}
