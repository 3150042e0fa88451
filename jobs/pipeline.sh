#!/usr/bin/env bash
# usage: jobs/pipeline.sh CONFIG DIRECTORY [sbatch's options for the parallel jobs]
#
# Submits fit, then train, then eval, then the report; each waits for the one before, and is removed from the queue if that
# fails.  Everything lands in DIRECTORY: store.h5, model.h5, the jobs' logs, report.html.  A second call resumes.

set -u
home=$(cd "$(dirname "$0")/.." && pwd)
export POLYVIEW_HOME=${POLYVIEW_HOME:-$home}
# shellcheck source=jobs/lib.sh
. "$POLYVIEW_HOME/jobs/lib.sh" || exit 2
[ $# -ge 2 ] || usage_of "$0"
config=$(realpath "$1") out=$2
shift 2
mkdir -p "$out" || exit 1
out=$(realpath "$out")
cp "$config" "$out/config.yaml" || exit 1 # what is submitted now runs later: edits of the original must not reach it
common=(--parsable --export=ALL --output="$out/%x-%j.out" --kill-on-invalid-dep=yes)
jobs=$POLYVIEW_HOME/jobs

# submit DEPENDENCY OPTION... -- FILE WORD...: prints the job's number.
submit() {
    local after=$1 options=() id
    shift
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    [ -z "$after" ] || options+=(--dependency=afterok:"$after")
    id=$(sbatch "${common[@]}" "${options[@]}" "$@") || return 1
    echo "${id%%;*}"
}

fit=$(submit "" "${PARALLEL_OPTIONS[@]}" "$@" -- "$jobs/fit.sbatch" "$out/config.yaml" "$out/store.h5") || exit 1
train=$(submit "$fit" "${PARALLEL_OPTIONS[@]}" "$@" -- "$jobs/train.sbatch" "$out/config.yaml" "$out/store.h5" \
    "$out/model.h5") || exit 1
eval=$(submit "$train" "${SERIAL_OPTIONS[@]}" -- "$jobs/eval.sbatch" "$out/model.h5" "$out/store.h5") || exit 1
report=$(submit "$eval" "${SERIAL_OPTIONS[@]}" -- "$jobs/report.sbatch" "$out") || exit 1
say "submitted: fit $fit, train $train, eval $eval, report $report"
say "watch them with squeue -j $fit,$train,$eval,$report; the logs and $out/report.html appear in $out"
