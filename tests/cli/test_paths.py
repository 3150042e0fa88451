"""Paths as people have them: links of every kind, homes and variables, two names of one file, ranks that run
elsewhere.  What a name leads to is opened, locked and replaced; a result that cannot be written is told."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np

from harness import (
    AT_ONCE,
    MPIRUN,
    POLYVIEW,
    Process,
    check,
    launch,
    make_store,
    one_error,
    polyview,
    run_tests,
    write_config,
    write_images,
)
from run import environment

TINY = ["--set", "fit.views=1", "--set", "fit.steps=5"]


def link(path: Path, target: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


def rows(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return file["params"][()]


def names_of_a_store(work: Path) -> dict[str, Path]:
    """Ways to say work/disk/s.h5, whether it exists or not."""
    (work / "disk" / "deeper").mkdir(parents=True)
    home = work / "home"
    return {
        "a relative link": link(home / "relative.h5", "../disk/s.h5"),
        "an absolute link": link(home / "absolute.h5", work / "disk" / "s.h5"),
        "a link to a link": link(home / "twice.h5", "relative.h5"),
        "a link in another directory to a link": link(work / "else" / "thrice.h5", "../home/twice.h5"),
        "a directory that is a link": link(work / "folder", "disk") / "s.h5",
        "a path with ..": work / "folder" / "deeper" / ".." / "s.h5",
        "a link with spaces": link(home / "my store.h5", "../disk/s.h5"),
        "a link in Unicode": link(home / "Spëicher 商店.h5", "../disk/s.h5"),
    }


def a_store_is_made_resumed_and_grown_where_its_name_leads(work: Path) -> None:
    write_images(work / "images")
    config = write_config(work)
    expected = None
    for number, (kind, name) in enumerate(names_of_a_store(work).items()):
        ranks, real = 1 + number % 4, work / "disk" / "s.h5"
        was_link = name.is_symlink()
        run = polyview("fit", "--config", config, "--store", name, *TINY, ranks=ranks)
        check(
            run.status == 0 and run.json["store"] == str(real) and real.is_file() and not real.is_symlink(),
            f"{kind}: the store is made at its end on {ranks} rank(s)",
            run,
        )
        first = rows(real)
        grown = polyview("extend", name, "--views", 2, ranks=ranks)
        filled = polyview("fit", "--store", name, ranks=ranks)
        verified = polyview("verify", name, ranks=ranks)
        after = rows(real)
        expected = after if expected is None else expected
        check(
            (grown.status, filled.status, verified.status) == (0, 0, 0)
            and (after[0] == first[0]).all()
            and (after == expected).all()
            and (rows(name) == after).all()
            and name.is_symlink() == was_link
            and (work / "disk" / "s.h5.shards").is_dir(),
            f"{kind}: it grows there, the link stays, and the rows are those of a plain name",
            grown,
            filled,
            verified,
        )
        for path in (work / "disk").iterdir():
            if path.name != "deeper":
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def one_writer_whatever_the_name(work: Path) -> None:
    write_images(work / "images")
    config = write_config(work, fit={"views": 1, "steps": 200000})
    store = work / "disk" / "s.h5"
    store.parent.mkdir()
    other = link(work / "home" / "s.h5", "../disk/s.h5")
    first = Process(launch(["fit", "--config", config, "--store", store], 2), **AT_ONCE)
    lock = store.parent / "s.h5.lock"
    first.wait_for(lambda: store.exists() and lock.exists())
    for ranks in (1, 3):
        second = polyview("fit", "--config", config, "--store", other, ranks=ranks)
        check(
            one_error(second, 1, "is being written by another run", store),
            f"a second writer by a link is refused on {ranks} rank(s)",
            second,
        )
    os.link(store, work / "hard.h5")
    third = polyview("fit", "--config", config, "--store", work / "hard.h5")
    check(one_error(third, 1, "hard links"), "a second writer by a hard link is refused", third)
    first.signal(signal.SIGTERM)
    check(first.finish().status in (75, 1), "the first writer goes on until it is told to end")
    (work / "hard.h5").unlink()
    rest = polyview("extend", other, "--views", 2)
    check(rest.status == 0, "without the hard link the store is written again", rest)


def outputs_go_through_links(work: Path) -> None:
    store, config = make_store(work, train={"epochs": 2, "keep": 2}), work / "config.yaml"
    (work / "disk").mkdir()
    ends = ("m.h5", "m.h5.ckpt", "m.h5.jsonl", "m.h5.runs.jsonl")
    for name in ends:
        link(work / "home" / name, f"../disk/{name}-there")
    model = work / "home" / "m.h5"
    real = work / "disk" / "m.h5-there"
    for ranks in (1, 2, 3, 4):
        before = real.read_bytes() if real.exists() else b""
        seed = ["--set", f"train.seed={ranks}", "--set", f"train.output={model}", "--fresh"]
        run = polyview("train", "--config", config, *seed, ranks=ranks)
        made = sorted(path.name for path in (work / "disk").iterdir())
        check(
            run.status == 0
            and model.is_symlink()
            and real.read_bytes() != before
            and all(
                (work / "disk" / f"{real.name}{end}").exists() for end in (".ckpt", ".jsonl", ".runs.jsonl")
            )
            and not any(name.endswith(".part") for name in made),
            f"a model, its checkpoint, metrics and record are written at the link's end on {ranks} rank(s)",
            run,
            made,
        )
    for name, words in (
        ("p.png", ["render", store, "--object", 1, "-o"]),
        ("l.h5", ["eval", "--model", model, "--store", store, "--logits"]),
        ("q.h5", ["probe", "--method", "pca", "--store", store, "--model", model, "--output"]),
    ):
        out, target = link(work / "home" / name, f"../disk/{name}"), work / "disk" / name
        for state in ("dangling", "standing"):
            run = polyview(*words, out, ranks=2)
            check(
                run.status == 0 and out.is_symlink() and target.stat().st_size > 0,
                f"{words[0]} writes through a {state} link",
                run,
            )


def a_checkpoint_that_is_a_link_itself_is_kept_and_replaced(work: Path) -> None:
    make_store(work)
    (work / "disk").mkdir()
    checkpoint = link(work / "model.h5.ckpt", "disk/c")
    metrics = link(work / "model.h5.jsonl", "disk/j")
    run = polyview("train", "--config", work / "config.yaml", "--set", "train.keep=2")
    with h5py.File(work / "disk" / "c") as new, h5py.File(work / "model.h5.ckpt.1") as old:
        older = any((new["model"][name][()] != old["model"][name][()]).any() for name in new["model"])
    check(
        run.status == 0 and checkpoint.is_symlink() and metrics.is_symlink() and older,
        "the newest checkpoint and the metrics go through their links, the kept one is the one before",
        run,
    )
    check(len((work / "disk" / "j").read_text().splitlines()) >= 3, "the metrics are at the link's end")


def a_rank_may_run_elsewhere(work: Path) -> None:
    write_images(work / "here" / "images")
    (work / "there").mkdir()
    config = write_config(work, store="s.h5", signal={"path": "images"}, train={"output": "m.h5"})
    for ranks in (2, 3, 4):
        elsewhere = ["-n", str(ranks - 1), "-wdir", str(work / "there"), POLYVIEW]
        for words in (
            ["fit", "--config", str(config)],
            ["train", "--config", str(config), "--fresh"],
            ["eval", "--model", "m.h5", "--store", "s.h5", "--logits", "l.h5"],
            ["verify", "s.h5"],
            ["info", "s.h5", "--json"],
        ):
            start = [
                MPIRUN,
                "-n",
                "1",
                "-wdir",
                str(work / "here"),
                POLYVIEW,
                *words,
                ":",
                *elsewhere,
                *words,
            ]
            run = Process(start, work, **AT_ONCE).finish()
            check(
                run.status == 0 and not list((work / "there").iterdir()),
                f"{words[0]} works where rank 0 is, on {ranks} ranks",
                run,
            )
        (work / "here" / "s.h5").unlink()


def homes_and_variables_are_expanded(work: Path) -> None:
    write_images(work / "home" / "images")
    (work / "runs").mkdir()
    variables = {"HOME": work / "home", "RUNS": work / "runs", "NAME": "a b"}
    config = write_config(
        work, store="${RUNS}/$NAME.h5", signal={"path": "~/images"}, train={"output": "~/m.h5"}
    )
    for ranks in (1, 3):
        run = polyview("fit", "--config", config, *TINY, ranks=ranks, **variables)
        check(
            run.status == 0 and run.json["store"] == str(work / "runs" / "a b.h5"),
            f"a home and variables in a config are put in on {ranks} rank(s)",
            run,
        )
    run = polyview("train", "--config", config, **variables)
    check(run.status == 0 and (work / "home" / "m.h5").exists(), "also in train.output", run)
    run = polyview("info", "~/../runs/${NAME}.h5", cwd=work, **variables)
    check(run.status == 0, "and in a word that the shell left alone", run)
    shutil.copy(config, work / "home" / "c.yaml")
    run = polyview("fit", "--config", "~/c.yaml", *TINY, **variables)
    check(run.status == 0, "and in --config", run)
    with h5py.File(work / "runs" / "a b.h5") as file:
        check(b"~/images" in file.attrs["config"], "the store keeps the config as it was written")
    for path, word in (
        ("$NOT_SET/s.h5", "NOT_SET"),
        ("~nobody/s.h5", "homes of other users"),
        ("s$.h5", "$$"),
    ):
        run = polyview("fit", "--config", config, "--set", f"store={path}", **variables)
        check(one_error(run, 2, path, word), f"'{path}' is refused with a sentence", run)
    odd = work / "$odd.h5"
    shutil.copy(work / "runs" / "a b.h5", odd)
    run = polyview("info", odd)
    check(run.status == 0, "a file that is called like a variable is taken as it is", run)


def paths_that_lead_nowhere_are_named(work: Path) -> None:
    write_images(work / "images")
    config = write_config(work)
    link(work / "a.h5", "b.h5")
    link(work / "b.h5", "a.h5")
    link(work / "far.h5", "no/such/s.h5")
    for name, word in (
        ("a.h5", "Too many levels of symbolic links"),
        ("no/such/s.h5", f"the directory '{work}/no/such' does not exist"),
        ("far.h5", f"the directory '{work}/no/such' does not exist"),
        ("config.yaml/s.h5", "Not a directory"),
    ):
        for ranks in (1, 3):
            run = polyview("fit", "--config", config, "--store", name, ranks=ranks, cwd=work)
            check(one_error(run, 1, name, word), f"a store '{name}' is refused on {ranks} rank(s)", run)
    for name in ("images", "images/"):
        run = polyview("fit", "--config", config, "--store", name, cwd=work)
        check(one_error(run, (1, 3), "images"), f"a store '{name}' that is a directory is refused", run)


def a_result_that_cannot_be_written_is_told(work: Path) -> None:
    store, config = make_store(work), work / "config.yaml"
    commands = (
        ["fit", "--config", config],
        ["info", store, "--json"],
        ["info", store],
        ["verify", store],
        ["extend", store, "--views", 3],
        ["train", "--config", config],
        ["--help"],
        ["help", "config"],
        ["fit", "--help"],
        ["--version"],
    )
    for words in commands:
        line = [POLYVIEW, *map(str, words)]
        for redirect, cause in ((">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")):
            run = subprocess.run(
                ["bash", "-c", f'"$@" {redirect}', "sh", *line],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                env=environment(),
                check=False,
            )
            told = f"polyview: error: cannot write the result: {cause}\n"
            check(
                run.returncode == 1 and run.stderr.endswith(told),
                f"{' '.join(line[1:3])} {redirect} ends with 1 and says so",
                run,
            )
    run = polyview("verify", store, ranks=3)
    check(run.status == 0 and json.dumps(run.json), "and the store is as it was", run)


if __name__ == "__main__":
    sys.exit(
        run_tests(
            a_store_is_made_resumed_and_grown_where_its_name_leads,
            one_writer_whatever_the_name,
            outputs_go_through_links,
            a_checkpoint_that_is_a_link_itself_is_kept_and_replaced,
            a_rank_may_run_elsewhere,
            homes_and_variables_are_expanded,
            paths_that_lead_nowhere_are_named,
            a_result_that_cannot_be_written_is_told,
        )
    )
