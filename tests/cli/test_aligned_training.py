"""train.align: the order (and signs) of hidden units in the store do not matter to a model on aligned weights, and every
reader of the model aligns as its training did."""

import shutil
import sys
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "analysis"))
from polyview import _xxh3 as xxh3  # noqa: E402
from harness import Run, check, make_store, one_error, polyview, run_tests

HIDDEN, W0 = (6, 5), 30
TOLERANCE = 2e-6


def scramble(path: Path, rng: np.random.Generator, signs: bool, phases: bool = False, first: int = 1) -> None:
    """Renames the hidden units of INRs from the first or second on, and turns some: each stays the same function."""
    dims = (2, *HIDDEN, 1)
    with h5py.File(path, "r+") as file:
        views, objects, _ = file["params"].shape
        for view in range(views):
            for i in range(objects):
                if view == 0 and i < first:
                    continue
                row, tensors, at = file["params"][view, i], [], 0
                for n, m in zip(dims, dims[1:]):
                    tensors += [row[at : at + n * m].reshape(m, n), row[at + n * m : at + n * m + m]]
                    at += n * m + m
                for layer, units in enumerate(HIDDEN):
                    order = rng.permutation(units)
                    sign = rng.choice([-1, 1], units).astype("f4") if signs else np.ones(units, "f4")
                    phase = rng.integers(-3, 4, units) if phases else np.zeros(units, int)
                    tensors[2 * layer] = sign[:, None] * tensors[2 * layer][order]
                    tensors[2 * layer + 1] = sign * tensors[2 * layer + 1][order] + phase * np.pi / W0
                    tensors[2 * layer + 2] = sign * (1 - 2 * (phase % 2)) * tensors[2 * layer + 2][:, order]
                row = np.concatenate([tensor.ravel() for tensor in tensors]).astype("f4")
                file["params"][view, i] = row
                file["view/checksum"][view, i] = xxh3.xxh3_64(row[None].view(np.uint8))[0]


def train(work: Path, name: str, *sets: str, ranks: int = 1) -> Run:
    words = [word for item in (f"train.output={work / name}.h5", *sets) for word in ("--set", item)]
    return polyview("train", "--config", work / "config.yaml", *words, ranks=ranks)


def logits(work: Path, name: str, store: Path, split: str = "test", ranks: int = 1) -> tuple[Run, np.ndarray]:
    path = work / "logits.h5"
    path.unlink(missing_ok=True)
    run = polyview(
        "eval",
        "--model",
        work / f"{name}.h5",
        "--store",
        store,
        "--split",
        split,
        "--logits",
        path,
        ranks=ranks,
    )
    with h5py.File(path) as file:
        return run, file["logits"][()]


def far(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max() / np.abs(one).max())


def renamed_units_do_not_matter(work: Path) -> None:
    store = make_store(work, model={"kind": "mlp", "hidden": 12, "layers": 2})
    for align, signs in (("permutation", False), ("signed", True)):
        other = Path(shutil.copy(store, work / f"{align}.h5s"))
        scramble(other, np.random.default_rng(11), signs)
        for name, sets in (("aligned", (f"train.align={align}",)), ("raw", ())):
            run = train(work, f"{align}-{name}", *sets)
            (same, one), (_, scrambled) = (logits(work, f"{align}-{name}", path) for path in (store, other))
            check(
                run.status == 0 and run.json["test_accuracy"] == same.json["accuracy"],
                f"{align}: eval of the {name} model gives training's test accuracy",
                run,
                same,
            )
            if name == "aligned":
                check(
                    far(one, scrambled) <= TOLERANCE,
                    f"{align}: renamed units give the same logits",
                    one,
                    scrambled,
                )
            else:
                check(far(one, scrambled) > 0.01, f"{align}: without alignment they do not")
        runs = [
            train(work, f"{align}-{path.stem}-{ranks}", f"store={path}", f"train.align={align}", ranks=ranks)
            for path, ranks in ((store, 1), (other, 2))
        ]
        losses = [run.json["train_loss"] for run in runs]
        check(
            abs(losses[0] - losses[1]) <= 1e-4 * losses[0],
            f"{align}: training on renamed units, by other ranks, learns the same",
            losses,
        )
        with h5py.File(work / f"{align}-aligned.h5") as model, h5py.File(store) as rows:
            check(
                np.array_equal(model["reference"], rows["params"][0, 0]),
                f"{align}: the model file keeps the first training row",
            )


FIXED = {
    "order": ("train.align_signs=false",),
    "order and signs": (),
    "order and phases": ("train.align_signs=false", "train.align_phases=true"),
    "order, signs and phases": ("train.align_phases=true",),
}


def all_rows_may_be_aligned_to_a_fresh_network(work: Path) -> None:
    store = make_store(work, model={"kind": "mlp", "hidden": 12, "layers": 2})
    for what, keys in FIXED.items():
        name = what.replace(" ", "-")
        other = Path(shutil.copy(store, work / f"{name}.h5s"))
        scramble(other, np.random.default_rng(5), "signs" in what, "phases" in what, first=0)
        run = train(work, name, "train.align=fixed", *keys)
        (same, one), (_, scrambled) = (logits(work, name, path) for path in (store, other))
        check(
            run.status == 0 and run.json["test_accuracy"] == same.json["accuracy"],
            f"fixed: eval gives training's test accuracy ({what})",
            run,
            same,
        )
        check(
            far(one, scrambled) <= 1e-5,
            f"fixed: INRs that differ in {what} give the same logits",
            one,
            scrambled,
        )
    marks = {}
    for ranks in (1, 2, 3, 4):
        placement = f"train.placement={'job' if ranks == 3 else 'node'}"
        run = train(work, str(ranks), "train.align=fixed", "train.align_phases=true", placement, ranks=ranks)
        with h5py.File(work / f"{ranks}.h5") as model:
            norm = model["norm/mean"][()].tobytes() + model["norm/std"][()].tobytes()
            marks[ranks] = (int(model.attrs["trained_rows"]), model["reference"][()].tobytes(), norm)
        check(
            run.status == 0 and marks[ranks] == marks[1],
            f"{ranks} ranks align to the same rows, bit by bit",
            run,
        )


def the_fresh_network_is_drawn_as_the_fits_start(work: Path) -> None:
    store = make_store(work, model={"kind": "mlp", "hidden": 12, "layers": 2})
    plain = polyview(
        "fit",
        "--config",
        work / "config.yaml",
        "--store",
        work / "standard.h5s",
        "--set",
        "inr.variant=standard",
    )
    keys = ("train.align=fixed", "train.epochs=1")
    runs = [
        train(work, "one", *keys),
        train(work, "again", *keys, "train.batch=7", ranks=2),
        train(work, "seed", *keys, "train.seed=2"),
        train(work, "standard", *keys, f"store={work / 'standard.h5s'}"),
    ]
    check(all(run.status == 0 for run in (plain, *runs)), "all are trained", plain, *runs)
    found = {}
    for name in ("one", "again", "seed", "standard"):
        with h5py.File(work / f"{name}.h5") as model:
            found[name] = model["reference"][()]
    with h5py.File(store) as file:
        nearest = np.abs(file["params"][()] - found["one"]).max(-1).min()
    first, bias = slice(0, 12), slice(12, 18)
    size = {name: np.abs(row[first]).max() for name, row in found.items()}
    check(
        np.array_equal(found["one"], found["again"])
        and not np.array_equal(found["one"], found["seed"])
        and nearest > 0.01
        and not found["one"][bias].any(),
        "the seed alone draws it, and it is none of the fitted INRs",
        found,
    )
    check(
        size["one"] <= np.sqrt(6 / 2) / W0 < 0.3 < size["standard"] <= 1 / 2,
        "its first layer is as large as the store's INRs start with, though the config says otherwise",
        size,
    )


def the_reference_goes_with_the_model(work: Path) -> None:
    """A model is used with stores whose first row is another: the reference is the training store's."""
    store = make_store(work, model={"kind": "mlp", "hidden": 12, "layers": 2})
    trained = train(work, "model", "train.align=signed", "train.epochs=1", ranks=2)
    whole = train(work, "model", "train.align=signed", ranks=1)
    straight = train(work, "straight", "train.align=signed")
    check(
        trained.status == whole.status == 0
        and abs(whole.json["train_loss"] - straight.json["train_loss"]) <= 1e-5 * whole.json["train_loss"],
        "a checkpoint of an aligned training is continued",
        trained,
        whole,
        straight,
    )
    before = logits(work, "model", store, ranks=3)[1]
    other = Path(shutil.copy(store, work / "other.h5"))
    with h5py.File(other, "r+") as file:
        file["params"][0, 0] = file["params"][1, 5]
        file["view/checksum"][0, 0] = file["view/checksum"][1, 5]
    after = logits(work, "model", other)[1]
    check(far(before, after) <= TOLERANCE, "rows are matched to the row that the model file keeps")
    probed = [
        polyview("probe", "--model", work / "model.h5", "--store", path, "--method", "ridge", ranks=2)
        for path in (store, other)
    ]
    check(all(run.status == 0 for run in probed), "a probe of the model matches rows too", *probed)
    with h5py.File(work / "model.h5", "r+") as file:
        del file["reference"]
        del file.attrs["checksum"]  # which would tell before the reader does
    for command, *words in (("eval",), ("probe", "--method", "ridge")):
        run = polyview(command, "--model", work / "model.h5", "--store", store, *words)
        check(one_error(run, 3, "/reference", "train.align"), f"{command} misses a lost reference", run)


def main() -> int:
    return run_tests(
        renamed_units_do_not_matter,
        all_rows_may_be_aligned_to_a_fresh_network,
        the_fresh_network_is_drawn_as_the_fits_start,
        the_reference_goes_with_the_model,
    )


if __name__ == "__main__":
    sys.exit(main())
