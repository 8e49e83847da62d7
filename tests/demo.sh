#!/bin/sh
# A whole job on built-in data: train LeNet-5 on drawn digits, then quantize it, through a daemon on loopback.
set -eu
cd "$(dirname "$0")/.."
data=$(pwd)/build/demo
rm -rf "$data" && mkdir -p "$data"

touch "$data/quantd.out" # is read before the daemon has opened it, on a busy machine
build/quantd --listen 127.0.0.1:0 --data "$data" --slots 2 >"$data/quantd.out" 2>"$data/quantd.log" &
daemon=$!
trap 'kill $daemon 2>/dev/null || :' EXIT
for i in $(seq 120); do
    QUANTD_URL=$(sed -n 's/^listening on //p' "$data/quantd.out")
    [ -n "$QUANTD_URL" ] && break
    kill -0 $daemon 2>/dev/null || { cat "$data/quantd.log" >&2; exit 1; }
    sleep 0.25
done
[ -n "$QUANTD_URL" ] || { echo "quantd does not listen after 30 s: $data/quantd.log" >&2; exit 1; }
export QUANTD_URL
echo "quantd runs at $QUANTD_URL (data in $data)"


echo; echo "1. LeNet-5 from random weights, floating point, on builtin:glyphs"
build/quantctl jobs submit --kind train --model zoo:lenet5 --dataset builtin:glyphs --name "demo: float" \
    --set /train/epochs=4 --set /train/learning_rate=0.02 --set /resources/cpus=2 --watch
build/quantctl artifacts get 1 model.onnx -o "$data/float.onnx"
build/quantctl models add "$data/float.onnx" --name demo-float

echo; echo "2. Its weights to 2 bit, activations to 8 bit (MSQE with learnable coefficient)"
build/quantctl jobs submit --kind quantize --model demo-float --dataset builtin:glyphs --name "demo: 2-bit weights" \
    --set /quantize/weights/bits=2 --set /quantize/activations/bits=8 --set /train/epochs=6 --set /resources/cpus=2 --watch
mkdir -p "$data/artifacts"
(cd "$data/artifacts" && "$OLDPWD/build/quantctl" artifacts get 2)

build/quantctl jobs get 2
cat <<EOT

files:      $data/artifacts (model.onnx, model.qdz, curves, report.html)
dashboard:  build/quantd --data $data   then open http://127.0.0.1:8420/
EOT
