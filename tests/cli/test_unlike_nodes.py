"""Jobs whose ranks or nodes are not alike: other processors, other files at one path, little memory to share."""

import os
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np

from harness import (
    AT_ONCE,
    MPIRUN,
    POLYVIEW,
    REFUSAL_S,
    Process,
    Run,
    check,
    launch,
    make_store,
    one_error,
    polyview,
    run_tests,
    skip,
    write_config,
    write_images,
)

BACKING = "OMPI_MCA_osc_sm_backing_directory"


# A program in a name space of its own, where something is mounted first: the words after `mount`.
MOUNTED = "mounted"


def with_mount(words: list[object], command: list[str]) -> list[str]:
    mount = f"mount {' '.join(map(str, words))} && exec " + " ".join(f"'{word}'" for word in command)
    return ["unshare", "-m", "bash", "-c", mount]


def may_mount() -> bool:
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


def each(words: list[object], *options: list[object], timeout: float = 60, **variables: object) -> Run:
    """One rank for every list of words before the program (or of words to `mount`), all with the same words."""
    command, program = [MPIRUN], [POLYVIEW, *map(str, words)]
    for of_rank in options:
        mounts = of_rank[:1] == [MOUNTED]
        start = with_mount(of_rank[1:], program) if mounts else [*map(str, of_rank), *program]
        command += [":"] * (len(command) > 1) + ["-n", "1", *start]
    return Process(command, **(AT_ONCE | variables)).finish(timeout)


def isa(name: str) -> list[object]:
    return ["env", f"POLYVIEW_ISA={name}"] if name else []


def ranks_use_the_narrowest_instruction_set(work: Path) -> None:
    write_images(work / "images")
    config = write_config(work)
    rows = {}
    alone = polyview("fit", "--config", config, "--store", work / "alone.h5", "--quiet").json[
        "instruction_set"
    ]
    jobs = {"alike": ["portable"] * 2, "first": ["portable", ""], "last": ["", "", "portable"]}
    jobs["middle"] = ["avx2", "portable", "avx2", ""]
    for name, sets in jobs.items():
        store = work / f"{name}.h5"
        run = each(["fit", "--config", config, "--store", store], *map(isa, sets))
        with h5py.File(store) as file:
            rows[name] = np.asarray(file["params"]).tobytes()
            made = file.attrs["instruction_set"]
        made = made.decode() if isinstance(made, bytes) else made
        check(
            run.status == 0
            and made == run.json["instruction_set"] == "portable"
            and rows[name] == rows["alike"]
            and ("all use portable" in run.stderr) == (name != "alike" and alone != "portable"),
            f"ranks with the sets {sets} fit the rows of the narrowest, and say so",
            run,
        )
    for name in ("first", "last"):
        run = each(
            [
                "train",
                "--config",
                config,
                "--store",
                work / "alike.h5",
                "--set",
                f"train.output={work / name}.model",
            ],
            *map(isa, jobs[name]),
        )
        check(run.status == 0, f"ranks with the sets {jobs[name]} train one model", run)


def an_unknown_instruction_set_is_refused(work: Path) -> None:
    store = make_store(work)
    for wish in ("avx-2", "AVX2", "sse", "avx5120", "portable,avx2", " "):
        for ranks in (1, 3):
            for words in (["info", store], ["train", "--config", work / "config.yaml"]):
                run = polyview(*words, ranks=ranks, timeout=REFUSAL_S, POLYVIEW_ISA=wish)
                check(
                    one_error(run, 2, f"'{wish}'", "portable, avx2 and avx512"),
                    f"{words[0]} refuses POLYVIEW_ISA={wish!r} on {ranks} rank(s)",
                    run,
                )
    run = each(["info", store], isa("portable"), isa("pentium"), timeout=REFUSAL_S)
    check(one_error(run, 2, "rank 1", "'pentium'"), "a name that one rank alone has is refused", run)
    run = polyview("info", store, POLYVIEW_ISA="")
    check(run.status == 0, "an empty POLYVIEW_ISA is none", run)


def nodes_with_other_stores_do_not_train(work: Path) -> None:
    """Node-local paths: every node finds a store at the same path, but not the same one."""
    if not may_mount():
        skip("nodes with stores of their own", "needs root, to mount them")
        return
    make_store(work)
    (work / "images").rename(work / "other images")
    other = write_config(work, "other.yaml", signal={"path": str(work / "other images")}, fit={"seed": 2})
    polyview("fit", "--config", other, "--store", work / "seed.h5", "--quiet")
    labels = shutil.copy(work / "store.h5", work / "labels.h5")
    with h5py.File(labels, "r+") as file:
        file["object/label"][:2] = file["object/label"][:2][::-1] + 1
    local = work / "local"
    local.mkdir()
    for name in ("store", "seed", "labels", "copy"):
        (work / name).mkdir()
        shutil.copy(work / f"{'store' if name == 'copy' else name}.h5", work / name / "store.h5")
    words = ["train", "--config", work / "config.yaml", "--store", local / "store.h5", "--fresh"]
    for placement in ("node", "job"):
        for there, alike in (("seed", False), ("labels", False), ("copy", True)):
            for of_rank in (["store", there], ["store", "store", there], ["store", "store", there, there]):
                run = each(
                    [*words, "--set", f"train.placement={placement}"],
                    *([MOUNTED, "--bind", work / name, local] for name in of_rank),
                    POLYVIEW_NODE_RANKS=of_rank.count("store"),
                )
                check(
                    run.status == 0 if alike else one_error(run, 3, "store.h5", "another store on this node"),
                    f"a node whose store is {there} {'trains' if alike else 'is refused'}, placement {placement}, "
                    f"{len(of_rank)} ranks",
                    run,
                )


def small(work: Path, config: Path, ranks: int, *words: object, **variables: object) -> Run:
    """Trains where /dev/shm has 24 MiB, as in a container."""
    command = launch(["train", "--config", config, "--fresh", *words], ranks)
    mounted = with_mount(["-t", "tmpfs", "-o", "size=24m", "tmpfs", "/dev/shm"], command)
    return Process(mounted, work, **(AT_ONCE | variables)).finish()


def too_little_shared_memory_is_told(work: Path) -> None:
    make_store(work)
    for ranks in (2, 3, 4):
        words = ["train", "--config", work / "config.yaml"]
        for place in ("/no/such/directory", work / "config.yaml"):
            run = polyview(*words, ranks=ranks, timeout=REFUSAL_S, **{BACKING: place})
            check(
                one_error(run, 1, place, "--shm-size", BACKING),
                f"{place} holds no memory, {ranks} ranks",
                run,
            )
        before = set(os.listdir(work))
        run = polyview(*words, "--fresh", ranks=ranks, **{BACKING: work})
        left = set(os.listdir(work)) - before - {"model.h5", "model.h5.ckpt", "model.h5.jsonl"}
        left = {name for name in left if not name.startswith("model.h5")}
        check(
            run.status == 0 and not left, f"a directory is used and left as it was, {ranks} ranks", run, left
        )
    run = polyview(*words, "--fresh", **{BACKING: "/no/such/directory"})
    check(run.status == 0, "a rank alone on its node needs no directory", run)
    if not may_mount():
        skip("a small /dev/shm", "needs root, to mount one")
        return
    write_images(work / "many", train=6000, test=9)
    many = write_config(
        work,
        "many.yaml",
        store=str(work / "many.h5"),
        signal={"path": str(work / "many"), "train": 5900, "val": 100},
        inr={"hidden": [32, 32]},
        fit={"views": 1, "steps": 1},
        train={"output": str(work / "many.model"), "epochs": 1, "batch": 500},
    )
    polyview("fit", "--config", many, "--quiet", ranks=2)
    for ranks in (2, 3):
        run = small(work, many, ranks)
        check(
            run.status == 0
            and "'/dev/shm' cannot hold" in run.stderr
            and run.stderr.count("--shm-size") == 1,
            f"rows that /dev/shm cannot hold lie in a file elsewhere, as one warning says, {ranks} ranks",
            run,
        )
        rows = run.json["train_loss"]
        run = small(work, many, ranks, **{BACKING: str(work)})
        check(
            run.status == 0 and "warning" not in run.stderr, f"a directory that is named, {ranks} ranks", run
        )
        run = small(work, many, ranks, **{BACKING: "/dev/shm"})
        check(
            one_error(run, 1, "rank 0 on", "'/dev/shm'", "--shm-size", BACKING, "train.placement")
            and run.seconds < REFUSAL_S,
            f"who names /dev/shm is told that it cannot hold them, {ranks} ranks",
            run,
        )
        run = small(work, many, ranks, "--set", "train.placement=job")
        check(
            run.status == 0 and run.json["train_loss"] == rows and "messages serve instead" in run.stderr,
            f"windows that /dev/shm cannot hold are reached by messages, {ranks} ranks",
            run,
        )
    for command in (
        ["fit", "--config", many, "--store", work / "anew.h5"],
        ["eval", "--model", work / "many.model", "--store", work / "many.h5", "--split", "train"],
        ["probe", "--model", work / "many.model", "--store", work / "many.h5", "--method", "ridge"],
    ):
        words = with_mount(["-t", "tmpfs", "-o", "size=1m", "tmpfs", "/dev/shm"], launch(command, 3))
        run = Process(words, work, **AT_ONCE).finish()
        check(run.status == 0, f"{command[0]} with a /dev/shm of 1 MiB", run)


def control_groups_limit_memory(work: Path) -> None:
    """A container's limit, as either version of control groups tells it; its files are made up."""
    if not may_mount():
        skip("limits of control groups", "needs root, to mount some")
        return
    make_store(work, train={"epochs": 1})
    roots = {
        "version 2": ("memory.max", "4000000\n"),
        "version 1": ("memory/memory.limit_in_bytes", "4000000\n"),
        "no limit": ("memory.max", "max\n"),
        "no limit, version 1": ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
    }
    for number, (what, (name, text)) in enumerate(roots.items()):
        root = work / f"groups{number}"
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(text)
        mount, limited = ["--bind", root, "/sys/fs/cgroup"], "no limit" not in what
        if number < 2:
            command = ["plan", "--config", work / "config.yaml", "--nodes", 1, "--ranks-per-node", 1]
            run = Process(with_mount(mount, launch(command, 1)), work).finish()
            check(
                run.status == 0 and "more than a job may take" in run.stderr,
                f"{what}: a plan says that the memory is too little",
                run,
            )
        command = ["train", "--config", work / "config.yaml", "--fresh", "--set", "train.output=m.h5"]
        for rows, sharded in ((4_000_000, False), (10_000, limited)):
            (root / name).write_text(f"{rows}\n" if limited else text)
            run = Process(
                with_mount(mount, launch(command, 2)), work, **(AT_ONCE | {"POLYVIEW_NODE_RANKS": 1})
            ).finish()
            check(
                run.status == 0 and (run.json["placement"] == "job") == sharded,
                f"{what}: rows are kept once {'a job' if sharded else 'a node'} under {rows} bytes",
                run,
            )


if __name__ == "__main__":
    raise SystemExit(
        run_tests(
            ranks_use_the_narrowest_instruction_set,
            an_unknown_instruction_set_is_refused,
            nodes_with_other_stores_do_not_train,
            too_little_shared_memory_is_told,
            control_groups_limit_memory,
        )
    )
