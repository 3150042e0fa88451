"""train.task simclr: the loss does not depend on ranks, runs resume, ordered ones with the same bits, the embedding is
learned, bad pairs are refused."""

import json
import sys
from pathlib import Path

import h5py

from harness import Run, check, make_store, one_error, polyview, run_tests, write_config
from test_ordered import tensors

TOLERANCE = 2e-5
NOISE = [{"kind": "noise"}, {"kind": "negation"}]
MIXED = [{"kind": "mixup_aligned", "partner": "view"}]
WIDTH = 6
TRAIN = {
    "task": "simclr",
    "embedding": WIDTH,
    "views": 2,
    "epochs": 3,
    "batch": 8,
    "lr": 1e-3,
    "positives": "both",
}
MODEL = {"kind": "dws", "hidden": 4, "layers": 1, "reduction": "mean", "batch_norm": True}


def configure(work: Path, augment: list[dict], **train: object) -> None:
    write_config(work, model=MODEL, train=TRAIN | train, augment=augment)


def train(work: Path, name: str, ranks: int = 1, *words: object) -> Run:
    output = f"train.output={work / name}"
    return polyview("train", "--config", work / "config.yaml", "--set", output, *words, ranks=ranks)


def curve(work: Path, name: str) -> list[dict]:
    lines = map(json.loads, (work / f"{name}.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == "epoch"]


def differences(one: list[dict], other: list[dict]) -> list[str]:
    wrong = [] if len(one) == len(other) else [f"{len(one)} and {len(other)} epochs"]
    for a, b in zip(one, other):
        wrong += [f"epoch {a['epoch']}: other streams"] if a["stream"] != b["stream"] else []
        for key in ("train_loss", "val_loss"):
            if abs(a[key] - b[key]) > TOLERANCE * b[key]:
                wrong.append(f"epoch {a['epoch']}: {key} {a[key]}, not {b[key]}")
    return wrong


def ranks_learn_the_same(work: Path) -> None:
    """21 objects in batches of 8: the last batch has 5, of which four ranks hold one or two."""
    make_store(work)
    for positives, augment in (("augment", NOISE), ("views", []), ("both", NOISE), ("both", MIXED)):
        configure(work, augment, positives=positives)
        what = f"{positives} with {[item['kind'] for item in augment]}"
        name = f"{positives}{len(augment)}"
        first = train(work, f"{name}-1.h5")
        check(first.status == 0 and len(curve(work, f"{name}-1.h5")) == 3, f"{what}: one rank trains", first)
        for ranks, placement in ((2, "node"), (4, "job")):
            output = f"{name}-{ranks}.h5"
            run = train(work, output, ranks, "--set", f"train.placement={placement}")
            wrong = differences(curve(work, output), curve(work, f"{name}-1.h5"))
            check(run.status == 0 and not wrong, f"{what}: {ranks} ranks have the same losses", run, *wrong)


def resumes_with_the_same_bits(work: Path) -> None:
    """Of 8 micro-batches the epoch's last batch, of 5 objects, leaves some empty; batch norm sums over all."""
    make_store(work)
    configure(work, NOISE, epochs=4, reduce="ordered", micro_batch=1)
    whole, other = train(work, "whole.h5"), train(work, "other.h5", 5)
    parts = [
        train(work, "parts.h5", ranks, "--set", f"train.epochs={epochs}")
        for epochs, ranks in enumerate((7, 3, 6, 2), 1)
    ]
    ended = [run.status for run in (whole, other, *parts)] == [0] * 6
    names = ("whole.h5", "other.h5", "parts.h5")
    losses = [[(e["train_loss"], e["val_loss"]) for e in curve(work, name)] for name in names]
    check(
        ended and len(losses[0]) == 4 and losses[1] == losses[0] and losses[2] == losses[0],
        "four epochs on 1, on 5, and on 7, 3, 6, 2 ranks have the same losses, every digit",
        *parts,
        losses,
    )
    kept = [tensors(work / f"{name}.ckpt") for name in names]
    check(kept[1] == kept[0] and kept[2] == kept[0], "and the same model and optimiser, byte by byte")
    with h5py.File(work / "whole.h5") as file:
        shapes = {
            name: file[f"model/{name}"].shape for name in file["model"] if name.startswith("projection")
        }
    names = {f"projection.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias")}
    check(
        set(shapes) == names and shapes["projection.0.weight"] == (WIDTH, WIDTH),
        "the model file holds the projection under its names",
        shapes,
    )
    changed = train(work, "parts.h5", 1, "--set", "train.temperature=0.2")
    check(one_error(changed, 2, "train.temperature"), "another temperature is refused", changed)
    run = polyview("eval", "--model", work / "whole.h5", "--store", work / "store.h5")
    check(one_error(run, 3, "without labels", "probe"), "eval sends the model to probe", run)


def learns(work: Path) -> None:
    make_store(work)
    configure(work, [{"kind": "noise", "amount": 0.1}], epochs=40, lr=5e-3, batch=16, positives="augment")
    run = train(work, "model.h5", 2)
    epochs = curve(work, "model.h5")
    check(
        run.status == 0
        and epochs[-1]["train_loss"] < 0.6 * epochs[0]["train_loss"]
        and abs(run.json["best_val_loss"] - min(epoch["val_loss"] for epoch in epochs)) < 1e-5,
        "the loss falls, and the model of the lowest validation loss is kept",
        run,
        epochs[0],
        epochs[-1],
    )


def a_graph_network_that_knows_signs_learns_it_too(work: Path) -> None:
    """Bitwise on any ranks, over a stop too; rows keep their signs; its embedding can be probed."""
    make_store(work)
    model = {"kind": "scalegmn", "hidden": 4, "layers": 2, "dropout": 0.1}
    ordered = {"reduce": "ordered", "micro_batch": 2, "normalise": "scale", "epochs": 2}
    write_config(work, model=model, train=TRAIN | ordered, augment=NOISE)
    whole = train(work, "whole.h5")
    first = train(work, "parts.h5", 2, "--set", "train.epochs=1")
    second = train(work, "parts.h5", 4)
    losses = [[epoch["train_loss"] for epoch in curve(work, name)] for name in ("whole.h5", "parts.h5")]
    check(
        whole.status == first.status == second.status == 0 and losses[0] == losses[1] and len(losses[0]) == 2,
        "an epoch on two ranks and one on four are two on one, to the bit",
        second,
        losses,
    )
    with h5py.File(work / "whole.h5") as file, h5py.File(work / "store.h5") as store:
        mean, std = file["norm/mean"][()], file["norm/std"][()]
        rows = store["params"][:2][:, store["object/split"][()] == 0].reshape(-1, len(std)).astype(float)
        name, offset, outputs, inputs = list(store["layout"])[0].item()
        part = slice(offset, offset + outputs * inputs)
        deviation = (rows[:, part] ** 2).mean() ** 0.5
    right = abs(std[part] - deviation).max() < 1e-2 * deviation and std[part].std() == 0
    check(not mean.any() and right, f"{name} is divided by its deviation from 0", deviation, std[part])
    run = polyview(
        "probe", "--model", work / "whole.h5", "--store", work / "store.h5", "--method", "ridge", ranks=2
    )
    check(run.status == 0 and 0 <= run.json["test_accuracy"] <= 1, "probe takes its embedding", run)


def pairs_that_cannot_be_are_refused(work: Path) -> None:
    make_store(work)
    for what, augment, keys in (
        ("an empty augment list", [], {"positives": "augment"}),
        ("views with an augment list", NOISE, {"positives": "views"}),
        ("two views where one is trained on", NOISE, {"positives": "both", "views": 1}),
    ):
        configure(work, augment, **keys)
        run = train(work, "refused.h5", 2)
        check(one_error(run, 2, "train.positives"), f"{what} is refused", run)


if __name__ == "__main__":
    sys.exit(
        run_tests(
            ranks_learn_the_same,
            resumes_with_the_same_bits,
            learns,
            a_graph_network_that_knows_signs_learns_it_too,
            pairs_that_cannot_be_are_refused,
        )
    )
