#!/usr/bin/python3
"""What a second thread brings, alone and beside a busy neighbour.

usage: threads.py [--rounds N] [--seconds S] [--model M] [--batch B] [--mode fp32|qat] [--worker PATH]

On two cores, in turns: one thread; two threads; two threads while another process keeps one core busy. Ratios of the
mean step by the clock (a best step would hide the waits), the median of the rounds. Goals: 1.9 and 0.95. They need an
otherwise idle machine; the CPU time that two threads take beside one thread's needs none, and says what the meeting of
the threads costs.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def cores():
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise SystemExit("threads: two cores are needed")
    return allowed[-2:]


def bench(options, threads):
    command = ["taskset", "-c", ",".join(map(str, cores())), options.worker, "bench", options.model, "--batch",
               str(options.batch), "--mode", options.mode, "--seconds", str(options.seconds), "--threads", str(threads)]
    out = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    return json.loads(out.splitlines()[-1])


def beside_neighbour(options):
    """The neighbour computes all the time; it may go to either core, as the scheduler likes."""
    busy = subprocess.Popen(["taskset", "-c", ",".join(map(str, cores())), sys.executable, "-c", "while True: pass"])
    try:
        return bench(options, 2)
    finally:
        busy.kill()
        busy.wait()


def main():
    p = argparse.ArgumentParser(description="What a second thread brings, alone and beside a busy neighbour.")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=3.0)
    p.add_argument("--model", default="zoo:resnet20")
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--mode", default="fp32")
    p.add_argument("--worker", default=os.path.join(HERE, "../../build/quantd-worker"))
    options = p.parse_args()
    load = os.getloadavg()[0]
    print(f"{options.model} b{options.batch} {options.mode}, {options.rounds} rounds of {options.seconds} s, load {load:.1f}"
          f"{': NOT an idle machine, only the CPU time means something' if load > 0.5 else ''}")
    two, beside, cpu = [], [], []
    for _ in range(options.rounds):
        one, both, busy = bench(options, 1), bench(options, 2), beside_neighbour(options)
        two.append(one["mean_ms_per_step"] / both["mean_ms_per_step"])
        beside.append(one["mean_ms_per_step"] / busy["mean_ms_per_step"])
        cpu.append(both["cpu_ms_per_step"] / one["cpu_ms_per_step"])
    for text, ratios, goal in (("two threads to one", two, ", goal 1.9"),
                               ("two threads beside a neighbour to one alone", beside, ", goal 0.95"),
                               ("CPU time of two threads to that of one", cpu, "")):
        print(f"{text}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}){goal}")


if __name__ == "__main__":
    main()
