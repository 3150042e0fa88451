#!/usr/bin/env bash
# usage: tests/bench/plan_error.sh [RANKS ...]
#
# How far `polyview plan` is from what happens: plans a fit and a training on each number of ranks (1 2 4), runs them, and
# compares with their run records.  Takes about a minute a number of ranks.
set -eu
cd "$(dirname "$0")/../.."
polyview=${BUILD:-build}/polyview
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
common=(--config configs/quickstart.yaml --set signal.train=1500 --set signal.val=250 --set signal.test=250
    --set train.output="$work/model.h5" --set train.epochs=20)
if [ $# = 0 ]; then set -- 1 2 4; fi
for ranks in "$@"; do
    run() { mpirun --oversubscribe --bind-to none -n "$ranks" "$polyview" "$@" 2>>"$work/log"; }
    rm -rf "$work"/store.h5* "$work"/model.h5*
    run plan "${common[@]}" --dir "$work" >"$work/plan.json"
    run fit "${common[@]}" --store "$work/store.h5" >/dev/null
    run train "${common[@]}" --store "$work/store.h5" >/dev/null
    for runs in store model; do
        echo "== $ranks ranks"
        { "$polyview" plan "${common[@]}" --figures "$work/plan.json" --compare "$work/$runs.h5.runs.jsonl" \
            >/dev/null; } 2>&1
    done
done
