"""Training over long times: what a checkpoint may be continued on, which ones are kept, and memory as planned."""

import sys
from pathlib import Path

import h5py

from harness import Run, check, make_store, one_error, polyview, run_tests, write_config

SHORT, LONG = 100, 1100  # steps


def train(work: Path, name: str, *sets: str, ranks: int = 1) -> Run:
    words = [word for item in (f"train.output={work / name}", *sets) for word in ("--set", item)]
    return polyview("train", "--config", work / "config.yaml", *words, ranks=ranks, timeout=200)


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


def memory_is_as_planned_and_does_not_grow(work: Path) -> None:
    make_store(
        work, model={"kind": "mlp", "hidden": 640, "layers": 2}, train={"batch": 2, "checkpoint_epochs": 50}
    )
    for number, sets in enumerate((["train.reduce=fast"], ["train.reduce=ordered", "train.micro_batch=1"])):
        for ranks in (1, 2):
            runs = [
                train(work, f"{number}-{ranks}-{run}.h5", *sets, f"train.epochs={steps // 11}", ranks=ranks)
                for run, steps in enumerate((SHORT, SHORT, SHORT, LONG))
            ]
            peaks = [run.json["peak_memory_mib"] for run in runs]
            plan = runs[-1].json["memory_plan_mib"]
            check(
                all(run.status == 0 and "memory of a rank" in run.stderr for run in runs)
                and peaks[-1] <= 1.1 * plan + 24
                and plan <= 1.3 * peaks[-1],
                f"{sets[0]} on {ranks} rank(s): the planned memory is taken, and no more: {plan}, {peaks[-1]} MiB",
                *runs,
            )
            check(
                peaks[-1] <= max(peaks[:-1]) + 4,  # what MPI takes differs between runs
                f"{sets[0]} on {ranks} rank(s): 1 000 steps more take no more memory: {peaks} MiB",
            )


def main() -> int:
    return run_tests(
        another_store_is_noticed,
        a_cosine_keeps_its_end,
        the_last_checkpoints_are_kept,
        a_lost_model_is_made_anew,
        memory_is_as_planned_and_does_not_grow,
    )


if __name__ == "__main__":
    sys.exit(main())
