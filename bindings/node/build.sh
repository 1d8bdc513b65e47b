#!/bin/sh
# Installs what is missing and builds dist/ and the tests, if anything has changed; says nothing when nothing has.
set -eu
cd "$(dirname "$0")"
mkdir -p build
# Two runs at a time would build into each other.
exec 9>build/lock
flock 9

if [ ! -d node_modules ] || ! cmp -s package-lock.json build/installed-lock.json; then
    # Says nothing when all is well, and why when it is not.
    if ! npm ci --no-progress --no-audit --no-fund >build/install.log 2>&1; then
        cat build/install.log >&2
        exit 1
    fi
    cp package-lock.json build/installed-lock.json
    rm -f build/built
fi
sources="src test tsconfig.json package.json ../../protocol/freshet.proto"
if [ ! -f dist/index.js ] || [ ! -f build/built ] ||
    [ -n "$(find $sources -path src/generated -prune -o -newer build/built -type f -print -quit)" ]; then
    touch build/building
    npm run --silent build:test
    mv build/building build/built
fi
