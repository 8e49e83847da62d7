#!/bin/sh
# Debian packages that the build, the tests and the dashboard need.
# check: name what is missing, with the package; install: get what is missing (as root, or through sudo).
set -u
need="gcc make pkg-config nodejs npm curl libmicrohttpd-dev libjansson-dev libsqlite3-dev libuv1-dev libopenblas-dev libssl-dev
libarchive-dev libprotobuf-c-dev protobuf-c-compiler libonnx-dev libpng-dev libcurl4-openssl-dev libbz2-dev
libseccomp-dev zlib1g-dev"
test_need="libcmocka-dev clang-format chromium"

missing() {
    for p in "$@"; do
        case $p in
        # node may come from elsewhere
        nodejs) command -v node >/dev/null 2>&1 && continue ;;
        npm) command -v npm >/dev/null 2>&1 && continue ;;
        gcc) command -v "${CC:-cc}" >/dev/null 2>&1 && continue ;;
        esac
        dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$p"
    done
}

case ${1:-check} in
check)
    m=$(missing $need)
    [ -z "$m" ] && exit 0
    echo "missing Debian packages: $m" >&2
    echo "install them with: apt-get install $m   (or: make packages)" >&2
    exit 1
    ;;
install)
    m=$(missing $need $test_need)
    [ -z "$m" ] && exit 0
    echo "installing: $m"
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    export DEBIAN_FRONTEND=noninteractive
    $sudo apt-get update -qq && $sudo apt-get install -y -qq --no-install-recommends $m >/dev/null
    ;;
esac
