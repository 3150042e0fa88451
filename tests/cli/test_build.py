"""What the build asks of a machine: libraries of one MPI, named as its packages are; and what it installs, with manual and
completion, which works from wherever it is moved to."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from harness import BUILD, POLYVIEW, ROOT, check, environment, run_tests, skip


def run(*command: object, cwd: Path = ROOT, **variables: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        env=environment() | {name: str(value) for name, value in variables.items()},
        cwd=cwd,
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


def make(*words: object, cwd: Path = ROOT, build: Path = BUILD) -> subprocess.CompletedProcess[str]:
    """With the program and the libraries as they are."""
    files = ("-o", build / "polyview", "-o", build / "libs.mk")
    return run("make", *files, f"BUILD={build}", *words, cwd=cwd, MAKEFLAGS="")


def an_installation_can_be_moved(work: Path) -> None:
    to = (f"DESTDIR={work}/root", "PREFIX=/opt/pv")
    done = make("install", *to)
    there, moved = work / "root/opt/pv", work / "moved"
    check(done.returncode == 0 and there.is_dir(), "make install puts all below DESTDIR and PREFIX", done)
    there.rename(moved)
    home = moved / "share/polyview"
    started = run(
        "bash", "-c", '. "$POLYVIEW_HOME/jobs/lib.sh" && "$POLYVIEW" --version', POLYVIEW_HOME=home, cwd=work
    )
    version = run(POLYVIEW, "--version").stdout
    check(started.stdout == version, "from another place the job files load, and start its program", started)
    tools = run(moved / "bin/polyview-tools", "--version", cwd=work)
    commit = (home / ".version").read_text().strip().removesuffix("-dirty")
    check(
        len(commit) > 6 and tools.stdout.strip().endswith(commit.split("-")[-1]),
        "polyview-tools starts from there, and knows its version",
        tools,
        commit,
    )
    check(
        os.access(home / "jobs/pipeline.sh", os.X_OK) and (home / "jobs/fit.sbatch").exists(),
        "every job file is installed",
    )
    named = run("grep", "-rlE", f"{work}|/opt/pv|{ROOT}", home).stdout
    check(not named, "no file names the place that it was installed to, or built in", named)
    moved.rename(there)
    done = make("uninstall", *to)
    left = [path for path in there.rglob("*") if not path.is_dir()]
    check(
        done.returncode == 0 and not left,
        "make uninstall removes all that make install put there",
        done,
        left,
    )


def an_archive_says_what_it_is_of(work: Path) -> None:
    if not (ROOT / ".git").exists():
        skip("make dist", "this is no checkout of git")
        return
    done = make("dist", build=work)
    version = run("git", "describe", "--always").stdout.strip()
    name = f"polyview-{version}"
    run("tar", "xf", work / f"{name}.tar.gz", cwd=work)
    listed = run("git", "ls-tree", "-r", "--name-only", "HEAD").stdout.split()
    lacks = [file for file in listed if not (work / name / file).exists()]
    check(done.returncode == 0 and not lacks, "make dist packs every file that is committed", done, lacks)
    run("git", "init", cwd=work)  # another's checkout around it
    built = make(work / "b/obj/base/pv_version.o", cwd=work / name, build=work / "b")
    code = (work / "b/obj/base/pv_version.o").read_bytes()
    check(version.encode() + b"\0" in code, "what is built of it knows the version", built)


def pages_of_the_manual_are_the_help(work: Path) -> None:
    made = run("scripts/man-pages.sh", POLYVIEW, work)
    commands = re.findall(r"^  ([a-z]+) ", run(POLYVIEW, "help").stdout, re.M)
    pages = {"polyview.1", "polyview-config.5"} | {
        f"polyview-{name}.1" for name in commands if name != "help"
    }
    check({path.name for path in work.iterdir()} == pages, "there is a page of every command", made, pages)
    if not shutil.which("man"):
        skip("the pages read well", "there is no man")
        return
    for page in sorted(pages):
        topic = re.sub(r"polyview-?|\..", "", page)
        shown = run(
            "man", "--warnings", "-l", work / page, MANWIDTH=200, LC_ALL="C.UTF-8", MAN_KEEP_FORMATTING=""
        )
        options = re.findall(r"^  (\S+)", run(POLYVIEW, "help", *topic.split()).stdout, re.M)
        rows = re.findall(r"^       (\S+)", shown.stdout, re.M)
        check(
            options and not [name for name in options if name not in rows] and not shown.stderr,
            f"{page} has every row of the help, and nothing that man warns of",
            [name for name in options if name not in rows],
            shown.stderr,
        )


def kernels_are_of_their_instruction_set(work: Path) -> None:
    """Whatever processor the flags of a user, or of the tools that clusters build with, are for."""
    statement = "kernels are the same code for whatever processor the rest is built"
    if os.uname().machine != "x86_64":
        skip(statement, "there is one instruction set")
        return
    kernels = [f"symmetry/pv_match_kernels.{isa}.o" for isa in ("portable", "avx2")]
    code = []
    for name, flags in (("any", ""), ("new", "-march=skylake-avx512 -mtune=native")):
        (work / name).mkdir()
        for file in ("asked", "libs.mk"):
            shutil.copy(BUILD / file, work / name / file)
        objects = [work / name / "obj" / file for file in [*kernels, "nn/core/pv_batch_norm.o"]]
        made = run("make", f"BUILD={work / name}", *objects, CFLAGS=flags, MAKEFLAGS="")
        shown = [run("objdump", "-d", file).stdout for file in objects]
        check(made.returncode == 0 and all(map(len, shown)), f"some files are built with '{flags}'", made)
        code.append([text.partition("Disassembly")[2] for text in shown])
    check(code[0][:2] == code[1][:2] and code[0][0] != code[0][1], statement)
    check(code[0][2] != code[1][2], "the rest is for the processor that is asked for")
    check("vfmadd" in code[0][1] and "vfmadd" not in code[1][2], "and rounds as it does for any other")


def packages_name_what_there_is(_: Path) -> None:
    """The recipes are read, and give `make` variables that it has, of every library."""
    prefixes = set(re.findall(r"[A-Z0-9]+_DIR", run("sed", "-n", "/^asked/,/^$/p", "Makefile").stdout))
    for recipe in ("spack/package.py", "easybuild/Polyview-main-foss-2024a.eb"):
        text = (ROOT / "packaging" / recipe).read_text()
        compile(text, recipe, "exec")
        named = set(re.findall(r"([A-Z0-9]+_DIR)=", text))
        check(
            named == prefixes - {"CMOCKA_DIR"},
            f"{recipe} names the prefix of every library",
            named ^ prefixes,
        )
    text = (ROOT / "packaging/apptainer/polyview.def").read_text()
    post = text[text.index("%post") : text.index("%environment")]
    done = run("bash", "-n", "-c", "\n".join(post.splitlines()[1:]))
    check(done.returncode == 0 and "make install" in post, "the image's script is read", done)


def bash_completes_what_the_help_says(_: Path) -> None:
    def replies(*words: str) -> list[str]:
        script = '. scripts/completion.bash; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); compopt() { :; }; _polyview "$0"'
        return run("bash", "-c", script + '; echo "${COMPREPLY[@]}"', POLYVIEW, *words).stdout.split()

    for words, some in (
        (["e"], ["eval", "extend"]),
        (["help", "con"], ["config"]),
        (["bench", "s"], ["store"]),
        (["fit", "--c"], ["--config"]),
        (["bench", "store", "--rou"], ["--rounds"]),
        (["probe", "--method", "k"], ["knn", "krr"]),
        (["train", "--set", "fit.ini"], ["fit.init="]),
        (["train", "--set", "fit.init", "="], ["independent", "shared"]),
        (["train", "--set", "train.batch_n", "=", "t"], []),
        (["train", "--set", "model.batch_norm", "=", "t"], ["true"]),
        (["train", "--config", ""], []),  # files
        (["no-such-command", ""], []),
    ):
        found = replies("polyview", *words)
        check(found == some, f"'{' '.join(words)}' is completed by {some or 'files'}", found)


if __name__ == "__main__":
    sys.exit(
        run_tests(
            packages_are_those_of_the_mpi,
            two_mpis_are_refused,
            mkl_is_given_the_blacs_of_the_mpi,
            an_installation_can_be_moved,
            an_archive_says_what_it_is_of,
            pages_of_the_manual_are_the_help,
            kernels_are_of_their_instruction_set,
            packages_name_what_there_is,
            bash_completes_what_the_help_says,
        )
    )
