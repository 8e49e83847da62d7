#!/bin/sh
# Run every libFuzzer target for so many seconds each: fuzz.sh DIR SECONDS
set -u
dir=$1 seconds=$2
for t in "$dir"/fuzz_*; do
    [ -x "$t" ] || continue
    name=$(basename "$t")
    corpus=build/fuzz/corpus/${name#fuzz_}
    mkdir -p "$corpus"
    echo "== $name for ${seconds} s"
    "$t" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=0 "$corpus" \
        "tests/fuzz/corpus/${name#fuzz_}" >"$dir/$name.log" 2>&1 || {
        tail -30 "$dir/$name.log"
        exit 1
    }
    tail -2 "$dir/$name.log"
done
