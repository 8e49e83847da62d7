// What `quantd-worker describe` would say, reduced to what the dashboard and quantctl need to be tried out.
const p = (pointer, type, title, more = {}) => ({ pointer, type, title, help: more.help ?? "", ...more });
const quantize = { kinds: ["quantize"] };
const train = { kinds: ["quantize", "train"] };
const layer = (name, op, parameters, macs) => ({ name, op, parameters, macs });

export const capabilities = {
  version: "0.1.0",
  kinds: [
    { name: "quantize", title: "Quantize: fewer bits for weights and activations", sections: ["quantize", "train"] },
    { name: "train", title: "Train: a float network from the start", sections: ["train"] },
    { name: "evaluate", title: "Evaluate: score a network as it is", sections: [] },
  ],
  parameters: [
    p("/kind", "enum", "Kind", { values: ["quantize", "train", "evaluate"], required: true }),
    p("/name", "string", "Name", { default: "", maxLength: 200, help: "Shown in the queue" }),
    p("/tags", "strings", "Tags", { default: [], maxItems: 16, maxLength: 64 }),
    p("/model", "reference", "Model", { required: true }),
    p("/dataset", "reference", "Data set", { required: true }),
    p("/task", "enum", "Task", { values: ["classify"], default: "classify" }),
    p("/normalize/mean", "numbers", "Mean", { default: null, maxItems: 16, help: "Per channel, after division by 255" }),
    p("/normalize/std", "numbers", "Standard deviation", { default: null, maxItems: 16 }),
    p("/quantize/method", "enum", "Method", { values: ["msqe"], default: "msqe", ...quantize }),
    p("/quantize/weights/bits", "integer", "Weight bits", { minimum: 1, maximum: 8, also: [32], default: 4, unit: "bit", ...quantize, help: "32 leaves the weights in float" }),
    p("/quantize/weights/grid", "enum", "Weight grid", { values: ["sym", "twos", "midrise"], default: "sym", ...quantize, help: "Where the levels lie around zero" }),
    p("/quantize/weights/granularity", "enum", "Granularity", { values: ["layer"], default: "layer", ...quantize }),
    p("/quantize/activations/bits", "integer", "Activation bits", { minimum: 1, maximum: 8, also: [32], default: 8, unit: "bit", ...quantize }),
    p("/quantize/first_last_bits", "integer", "First and last layer", { minimum: 1, maximum: 8, also: [32], default: 8, unit: "bit", ...quantize }),
    p("/quantize/lambda", "number", "Initial coefficient", { minimum: 0, maximum: 1e6, default: 1, ...quantize, help: "Weight of the quantization error in the loss at the start" }),
    p("/train/epochs", "integer", "Epochs", { minimum: 0, maximum: 10000, default: 10, ...train }),
    p("/train/batch_size", "integer", "Batch size", { minimum: 1, maximum: 4096, default: 64, unit: "images", ...train }),
    p("/train/optimizer", "enum", "Optimizer", { values: ["sgd", "adam"], default: "sgd", ...train }),
    p("/train/learning_rate", "number", "Learning rate", { minimum: 0, maximum: 10, default: 0.01, ...train }),
    p("/train/schedule", "enum", "Schedule", { values: ["cosine", "step", "constant"], default: "cosine", ...train }),
    p("/train/momentum", "number", "Momentum", { minimum: 0, maximum: 1, default: 0.9, ...train }),
    p("/train/weight_decay", "number", "Weight decay", { minimum: 0, maximum: 1, default: 1e-4, ...train }),
    p("/train/augment", "enum", "Augmentation", { values: ["none", "shift"], default: "none", ...train }),
    p("/train/seed", "integer", "Seed", { minimum: 0, maximum: 9007199254740991, default: 1, ...train }),
    p("/overrides", "list", "Layer overrides", { default: [], maxItems: 64, ...quantize, help: "Other bits for layers whose name matches" }),
    p("/overrides/*/match", "string", "Layers", { required: true, maxLength: 200, help: "Shell pattern, e.g. conv1*" }),
    p("/overrides/*/weights/bits", "integer", "Weight bits", { minimum: 1, maximum: 8, also: [32], unit: "bit" }),
    p("/overrides/*/activations/bits", "integer", "Activation bits", { minimum: 1, maximum: 8, also: [32], unit: "bit" }),
    p("/resources/cpus", "integer", "Processors", { minimum: 1, maximum: 256, default: 1 }),
    p("/resources/memory_mb", "integer", "Memory", { minimum: 64, maximum: 1048576, default: 2048, unit: "MiB" }),
    p("/resources/wall_s", "integer", "Time limit", { minimum: 1, maximum: 31536000, default: 86400, unit: "s" }),
    p("/priority", "integer", "Priority", { minimum: -1000, maximum: 1000, default: 0, help: "Higher runs first" }),
    p("/not_before", "string", "Not before", { default: null, maxLength: 32, help: "ISO 8601, e.g. 2026-01-31T20:00:00Z" }),
  ],
  methods: [{
    name: "msqe", title: "MSQE regularization, learnable coefficient", source: "Choi et al.",
    limits: { "/quantize/weights/bits": [1, 8], "/quantize/activations/bits": [2, 8], "/quantize/weights/grid": ["sym", "twos", "midrise"] },
  }],
  zoo: [
    { name: "lenet5", title: "LeNet-5 (Caffe)", parameters: 431080, shape: [1, 28, 28], classes: 10, suffix: true,
      limits: { channels: [1, 64], side: [16, 1024], classes: [1, 65536] },
      layers: [layer("conv1", "Conv", 520, 288000), layer("conv2", "Conv", 25050, 1600000), layer("ip1", "Gemm", 400500, 400000), layer("ip2", "Gemm", 5010, 5000)] },
    { name: "resnet8", title: "ResNet-8 for 32x32 images", parameters: 78000, shape: [3, 32, 32], classes: 10, suffix: true,
      limits: { channels: [1, 64], side: [8, 1024], classes: [1, 65536] }, layers: [] },
  ],
  datasets: [{ name: "glyphs", title: "Drawn digits", shape: [1, 28, 28], classes: 10, train: 8000, test: 2000 }],
  formats: [{ name: "idx", title: "IDX (MNIST)" }, { name: "cifar", title: "CIFAR binary" }, { name: "npy", title: "NumPy arrays" }, { name: "folder", title: "Folders of images" }],
  operators: ["Conv", "Gemm", "Relu"], coders: [], quantizers: [{ name: "msqe" }], optimizers: ["sgd", "adam"], schedules: ["cosine", "step", "constant"],
  kernels: { available: ["avx2", "generic"], best: "avx2" },
  server: { version: "0.1.0", slots: 2, upload_max: 8589934592, launchers: ["local"], accounts: false },
};

const at = (root, pointer) => pointer.split("/").slice(1).reduce((o, k) => (o == null ? undefined : o[k]), root);
function put(root, pointer, value) {
  const keys = pointer.split("/").slice(1);
  const last = keys.pop();
  keys.reduce((o, k) => (o[k] ??= {}), root)[last] = value;
}

function fault(q, v) {
  if (v === null && q.default === null) return null;
  const number = ["integer", "number"].includes(q.type);
  if (number && (typeof v !== "number" || (q.type === "integer" && !Number.isInteger(v)))) return ["type", `must be ${q.type === "integer" ? "an integer" : "a number"}`];
  if (number && (v < q.minimum || v > q.maximum) && !q.also?.includes(v))
    return ["range", `${v} is outside ${q.minimum} to ${q.maximum}${q.also ? ` (or ${q.also.join(", ")})` : ""}`];
  if (["string", "reference", "enum"].includes(q.type) && typeof v !== "string") return ["type", "must be a string"];
  if (q.type === "enum" && !q.values.includes(v)) return ["enum", `must be one of ${q.values.join(", ")}`];
  if (["strings", "numbers", "list"].includes(q.type) && !Array.isArray(v)) return ["type", "must be an array"];
  return null;
}

/** The server's validation in small: complete specification, or the places that are wrong. */
export function complete(given) {
  const spec = {}, errors = [];
  const known = new Set();
  for (const q of capabilities.parameters) {
    if (q.pointer.includes("*")) continue;
    const v = at(given, q.pointer);
    known.add(q.pointer);
    if (q.kinds && !q.kinds.includes(given.kind)) {
      if (v !== undefined) errors.push({ pointer: q.pointer, code: "unknown_key", detail: `not used by kind ${given.kind}` });
      continue;
    }
    if (v === undefined && q.required) errors.push({ pointer: q.pointer, code: "required", detail: "must be given" });
    const f = v === undefined ? null : fault(q, v);
    if (f) errors.push({ pointer: q.pointer, code: f[0], detail: f[1] });
    put(spec, q.pointer, v ?? q.default ?? null);
  }
  (Array.isArray(given.overrides) ? given.overrides : []).forEach((o, i) => {
    if (!o.match) errors.push({ pointer: `/overrides/${i}/match`, code: "required", detail: "must be given" });
    else if (o.match === "nothing*") errors.push({ pointer: `/overrides/${i}/match`, code: "no_match", detail: "matches no layer" });
  });
  const walk = (o, base) => {
    for (const [k, v] of Object.entries(o)) {
      const pointer = `${base}/${k}`;
      if (known.has(pointer)) continue;
      if (v && typeof v === "object" && !Array.isArray(v) && [...known].some((x) => x.startsWith(pointer + "/"))) walk(v, pointer);
      else errors.push({ pointer, code: "unknown_key", detail: "is not known" });
    }
  };
  walk(given, "");
  return { spec, errors };
}
