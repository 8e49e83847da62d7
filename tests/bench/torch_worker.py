#!/usr/bin/python3
"""Times training steps and inference in PyTorch for tests/bench/peers.py.

usage: torch_worker.py NETWORK BATCH    One JSON object per line on stdin, one per line on stdout:
  {"mode": "fp32" | "qat" | "integer", "fused": bool, "channels_last": bool, "seconds": s}
  {"cpu_ms": best step, "wall_ms": best step, "steps": n}
The first line on stdout describes the network: {"parameters", "macs", "torch", "capability"}.
One thread; how many and which instructions is told by the environment.
"""
import json
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch_networks import NETWORKS, Recipe, WeightQuantizer, count, to_integers

WARM_UP = 3


def training_step(net, x, classes, qat):
    """Forward, backward, stochastic gradient descent with momentum; MSQE with a learned coefficient for qat."""
    y = torch.randint(0, 10, (len(x),)) if classes else torch.randn_like(x)
    layers = [m for m in net.modules() if isinstance(m, WeightQuantizer)]
    weights = sum(m.weight.numel() for m in layers)
    strength = nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD(list(net.parameters()) + ([strength] if qat else []), lr=1e-6, momentum=0.9,
                                weight_decay=1e-4)

    def step():
        optimizer.zero_grad(set_to_none=True)
        out = net(x)
        loss = F.cross_entropy(out, y) if classes else F.mse_loss(out, y)
        if qat:
            loss = loss + strength.exp() * sum(m.error for m in layers) / weights - 0.1 * strength
        loss.backward()
        optimizer.step()

    return step


def prepare(name, batch, ask):
    build, shape, classes = NETWORKS[name]
    qat = ask["mode"] == "qat"
    net, x = build(Recipe(qat, ask["fused"])), torch.randn(batch, *shape)
    if ask["channels_last"]:
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    if ask["mode"] != "integer":
        return training_step(net.train(), x, classes, qat)
    net = to_integers(net, x)

    def step():
        with torch.no_grad():
            net(x)

    return step


def measure(step, seconds):
    best_cpu = best_wall = float("inf")
    end = time.perf_counter() + seconds
    steps = 0
    while steps < 2 or time.perf_counter() < end:
        cpu, wall = time.process_time(), time.perf_counter()
        step()
        best_cpu = min(best_cpu, time.process_time() - cpu)
        best_wall = min(best_wall, time.perf_counter() - wall)
        steps += 1
    return {"cpu_ms": best_cpu * 1e3, "wall_ms": best_wall * 1e3, "steps": steps}


def main():
    name, batch = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    torch.manual_seed(1)
    build, shape, _ = NETWORKS[name]
    parameters, macs = count(build(Recipe()), shape)
    print(json.dumps({"parameters": parameters, "macs": macs, "torch": torch.__version__,
                      "capability": torch.__config__.show().split("CPU capability usage: ")[1].split()[0]}),
          flush=True)
    steps = {}
    for line in sys.stdin:
        ask = json.loads(line)
        key = (ask["mode"], ask["fused"], ask["channels_last"])
        if key not in steps:
            steps[key] = prepare(name, batch, ask)
            for _ in range(WARM_UP):
                steps[key]()
        print(json.dumps(measure(steps[key], ask["seconds"])), flush=True)


if __name__ == "__main__":
    main()
