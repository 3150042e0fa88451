"""train and eval: the curve does not depend on ranks, runs resume, models carry PyTorch's names, scores add up."""

import json
import signal
import sys
from pathlib import Path

import h5py
import numpy as np

from harness import (
    ORACLE,
    Process,
    Run,
    changed_bytes,
    check,
    launch,
    make_store,
    one_error,
    polyview,
    run_tests,
    write_config,
)

SAMPLES, STOPPED = 21, 75
LOSS_TOLERANCE = 1e-5
SUM_ORDER = 5e-7  # what the order of sums makes of small trainings' losses, at most

MODELS = {
    "dws with batch norm": {"kind": "dws", "hidden": 4, "layers": 2, "batch_norm": True},
    "dws without batch norm": {
        "kind": "dws",
        "hidden": 4,
        "layers": 1,
        "batch_norm": False,
        "reduction": "mean",
    },
    "mlp with dropout": {"kind": "mlp", "hidden": 16, "layers": 2, "dropout": 0.2},
    "gnn with dropout": {
        "kind": "gnn",
        "layers": 2,
        "heads": 2,
        "d_node": 8,
        "d_edge": 6,
        "d_attn": 8,
        "d_node_hid": 8,
        "d_edge_hid": 8,
        "d_out_hid": 8,
    },
    "scalegmn with dropout": {
        "kind": "scalegmn",
        "hidden": 6,
        "layers": 2,
        "direction": "both",
        "dropout": 0.2,
    },
}


def metrics(model: Path, event: str = "epoch") -> list[dict]:
    lines = Path(f"{model}.jsonl").read_text().splitlines() if Path(f"{model}.jsonl").exists() else []
    return [line for line in map(json.loads, lines) if line["event"] == event]


def differences(one: list[dict], other: list[dict]) -> list[str]:
    """Where two curves are not the same stream with the same losses, up to rounding."""
    found = [] if len(one) == len(other) else [f"{len(one)} and {len(other)} epochs"]
    for a, b in zip(one, other):
        for key in ("epoch", "stream", "lr"):
            if a[key] != b[key]:
                found.append(f"epoch {a['epoch']}: {key} {a[key]}, not {b[key]}")
        if abs(a["train_loss"] - b["train_loss"]) > LOSS_TOLERANCE * b["train_loss"]:
            found.append(f"epoch {a['epoch']}: train loss {a['train_loss']}, not {b['train_loss']}")
    return found


def train(work: Path, name: str, *words: object, ranks: int = 1, **variables: object) -> Run:
    output = f"train.output={work / name}"
    return polyview(
        "train", "--config", work / "config.yaml", "--set", output, *words, ranks=ranks, **variables
    )


def same_curve_on_any_ranks(work: Path) -> None:
    """Two views of 21 objects in batches of 8: the last batch has 2 samples, fewer than 4 ranks."""
    make_store(work)
    for number, (kind, keys) in enumerate(MODELS.items()):
        write_config(work, model=keys, train={"views": 2, "warmup_steps": 5, "weight_decay": 0.01})
        first = train(work, f"{number}-1.h5")
        curve = metrics(work / f"{number}-1.h5")
        check(
            first.status == 0
            and first.json["samples"] == 2 * SAMPLES
            and [epoch["epoch"] for epoch in curve] == [1, 2, 3]
            and len({epoch["stream"] for epoch in curve}) == 3,
            f"{kind}: one rank trains three epochs, each in an order of its own",
            first,
            curve,
        )
        for ranks, node_ranks in ((2, 0), (3, 1), (4, 2)):
            run = train(work, f"{number}-{ranks}.h5", ranks=ranks, POLYVIEW_NODE_RANKS=node_ranks)
            wrong = differences(metrics(work / f"{number}-{ranks}.h5"), curve)
            check(
                run.status == 0 and not wrong,
                f"{kind}: {ranks} ranks train on the same stream with the same losses",
                run,
                *wrong,
            )


def narrow_wire(work: Path) -> None:
    """Nodes that send 16 bits a number: every epoch compares the ranks' models, and ends the run if they differ."""
    make_store(work)
    write_config(work, model={"kind": "dws", "hidden": 16, "layers": 2}, train={"views": 2, "lr": 1e-3})
    narrow = ["--set", "train.wire=bfloat16"]
    made = {}
    for name, words, ranks, node_ranks in (
        ("whole", [], 4, 2),
        ("pairs", narrow, 4, 2),
        ("apart", narrow, 3, 1),
    ):
        run = train(work, f"{name}.h5", *words, ranks=ranks, POLYVIEW_NODE_RANKS=node_ranks)
        made[name] = [epoch["train_loss"] for epoch in metrics(work / f"{name}.h5")]
        wrong = [f"{a} and {b}" for a, b in zip(made[name], made["whole"]) if abs(a - b) > 0.01 * b]
        check(
            run.status == 0 and len(made[name]) == 3 and not wrong,
            f"wire: bfloat16 ({name}) trains to within a hundredth of float32's losses",
            run,
            *wrong,
        )
    for name in ("pairs", "apart"):
        rounding = max(abs(a / b - 1) for a, b in zip(made[name], made["whole"]))
        check(rounding > SUM_ORDER, f"and rounds ({name})", made)
    run = train(work, "ordered.h5", *narrow, "--set", "train.reduce=ordered", ranks=2)
    check(one_error(run, 2, "train.wire", "train.reduce"), "with reduce: ordered it is refused", run)


def learns(work: Path) -> None:
    make_store(work, signal={"train": 30, "val": 10, "test": 12}, fit={"steps": 60, "views": 1})
    start = train(work, "0.h5", "--set", "train.epochs=1").json
    for optimizer, rate in (("adamw", 5e-3), ("adam", 5e-3), ("sgd", 5e-2)):
        keys = {"optimizer": optimizer, "lr": rate, "epochs": 25}
        write_config(
            work, signal={"train": 30, "val": 10, "test": 12}, fit={"steps": 60, "views": 1}, train=keys
        )
        run = train(work, f"{optimizer}.h5", "--quiet", ranks=2)
        check(
            run.status == 0 and run.json["train_loss"] < 0.5 * start["train_loss"],
            f"{optimizer} halves the training loss",
            run,
        )


def stopped_midway(work: Path, name: str, ranks: int) -> tuple[Run, int]:
    """Trains until the second epoch is through, then asks one rank to stop.  Returns also the epochs done."""
    words = ["train", "--config", work / "config.yaml", "--set", f"train.output={work / name}"]
    process = Process(launch(words, ranks))
    process.wait_for(lambda: len(metrics(work / name)) >= 2)
    process.signal(signal.SIGTERM, ranks - 1)
    run = process.finish()
    return run, len(metrics(work / name))


def resumes_within_an_epoch(work: Path) -> None:
    epochs = 12
    keys = {"epochs": epochs, "batch": 4, "views": 2, "lr": 1e-4, "warmup_steps": 100, "checkpoint_epochs": 4}
    make_store(
        work,
        model={"kind": "dws", "hidden": 48, "layers": 3, "reduction": "mean", "batch_norm": False},
        train=keys,
    )
    whole = train(work, "whole.h5", ranks=2)
    curve = metrics(work / "whole.h5")
    check(whole.status == 0 and len(curve) == epochs, "an uninterrupted run trains every epoch", whole)
    for before, after in ((2, 2), (1, 3), (3, 1)):
        name = f"{before}-{after}.h5"
        run, done = stopped_midway(work, name, before)
        with h5py.File(work / f"{name}.ckpt") as file:
            place = int(file.attrs["epoch"]), int(file.attrs["batch"])
        check(
            run.status == STOPPED
            and run.json.get("status") == "stopped early"
            and run.json["epochs"] == done
            and place[0] == done < epochs
            and place[1] > 0,
            f"a stop on {before} rank(s) within an epoch ends with status 75, a result and a checkpoint",
            run,
            place,
        )
        again = train(work, name, ranks=after)
        wrong = differences(metrics(work / name), curve)
        check(
            again.status == 0 and not wrong and len(metrics(work / name, "start")) == 1,
            f"stopped on {before} and resumed on {after} ranks: the curve of an uninterrupted run, no line doubled",
            again,
            *wrong,
        )
        check(
            again.json["best_epoch"] == whole.json["best_epoch"] and again.json["epochs"] == epochs,
            "the resumed run ends with the same best epoch",
            again,
            whole,
        )


def finished_runs(work: Path) -> None:
    make_store(work)
    first = train(work, "model.h5")
    names = ("model.h5", "model.h5.ckpt", "model.h5.jsonl")
    before = [(work / name).read_bytes() for name in names]
    again = train(work, "model.h5", ranks=3)
    scores = ("epochs", "best_epoch", "best_val_accuracy", "test_accuracy", "parameters", "samples")
    check(
        again.status == 0
        and all(again.json[key] == first.json[key] for key in scores)
        and abs(again.json["test_loss"] - first.json["test_loss"]) < 1e-5
        and [(work / name).read_bytes() for name in names] == before,
        "a finished run started again reports its scores and changes no file",
        again,
        first,
    )
    for key, value in (("train.lr", 0.002), ("model.hidden", 5), ("train.batch", 9), ("train.seed", 2)):
        run = train(work, "model.h5", "--set", f"{key}={value}", ranks=2)
        check(
            one_error(run, 2, f"{key}:", "--fresh")
            and [(work / name).read_bytes() for name in names] == before,
            f"another {key} is refused by name, and no file is touched",
            run,
        )
    fresh = train(work, "model.h5", "--fresh", "--set", "train.lr=0.002", ranks=2)
    curve = metrics(work / "model.h5")
    check(
        fresh.status == 0 and [epoch["epoch"] for epoch in curve] == [1, 2, 3] and curve[0]["lr"] == 0.002,
        "--fresh starts again with the changed settings",
        fresh,
        curve,
    )
    longer = train(work, "model.h5", "--set", "train.lr=0.002", "--set", "train.epochs=5", ranks=2)
    straight = train(work, "straight.h5", "--set", "train.lr=0.002", "--set", "train.epochs=5")
    wrong = differences(metrics(work / "model.h5"), metrics(work / "straight.h5"))
    check(
        longer.status == straight.status == 0 and not wrong,
        "a finished run given more epochs goes on as if it had had them from the start",
        longer,
        *wrong,
    )


def bad_rows_are_named(work: Path) -> None:
    store = make_store(work)
    with changed_bytes(store):
        with h5py.File(store, "r+") as file:
            file["view/status"][1, 13] = 0
        run = train(work, "model.h5", ranks=3)
        check(run.status == 0, "a view that is not trained on need not be fitted", run)
        run = train(work, "other.h5", "--set", "train.views=2", ranks=3)
        check(one_error(run, 3, "view 1 of object 13", "not fitted"), "a missing view is named", run)
    for item, split in ((2, "train"), (23, "val"), (36, "test")):
        with changed_bytes(store):
            with h5py.File(store, "r+") as file:
                file["params"][0, item, 7] += 1
            for ranks in (1, 4):
                run = train(work, f"{split}.h5", ranks=ranks)
                check(
                    one_error(run, 3, f"view 0 of object {item}", "checksum"),
                    f"a corrupt row of the {split} split is named on {ranks} rank(s)",
                    run,
                )
            run = train(work, f"{split}.h5", "--no-verify", ranks=2)
            check(run.status == 0, f"train --no-verify takes the corrupt row of {split} all the same", run)
            run = polyview("eval", "--model", work / "model.h5", "--store", store, "--split", split, ranks=2)
            check(one_error(run, 3, f"view 0 of object {item}"), f"eval names the corrupt {split} row", run)
            words = ["--no-verify", "--split", split]
            run = polyview("eval", "--model", work / "model.h5", "--store", store, *words)
            check(run.status == 0, "eval --no-verify takes it all the same", run)
    with changed_bytes(store):
        with h5py.File(store, "r+") as file:
            file["params"][0, 5, 7], file["params"][0, 3, 2] = np.nan, -3e38
        for ranks in (1, 2, 3, 4):
            run = train(work, "wild.h5", "--no-verify", ranks=ranks)
            check(
                one_error(run, 3, "2 row(s)", "not finite", "view 0 of object 3"),
                f"weights that no model can take are counted, and the first named, on {ranks} rank(s)",
                run,
            )
    run = train(work, "many.h5", "--set", "train.views=3", ranks=2)
    check(one_error(run, 2, "views 0-2", "0-1"), "more views than the store has are refused", run)


def splits_may_be_empty(work: Path) -> None:
    for name, counts in (("no-val", (9, 0, 5)), ("no-test", (9, 4, 0)), ("one", (2, 0, 0))):
        (work / name).mkdir()
        make_store(work / name, signal=dict(zip(("train", "val", "test"), counts)), fit={"views": 1})
        run = train(work / name, "model.h5", ranks=4, POLYVIEW_NODE_RANKS=2)
        check(
            run.status == 0
            and (run.json["best_val_accuracy"] is None) == (counts[1] == 0)
            and (run.json["test_accuracy"] is None) == (counts[2] == 0)
            and run.json["best_epoch"] == (3 if counts[1] == 0 else run.json["best_epoch"]),
            f"a store with splits of {counts} is trained on",
            run,
        )


def model_files(work: Path) -> None:
    """The names and shapes of the published model: those of the golden case's state_dict."""
    with h5py.File(ORACLE / "dws_model.h5") as file:
        case = file["case005"]
        expected = {name: tensor.shape for name, tensor in case["param"].items()}
        config = json.loads(case.attrs["config"])
    hidden = config["dims"][1:-1]
    keys = {
        "hidden": config["hidden_dim"],
        "layers": config["n_hidden"],
        "reduction": config["reduction"],
        "fc_layers": config["n_fc_layers"],
        "out_fc": config["n_out_fc"],
        "batch_norm": config["bn"],
        "layer_skip": config["add_layer_skip"],
        "skip": config["add_skip"],
    }
    make_store(work, inr={"hidden": hidden}, model=keys, train={"epochs": 2})
    run = train(work, "model.h5", ranks=2)
    check(run.status == 0, "the published model's settings train", run)
    # the golden INRs have 3 outputs, images have 1: only widths that hold the outputs differ
    with h5py.File(work / "model.h5") as file:
        found = {name: tensor.shape for name, tensor in file["model"].items()}
        types = {tensor.dtype.str for tensor in file["model"].values()}
        attributes, groups = dict(file.attrs), set(file)
        dims, norm = file["inr_dims"][()].tolist(), {k: v.shape for k, v in file["norm"].items()}
    check(sorted(found) == sorted(expected), "a model has the published names", set(found) ^ set(expected))
    outputs = config["dims"][-1]
    wrong = {
        name: (shape, expected[name])
        for name, shape in found.items()
        if not name.startswith("clf.")
        and len(shape) == len(expected[name])
        and any(a not in (b, b // outputs) for a, b in zip(shape, expected[name]))
        or len(shape) != len(expected[name])
    }
    check(not wrong, "and the published shapes", wrong)
    check(found["clf.layer.2.weight"] == (4, 4), "the classifier has one output a class", found)
    params = sum((a + 1) * b for a, b in zip(dims, dims[1:]))
    check(
        types == {"<f4"}
        and dims == [2, *hidden, 1]
        and norm == {"mean": (params,), "std": (params,)}
        and attributes["polyview_kind"] == b"model"
        and attributes["polyview_version"] == 1
        and b"layer_skip: true" in attributes["config"]
        and "optimizer" not in groups,
        "a model file holds float32 tensors, the statistics of its input and its config",
        attributes,
        groups,
    )
    with h5py.File(work / "model.h5.ckpt") as file:
        slots, steps = set(file["optimizer"]), int(file.attrs["optimizer_steps"])
        check(
            {name: tensor.shape for name, tensor in file["model"].items()} == found
            and {"exp_avg", "exp_avg_sq"} <= slots
            and steps == 2 * 3
            and file.attrs["epoch"] == 2,
            "a checkpoint adds the optimiser's state and the place in the stream",
            slots,
            steps,
        )
    with h5py.File(work / "model.h5") as file, h5py.File(work / "store.h5") as store:
        rows = store["params"][0, :SAMPLES].astype("f8")
        check(
            np.allclose(file["norm/mean"][()], rows.mean(0), atol=1e-6)
            and np.allclose(file["norm/std"][()], rows.std(0, ddof=1), rtol=1e-4),
            "the statistics are those of the training rows",
        )
    for number, value in (("nan", np.nan), ("-inf", -np.inf)):
        with h5py.File(work / "model.h5", "r+") as file:  # as another program writes it
            file.attrs.pop("checksum", None)
            file["model/clf.layer.0.bias"][1] = value
        for ranks in (1, 3):
            words = ["--model", work / "model.h5", "--store", work / "store.h5", "--split", "test"]
            run = polyview("eval", *words, ranks=ranks)
            check(
                one_error(run, 3, "model.h5", "clf.layer.0.bias", f"{number} at 1"),
                f"a model whose weight is {number} is refused by name on {ranks} rank(s)",
                run,
            )


def softmax_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    shifted = logits - logits.max(1, keepdims=True)
    return float(np.mean(np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(labels)), labels]))


def scores_add_up(work: Path) -> None:
    store, model, logits = make_store(work), work / "model.h5", work / "logits.h5"
    trained = train(work, "model.h5", "--set", "train.epochs=5")
    seen: dict[str, np.ndarray] = {}
    cases = [
        ("train", "0", 21, 1, "training"),
        ("train", "1", 21, 1, "internal"),
        ("train", "0-1", 21, 2, "mixed"),
        ("val", "0-1", 7, 2, "external"),
        ("test", "0", 9, 1, "external"),
    ]
    for split, views, objects, count, kind in cases:
        for ranks in (1, 4):
            run = polyview(
                *("eval", "--model", model, "--store", store, "--split", split, "--views", views),
                *("--logits", logits),
                ranks=ranks,
                POLYVIEW_NODE_RANKS=0 if ranks == 1 else 2,
            )
            with h5py.File(logits) as file:
                data = {name: file[name][()] for name in ("logits", "label", "object", "view")}
            with h5py.File(store) as file:
                labels = file["object/label"][()][data["object"]]
            samples = objects * count
            right = data["logits"].argmax(1) == data["label"]
            per_class = run.json.get("per_class", [])
            check(
                run.status == 0
                and run.json["generalisation"] == kind
                and data["logits"].shape == (samples, 4)
                and np.array_equal(data["label"], labels)
                and len(set(zip(data["object"].tolist(), data["view"].tolist()))) == samples
                and run.json["samples"] == samples
                and abs(run.json["accuracy"] - right.mean()) < 1e-6
                and abs(run.json["loss"] - softmax_loss(data["logits"].astype("f8"), labels)) < 1e-5,
                f"eval of view(s) {views} of {split} on {ranks} rank(s): the score is that of its logits",
                run,
            )
            check(
                [entry["samples"] for entry in per_class] == np.bincount(labels, minlength=4).tolist()
                and [entry["correct"] for entry in per_class]
                == np.bincount(labels[right], minlength=4).tolist(),
                "the classes add up",
                per_class,
            )
            key = f"{split} {views}"
            if key in seen:
                check(
                    np.allclose(seen[key], data["logits"], atol=1e-5), f"logits of {key} agree on any ranks"
                )
            seen[key] = data["logits"]
        if (split, views) == ("test", "0"):
            check(
                run.json["accuracy"] == trained.json["test_accuracy"]
                and abs(run.json["loss"] - trained.json["test_loss"]) < 1e-5,
                "train reports the test score of the model it keeps",
                run,
                trained,
            )
    check(
        np.allclose(seen["train 0-1"][0::2], seen["train 0"], atol=1e-5)
        and np.allclose(seen["train 0-1"][1::2], seen["train 1"], atol=1e-5),
        "several views stand together, object by object",
    )
    check(not list(work.glob("*.part")), "no temporary file is left", list(work.iterdir()))
    run = polyview("eval", "--model", model, "--store", store, "--views", "0-2", ranks=2)
    check(one_error(run, 2, "views 0-2", "0-1"), "views that the store lacks are refused", run)


def results_are_one_line(work: Path) -> None:
    make_store(work)
    run = train(work, "model.h5", ranks=3)
    check(
        len(run.stdout.splitlines()) == 1
        and {"best_val_accuracy", "test_accuracy", "samples_per_s"} <= set(run.json)
        and run.json["samples_per_s"] > 0,
        "train ends with one JSON line that holds best_val_accuracy, test_accuracy and samples_per_s",
        run,
    )


def divergence(work: Path) -> None:
    make_store(work)
    run = train(work, "model.h5", "--set", "train.lr=1e30", "--set", "train.optimizer=sgd", ranks=3)
    check(one_error(run, 1, "train.lr"), "a loss that is not finite ends the run and names train.lr", run)
    once = ["--set", "train.lr=1e30", "--set", f"train.batch={SAMPLES}", "--set", "train.epochs=1"]
    for ranks in (1, 2, 4):
        run = train(work, f"once{ranks}.h5", *once, ranks=ranks)
        check(
            one_error(run, 1, "validation", "train.lr", "--fresh")
            and not (work / f"once{ranks}.h5").exists(),
            f"a last step that leaves no finite model is not called done, on {ranks} rank(s)",
            run,
        )


def main() -> int:
    return run_tests(
        same_curve_on_any_ranks,
        narrow_wire,
        learns,
        resumes_within_an_epoch,
        finished_runs,
        bad_rows_are_named,
        splits_may_be_empty,
        model_files,
        scores_add_up,
        results_are_one_line,
        divergence,
    )


if __name__ == "__main__":
    sys.exit(main())
