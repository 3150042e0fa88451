"""Others look at a store while a fit fills it: they see whole rows, and the fit is none the worse for it."""

import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np

from harness import (
    ROOT,
    Process,
    check,
    current_python,
    launch,
    make_store,
    one_error,
    polyview,
    run_tests,
    skip,
    write_config,
    write_images,
)

# Each looks at the rows of view 0 that are marked fitted, and says how many there were: (status, rows, checksums).
LOOKS = {
    "h5py": """
with h5py.File(path, "r") as f:
    found = f["view/status"][0], f["params"][0], f["view/checksum"][0]
""",
    "h5netcdf": """
with h5netcdf.File(path, "r", phony_dims="sort") as f:
    found = f["view/status"][0], f["params"][0], f["view/checksum"][0]
""",
    "xarray": """
with xarray.open_dataset(path, engine="h5netcdf", phony_dims="sort", group="view") as view:
    with xarray.open_dataset(path, engine="h5netcdf", phony_dims="sort", drop_variables=["layout", "shards"]) as root:
        found = view.status.values[0], root.params.values[0], view.checksum.values[0]
""",
    "polyview.store": """
with polyview.store.Store(path) as f:
    found = f.status[0], f.block(0, 0, f.objects), f.checksum[0]
""",
}
LOOK = """
import {module}
from polyview._xxh3 import checksums
path = {path!r}
{look}
status, rows, sums = found
print(int((status == 1).sum()), int((checksums(rows[status == 1]) != sums[status == 1]).sum()))
"""


def look(python: str, module: str, path: Path) -> tuple[int, int]:
    """(rows that are marked fitted, those of them that are not what their checksum says)"""
    analysis = str(ROOT / "analysis")
    script = LOOK.format(module=module, path=str(path), look=LOOKS[module])
    done = subprocess.run(
        [python, "-c", f"import sys; sys.path.insert(0, {analysis!r})\n{script}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise ValueError(f"{module} cannot read: {done.stderr}")
    fitted, wrong = map(int, done.stdout.split())
    return fitted, wrong


def look_on(work: Path, config: Path, readers: dict[str, str], ranks: int, store: str) -> None:
    fit = Process(launch(["fit", "--quiet", "--config", config, "--store", work / store], ranks))
    fit.wait_for((work / store).exists)
    seen: dict[str, list[tuple[int, int]]] = {module: [] for module in readers}
    troubles = []
    while fit.process.poll() is None:
        for module, python in readers.items():
            try:
                seen[module].append(look(python, module, work / store))
            except ValueError as error:
                troubles.append(error)
        time.sleep(0.05)
    run = fit.finish()
    check(
        run.status == 0 and not troubles,
        f"a fit on {ranks} rank(s) and its onlookers end well",
        run,
        *troubles,
    )
    for module, found in seen.items():
        counts = [fitted for fitted, _ in found]
        check(
            found and counts == sorted(counts) and not any(wrong for _, wrong in found),
            f"{module} sees whole rows, more and more of them, {len(found)} times",
            found,
        )
    verify = polyview("verify", work / store)
    check(verify.status == 0 and verify.json["fitted"] == 37, "every row is as it should be", verify)


def onlookers_see_whole_rows(work: Path) -> None:
    write_images(work / "images")
    config = write_config(work, fit={"views": 1, "steps": 400000})
    readers = {"h5py": sys.executable, "polyview.store": sys.executable}
    python, missing = current_python("h5py", "h5netcdf", "xarray")
    if missing:
        skip("h5netcdf and xarray beside a fit", missing)
    else:
        readers |= {"h5netcdf": python, "xarray": python}
    for ranks, sharded in ((1, False), (3, True)):
        name = f"{ranks}.h5"
        if sharded:
            config = write_config(work, fit={"views": 1, "steps": 400000}, storage={"shard_gib": 1e-6})
        look_on(work, config, readers, ranks, name)
    with h5py.File(work / "1.h5") as one, h5py.File(work / "3.h5") as three:
        check(np.array_equal(one["params"][()], three["params"][()]), "both are the same bytes")


# Adds a dataset, waits for a line, and closes the file.
NOTEBOOK = """
import h5py, sys
with h5py.File(sys.argv[1], "a") as file:
    file[sys.argv[2]] = [1, 2, 3]
    print("open", flush=True)
    sys.stdin.readline()
"""


def who_writes_is_left_alone(work: Path) -> None:
    """A notebook has the store open for writing: nothing else writes, and nothing that either wrote is lost."""
    make_store(work, fit={"views": 1})
    writing = {
        "fit": ["fit", "--store"],
        "extend": ["extend", "--views", 3],
        "verify --repair": ["verify", "--repair"],
    }
    for sharded in (False, True):
        store = work / "store.h5"
        if sharded:
            polyview("extend", store, "--views", 2)
        for what, words in writing.items():
            for ranks in (1, 2, 3):
                name = f"{what.split()[0]}{ranks}{sharded}"
                command = [sys.executable, "-c", NOTEBOOK, str(store), name]
                with subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                ) as notebook:
                    notebook.stdout.readline()
                    run = polyview(*words, store, ranks=ranks)
                    notebook.communicate("close\n")
                check(
                    one_error(run, 1, store, "another program") and notebook.returncode == 0,
                    f"{what} is refused while a notebook writes, {ranks} ranks, {'shards' if sharded else 'one file'}",
                    run,
                )
                with h5py.File(store) as file:
                    added = file[name][()].tolist()
                verify = polyview("verify", store)
                check(verify.status == 0 and added == [1, 2, 3], "and nothing is lost", verify, added)
    run = polyview("fit", "--store", store, "--quiet")
    check(run.status == 0, "when it is closed the fit goes on", run)


if __name__ == "__main__":
    sys.exit(run_tests(onlookers_see_whole_rows, who_writes_is_left_alone))
