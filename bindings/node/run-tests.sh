#!/bin/sh
# All tests of the Node client; with arguments only those files: run-tests.sh near link
# FRESHET_BIN is the server; without it, that of the release build, and without that the tests that need one are skipped.
set -eu
cd "$(dirname "$0")"
./build.sh
if [ -z "${FRESHET_BIN:-}" ] && [ -x ../../build/release/freshet ]; then
    FRESHET_BIN=$(realpath ../../build/release/freshet)
    export FRESHET_BIN
fi
if [ $# -eq 0 ]; then
    set -- build/*.test.js
else
    names="$*"
    set --
    for name in $names; do
        set -- "$@" "build/$name.test.js"
    done
fi
exec node --test "$@"
