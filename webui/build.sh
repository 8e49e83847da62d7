#!/bin/sh
# Lay out the dashboard in DIR (default build/webui): our own files as they are, and the three pinned libraries under
# vendor/. Nothing is fetched when node_modules is there already and fits the lock file.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
out=${1:-$here/../build/webui}

# The hidden lock file that npm leaves in node_modules is newer than ours exactly when the packages are up to date.
if [ ! -f "$here/node_modules/.package-lock.json" ] ||
    [ -n "$(find "$here/package-lock.json" -newer "$here/node_modules/.package-lock.json")" ]; then
    command -v npm >/dev/null 2>&1 || {
        echo "webui: npm is missing (Debian: apt-get install npm) and webui/node_modules is not there" >&2
        exit 1
    }
    (cd "$here" && npm ci --ignore-scripts --no-audit --no-fund --silent) || {
        echo "webui: 'npm ci' failed in webui/; with a network, run it once by hand, then make again" >&2
        exit 1
    }
    touch "$here/node_modules/.package-lock.json"
fi

modules=$here/node_modules
mkdir -p "$out/vendor"
cp "$here"/*.html "$here"/*.css "$here"/*.js "$here"/*.svg "$out/"
cp "$modules/uplot/dist/uPlot.esm.js" "$out/vendor/uplot.js"
cp "$modules/uplot/dist/uPlot.min.css" "$out/vendor/uplot.css"
cp "$modules/htm/dist/htm.module.js" "$out/vendor/htm.js"
grep -v '^//# sourceMappingURL' "$modules/preact/dist/preact.mjs" >"$out/vendor/preact.js"
# A bare module name would need an import map, which is an inline script, which the content policy forbids.
sed -e 's|from"preact"|from"./preact.js"|' -e '/^\/\/# sourceMappingURL/d' "$modules/preact/hooks/dist/hooks.mjs" \
    >"$out/vendor/hooks.js"
for library in uplot htm preact; do
    for licence in "$modules/$library"/LICENSE*; do
        cp "$licence" "$out/vendor/$library.LICENSE"
    done
done
