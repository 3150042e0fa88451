#!/usr/bin/env bash
# usage: tests/bench/simulate.sh GRADIENT_BYTES SMALL_REDUCTIONS SMALL_BYTES COMPUTE_SECONDS [RANKS ...]
#
# Simulates a training step on clusters of 64 ranks a node (SimGrid's SMPI; Debian: libsimgrid-dev): a line for every number of
# ranks with the seconds of a step and, of those, of communication.  The network: one switch, 2 us and 10 GB/s a node each way,
# 0.5 us and 5 GB/s between ranks of a node; collectives chosen as Open MPI chooses them, and as MVAPICH2 does (two-level).
# The time grows with the square of the ranks: 1024 take a minute of a core, 2048 three.
set -eu
[ $# -ge 4 ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
gradient=$1 small=$2 bytes=$3 seconds=$4
shift 4
[ $# -gt 0 ] || set -- 64 128 256 512 1024
command -v smpicc >/dev/null || { echo "simulate: no smpicc; Debian: libsimgrid-dev" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
smpicc -O2 -DPV_SIMULATED -o "$work/step" "$here/simulated_step.c"
a_node=64
echo "# selector ranks step_s communication_s"
for selector in ompi mvapich2; do
    for ranks in "$@"; do
        nodes=$(((ranks + a_node - 1) / a_node))
        cat >"$work/cluster.xml" <<XML
<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <cluster id="c" prefix="n" suffix="" radical="0-$((nodes - 1))" speed="1Gf" core="$a_node" bw="10GBps" lat="1us"
           loopback_bw="5GBps" loopback_lat="0.5us"/>
</platform>
XML
        for ((i = 0; i < ranks; i++)); do echo "n$((i / a_node))"; done >"$work/hosts"
        smpirun -np "$ranks" -platform "$work/cluster.xml" -hostfile "$work/hosts" --cfg=smpi/coll-selector:"$selector" \
            --cfg=smpi/simulate-computation:no --cfg=smpi/host-speed:1Gf \
            --log=root.thres:error "$work/step" "$gradient" "$small" "$bytes" "$seconds" 2 2>"$work/log" |
            grep -E "^$ranks " | sed "s/^/$selector /" || echo "$selector $ranks: no result"
    done
done
