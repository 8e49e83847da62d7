// What a job does is said in its name: "steps=20 ms=50 end=segv". Words:
//   steps, ms    number of steps and their length       mb=N        hold N MB of memory
//   end=done|error|exit|silent|segv|again               at=N        step at which end happens (default: the last)
//   once         the end only happens in attempt 1      deaf        ignores SIGTERM
//   noise=N      N extra log lines per step             torn        leaves a half line at the end
//   out=N        bytes of out/model.onnx                seeded              value and file_bytes say seed and weight bits
//   describe and inspect have no words
import fs from "node:fs";
import path from "node:path";
import { capabilities } from "./capabilities.mjs";

const [command, target, ...rest] = process.argv.slice(2);
const option = (name) => rest[rest.indexOf(name) + 1];
const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

function inspect() {
  const kind = target;
  const bytes = fs.readFileSync(rest[0]);
  const text = bytes.subarray(0, 64).toString("latin1");
  if (text.startsWith("CRASH")) process.kill(process.pid, "SIGSEGV");
  if (text.startsWith("HANG")) setInterval(() => {}, 1000);
  else if (text.startsWith("BAD")) {
    console.log(JSON.stringify({ error: { code: "UNSUPPORTED", text: "operator Foo", place: "node n1 (Foo)" } }));
    process.exit(1);
  } else if (kind === "model")
    console.log(JSON.stringify({ format: "onnx", opset: 13, ir_version: 7, inputs: [{ name: "x", shape: ["N", 1, 28, 28] }],
      outputs: [{ name: "y", shape: ["N", 10] }], parameters: 10, macs: 10, operators: { Conv: 1 },
      layers: [{ name: "conv1", op: "Conv", shape: [1, 1, 1, 1], parameters: 10, macs: 10 }], memory_bytes: 1000 }));
  else console.log(JSON.stringify({ format: "idx", shape: [1, 28, 28], classes: 10, train: 100, test: 10 }));
}

async function run() {
  const dir = target, attempt = Number(option("--attempt"));
  const start = fs.readFileSync("/proc/self/stat", "latin1").split(") ").pop().split(" ")[19];
  fs.writeFileSync(path.join(dir, "lock"),
    JSON.stringify({ attempt, token: option("--token"), pid: process.pid, start, host: "test" }) + "\n");
  const spec = JSON.parse(fs.readFileSync(path.join(dir, "spec.json")));
  const words = Object.fromEntries((spec.name || "").split(" ").filter(Boolean).map((w) => w.split("=")));
  const number = (name, fallback) => (words[name] === undefined ? fallback : Number(words[name]));
  const file = path.join(dir, "events.jsonl");
  const lines = fs.existsSync(file) ? fs.readFileSync(file, "utf8").split("\n") : [""];
  fs.truncateSync(file, Buffer.byteLength(lines.join("\n")) - Buffer.byteLength(lines.pop()));
  let seq = lines.length ? JSON.parse(lines.pop()).seq : 0;
  const emit = (t, fields = {}) =>
    fs.appendFileSync(file, JSON.stringify({ seq: ++seq, t, time: Date.now(), attempt, ...fields }) + "\n");
  const checkpoint = path.join(dir, "checkpoint");
  let step = fs.existsSync(checkpoint) ? Number(fs.readFileSync(checkpoint)) : 0;
  const steps = number("steps", 3), ms = number("ms", 20), at = number("at", steps);
  const held = Buffer.alloc(number("mb", 0) << 20, 1);
  process.on("SIGTERM", () => {
    if ("deaf" in words) return;
    fs.writeFileSync(checkpoint, String(step));
    process.exit(75);
  });
  const ending = "once" in words && attempt > 1 ? "done" : words.end || "done";
  emit("hello", { version: "fake", threads: 1, pid: process.pid });
  emit("phase", { phase: "train" });
  for (; step < steps; ) {
    await sleep(ms);
    step++;
    emit("progress", { step, steps, eta_s: ((steps - step) * ms) / 1000 });
    emit("metric", { series: "loss", step, value: 1 / step });
    for (let i = 0; i < number("noise", 0); i++) emit("log", { level: "info", text: `noise ${i}` });
    if (step !== at) {
      fs.writeFileSync(checkpoint + ".tmp", String(step));
      fs.renameSync(checkpoint + ".tmp", checkpoint);
      continue;
    }
    if ("torn" in words) fs.appendFileSync(file, '{"seq":99999,"t":"lo');
    if (ending === "segv") process.kill(process.pid, "SIGSEGV");
    if (ending === "again") process.exit(75);
    if (ending === "exit") process.exit(3);
    if (ending === "silent") process.exit(0);
    if (ending === "error") {
      emit("error", { code: "DIVERGED", text: "the loss is not a number", place: "epoch 1" });
      process.exit(1);
    }
  }
  emit("phase", { phase: "report" });
  fs.writeFileSync(path.join(dir, "out", "model.onnx"), Buffer.alloc(number("out", 1000), 7));
  fs.writeFileSync(path.join(dir, "out", "curves.csv"), "series,step,value\n");
  const result = { format: 1, metric: "top1", value: 0.9, attempt, bytes: held.length };
  if ("seeded" in words)
    Object.assign(result, { value: spec.train.seed / 100, file_bytes: 1000 * spec.quantize.weights.bits });
  fs.writeFileSync(path.join(dir, "result.json.tmp"), JSON.stringify(result));
  fs.renameSync(path.join(dir, "result.json.tmp"), path.join(dir, "result.json"));
  emit("done", { value: 0.9, metric: "top1" });
  process.exit(0);
}

if (command === "describe") console.log(JSON.stringify(capabilities));
else if (command === "inspect") inspect();
else await run();
