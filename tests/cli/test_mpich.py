"""Built with MPICH beside another MPI, the program makes the same stores and, summing in order, the same models."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
from harness import (
    BUILD,
    POLYVIEW,
    ROOT,
    Process,
    check,
    default_config,
    environment,
    launch,
    run_tests,
    skip,
    write_config,
    write_images,
)

MPICC, MPIRUN = "mpicc.mpich", "mpirun.mpich"
HERE = BUILD / "mpich"
BUILD_S = 400


def why_not() -> str:
    """Why there is nothing to compare, "" if there is."""
    if not shutil.which(MPICC) or not shutil.which(MPIRUN):
        return f"there is no {MPICC} here (Debian: mpich, libmpich-dev)"
    found = subprocess.run(
        ["scripts/find-libs.sh"], env=os.environ | {"MPICC": MPICC}, cwd=ROOT, capture_output=True, text=True
    )
    if found.returncode != 0:
        return found.stderr.splitlines()[0]
    used = subprocess.run(["ldd", POLYVIEW], capture_output=True, text=True, check=True).stdout
    return "the program that is tested is MPICH's itself" if "libmpich" in used else ""


def contents(path: Path) -> dict[str, object]:
    """Whatever the file holds by name: HDF5 puts the time beside it, so files of two runs are never quite the same."""
    found: dict[str, object] = {"size": path.stat().st_size}

    def keep(name: str, item: h5py.Group | h5py.Dataset) -> None:
        found[name] = [(key, np.asarray(value).tolist()) for key, value in item.attrs.items()]
        if isinstance(item, h5py.Dataset):
            found[f"{name}: numbers"] = (item.dtype.str, item.shape, item[()].tobytes())

    with h5py.File(path) as file:
        keep("/", file)
        file.visititems(keep)
    return found


def mpich_makes_the_same_files(work: Path) -> None:
    statement = "MPICH makes the same stores and models"
    if why := why_not():
        skip(statement, why)
        return
    words = ["make", f"-j{os.cpu_count()}", f"BUILD={HERE}", f"MPICC={MPICC}"]
    compiler = {
        "MPICH_CC": os.environ.get("OMPI_CC", "gcc"),
        "CFLAGS": "-Werror",
        "MAKEFLAGS": "",
    }
    variables = environment() | compiler
    built = subprocess.run(words, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=BUILD_S)
    check(
        built.returncode == 0,
        "MPICH's compiler builds the program without a warning",
        built,
    )
    write_images(work / "images")
    in_order = {"reduce": "ordered", "micro_batch": 4, "placement": "job"}
    config = write_config(work, train=default_config(work)["train"] | in_order)
    started = {
        "other": launch([], 2),
        "mpich": [MPIRUN, "-n", "2", str(HERE / "polyview")],
    }
    for name, start in started.items():
        (work / name).mkdir()
        for command in ("fit", "train"):
            files = ["--set=store=store.h5", "--set=train.output=model.h5"]
            run = Process(
                [*start, command, "--config", str(config), "--quiet", *files],
                work / name,
            ).finish()
            check(
                run.status == 0 and run.json["ranks"] == 2,
                f"{command} on 2 ranks, by {name}",
                run,
            )
    for file in ("store.h5", "model.h5"):
        other, mpich = (contents(work / name / file) for name in started)
        differ = [key for key in other | mpich if other.get(key) != mpich.get(key)]
        check(
            len(other) > 10 and not differ,
            f"{file} is the same in all that it holds",
            differ,
        )


if __name__ == "__main__":
    sys.exit(run_tests(mpich_makes_the_same_files))
