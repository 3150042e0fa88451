#!/usr/bin/env bash
# Prints the compiler and linker flags of every library as a make fragment.  Each library is tried in turn: the
# prefix in its variable, then pkg-config, then the compiler's own paths; a small program must compile and link, and
# need no other MPI library than the one that MPICC links.
# A missing library ends the script with its name and the variable that points to it.
set -eu

mpicc=${MPICC:-mpicc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cflags="" ldflags="" missing=0

mpi_libraries() { ldd "$work/t" | grep -oE 'libmpi(ch)?\.so\.[0-9]+' | sort -u; }

links() { # links CFLAGS LIBS: does the program in $work/t.c build with these, and with one MPI?
    local other
    # shellcheck disable=SC2086
    "$mpicc" -std=gnu11 $1 -o "$work/t" "$work/t.c" $2 -lm >"$work/log" 2>&1 || return 1
    other=$(mpi_libraries | grep -vxF "$mpi" | head -n 1)
    [ -n "$other" ] || return 0
    echo "it is built for another MPI: it needs $other, and $mpicc links ${mpi:-no shared MPI library}" >"$work/log"
    return 1
}

# library NAME VARIABLE PREFIX PKGCONFIG-NAME LIBS DEBIAN-PACKAGE, with the probe program on standard input
library() {
    local name=$1 var=$2 prefix=$3 pkg=$4 libs=$5 package=$6 c l
    cat >"$work/t.c"
    if [ -n "$prefix" ]; then
        c="-I$prefix/include" l="-L$prefix/lib -L$prefix/lib64 -Wl,-rpath,$prefix/lib -Wl,-rpath,$prefix/lib64 $libs"
        if links "$c" "$l"; then accept "$c" "$l"; return; fi
    else
        if [ "$pkg" != - ] && c=$(pkg-config --cflags "$pkg" 2>/dev/null) && l=$(pkg-config --libs "$pkg" 2>/dev/null) &&
            links "$c" "$l"; then accept "$c" "$l"; return; fi
        for l in ${libs:+"$libs-$flavour"} "$libs"; do # Debian has some for each MPI, under such names
            if links "" "$l"; then accept "" "$l"; return; fi
        done
    fi
    echo "polyview: $name not found: set $var=/its/prefix or install it (Debian: $package)" >&2
    sed 's/^/    /' "$work/log" | head -n 4 >&2
    missing=1
}

accept() { cflags="$cflags $1" ldflags="$ldflags $2"; }

flavour=$("$(dirname "$0")/mpi-flavour.sh")
if ! command -v "$mpicc" >/dev/null 2>&1; then
    echo "polyview: no MPI compiler '$mpicc': set MPICC=/path/to/mpicc or install one (Debian: lib$flavour-dev)" >&2
    exit 1
fi
cat >"$work/t.c" <<'C'
#include <mpi.h>
int main(int c, char **v) { return MPI_Init(&c, &v) || MPI_Finalize(); }
C
if ! "$mpicc" -o "$work/t" "$work/t.c" >"$work/log" 2>&1; then
    echo "polyview: '$mpicc' builds no MPI program: set MPICC" >&2
    sed 's/^/    /' "$work/log" | head -n 4 >&2
    exit 1
fi
mpi=$(mpi_libraries)
# MPICH's word for no statuses is the address 1, which GCC takes for an array of nothing, and warns.
near="--param=min-pagesize=0"
if [ "$flavour" = mpich ] && links "$near" ""; then cflags=$near; fi

# The serial flavour of OpenBLAS first: every rank is one thread.
serial=$(find /usr/lib -maxdepth 3 -path '*openblas-serial/pkgconfig' 2>/dev/null | head -n 1)
[ -z "$serial" ] || export PKG_CONFIG_PATH="$serial${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"

hdf5_pkg=hdf5-$flavour
pkg-config --exists "$hdf5_pkg" 2>/dev/null || hdf5_pkg=hdf5
library "parallel HDF5" HDF5_DIR "${HDF5_DIR:-}" "$hdf5_pkg" -lhdf5 "libhdf5-$flavour-dev" <<'C'
#include <hdf5.h>
#ifndef H5_HAVE_PARALLEL
#error "this HDF5 was built without MPI"
#endif
int main(void) { return H5Pset_fapl_mpio(H5P_DEFAULT, MPI_COMM_WORLD, MPI_INFO_NULL) < 0; }
C
if [ -n "${MKL:-}" ]; then
    blacs=mkl_blacs_${flavour}_lp64
    [ "$flavour" = openmpi ] || blacs=mkl_blacs_intelmpi_lp64 # of MPICH and all that have its binary interface
    library MKL MKL "$MKL" - "-lmkl_scalapack_lp64 -lmkl_intel_lp64 -lmkl_sequential -lmkl_core -l$blacs -lpthread -ldl" - <<'C'
void cblas_sgemm();
void pdpotrf_();
int main(int c, char **v) { (void)v; if (c > 9) { cblas_sgemm(); pdpotrf_(); } return 0; }
C
else
    library ScaLAPACK SCALAPACK_DIR "${SCALAPACK_DIR:-}" "scalapack-$flavour" -lscalapack "libscalapack-$flavour-dev" <<'C'
void pdpotrf_();
int main(int c, char **v) { (void)v; if (c > 9) pdpotrf_(); return 0; }
C
    library OpenBLAS OPENBLAS_DIR "${OPENBLAS_DIR:-}" openblas -lopenblas libopenblas-serial-dev <<'C'
#include <cblas.h>
int main(int c, char **v) { (void)v; if (c > 9) cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1); return 0; }
C
fi
library Random123 RANDOM123_DIR "${RANDOM123_DIR:-}" - "" librandom123-dev <<'C'
#include <Random123/philox.h>
int main(void) { philox4x64_ctr_t c = {{0}}; philox4x64_key_t k = {{0}}; return (int)philox4x64(c, k).v[0] == 7; }
C
library xxHash XXHASH_DIR "${XXHASH_DIR:-}" libxxhash -lxxhash libxxhash-dev <<'C'
#include <xxhash.h>
int main(void) { return XXH3_64bits("", 0) == 7; }
C
library libyaml YAML_DIR "${YAML_DIR:-}" yaml-0.1 -lyaml libyaml-dev <<'C'
#include <yaml.h>
int main(void) { yaml_parser_t p; return !yaml_parser_initialize(&p); }
C
library jansson JANSSON_DIR "${JANSSON_DIR:-}" jansson -ljansson libjansson-dev <<'C'
#include <jansson.h>
int main(void) { json_decref(json_object()); return 0; }
C
library zlib ZLIB_DIR "${ZLIB_DIR:-}" zlib -lz zlib1g-dev <<'C'
#include <zlib.h>
int main(void) { return zlibVersion() == 0; }
C
library libpng PNG_DIR "${PNG_DIR:-}" libpng -lpng libpng-dev <<'C'
#include <png.h>
int main(void) { return png_access_version_number() == 0; }
C
library libjpeg-turbo JPEG_DIR "${JPEG_DIR:-}" libjpeg -ljpeg libjpeg-dev <<'C'
#include <stdio.h>
#include <jpeglib.h>
#ifndef LIBJPEG_TURBO_VERSION
#error "another libjpeg"
#endif
int main(void) { struct jpeg_error_mgr e; return jpeg_std_error(&e) == 0; }
C
library assimp ASSIMP_DIR "${ASSIMP_DIR:-}" assimp -lassimp libassimp-dev <<'C'
#include <assimp/cimport.h>
int main(void) { return aiImportFileFromMemory("", 0, 0, "obj") != 0; }
C
library "Embree 3" EMBREE_DIR "${EMBREE_DIR:-}" - -lembree3 libembree-dev <<'C'
#include <embree3/rtcore.h>
int main(int c, char **v) { (void)v; if (c > 9) rtcReleaseDevice(rtcNewDevice(0)); return 0; }
C
[ $missing = 0 ] || exit 1
echo "LIB_CFLAGS := $cflags"
echo "LIB_LDFLAGS := $ldflags"
