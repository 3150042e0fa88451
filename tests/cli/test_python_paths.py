"""What polyview-tools reads, makes and replaces by names that are not the file's own: links of every kind, ~, variables."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from harness import ROOT, TOOLS, check, make_store, polyview, run_tests

PNG = b"\x89PNG\r\n\x1a\n"


def tool(*words: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [*TOOLS, *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd, env=os.environ | variables
    )


def drawn(path: Path) -> bool:
    return path.is_file() and path.read_bytes()[:8] == PNG


def no_parts(work: Path) -> bool:
    return not [path for path in work.rglob("*.part")]


def refused(run: subprocess.CompletedProcess[str], *words: str) -> bool:
    return run.returncode != 0 and all(word in run.stderr for word in words) and "Traceback" not in run.stderr


def pictures_are_made_where_names_lead(work: Path) -> None:
    make_store(work)
    (work / "scratch").mkdir()
    (work / "scratch" / "old.png").write_text("an old picture")
    (work / "folder").symlink_to("scratch")
    links = {  # name: (what it points to, what is to be made)
        "relative.png": ("scratch/old.png", "scratch/old.png"),
        "absolute.png": (work / "scratch" / "abs.png", "scratch/abs.png"),
        "twice.png": ("relative.png", "scratch/old.png"),
        "dangling.png": ("scratch/later.png", "scratch/later.png"),
        "dangling twice.png": ("dangling.png", "scratch/later.png"),
        "scratch/up.png": ("../über all.png", "über all.png"),
    }
    for name, (target, made) in links.items():
        (work / name).symlink_to(target)
        (work / made).unlink(missing_ok=True)
        run = tool("plot", "psnr", "store.h5", "-o", name, cwd=work)
        check(
            run.returncode == 0 and (work / name).is_symlink() and drawn(work / made) and no_parts(work),
            f"a picture named by the link '{name}' is made at its end",
            run.stderr,
        )
    for name, made in (
        ("folder/in folder.png", "scratch/in folder.png"),
        ("scratch/../dots.png", "dots.png"),
        ("$PLACE/variable.png", "scratch/variable.png"),
        ("${PLACE}/cost$$5.png", "scratch/cost$5.png"),
        ("~/home.png", "scratch/home.png"),
    ):
        variables = {"PLACE": "scratch", "HOME": str(work / "scratch")}
        run = tool("plot", "psnr", "store.h5", "-o", name, cwd=work, **variables)
        check(run.returncode == 0 and drawn(work / made), f"'{name}' is made at {made}", run.stderr)
    for name, words in (
        ("$NO_SUCH/x.png", ["NO_SUCH", "not set"]),
        ("cost$5.png", ["cost$5.png", "$$"]),
        ("no/such/x.png", ["no/such", "no directory"]),
        ("circle.png", ["circle.png"]),
        ("scratch", ["scratch"]),
        ("hard.h5", ["hard.h5", "another file"]),
        ("link.h5", ["link.h5", "another file"]),
    ):
        if name == "circle.png":
            (work / name).symlink_to("circle-2.png")
            (work / "circle-2.png").symlink_to(name)
        if name == "hard.h5":
            os.link(work / "store.h5", work / name)
        if name == "link.h5":
            (work / name).symlink_to("store.h5")
        run = tool("plot", "psnr", "store.h5", "-o", name, cwd=work)
        check(
            refused(run, *words) and h5py.is_hdf5(work / "store.h5") and no_parts(work),
            f"a picture at '{name}' is refused in a sentence",
            run.stderr,
        )
    (work / "two.png").write_text("old")
    os.link(work / "two.png", work / "one.png")
    tool("plot", "psnr", "store.h5", "-o", "one.png", cwd=work)
    check(
        drawn(work / "one.png") and (work / "two.png").read_text() == "old", "of hard links the other stays"
    )
    os.mkfifo(work / "pipe")
    with subprocess.Popen(["cat", work / "pipe"], stdout=subprocess.PIPE) as reader:
        run = tool("plot", "psnr", "store.h5", "-o", "pipe", cwd=work)
        content = reader.communicate(timeout=60)[0] if run.returncode == 0 else reader.kill() or b""
    check(content[:8] == PNG and (work / "pipe").is_fifo(), "a pipe is written to and stays one", run.stderr)


def stores_are_read_through_links(work: Path) -> None:
    """A store in shards, which lie beside the file itself; its records, too."""
    home = work / "home"
    home.mkdir()
    store = make_store(work / "scratch", storage={"shard_gib": 1e-6})
    check((work / "scratch" / "store.h5.shards").is_dir(), "the store is in shards")
    (home / "store.h5").symlink_to("../scratch/store.h5")
    (home / "again.h5").symlink_to(home / "store.h5")
    (work / "folder").symlink_to("scratch")
    sys.path.insert(0, str(ROOT / "analysis"))
    from polyview.store import Store

    with Store(store) as plain:
        rows = plain.block(1, 0, plain.objects)
    for name in ("home/store.h5", "home/again.h5", "folder/store.h5", "home/../folder/store.h5"):
        with Store(work / name) as opened:
            same = np.array_equal(opened.block(1, 0, opened.objects), rows)
            check(same and opened.path == store.resolve(), f"{name} is read, and is known as what it is")
    run = tool("report", "home", cwd=work)
    page = (home / "report.html").read_text() if run.returncode == 0 else ""
    check(
        "store.h5.runs.jsonl:1" in page, "the report finds the records of a store behind a link", run.stderr
    )
    (home / "store.h5.runs.jsonl").write_text((work / "scratch" / "store.h5.runs.jsonl").read_text())
    (work / "scratch" / "store.h5.runs.jsonl").unlink()
    run = tool("report", "home", "-o", "report link.html", cwd=work)
    page = (work / "report link.html").read_text() if run.returncode == 0 else ""
    check("store.h5.runs.jsonl:1" in page, "and those that an older run left beside the link", run.stderr)
    run = tool("report", "home", "-o", "home/store.h5", cwd=work)
    check(
        refused(run, "another file") and h5py.is_hdf5(store), "a report over its store is refused", run.stderr
    )


def directories_are_exchanged_through_links(work: Path) -> None:
    store = make_store(work)

    def convert(*words: object) -> subprocess.CompletedProcess[str]:
        return tool("convert", *words, cwd=work)

    def same(path: Path) -> bool:
        with h5py.File(store) as a, h5py.File(path) as b:
            return bool(np.array_equal(a["params"][()], b["params"][()]))

    (work / "disk").mkdir()
    (work / "views").symlink_to("disk/views 1")
    run = convert("export", "store.h5", "views", "--format", "npz")
    check(run.returncode == 0 and (work / "disk" / "views 1").is_dir(), "export follows a dangling link", run)
    for name, made in (
        ("link.h5", "disk/one.h5"),
        ("folder/two.h5", "disk/two.h5"),
        ("sub/../three.h5", "three.h5"),
    ):
        if name == "link.h5":
            (work / name).symlink_to(made)
            (work / "folder").symlink_to("disk")
            (work / "sub").mkdir()
        run = convert("import", "views", name)
        check(
            run.returncode == 0 and same(work / made) and no_parts(work),
            f"import makes {name} at {made}",
            run,
        )
    (work / "disk" / "views 1").rename(work / "disk" / "moved")
    (work / "views 1").symlink_to("disk/moved")
    run = convert("import", "views 1", "four.h5")
    check(
        run.returncode == 0 and same(work / "four.h5"),
        "a moved directory is read by a link of its old name",
        run,
    )
    shutil.rmtree(work / "sub")
    (work / "sub").mkdir()
    (work / "sub" / "list.json").symlink_to("../disk/moved/splits.json")
    run = convert("import", "disk/moved", "five.h5", "--splits", "sub/list.json")
    check(refused(run, "views 1"), "a list of another name is refused with the path that is missing", run)
    lists = json.loads((work / "disk" / "moved" / "splits.json").read_text())
    short = {split: [path.split("/", 1)[1] for path in paths] for split, paths in lists.items()}
    (work / "disk" / "moved" / "splits.json").write_text(json.dumps(short))
    run = convert("import", "disk/moved", "five.h5", "--splits", "sub/list.json")
    check(
        run.returncode == 0 and same(work / "five.h5"),
        "paths of a linked list begin where it really lies",
        run,
    )
    for name in ("store.h5", "to store.h5", "hard.h5"):
        if name == "to store.h5":
            (work / name).symlink_to("store.h5")
        if name == "hard.h5":
            os.link(store, work / name)
        before = store.read_bytes()
        run = convert("import", "disk/moved", name)
        export = convert("export", "store.h5", name, "--format", "npz")
        check(
            refused(run, "exists already")
            and refused(export, "exists already")
            and store.read_bytes() == before,
            f"nothing is made over '{name}'",
            run.stderr,
            export.stderr,
        )
    (work / "six.h5.part").write_bytes(b"another import writes this")
    (work / "late.h5").symlink_to("six.h5")
    run = convert("import", "disk/moved", "late.h5")
    check(
        refused(run, "six.h5.part", "delete it") and (work / "six.h5.part").read_bytes()[:7] == b"another",
        "two imports of one store by two names do not mix",
        run.stderr,
    )


def names_of_any_letters(work: Path) -> None:
    """The directory's name goes into the config of the store, which the program reads."""
    make_store(work)
    place = work / "räume \U0001f600 'a' \"b\""
    place.mkdir()
    run = tool("convert", "export", "../store.h5", "out", "--format", "npz", cwd=place)
    (place / "out" / "polyview.npz").unlink()
    run = tool("convert", "import", "out", "back.h5", "--image", 8, 8, cwd=place)
    check(run.returncode == 0, "letters beyond the basic plane, spaces and quotes", run.stderr)
    told: list[Any] = [polyview(word, place / "back.h5") for word in ("verify", "info")]
    check(all(run.status == 0 for run in told), "verify and info read such a store", *told)
    with h5py.File(place / "back.h5") as file:
        check("\U0001f600" in file.attrs["config"].decode(), "its config is YAML, which knows no surrogates")
    shutil.copy(place / "back.h5", place / "store.h5")
    run = tool("report", ".", cwd=place)
    check(
        run.returncode == 0 and "\U0001f600" in (place / "report.html").read_text(),
        "and the report",
        run.stderr,
    )
    odd = Path(os.fsdecode(os.fsencode(work) + b"/\xff"))
    odd.mkdir()
    shutil.copytree(place / "out", odd / "out")
    run = tool("convert", "import", "out", "store.h5", cwd=odd)
    check(
        run.returncode == 0 and polyview("info", odd / "store.h5").status == 0, "a name that is no UTF-8", run
    )
    run = tool("report", ".", cwd=odd)
    check(run.returncode == 0 and (odd / "report.html").is_file(), "and its report", run.stderr)


def tables_are_replaced_whole(work: Path) -> None:
    marks = "<!-- polyview-tools table augment: begin -->\nold\n<!-- polyview-tools table augment: end -->\n"
    (work / "docs").mkdir()
    (work / "docs" / "page.md").write_text(f"before\n{marks}after\n")
    (work / "page.md").symlink_to("docs/page.md")
    run = tool("table", "augment", "table", "--runs", work, "--into", "page.md", cwd=work)
    page = (work / "docs" / "page.md").read_text()
    check(
        run.returncode == 0
        and (work / "page.md").is_symlink()
        and "| augmentation |" in page
        and "old" not in page,
        "a table goes into the page that a link leads to",
        run.stderr,
    )
    check(
        page.startswith("before\n<!--") and page.endswith("-->\nafter\n") and no_parts(work), "all else stays"
    )


def tables_of_a_study_are_of_its_runs(work: Path) -> None:
    """Records as `train` leaves them: two seeds of each, none of what was not trained."""
    accuracies = {
        "none": (0.5, 0.6),
        "one_view": (0.4, 0.4),
        "one_view_negation": (0.5, 0.5),
        "mlp": (0.1, 0.2),
        "five_views": (0.4, 0.6),
    }
    for name, seeds in accuracies.items():
        for seed, accuracy in enumerate(seeds, 1):
            result = {"test_accuracy": accuracy, "test_loss": 1.5, "train_loss": 1.25, "parameters": 1234}
            record = {"polyview_run": 1, "command": "train", "exit_status": 0, "result": result}
            if name != "mlp":  # as records were before they told of time
                record |= {"ranks": 2, "time": {"cpu_s": 2.0}}
                epoch = {"event": "epoch", "seconds": 4.0, "samples_per_s": 250.0}
                lines = [json.dumps(epoch | {"epoch": number}) + "\n" for number in range(9 + seed)]
                (work / f"{name}-{seed}.h5.jsonl").write_text("".join(lines))
            (work / f"{name}-{seed}.h5.runs.jsonl").write_text(json.dumps(record) + "\n")
    (work / "one_view-1.h5.train-3.json").write_text('{"accuracy": 0.75}')
    (work / "one_view-2.h5.train-3.json").write_text('{"accuracy": 0.25}')
    for seed in (1, 2):
        (work / f"five_views-{seed}.h5.train-3.json").write_text('{"accuracy": 0.7}')
    (work / "one_view_negation-1.h5.train-3.json").write_text('{"accuracy": 0.6}')
    (work / "one_view_negation-2.h5.train-3.json").write_text('{"accuracy": 0.6}')
    for of, wanted in {
        "augmentations": [
            "none, one view | 40.0 ± 0.0 | +0.0 |",
            "SIREN negation, one view | 50.0 ± 0.0 | +10.0 |",
            "none | 55.0 ± 5.0 | +0.0 |",
        ],
        "models": [
            "DWS 16 x 2 | 40.0 ± 0.0 | 1.500 | 1.25 | 1,234 | 2,625 | 2 |",
            "MLP 256 x 2, weights as they are | 15.0 ± 5.0 | 1.500 | 1.25 | 1,234 | - | 2 |",
        ],
        "views": [
            "none, one view | 50.0 ± 25.0 | 40.0 ± 0.0 |",
            "SIREN negation, one view | 60.0 ± 0.0 | 50.0 ± 0.0 |",
        ],
        "paper": [
            "SIREN negation, one view | 50.0 ± 0.0 | +10.0 |",
            "none, five views | 50.0 ± 10.0 | +0.0 |",
            "MLP 256 x 2, weights as they are | 15.0 ± 5.0 | -25.0 |",
        ],
    }.items():
        run = tool("table", "augment", "table", "--runs", work, "--of", of, cwd=work)
        rows = run.stdout.splitlines()
        check(
            run.returncode == 0 and all(any(row.startswith(f"| {line}") for row in rows) for line in wanted),
            f"the table of {of}",
            run.stdout,
            run.stderr,
        )
    run = tool("table", "augment", "bars", "--runs", work, "-o", work / "bars.png", cwd=work)
    check(run.returncode == 0 and (work / "bars.png").stat().st_size > 5000, "and its bars", run.stderr)
    run = tool("table", "augment", "views", "--runs", work, "-o", work / "views.png", cwd=work)
    check(
        run.returncode == 0 and (work / "views.png").stat().st_size > 5000,
        "and what more views give",
        run.stderr,
    )
    task = ("table", "augment", "task", "--runs", work, "--of", "views")
    first, last, beyond = (tool(*task, number, cwd=work) for number in (0, 104, 105))
    check(
        first.returncode == last.returncode == 0
        and "train.views=1" in first.stdout.splitlines()
        and {"train.views=10", "train.seed=3"} <= set(last.stdout.splitlines()),
        "a task of the study of views names how many it takes",
        first,
        last,
    )
    check(beyond.returncode == 1 and "105 runs" in beyond.stderr, "beyond the last there is none", beyond)


def the_program_is_found_as_a_shell_finds_it(work: Path) -> None:
    """Where it is named by a path there, else by a bare name on PATH."""
    make_store(work)
    (work / "on path").mkdir()
    for name, status in (("fitter", 7), ("on path/trainer", 8)):
        (work / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (work / name).chmod(0o755)
    path = f"{work / 'on path'}:{os.environ['PATH']}"
    one = ("--runs", "runs", "--seeds", 1)
    for command in (
        ("table", "augment", "run", *one, "--store", "store.h5", "--only", "one_view"),
        ("table", "contrast", "run", *one, "--store", "store.h5", "--only", "views"),
        ("recipes", "run", *one, "--only", "300x1e-3"),
    ):
        for name, said in (("./fitter", "status 7"), ("fitter", "status 7"), ("trainer", "status 8")):
            run = tool(*command, "--polyview", name, cwd=work, PATH=path)
            check(refused(run, said), f"{' '.join(command[:2])} runs {name}", run)
        run = tool(*command, "--polyview", "./trainer", cwd=work, PATH=path)
        check(refused(run, str(work / "trainer")), "a path that leads nowhere is named", run)


if __name__ == "__main__":
    sys.exit(
        run_tests(
            pictures_are_made_where_names_lead,
            stores_are_read_through_links,
            directories_are_exchanged_through_links,
            names_of_any_letters,
            tables_are_replaced_whole,
            tables_of_a_study_are_of_its_runs,
            the_program_is_found_as_a_shell_finds_it,
        )
    )
