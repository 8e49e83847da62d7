#!/bin/sh
# What this machine makes of its peak: kernels, coders, then whole training steps, node by node. The peak is
# measured, figures are the best of repeats; machines differ, so compare ratios of one run.
# usage: run.sh [SECONDS a step is repeated for, default 3]
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-3}
grep -m1 'model name' /proc/cpuinfo || :
git log -1 --format='commit %h' 2>/dev/null || :
# OpenBLAS misses AVX-512 on some machines: the worker sets this for itself, a benchmark is told
if grep -q avx512dq /proc/cpuinfo; then export OPENBLAS_CORETYPE=SKYLAKEX; fi
export OPENBLAS_NUM_THREADS=1
echo '== convolution kernels'
build/bench/kernels 0.2
echo '== coders'
build/bench/coder

# step MODEL BATCH: milliseconds by node, in brackets the share of the peak
step() {
    for mode in 'fp32 fp32' 'qat fp32' 'qat mixed'; do
        set -- "$1" "$2" $mode
        echo "== $1, batches of $2, $3, precision $4"
        build/quantd-worker bench "$1" --batch "$2" --mode "$3" --precision "$4" --seconds "$seconds" --layers
    done
}

# engine MODE WEIGHTS ACTIVATIONS: milliseconds by step; what bit planes buy is the ratio of two tables
engine() {
    for model in zoo:resnet20 zoo:lenet5; do
        echo "== $model, batches of 128, engine $1, $2-bit weights, $3-bit activations"
        build/quantd-worker bench $model --batch 128 --mode "$1" --weights "$2" --activations "$3" \
            --seconds "$seconds" --layers
    done
}
engine integer 8 8
engine integer 2 2
engine bits 2 2
engine bits 1 2

step zoo:lenet5 64
step zoo:resnet20 128
step zoo:vdsr 16
step zoo:srcnn-9-5-5 64
step zoo:mobilenet-v1@3x32x32/10 64
