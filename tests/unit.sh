#!/bin/sh
# Run every unit test and corpus replay in the directory given; each is its own process.
set -u
dir=$1
export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=0:detect_leaks=1} OPENBLAS_NUM_THREADS=1
failed=0 passed=0
for t in "$dir"/*; do
    [ -x "$t" ] || continue
    name=$(basename "$t")
    if "$t" >"$t.log" 2>&1; then
        passed=$((passed + 1))
        grep -h 'SKIP' "$t.log" || :
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
        tail -40 "$t.log"
    fi
done
cases=$(cat "$dir"/*.log | grep -c '\[       OK \]')
echo "unit programs: $passed passed, $failed failed ($cases cases)"
[ "$failed" = 0 ]
