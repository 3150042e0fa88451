#!/usr/bin/env bash
# Installs what tests/slurm needs, where apt-get and root are at hand: Debian's Slurm and munge, without starting any of their
# services, which the tests do not use.
set -eu
PATH=$PATH:/usr/sbin:/sbin
missing=""
for pair in munged:munge slurmctld:slurmctld slurmd:slurmd srun:slurm-client; do
    command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "polyview: for the tests on Slurm install, as root:$missing" >&2
    exit 1
fi
echo "polyview: installing$missing" >&2
policy=/usr/sbin/policy-rc.d # asked by Debian's packages whether a service may start
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
{ apt-get update -q && apt-get install -y -q --no-install-recommends $missing; } >&2
