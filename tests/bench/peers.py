#!/usr/bin/python3
"""Training steps of our worker and of PyTorch, and runs on 8-bit integers, in turns on one core: a table of ratios.

usage: peers.py [--rounds N] [--seconds S] [--networks A,B] [--modes A,B] [--held-to-avx2] [--worker PATH]

Both sides run the same networks; parameters and multiply-accumulates are compared first. PyTorch runs as it is
installed ("stock") and tuned: AVX-512 kernels in ATen and OpenBLAS, and whichever of contiguous or channels_last
tensors, plain or fused fake quantization was fastest in a round before. A round measures every side once; its ratio is
PyTorch's best step by ours, in CPU time, which a busy machine disturbs least. The table has the median of the rounds.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"  # Debian's, which has python3-torch

# network: what our worker calls it, batch, goals by mode: how many times as fast as tuned PyTorch
NETWORKS = {
    "lenet5": ("zoo:lenet5", 64, {"fp32": 2.0, "qat": 4.0}),
    "resnet20": ("zoo:resnet20", 128, {"fp32": 1.5, "qat": 3.5, "integer": 1.3}),
    "resnet20 one image": ("zoo:resnet20", 1, {"integer": "0.25 ms"}),
    "vdsr": ("zoo:vdsr", 16, {"fp32": 1.1, "qat": 2.5}),
    "srcnn-9-5-5": ("zoo:srcnn-9-5-5", 64, {"fp32": 1.3, "qat": 3.0}),
    "mobilenet-v1": ("zoo:mobilenet-v1@3x32x32/10", 64, {"fp32": 2.0, "qat": 3.5}),
}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "DNNL_MAX_CPU_ISA": "AVX2", "OPENBLAS_CORETYPE": "HASWELL"}
AVX512 = {"ATEN_CPU_CAPABILITY": "avx512", "OPENBLAS_CORETYPE": "SKYLAKEX"}


def on_one_core(command):
    return ["taskset", "-c", str(max(os.sched_getaffinity(0))), *command]


def has_avx512():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        return "avx512dq" in f.read()


class Torch:
    """A PyTorch process for one network; it keeps what it has built from round to round."""

    def __init__(self, network, environment):
        batch = NETWORKS[network][1]
        command = on_one_core([PYTHON, "-BW", "ignore", os.path.join(HERE, "torch_worker.py"), network.split()[0],
                               str(batch)])
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **ONE_THREAD, **environment})
        self.about = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("peers: the PyTorch process has ended")
        return json.loads(line)

    def ask(self, mode, seconds, fused=False, channels_last=False):
        question = {"mode": mode, "seconds": seconds, "fused": fused, "channels_last": channels_last}
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Worker:
    """Our side: a process per measurement, it starts in no time."""

    def __init__(self, path, kernels):
        self.path, self.kernels = path, kernels
        with subprocess.Popen([path, "--help"], stdout=subprocess.PIPE, text=True) as p:
            self.mixed = "--precision" in p.stdout.read()

    def ask(self, network, mode, seconds):
        model, batch, _ = NETWORKS[network]
        mode, _, precision = mode.partition(" ")
        command = [self.path, "bench", model, "--mode", mode, "--batch", str(batch), "--seconds", str(seconds)]
        command += ["--kernels", self.kernels] if self.kernels else []
        command += ["--precision", precision] if precision else []
        command += ["--weights", "8", "--activations", "8"] if mode == "integer" else []
        out = subprocess.run(on_one_core(command), stdout=subprocess.PIPE, check=True, text=True).stdout
        line = json.loads(out.splitlines()[-1])
        return {"cpu_ms": line["cpu_ms_per_step"], "wall_ms": line["ms_per_step"], **line}

    def modes(self, goals):
        return [m for m in ("fp32", "qat", "qat mixed", "integer") if m.split()[0] in goals
                and (self.mixed or m != "qat mixed")]


def same_network(network, ours, theirs):
    for what in ("parameters", "macs"):
        if ours[what] != theirs[what]:
            raise SystemExit(f"peers: {network} has {ours[what]} {what} here and {theirs[what]} in PyTorch")


def best_tuning(torch, mode):
    """The fastest way to write it in PyTorch, by one short round."""
    ways = [{"fused": fused, "channels_last": last} for fused in ([False, True] if mode == "qat" else [False])
            for last in (False, True)]
    return min(ways, key=lambda way: torch.ask(mode, 0.5, **way)["cpu_ms"])


class Row:
    """One network in one mode: the figures of all rounds."""

    def __init__(self, network, mode):
        self.network, self.mode = network, mode
        self.sides = {"ours": [], "stock": [], "tuned": []}

    def median(self, side, unit="cpu_ms"):
        return statistics.median(r[unit] for r in self.sides[side])

    def ratios(self, side, unit="cpu_ms"):
        return [t[unit] / o[unit] for t, o in zip(self.sides[side], self.sides["ours"])]

    def line(self, goals):
        tuned = self.ratios("tuned")
        goal = goals.get(self.mode.split()[0]) if goals else None
        digits = 3 if self.median("ours") < 1 else 2
        return (f"| {self.network} b{NETWORKS[self.network][1]} | {self.mode} | {self.median('ours'):.{digits}f} "
                f"| {self.median('stock'):.{digits}f} | {self.median('tuned'):.{digits}f} "
                f"| {statistics.median(self.ratios('stock')):.2f} | **{statistics.median(tuned):.2f}** "
                f"({min(tuned):.2f} to {max(tuned):.2f}) | {statistics.median(self.ratios('tuned', 'wall_ms')):.2f} "
                f"| {goal if goal else ''} |")


HEADER = """| network | mode | ours, CPU ms | stock | tuned | ratio to stock | ratio to tuned | by the clock | goal |
|---|---|---|---|---|---|---|---|---|"""


def compare(network, worker, options):
    stock = Torch(network, AVX2 if options.held_to_avx2 else {})
    tuned = Torch(network, AVX512 if not options.held_to_avx2 and has_avx512() else AVX2)
    same_network(network, worker.ask(network, "fp32", 0.01), tuned.about)
    goals = {mode: goal for mode, goal in NETWORKS[network][2].items() if mode in options.modes.split(",")}
    rows = [Row(network, mode) for mode in worker.modes(goals)]
    ways = {mode: best_tuning(tuned, mode) for mode in goals}
    for _ in range(options.rounds):
        for row in rows:
            mode = row.mode.split()[0]
            row.sides["ours"].append(worker.ask(network, row.mode, options.seconds))
            row.sides["stock"].append(stock.ask(mode, options.seconds))
            row.sides["tuned"].append(tuned.ask(mode, options.seconds, **ways[mode]))
    stock.close()
    tuned.close()
    return rows, ways


def describe(options):
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        cpu = next((l.split(":")[1].strip() for l in f if l.startswith("model name")), "unknown CPU")
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True,
                            cwd=HERE, check=False).stdout.strip()
    load = os.getloadavg()[0]
    print(f"{cpu}, {os.cpu_count()} cores, commit {commit or 'unknown'}, load {load:.1f}, "
          f"{options.rounds} rounds of {options.seconds} s{', held to AVX2' if options.held_to_avx2 else ''}\n")


def main():
    p = argparse.ArgumentParser(description="Training steps of our worker and of PyTorch, in turns on one core.")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=1.0, help="each measurement takes")
    p.add_argument("--networks", default=",".join(NETWORKS))
    p.add_argument("--modes", default="fp32,qat,integer")
    p.add_argument("--held-to-avx2", action="store_true", help="both sides without AVX-512")
    p.add_argument("--worker", default=os.path.join(HERE, "../../build/quantd-worker"))
    options = p.parse_args()
    networks = options.networks.split(",")
    for n in networks:
        if n not in NETWORKS:
            p.error(f"no network {n}: {', '.join(NETWORKS)}")
    if subprocess.run([PYTHON, "-c", "import torch"], stderr=subprocess.DEVNULL, check=False).returncode:
        print("*** SKIP: PyTorch is not there (Debian: python3-torch), nothing to compare with ***")
        return
    describe(options)
    worker = Worker(options.worker, "avx2" if options.held_to_avx2 else None)
    print(HEADER, flush=True)
    for network in networks:
        rows, ways = compare(network, worker, options)
        for row in rows:
            print(row.line(None if options.held_to_avx2 else NETWORKS[network][2]), flush=True)
        words = [f"{mode}: {'channels_last' if w['channels_last'] else 'contiguous'}"
                 f"{', fused' if w['fused'] else ''}" for mode, w in ways.items()]
        print(f"  ({network} tuned as {'; '.join(words)})", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
