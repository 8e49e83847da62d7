#!/bin/sh
# API, crash, dashboard and ONNX tests: they start the real programs. Ends with node's own summary.
set -eu
cd "$(dirname "$0")/.."
[ -d tests/node_modules ] && [ tests/node_modules -nt tests/package-lock.json ] || (cd tests && npm ci --silent --no-audit --no-fund && touch node_modules)
export QUANTD_DATA="${QUANTD_DATA:-$(cd .. && pwd)/shared/data}"
if [ ! -d "$QUANTD_DATA" ]; then
    echo "SKIP: no real data at $QUANTD_DATA: every test that needs it is skipped" >&2
    [ -z "${CI:-}" ] || exit 1
fi
exec node --test --test-concurrency=2 --test-reporter=spec tests/api/ tests/crash/ tests/web/ tests/judge/
