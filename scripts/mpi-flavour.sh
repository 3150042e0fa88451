#!/usr/bin/env bash
# Prints whose MPI the compiler MPICC is of, as Debian's packages call it: openmpi or mpich.  Of one that is not there, its
# name tells.
set -eu
mpicc=${MPICC:-mpicc}
if macros=$(echo '#include <mpi.h>' | "$mpicc" -E -dM -x c - 2>/dev/null); then
    case $macros in
        *OPEN_MPI*) echo openmpi ;;
        *) echo mpich ;;
    esac
else
    case ${mpicc##*/} in
        *mpich*) echo mpich ;;
        *) echo openmpi ;;
    esac
fi
