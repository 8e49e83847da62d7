#!/usr/bin/python3
"""What a whole job costs beside its training steps: loading, augmentation, evaluation, checkpoints, events, export.

usage: overhead.py [--epochs N] [--worker PATH] [--threads T] [JOB...]    JOB: mnist, mnist-qat, cifar, superres

The job runs as the daemon would start it. Before and after it, `quantd-worker bench` times the pure step on a batch
that lies ready. Share = steps x pure step / whole job: by the clock with the mean step, for a job's time is a sum of
all its steps, and with the best one, in CPU time and by the clock, which a busy machine makes too small. The goal for
mnist, 10 epochs, is 0.9 of the mean rate. Data: $QUANTD_DATA, else ../shared/data.
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.environ.get("QUANTD_DATA", os.path.join(HERE, "../../../shared/data"))

# what goes into the archive, what the job says about it, how `bench` does the same step
JOBS = {
    "mnist": {
        "files": ["mnist/*"],
        "format": "idx",
        "bench": ["zoo:lenet5", "--batch", "64", "--mode", "fp32"],
        "epochs": 10,
        "spec": {"kind": "train", "inputs": {"model": {"zoo": "lenet5"}},
                 "train": {"batch_size": 64, "learning_rate": 0.01, "augment": "shift"}},
    },
    "mnist-qat": {
        "files": ["mnist/*"],
        "format": "idx",
        "bench": ["zoo:lenet5", "--batch", "64", "--mode", "qat"],
        "epochs": 10,
        "spec": {"kind": "quantize", "inputs": {"model": {"zoo": "lenet5"}},
                 "quantize": {"method": "msqe", "weights": {"bits": 4}, "first_last_bits": 4},
                 "train": {"batch_size": 64, "learning_rate": 0.01, "augment": "shift"}},
    },
    # a fifth of the training images, of which a tenth is the test
    "cifar": {
        "files": ["cifar10/data_batch_1.bin.gz", "cifar10/batches.meta.txt"],
        "format": "cifar",
        "bench": ["zoo:resnet20", "--batch", "128", "--mode", "fp32"],
        "epochs": 2,
        "spec": {"kind": "train", "inputs": {"model": {"zoo": "resnet20"}},
                 "train": {"batch_size": 128, "learning_rate": 0.1, "augment": "crop-flip"}},
    },
    "superres": {
        "files": ["sr/T91/*", "sr/Set5/*"],
        "format": "images",
        "bench": ["zoo:srcnn-9-5-5", "--batch", "64", "--mode", "fp32"],
        "epochs": 2,
        "spec": {"kind": "train", "task": "superres", "scale": 3, "inputs": {"model": {"zoo": "srcnn-9-5-5"}},
                 "train": {"batch_size": 64, "learning_rate": 0.001, "optimizer": "adam", "augment": "turn",
                           "patch": 33, "samples_per_epoch": 6400}},
    },
}


def add_files(archive, patterns):
    for pattern in patterns:
        folder, name = os.path.split(pattern)
        source = os.path.join(DATA, folder)
        for file in sorted(os.listdir(source)) if name == "*" else [name]:
            # T91 to learn from, Set5 to be judged by: the names that the images format knows
            place = {"sr/T91": "train/", "sr/Set5": "test/"}.get(folder, "")
            archive.add(os.path.join(source, file), place + file)


def make_directory(path, job, epochs):
    os.mkdir(os.path.join(path, "in"))
    os.mkdir(os.path.join(path, "out"))
    with tarfile.open(os.path.join(path, "in/dataset"), "w") as archive:
        add_files(archive, job["files"])
    spec = {**job["spec"], "job": 1, "resources": {"memory_mb": 4096}}
    spec["inputs"] = {**spec["inputs"], "dataset": {"path": "in/dataset", "format": job["format"]}}
    spec["train"] = {**spec["train"], "epochs": epochs, "seed": 1}
    with open(os.path.join(path, "spec.json"), "w", encoding="utf-8") as f:
        json.dump(spec, f)


def run_job(worker, path, threads):
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([worker, "run", path, "--threads", str(threads)], check=False)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        with open(os.path.join(path, "events.jsonl"), encoding="utf-8") as f:
            raise SystemExit(f"overhead: the job failed: {f.readlines()[-1]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def events(path):
    with open(os.path.join(path, "events.jsonl"), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def phases(lines):
    """Seconds by the clock in each phase of the job."""
    marks = [(e["phase"], e["time"]) for e in lines if e["t"] == "phase"] + [("", lines[-1]["time"])]
    return ", ".join(f"{name} {(end - start) / 1e3:.1f} s" for (name, start), (_, end) in zip(marks, marks[1:]))


def pure_step(worker, job, threads):
    command = [worker, "bench", *job["bench"], "--threads", str(threads), "--seconds", "2"]
    out = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    line = json.loads(out.splitlines()[-1])
    return [line[key] / 1e3 for key in ("cpu_ms_per_step", "ms_per_step", "mean_ms_per_step")]


def measure(name, options):
    job = JOBS[name]
    epochs = options.epochs or job["epochs"]
    if not os.path.isdir(os.path.join(DATA, os.path.dirname(job["files"][0]))):
        print(f"*** SKIP {name}: no data in {DATA} ***")
        return
    with tempfile.TemporaryDirectory() as path:
        make_directory(path, job, epochs)
        first = pure_step(options.worker, job, options.threads)
        cpu, wall = run_job(options.worker, path, options.threads)
        second = pure_step(options.worker, job, options.threads)
        lines = events(path)
        steps = max(e["step"] for e in lines if e["t"] == "metric")
    best_cpu, best, mean = (min(pair) for pair in zip(first, second))  # a disturbed step would flatter the job
    print(f"{name}: {steps} steps in {epochs} epochs, {cpu:.1f} s CPU, {wall:.1f} s by the clock; pure step "
          f"{mean * 1e3:.2f} ms ({first[2] * 1e3:.2f} before, {second[2] * 1e3:.2f} after), best {best * 1e3:.2f} ms\n"
          f"  share of the pure steps: {steps * mean / wall:.3f}; of the best one {steps * best_cpu / cpu:.3f} of CPU "
          f"time, {steps * best / wall:.3f} by the clock\n  {phases(lines)}", flush=True)


def main():
    p = argparse.ArgumentParser(description="What a whole job costs beside its training steps.")
    p.add_argument("--epochs", type=int, help="instead of each job's own number")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--worker", default=os.path.join(HERE, "../../build/quantd-worker"))
    p.add_argument("jobs", nargs="*", metavar="JOB", help=", ".join(JOBS))
    options = p.parse_args()
    for name in options.jobs:
        if name not in JOBS:
            p.error(f"no job {name}: {', '.join(JOBS)}")
    for name in options.jobs or ["mnist"]:
        measure(name, options)


if __name__ == "__main__":
    main()
