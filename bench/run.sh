#!/bin/sh
# ./dev bench NAME [OPTIONS]: measures the release build in build/release; see bench/README.md. The work is in run.py.
exec /usr/bin/python3 -B "$(dirname "$(readlink -f "$0")")/run.py" "$@"
