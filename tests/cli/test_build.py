"""What the build asks of a machine: libraries of one MPI, named as its packages are; what is installed works from there."""

import os
import subprocess
import sys
from pathlib import Path

from harness import ROOT, check, environment, run_tests


def run(*command: object, **variables: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        env=environment() | {name: str(value) for name, value in variables.items()},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def library(directory: Path, name: str, *needs: str, soname: str = "", code: str = "") -> None:
    """A shared library of nothing, or of some C code."""
    directory.mkdir(parents=True, exist_ok=True)
    words = ["-shared", "-fPIC", "-Wl,--no-as-needed", "-x", "c", "-", f"-L{directory}", *needs]
    words += [f"-Wl,-soname,{soname or name}", "-o", str(directory / name)]
    subprocess.run(["gcc", *words], input=code, text=True, check=True)
    if soname:
        (directory / soname).symlink_to(name)


def another_mpi(work: Path) -> Path:
    """The compiler of an MPI that is like MPICH to whoever asks."""
    mpi = work / "mpi"
    library(
        mpi,
        "libmpich.so",
        soname="libmpich.so.12",
        code="int MPI_Init(void *c, void *v) {return !c && v;} int MPI_Finalize(void) {return 0;}",
    )
    (mpi / "mpi.h").write_text(
        "#define MPICH_VERSION\nint MPI_Init(void *, void *);\nint MPI_Finalize(void);\n"
    )
    compiler = work / "mpicc"
    compiler.write_text(
        f'#!/bin/sh\nexec gcc -I{mpi} "$@" -L{mpi} -Wl,-rpath,{mpi} -Wl,--no-as-needed -lmpich\n'
    )
    compiler.chmod(0o755)
    return compiler


def packages_are_those_of_the_mpi(work: Path) -> None:
    mpich = another_mpi(work)
    for compiler, flavour in ((mpich, "mpich"), ("no-such.mpich", "mpich"), ("no-such-mpicc", "openmpi")):
        told = run("scripts/mpi-flavour.sh", MPICC=compiler).stdout.strip()
        check(told == flavour, f"{Path(compiler).name} is of {flavour}", told)
    found = run("scripts/find-libs.sh", MPICC="no-such.mpich")
    check(
        found.returncode == 1 and "libmpich-dev" in found.stderr,
        "a compiler that is missing is named with its package",
        found,
    )
    found = run("scripts/find-libs.sh", MPICC=mpich, PKG_CONFIG_PATH=work, PKG_CONFIG_LIBDIR=work)
    check(
        found.returncode == 1
        and "libhdf5-mpich-dev" in found.stderr
        and "libscalapack-mpich-dev" in found.stderr
        and "openmpi" not in found.stderr,
        "of missing libraries the packages for MPICH are named",
        found,
    )


def two_mpis_are_refused(work: Path) -> None:
    mpich, prefix = another_mpi(work), work / "hdf5"
    library(prefix / "lib", "libmpi.so.40")
    code = "int H5Pset_fapl_mpio(int a, int b, int c) {return a + b + c;}"
    header = "#define H5_HAVE_PARALLEL 1\n#define H5P_DEFAULT 0\n#define MPI_COMM_WORLD 0\n#define MPI_INFO_NULL 0\n"
    (prefix / "include").mkdir(parents=True)
    (prefix / "include/hdf5.h").write_text(header + "int H5Pset_fapl_mpio(int, int, int);\n")
    library(prefix / "lib", "libhdf5.so", "-l:libmpi.so.40", code=code)
    found = run("scripts/find-libs.sh", MPICC=mpich, HDF5_DIR=prefix)
    sentence = f"it is built for another MPI: it needs libmpi.so.40, and {mpich} links libmpich.so.12"
    check(
        found.returncode == 1
        and not found.stdout
        and sentence in found.stderr
        and "parallel HDF5" in found.stderr,
        "an HDF5 of another MPI is refused with a sentence",
        found,
    )
    (prefix / "lib/libhdf5.so").unlink()
    library(prefix / "lib", "libhdf5.so", code=code)
    found = run("scripts/find-libs.sh", MPICC=mpich, HDF5_DIR=prefix)
    check("parallel HDF5" not in found.stderr, "one that needs no other is taken", found)


def mkl_is_given_the_blacs_of_the_mpi(work: Path) -> None:
    mkl, mpich = work / "mkl", another_mpi(work)
    for name in ("scalapack_lp64", "intel_lp64", "sequential", "core", "blacs_intelmpi_lp64"):
        library(
            mkl / "lib",
            f"libmkl_{name}.so",
            code=f"int {name};" + "void cblas_sgemm(void) {} void pdpotrf_(void) {}",
        )
    found = run("scripts/find-libs.sh", MPICC=mpich, MKL=mkl)
    check("MKL not found" not in found.stderr, "MPICH is given mkl_blacs_intelmpi_lp64", found)
    found = run("scripts/find-libs.sh", MKL=mkl)
    check("blacs_openmpi_lp64" in found.stderr, "Open MPI asks for mkl_blacs_openmpi_lp64", found)


def an_installation_submits_jobs(work: Path) -> None:
    dry = run("make", "-n", "install", f"BUILD={work}/build", f"DESTDIR={work}/root", "PREFIX=/opt/pv")
    (work / "build").mkdir(exist_ok=True)
    (work / "build/polyview").write_text("")
    lines = [line for line in dry.stdout.splitlines() if line.startswith(("install ", "sed "))]
    done = run("sh", "-ec", "\n".join(lines))
    home = work / "root/opt/pv/share/polyview"
    there = run("bash", "-c", '. "$POLYVIEW_HOME/jobs/lib.sh" && echo "$POLYVIEW"', POLYVIEW_HOME=home)
    check(
        done.returncode == 0 and there.stdout == "/opt/pv/bin/polyview\n",
        "the installed job files load, and name the installed program",
        dry,
        done,
        there,
    )
    check(
        os.access(home / "jobs/pipeline.sh", os.X_OK) and (home / "jobs/fit.sbatch").exists(),
        "every job file is installed",
    )


if __name__ == "__main__":
    sys.exit(
        run_tests(
            packages_are_those_of_the_mpi,
            two_mpis_are_refused,
            mkl_is_given_the_blacs_of_the_mpi,
            an_installation_submits_jobs,
        )
    )
