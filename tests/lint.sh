#!/bin/sh
# Formatting, the direction of includes, one includer per outside library, a README in every directory, file lengths.
set -u
failed=0
say() {
    echo "lint: $*" >&2
    failed=1
}

sources=$(git ls-files '*.c' '*.h')
if command -v clang-format >/dev/null 2>&1; then
    for f in $sources; do
        clang-format --dry-run -Werror "$f" >/dev/null 2>&1 || say "$f is not formatted (clang-format -i $f)"
    done
else
    say "clang-format is missing (Debian package clang-format)"
fi

# allowed FILE-PATTERN: which project directories its files may include
allowed() {
    case $1 in
    base/*) echo 'base/' ;;
    storage/*) echo 'base/|storage/' ;;
    api/client/*) echo 'base/|api/client/|api/event.h' ;;
    api/*) echo 'base/|storage/|api/' ;;
    server/*) echo 'base/|storage/|api/|server/' ;;
    worker/coder/standalone/*) echo 'qdz_decode.h' ;; # one file and its header, for other people's trees
    worker/*) echo 'base/|worker/|api/spec.h|api/event.h|onnx/onnx.pb-c.h' ;;
    *) echo '.*' ;;
    esac
}
for f in $sources; do
    bad=$(sed -n 's/^#include "\([^"]*\)".*/\1/p' "$f" | grep -vE "^($(allowed "$f"))" || :)
    [ -z "$bad" ] || say "$f may not include $(echo $bad)"
done

# only HEADER FILES...: an outside library is included by these files alone
only() {
    header=$1 files=$2
    users=$(grep -lE "#include <$header" $sources | grep -v '^tests/' | grep -vE "^($files)\$" || :)
    [ -z "$users" ] || say "<$header is included outside of $files: $(echo $users)"
}
only 'microhttpd' 'server/http\.c|server/http_[a-z]*\.[ch]|server/sse\.c'
only 'cblas' 'worker/kernels/gemm\.c'
only 'openssl/' 'base/hash\.c'
only 'sqlite3' 'storage/[a-z_]*\.[ch]'
only 'archive' 'worker/data/archive\.c'
only 'png' 'worker/image/png\.c'
only 'zlib' 'worker/data/gunzip\.c'
only 'curl/' 'api/client/http\.[ch]'
only 'seccomp' 'worker/sandbox[a-z_]*\.c'
only 'bzlib' 'worker/coder/bzip2\.c'
only 'protobuf-c' 'worker/onnx/[a-z_]*\.[ch]'

for d in base storage api api/client server worker webui tests; do
    [ -f $d/README.md ] || say "$d/README.md is missing"
done
for f in $sources; do
    lines=$(wc -l <"$f")
    [ "$lines" -le 500 ] || [ "$f" = worker/coder/standalone/qdz_decode.c ] || say "$f has $lines lines: more than one noun?"
done
[ $failed = 0 ] && echo "lint: ok"
exit $failed
