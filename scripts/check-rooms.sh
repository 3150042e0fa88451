#!/usr/bin/env bash
# The rooms of the house, left to right: a file may include headers of its own room and of rooms to its left only.
set -eu
rooms="base signal siren store symmetry augment sampler nn train probe cmd"
bad=0 seen=""
for room in $rooms; do
    seen="$seen $room"
    for file in include/"$room"/*.h src/"$room"/*.c; do
        [ -e "$file" ] || continue
        while read -r used; do
            case " $seen " in
                *" $used "*) ;;
                *) echo "$file: room '$room' uses '$used', which is to its right" >&2; bad=1 ;;
            esac
        done < <(sed -n 's|^#include "\([a-z]*\)/pv_.*|\1|p' "$file")
    done
done
# Dense kernels know nothing of MPI or HDF5.
if grep -lE '#include <(mpi|hdf5)' src/*/*_kernels.c; then
    echo "a kernel file includes MPI or HDF5" >&2
    bad=1
fi
exit $bad
