#!/usr/bin/env bash
# Installs the Debian packages that are missing, with apt-get as root or through sudo.  Where neither serves, it is
# content if every library is found some other way (modules, prefixes); else it prints the list and stops.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
flavour=$("$here/mpi-flavour.sh")
programs=openmpi-bin
[ "$flavour" = openmpi ] || programs=mpich
packages="gcc make pkg-config git lib$flavour-dev $programs libhdf5-$flavour-dev libscalapack-$flavour-dev
    libopenblas-serial-dev librandom123-dev libxxhash-dev libyaml-dev libjansson-dev zlib1g-dev
    libpng-dev libjpeg-dev libassimp-dev libembree-dev libcmocka-dev dataset-fashion-mnist
    python3 python3-h5py python3-numpy python3-matplotlib python3-jinja2"

missing=""
if command -v dpkg-query >/dev/null 2>&1; then
    for package in $packages; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || exit 0
else
    missing=$packages
fi

as_root=""
if [ "$(id -u)" != 0 ]; then as_root="sudo -n"; fi
if command -v apt-get >/dev/null 2>&1 && { [ -z "$as_root" ] || $as_root true 2>/dev/null; }; then
    echo "polyview: installing$missing" >&2
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    if ! { $as_root apt-get update -q && $as_root apt-get install -y -q --no-install-recommends $missing; } >&2; then
        echo "polyview: apt-get failed; still missing:$missing" >&2
        exit 1
    fi
    exit 0
fi

if "$here/find-libs.sh" >/dev/null 2>&1 && "$here/find-python.sh" >/dev/null 2>&1; then exit 0; fi
echo "polyview: these Debian packages (or the same libraries from modules) are missing:" >&2
# shellcheck disable=SC2086
printf '    %s\n' $missing >&2
echo "polyview: install them as root, or see the variables at the top of the Makefile" >&2
exit 1
