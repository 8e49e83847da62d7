// Starts the real quantd in a temporary directory, and the few calls that every test makes.
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
export const fakeWorker = path.join(root, "tests/fake/worker");

/** build/ or build/MODE/ as `make MODE=...` made it. */
export const binDir = path.join(root, "build", (process.env.QUANTD_MODE ?? "release") === "release" ? "" : process.env.QUANTD_MODE);

export const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

/** The directory of real models and data sets, or null: the test says loudly that it skips. */
export function dataDir() {
  const dir = process.env.QUANTD_DATA ?? path.join(root, "../shared/data");
  return fs.existsSync(dir) ? dir : null;
}

/**
 * Starts quantd on a free port. worker: a path, or "fake", or undefined for the one beside quantd. dir: a data directory to
 * go on with; else a new one that stop() removes. cwd: where it starts. program: another quantd than the one that was built.
 */
export async function startQuantd({ args = [], env = {}, cwd, worker, dir, program = path.join(binDir, "quantd") } = {}) {
  const own = !dir;
  dir ??= fs.mkdtempSync(path.join(os.tmpdir(), "quantd-test-"));
  const workerProgram = worker === "fake" ? fakeWorker : worker;
  const all = ["--listen", "127.0.0.1:0", "--data", dir, "--disk-floor", "0", ...(workerProgram ? ["--worker", workerProgram] : []), ...args];
  const child = spawn(program, all, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  child.stderr.on("data", (chunk) => (log = (log + chunk).slice(-200000)));
  const exited = new Promise((done) => child.on("exit", (code, signal) => done({ code, signal })));
  const url = await new Promise((resolve, reject) => {
    let out = "";
    child.stdout.on("data", (chunk) => {
      const found = /listening on (\S+)/.exec((out += chunk));
      if (found) resolve(found[1]);
    });
    child.on("error", reject);
    exited.then(({ code, signal }) => reject(new Error(`quantd ended with ${code ?? signal}: ${log}`)));
  });
  const gone = (signal) => async () => {
    child.kill(signal);
    return await exited;
  };
  return {
    url, dir, pid: child.pid, exited, log: () => log,
    /** kill -9; the directory stays. */
    kill: gone("SIGKILL"),
    /** SIGTERM; the directory stays, the workers go on. */
    terminate: gone("SIGTERM"),
    /** SIGTERM, end the workers, remove the directory if it is ours. */
    async stop() {
      const end = await gone("SIGTERM")();
      killWorkers(dir);
      if (own) await removeDir(dir);
      return end;
    },
  };
}

/** Ends what a test left running in DIR/jobs: by the locks, each with its start time. */
export function killWorkers(dir) {
  for (const id of fs.existsSync(path.join(dir, "jobs")) ? fs.readdirSync(path.join(dir, "jobs")) : []) {
    const lock = readLock(dir, id);
    if (lock && startTime(lock.pid) === lock.start) process.kill(-lock.pid, "SIGKILL");
  }
}

export async function removeDir(dir) {
  for (let i = 0; i < 20; i++) {
    try {
      return fs.rmSync(dir, { recursive: true, force: true });
    } catch {
      await sleep(50); // a killed worker is still writing
    }
  }
}

export function readLock(dir, id) {
  try {
    return JSON.parse(fs.readFileSync(path.join(dir, "jobs", String(id), "lock")));
  } catch {
    return null;
  }
}

/** Field 22 of /proc/PID/stat as text, null when there is no such process or only its zombie. */
export function startTime(pid) {
  try {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").pop().split(" ");
    return fields[0] === "Z" ? null : fields[19];
  } catch {
    return null;
  }
}

/** One request; body: undefined, a string or Buffer (sent as it is), else JSON. Returns {status, headers, body, text}. */
export async function api(url, method, pathname, body, headers = {}) {
  const raw = body === undefined || typeof body === "string" || body instanceof Uint8Array;
  const response = await fetch(url + pathname, {
    method,
    body: raw ? body : JSON.stringify(body),
    headers: raw ? headers : { "Content-Type": "application/json", ...headers },
  });
  const text = await response.text();
  const json = /json/.test(response.headers.get("content-type") ?? "");
  return { status: response.status, headers: response.headers, text, body: json ? JSON.parse(text) : text };
}

/** Waits until the job is in one of the states (a name or an array) and returns it. */
export async function waitState(url, id, states, timeoutMs = 20000) {
  const wanted = [states].flat();
  const end = Date.now() + timeoutMs;
  let job;
  do {
    job = (await api(url, "GET", `/v1/jobs/${id}`)).body;
    if (wanted.includes(job.state)) return job;
    await sleep(30);
  } while (Date.now() < end);
  throw new Error(`job ${id} is ${job.state} (${job.reason}), not ${wanted} after ${timeoutMs} ms`);
}
