#!/usr/bin/env bash
# Prints a python3 that has h5py and numpy: $PYTHON if set, else the first such one on PATH or in the usual places.
set -eu
for python in ${PYTHON:+"$PYTHON"} $(type -ap python3 || true) /usr/bin/python3 /usr/local/bin/python3; do
    if "$python" -c 'import h5py, numpy' >/dev/null 2>&1; then
        echo "$python"
        exit 0
    fi
    if [ -n "${PYTHON:-}" ]; then
        echo "polyview: PYTHON=$PYTHON has no h5py or numpy" >&2
        exit 1
    fi
done
echo "polyview: no python3 with h5py and numpy found: set PYTHON=/path/to/python3 (Debian: python3-h5py)" >&2
exit 1
