#!/usr/bin/python3
"""Loss and gradients of whole networks against PyTorch.

The program `gradients` writes one training step down; here the same graph is run by PyTorch in double precision, and
every parameter's gradient g is compared with PyTorch's t: off = |g - t| / |t| in the Euclidean norm.

Built in double precision the program must agree to 1e-9: every formula is right. Built as it is used, to 1e-5; or,
where a network's normalizations magnify rounding so much that PyTorch's own single precision is further off, to
twice that. Usage: torch_gradients.py DIRECTORY [MODEL BATCH]...
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    print("*** SKIP: PyTorch is not there (Debian: python3-torch) ***")
    sys.exit(0)

SINGLE, DOUBLE = 1e-5, 1e-9
NOTHING = 1e-9  # of the largest |t|: a shift in front of a normalization has no gradient, only rounding
DATA = os.environ.get("QUANTD_DATA", "../shared/data")
MODELS = [
    (f"{DATA}/models/lenet5_mnist.onnx", 64),
    (f"{DATA}/models/resnet20_cifar10.onnx", 32),
    (f"{DATA}/onnx/structures/mobilenet_v2_x0.5.onnx", 32),
]


def pads(a, x, kernel):
    """Padding as (left, right, top, bottom)."""
    p, stride = a.get("pads", [0, 0, 0, 0]), a.get("strides", [1, 1])
    mode = a.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(x.shape[2:], stride, kernel)]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        p = less + more if mode == "SAME_UPPER" else more + less
    return [p[1], p[3], p[0], p[2]]


def conv(a, x, w, b=None):
    x = F.pad(x, pads(a, x, w.shape[2:]))
    return F.conv2d(x, w, b, stride=a.get("strides", 1), dilation=a.get("dilations", 1), groups=a.get("group", 1))


def maxpool(a, x):
    kernel = a["kernel_shape"]
    x = F.pad(x, pads(a, x, kernel), value=float("-inf"))
    return F.max_pool2d(x, kernel, a.get("strides", 1), ceil_mode=bool(a.get("ceil_mode", 0)))


def averagepool(a, x):
    kernel, (left, right, top, bottom) = a["kernel_shape"], pads(a, x, a["kernel_shape"])
    assert left == right and top == bottom
    return F.avg_pool2d(x, kernel, a.get("strides", 1), (top, left), bool(a.get("ceil_mode", 0)),
                        bool(a.get("count_include_pad", 0)))


def gemm(a, x, w, b=None):
    assert not a.get("transA", 0)
    y = a.get("alpha", 1) * (x @ (w.t() if a.get("transB", 0) else w))
    return y if b is None else y + a.get("beta", 1) * b


def slices(a, x, starts, ends, axes=None, steps=None):
    axes = axes if axes is not None else range(len(starts))
    for s, e, d, step in zip(starts, ends, axes, steps if steps is not None else [1] * len(starts)):
        n = x.shape[d]
        assert step > 0
        x = x[(slice(None),) * (d % x.dim()) + (slice(int(s), min(int(e), n), int(step)),)]
    return x


def pad(a, x, p, value=None):
    n = x.dim()
    flat = [int(v) for d in reversed(range(n)) for v in (p[d], p[n + d])]
    return F.pad(x, flat, value=0.0 if value is None else float(value))


def reshape(a, x, shape):
    shape = [x.shape[i] if d == 0 else int(d) for i, d in enumerate(shape)]
    return x.reshape([x.shape[0]] + shape[1:] if shape[0] == 1 else shape)


def norm(a, x, gamma, beta, mean, var):
    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=a.get("epsilon", 1e-5))


def split(a, x, sizes):
    return torch.split(x, [int(s) for s in sizes], a.get("axis", 0))


OPS = {
    "Conv": conv,
    "Gemm": gemm,
    "MatMul": lambda a, x, w: x @ w,
    "MaxPool": maxpool,
    "AveragePool": averagepool,
    "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
    "ReduceMean": lambda a, x: x.mean(tuple(a["axes"]), keepdim=bool(a.get("keepdims", 1))),
    "BatchNormalization": norm,
    "LRN": lambda a, x: F.local_response_norm(x, a["size"], a["alpha"], a["beta"], a["bias"]),
    "Sigmoid": lambda a, x: torch.sigmoid(x),
    "Add": lambda a, x, y: x + y,
    "Sub": lambda a, x, y: x - y,
    "Mul": lambda a, x, y: x * y,
    "Concat": lambda a, *x: torch.cat(x, a["axis"]),
    "Split": split,
    "Slice": slices,
    "Pad": pad,
    "Reshape": reshape,
    "Flatten": lambda a, x: x.flatten(1),
    "Transpose": lambda a, x: x.permute(a["perm"]),
    "Identity": lambda a, x: x,
}


def clamp(x, seen, low, high):
    """x between low and high; on which side it is, is decided by `seen`."""
    return torch.where(seen < low, torch.full_like(x, low), torch.where(seen > high, torch.full_like(x, high), x))


def clip(a, seen, x, low=None, high=None):
    low = float("-inf") if low is None else float(low)
    return clamp(x, seen, low, float("inf") if high is None else float(high))


def hard_sigmoid(a, seen, x):
    slope, shift = a.get("alpha", 0.2), a.get("beta", 0.5)
    return clamp(slope * x + shift, slope * seen + shift, 0, 1)


# Functions with a kink. Rounding decides on which side of it a number lies, and a gradient jumps there: all follow
# the numbers that the program saw.
KINKS = {
    "Relu": lambda a, seen, x: torch.where(seen > 0, x, torch.zeros_like(x)),
    "LeakyRelu": lambda a, seen, x: torch.where(seen < 0, a.get("alpha", 0.01) * x, x),
    "PRelu": lambda a, seen, x, w: torch.where(seen < 0, w * x, x),
    "Clip": clip,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": lambda a, seen, x: x * clamp(x / 6 + 0.5, seen / 6 + 0.5, 0, 1),
}


class Step:
    """What the program wrote: the graph; in order, the batch, what kinks saw, each parameter and its gradient."""

    def __init__(self, path):
        with open(path + ".json") as f:
            self.__dict__.update(json.load(f))
        with open(path + ".bin", "rb") as f:
            self.dtype = torch.float32 if self.bytes == 4 else torch.float64
            data = torch.frombuffer(bytearray(f.read()), dtype=self.dtype)
        self.x, at = self.take(data, 0, [self.batch] + self.shape)
        self.seen, self.weight, self.gradient = {}, {}, {}
        for k in self.kinks:
            self.seen[k["node"]], at = self.take(data, at, [self.batch] + k["shape"])
        for p in self.params:
            self.weight[p["name"]], at = self.take(data, at, p["shape"])
            self.gradient[p["name"]], at = self.take(data, at, p["shape"])

    @staticmethod
    def take(data, at, shape):
        count = 1
        for d in shape:
            count *= d
        return data[at:at + count].reshape(shape), at + count

    def run(self, dtype):
        """PyTorch's loss and gradients by name."""
        value = {n: torch.tensor(c["data"]).reshape(c["shape"]) for n, c in self.constants.items()}
        for p in self.params:
            w = self.weight[p["name"]].to(dtype).clone()
            value[p["name"]] = w.requires_grad_(p["trainable"])
        value[self.input] = self.x.to(dtype)
        for node in self.nodes:
            inputs = [None if n is None else value[n] for n in node["inputs"]]
            if node["op"] in KINKS:
                y = KINKS[node["op"]](node["attrs"], self.seen[node["outputs"][0]], *inputs)
            else:
                y = OPS[node["op"]](node["attrs"], *inputs)
            for name, made in zip(node["outputs"], y if isinstance(y, tuple) else (y,)):
                value[name] = made
        logits = value[self.output].flatten(1)
        loss = F.cross_entropy(logits, torch.arange(self.batch) % logits.shape[1])
        loss.backward()
        return loss.item(), {p["name"]: value[p["name"]].grad for p in self.params if p["trainable"]}


def distances(gradients, exact):
    """By name. A gradient that is nothing is measured by the largest of the network."""
    largest = max(t.norm().item() for t in exact.values())

    def size(t):
        return t.norm().item() if t.norm().item() > NOTHING * largest else largest

    return {n: (gradients[n].double() - t).norm().item() / size(t) for n, t in exact.items()}


def compare(program, model, batch, directory):
    path = os.path.join(directory, "step")
    subprocess.run([program, model, str(batch), path], check=True)
    step = Step(path)
    loss, exact = step.run(torch.float64)
    off = distances(step.gradient, exact)
    worst = max(off, key=off.get)
    loss_off, limit, beside = abs(step.loss / loss - 1), DOUBLE, ""
    if step.dtype == torch.float32:
        single_loss, single = step.run(torch.float32)
        own = max(distances(single, exact).values())
        limit = max(SINGLE, 2 * own)
        beside = f"; PyTorch itself: {abs(single_loss / loss - 1):.1e}, {own:.1e}"
    good = off[worst] <= limit and loss_off <= limit
    print(f"{'ok  ' if good else 'FAIL'} {os.path.basename(model)} b{batch} {8 * step.bytes} bit: loss {loss:.6f} "
          f"off {loss_off:.1e}, {len(off)} gradients off at most {off[worst]:.1e} ({worst}){beside}")
    return good


def main():
    torch.set_num_threads(1)
    programs = sys.argv[1] if len(sys.argv) > 1 else "build/peer"
    models = [(m, int(b)) for m, b in zip(sys.argv[2::2], sys.argv[3::2])] or MODELS
    good = True
    with tempfile.TemporaryDirectory() as directory:
        for model, batch in models:
            if not model.startswith("zoo:") and not os.path.exists(model):
                print(f"*** SKIP: {model} is not there (set QUANTD_DATA) ***")
                continue
            for program in ("gradients_double", "gradients"):
                good = compare(os.path.join(programs, program), model, batch, directory) and good
    sys.exit(0 if good else 1)


main()
