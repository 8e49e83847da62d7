#!/bin/sh
# Kernels and coders against what this machine can do. Figures are the best of repeats; compare ratios of one run.
set -eu
cd "$(dirname "$0")/../.."
grep -m1 'model name' /proc/cpuinfo || :
git log -1 --format='commit %h' 2>/dev/null || :
# OpenBLAS misses AVX-512 on some machines: the worker sets this for itself, a benchmark is told
if grep -q avx512dq /proc/cpuinfo; then export OPENBLAS_CORETYPE=SKYLAKEX; fi
export OPENBLAS_NUM_THREADS=1
echo '== convolution kernels'
build/bench/kernels 0.2
echo '== coders'
build/bench/coder
