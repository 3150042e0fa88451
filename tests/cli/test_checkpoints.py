"""Training over long times: what a checkpoint may be continued on, which ones are kept, what damage does, who
writes them, and memory as planned."""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Callable, Sequence

import h5py
import numpy as np

from harness import (
    Process,
    Run,
    check,
    launch,
    make_store,
    one_error,
    polyview,
    run_tests,
    write_config,
    write_images,
)

SHORT, LONG = 100, 600  # steps


def train(work: Path, name: str, *sets: str, ranks: int = 1, options: Sequence[str] = ()) -> Run:
    words = [word for item in (f"train.output={work / name}", *sets) for word in ("--set", item)]
    return polyview("train", "--config", work / "config.yaml", *words, *options, ranks=ranks, timeout=200)


def another_store_is_noticed(work: Path) -> None:
    make_store(work)
    first = train(work, "model.h5", ranks=2)
    check(first.status == 0, "a model is trained", first)
    write_config(work, fit={"seed": 2}, store=str(work / "other.h5"))
    polyview("fit", "--config", work / "config.yaml", "--quiet")
    for ranks in (1, 2):
        run = train(work, "model.h5", "train.epochs=5", ranks=ranks)
        check(
            one_error(run, 3, "model.h5.ckpt", "other rows"),
            f"a store of the same architecture with other rows is refused on {ranks} rank(s)",
            run,
        )
    write_config(work)
    grown = polyview("extend", work / "store.h5", "--views", 3)
    run = train(work, "model.h5", "train.epochs=5", "train.placement=job", ranks=3)
    check(
        grown.status == 0 and run.status == 0 and run.json["epochs"] == 5,
        "the store with views that are not trained on, sharded over other ranks, is continued on",
        grown,
        run,
    )


def a_cosine_keeps_its_end(work: Path) -> None:
    make_store(work, train={"schedule": "cosine"})
    first = train(work, "model.h5")
    run = train(work, "model.h5", "train.epochs=5")
    check(first.status == 0 and one_error(run, 2, "train.epochs", "cosine"), "more epochs are refused", run)


def a_diverged_run_goes_on_with_a_lower_rate(work: Path) -> None:
    make_store(work, train={"lr": 0.01, "epochs": 2})
    run = train(work, "wild.h5", "train.epochs=30", "train.lr=1e38")
    check(
        one_error(run, 1, "not finite", "--lower-rate", "--fresh"), "a run diverges, and says what helps", run
    )
    train(work, "model.h5")
    before = (work / "model.h5.ckpt").read_bytes()
    for ranks in (1, 2):
        (work / "model.h5.ckpt").write_bytes(before)
        words = ["train.epochs=4", "train.lr=0.001"]
        run = train(work, "model.h5", *words, ranks=ranks)
        check(one_error(run, 2, "train.lr", "--fresh"), f"another rate is refused on {ranks} rank(s)", run)
        run = train(work, "model.h5", *words, ranks=ranks, options=["--lower-rate"])
        check(run.status == 0 and run.json["epochs"] == 4, f"a lower one goes on, on {ranks} rank(s)", run)
        run = train(work, "model.h5", "train.epochs=5", "train.lr=0.001", ranks=ranks)
        check(run.status == 0 and run.json["epochs"] == 5, "and is the run's own from then on", run)
        run = train(work, "model.h5", "train.epochs=6", "train.lr=0.1", ranks=ranks, options=["--lower-rate"])
        check(one_error(run, 2, "train.lr"), "a higher one is refused", run)


def the_last_checkpoints_are_kept(work: Path) -> None:
    make_store(work)
    run = train(work, "model.h5", "train.batch=3", "train.checkpoint_minutes=1e-6", "train.keep=4", ranks=2)
    places = []
    for path in sorted(work.glob("model.h5.ckpt*")):
        with h5py.File(path) as file:
            places.append((int(file.attrs["epoch"]), int(file.attrs["batch"])))
    check(
        run.status == 0 and places == [(3, 0), (2, 6), (2, 5), (2, 4)],
        "a checkpoint every moment, the last four kept, the newest first",
        run,
        places,
    )


def a_lost_model_is_made_anew(work: Path) -> None:
    """By the checkpoint, even if no epoch is left; the next better epoch replaces it."""
    make_store(work)
    first = train(work, "model.h5")
    (work / "model.h5").unlink()
    for ranks, epochs in ((2, 3), (1, 6)):
        run = train(work, "model.h5", f"train.epochs={epochs}", ranks=ranks)
        kept = polyview("eval", "--model", work / "model.h5", "--store", work / "store.h5", "--split", "val")
        check(
            first.status == run.status == kept.status == 0
            and run.json["best_epoch"] >= 3
            and abs(run.json["best_val_accuracy"] - kept.json["accuracy"]) < 1e-9,
            f"training up to epoch {epochs} on {ranks} rank(s) ends with a model and its validation accuracy",
            run,
            kept,
        )


def place_of(path: Path, name: str) -> tuple[int, int]:
    """Where a dataset's bytes begin in the file, and how many they are."""
    with h5py.File(path) as file:
        return file[name].id.get_offset(), file[name].id.get_storage_size()


def with_bytes(path: Path, at: int, data: bytes) -> None:
    whole = bytearray(path.read_bytes())
    whole[at : at + len(data)] = data
    path.write_bytes(whole)


def flip(name: str, bit: int) -> Callable[[Path], None]:
    """One bit of a dataset's middle."""

    def damage(path: Path) -> None:
        at, count = place_of(path, name)
        with_bytes(path, at + count // 2, bytes([path.read_bytes()[at + count // 2] ^ bit]))

    return damage


def zero(name: str) -> Callable[[Path], None]:
    return lambda path: with_bytes(path, place_of(path, name)[0], bytes(place_of(path, name)[1]))


def shortened(share: float) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def edited(name: str, value: object) -> Callable[[Path], None]:
    """An attribute that tells another story."""

    def damage(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            file.attrs.modify(name, value)

    return damage


def text_changed(path: Path) -> None:
    """A letter of the kept config, where it stands in the file."""
    whole = path.read_bytes()
    with_bytes(path, whole.index(b"epochs: 3"), b"epochs: 4")


WEIGHT = "model/seq.0.weight"
DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut to a half": shortened(0.5),
    "cut by its last byte": lambda path: os.truncate(path, path.stat().st_size - 1),
    "cut to its first bytes": shortened(0.01),
    "empty": shortened(0),
    "with a bit of a weight flipped": flip(WEIGHT, 1),
    "with the sign of a moment flipped": flip("optimizer/exp_avg", 0x80),
    "with a bit of the statistics flipped": flip("norm/mean", 4),
    "with zeroed second moments": zero("optimizer/exp_avg_sq"),
    "with a zeroed bias": zero("model/seq.0.bias"),
    "with another epoch": edited("epoch", np.int64(1)),
    "with another step of the optimiser": edited("optimizer_steps", np.int64(7)),
    "with another best accuracy": edited("best_val_accuracy", 0.125),
    "with another config": text_changed,
}


def damage_is_seen(work: Path) -> None:
    """With nothing older to fall back to, by training and by evaluation."""
    make_store(work, model={"kind": "mlp", "hidden": 8, "layers": 1})
    first = train(work, "model.h5")
    path, model = work / "model.h5.ckpt", work / "model.h5"
    good, good_model = path.read_bytes(), model.read_bytes()
    for number, (what, damage) in enumerate(DAMAGES.items()):
        damage(path)
        damaged, ranks = path.read_bytes(), 1 + number % 4
        run = train(work, "model.h5", "train.epochs=5", ranks=ranks)
        check(
            first.status == 0 and one_error(run, 3, "model.h5.ckpt") and path.read_bytes() == damaged,
            f"a checkpoint {what} is refused on {ranks} rank(s), and left as it is",
            run,
        )
        path.write_bytes(good)
    for what in ("with a bit of a weight flipped", "with a zeroed bias", "cut to a half"):
        DAMAGES[what](model)
        run = polyview("eval", "--model", model, "--store", work / "store.h5", "--split", "val", ranks=2)
        check(one_error(run, 3, "model.h5"), f"a model {what} is not evaluated", run)
        model.write_bytes(good_model)


def the_newest_whole_one_is_continued(work: Path) -> None:
    """And leads to the same end as if nothing had happened."""
    make_store(
        work,
        model={"kind": "mlp", "hidden": 8, "layers": 1},
        train={"keep": 3, "reduce": "ordered", "micro_batch": 2},
    )
    train(work, "model.h5")
    whole = {path.name: path.read_bytes() for path in work.glob("model.h5*")}
    straight = train(work, "straight.h5", "train.epochs=5")
    bad = [list(DAMAGES)[i] for i in (0, 3, 4, 7, 9)]
    for number, what in enumerate(bad + [f"{bad[0]}, like the one before it,", "that is gone"]):
        for path in work.glob("model.h5*"):
            path.unlink()
        for name, data in whole.items():
            (work / name).write_bytes(data)
        older, ranks = 1, (1, 2, 4)[number % 3]
        if what == "that is gone":
            (work / "model.h5.ckpt").unlink()
        else:
            DAMAGES[bad[number % len(bad)]](work / "model.h5.ckpt")
        if "before it" in what:
            DAMAGES["with zeroed second moments"](work / "model.h5.ckpt.1")
            older = 2
        run = train(work, "model.h5", "train.epochs=5", ranks=ranks)
        warnings = [line for line in run.stderr.splitlines() if "newest that is whole" in line]
        check(
            run.status == 0
            and run.json["train_loss"] == straight.json["train_loss"]
            and len(warnings) == 1
            and f"model.h5.ckpt.{older}'" in warnings[0]
            and "model.h5.ckpt'" in warnings[0],
            f"behind a checkpoint {what} the one before is continued on {ranks} rank(s), to the same end",
            run,
            straight,
        )
        check(
            (work / "model.h5.ckpt.damaged").exists() == (what != "that is gone"),
            "what is damaged is put aside",
            sorted(work.glob("model.h5*")),
        )


def a_damaged_model_is_kept_anew(work: Path) -> None:
    make_store(work, model={"kind": "mlp", "hidden": 8, "layers": 1})
    train(work, "model.h5")
    DAMAGES["with a bit of a weight flipped"](work / "model.h5")
    run = train(work, "model.h5", ranks=2)
    check(run.status == 0 and "model.h5' is damaged" in run.stderr, "it is replaced, with a warning", run)


def early_checkpoints_have_no_checksum(work: Path) -> None:
    make_store(work, train={"reduce": "ordered", "micro_batch": 2})
    straight = train(work, "straight.h5", "train.epochs=5")
    for ranks in (1, 4):
        name = f"early-{ranks}.h5"
        train(work, name)
        for path in (work / name, work / f"{name}.ckpt"):
            with h5py.File(path, "r+") as file:
                check("checksum" in file.attrs, "a checksum is written")
                del file.attrs["checksum"]
        run = train(work, name, "train.epochs=5", ranks=ranks)
        check(
            run.status == 0 and run.json["train_loss"] == straight.json["train_loss"],
            f"one without a checksum is continued on {ranks} rank(s)",
            run,
        )


def others_may_add_to_a_checkpoint(work: Path) -> None:
    make_store(work)
    train(work, "model.h5")
    with h5py.File(work / "model.h5.ckpt", "r+") as file:
        file.attrs["note"] = "mine"
        file["notes/of/mine"] = np.arange(5)
    run = train(work, "model.h5", "train.epochs=4")
    check(run.status == 0 and run.json["epochs"] == 4, "a note in a checkpoint does it no harm", run)


def a_failed_write_leaves_the_kept_ones(work: Path) -> None:
    make_store(work, train={"keep": 3})
    first = train(work, "model.h5")
    before = {path.name: path.read_bytes() for path in work.glob("model.h5.ckpt*")}
    (work / "model.h5.ckpt.part").mkdir()
    for ranks in (1, 2):
        run = train(work, "model.h5", "train.epochs=5", ranks=ranks)
        after = {path.name: path.read_bytes() for path in work.glob("model.h5.ckpt*") if path.is_file()}
        check(
            first.status == 0 and len(before) == 3 and one_error(run, 1, "model.h5.ckpt") and after == before,
            f"where no checkpoint can be written, the older ones are as they were on {ranks} rank(s)",
            run,
            sorted(after),
        )


def one_trainer_an_output(work: Path) -> None:
    """By whatever name; the lock of a dead one holds nobody up."""
    write_images(work / "images", train=200, test=12)
    config = write_config(
        work,
        signal={"train": 150, "val": 10, "test": 10},
        train={"epochs": 100000, "checkpoint_epochs": 100000},
    )
    polyview("fit", "--config", config, "--quiet")
    (work / "link.h5").symlink_to("model.h5")
    words = ["train", "--config", config, "--set", f"train.output={work / 'model.h5'}"]
    running = Process(launch(words, 2))
    running.wait_for((work / "model.h5").exists)
    running.give_way()
    holder = running.ranks()[0]
    for ranks, name, more in ((1, "model.h5", []), (3, "model.h5", ["--fresh"]), (2, "link.h5", [])):
        second = polyview(
            "train", "--config", config, "--set", f"train.output={work / name}", *more, ranks=ranks
        )
        check(
            one_error(second, 1, "is being written by another run", f"process {holder} on "),
            f"a second trainer of {name} on {ranks} rank(s) is refused, and told who writes it",
            second,
        )
    other = train(work, "other.h5", "train.epochs=1")
    check(other.status == 0, "another output is free", other)
    time.sleep(0.1)
    running.signal(9)
    running.finish()
    again = train(work, "model.h5", "train.epochs=1", ranks=2)
    check(
        again.status == 0 and "taking over" in again.stderr, "the lock of a killed one is taken over", again
    )
    check(not (work / "model.h5.lock").exists(), "and given back at the end")


def processes_that_do_not_see_each_other_write_nothing(work: Path) -> None:
    """A launcher that MPI does not speak to makes of every process a world of its own."""
    make_store(work)
    words = {"train": ["--set", f"train.output={work / 'alone.h5'}"], "fit": ["--store", work / "alone.h5"]}
    started = ({"SLURM_STEP_NUM_TASKS": 3}, {"PMI_SIZE": 2}, {"OMPI_COMM_WORLD_SIZE": 4})
    for command, more in words.items():
        for variables in started:
            name, count = next(iter(variables.items()))
            run = polyview(command, "--config", work / "config.yaml", *more, **variables)
            check(
                one_error(run, 2, name, count, "srun --mpi=pmix") and not (work / "alone.h5").exists(),
                f"{command} is refused to a process alone of {count} ({name})",
                run,
            )
        for ranks, variables in ((1, {"SLURM_STEP_NUM_TASKS": 1}), (2, {"SLURM_STEP_NUM_TASKS": 2})):
            run = polyview(command, "--config", work / "config.yaml", *more, ranks=ranks, **variables)
            check(run.status == 0, f"{command} of {ranks} rank(s) that see each other runs", run)
        (work / "alone.h5").unlink()
        shutil.rmtree(work / "alone.h5.shards", ignore_errors=True)
    run = polyview("info", work / "store.h5", SLURM_STEP_NUM_TASKS=3)
    check(run.status == 0, "who only looks may be alone", run)


def least_memory(runs: Sequence[Run]) -> int:
    return min(run.json["peak_memory_mib"] for run in runs)


def memory_is_as_planned_and_does_not_grow(work: Path) -> None:
    """The peak of one and the same run varies by up to 8 MiB with what MPI, HDF5 and huge pages take: the least of
    several is compared, which a leak would raise as it does every one."""
    make_store(
        work, model={"kind": "mlp", "hidden": 640, "layers": 2}, train={"batch": 2, "checkpoint_epochs": 50}
    )
    for number, sets in enumerate((["train.reduce=fast"], ["train.reduce=ordered", "train.micro_batch=1"])):
        for ranks in (1, 2):

            def run_steps(steps: int, run: int) -> Run:
                name = f"{number}-{ranks}-{steps}-{run}.h5"
                return train(work, name, *sets, f"train.epochs={steps // 11}", ranks=ranks)

            short = least_memory([run_steps(SHORT, run) for run in range(2)])
            runs = [run_steps(LONG, 0)]
            while least_memory(runs) > short + 4 and len(runs) < 8:
                runs.append(run_steps(LONG, len(runs)))
            long = least_memory(runs)
            plan = runs[-1].json["memory_plan_mib"]
            check(
                all(run.status == 0 and "memory of a rank" in run.stderr for run in runs)
                and long <= 1.1 * plan + 24
                and plan <= 1.3 * long,
                f"{sets[0]} on {ranks} rank(s): the planned memory is taken, and no more: {plan}, {long} MiB",
                *runs,
            )
            check(
                long <= short + 4,
                f"{sets[0]} on {ranks} rank(s): {LONG - SHORT} steps more take no more memory: "
                f"{short} and {long} MiB",
                *runs,
            )


def main() -> int:
    return run_tests(
        another_store_is_noticed,
        a_cosine_keeps_its_end,
        a_diverged_run_goes_on_with_a_lower_rate,
        the_last_checkpoints_are_kept,
        a_lost_model_is_made_anew,
        damage_is_seen,
        the_newest_whole_one_is_continued,
        a_damaged_model_is_kept_anew,
        early_checkpoints_have_no_checksum,
        others_may_add_to_a_checkpoint,
        a_failed_write_leaves_the_kept_ones,
        one_trainer_an_output,
        processes_that_do_not_see_each_other_write_nothing,
        memory_is_as_planned_and_does_not_grow,
    )


if __name__ == "__main__":
    sys.exit(main())
