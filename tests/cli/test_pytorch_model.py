"""A published PyTorch checkpoint is a model file after copying its arrays: the golden classifier's logits come out."""

import json
import sys
from pathlib import Path
from typing import Callable

import h5py
import numpy as np

from harness import ORACLE, changed_bytes, check, one_error, polyview, refused, run_tests

TOLERANCE = 1e-4
CASE = "case005"


def yaml_of(case: dict) -> str:
    """The config of a model with the case's settings."""
    keys = {
        "hidden": case["hidden_dim"],
        "layers": case["n_hidden"],
        "set_layer": case["set_layer"],
        "reduction": case["reduction"],
        "fc_layers": case["n_fc_layers"],
        "out_fc": case["n_out_fc"],
        "batch_norm": case["bn"],
        "layer_skip": case["add_layer_skip"],
        "skip": case["add_skip"],
    }
    return json.dumps({"model": {"kind": "dws"} | keys})


def arch_of(case: dict) -> tuple[list[int], int]:
    dims = case["dims"]
    return dims, sum((a + 1) * b for a, b in zip(dims, dims[1:]))


def write_model(path: Path, golden: h5py.Group, case: dict) -> None:
    """What a converter does: the state_dict's arrays under their names, statistics of the input, the config."""
    dims, params = arch_of(case)
    running = golden["output/running_after_1"]
    with h5py.File(path, "w") as file:
        file.attrs["polyview_kind"] = "model"
        file.attrs["polyview_version"] = 1
        file.attrs["config"] = yaml_of(case)
        file.attrs["classes"] = case["n_classes"]
        file.attrs["inr_w0"], file.attrs["inr_offset"] = 30.0, 0.5
        for name in ("epoch", "batch", "correct", "stream", "best_epoch"):
            file.attrs[name] = 0
        file.attrs["loss_sum"], file.attrs["best_val_accuracy"] = 0.0, -1.0
        file["inr_dims"] = np.array(dims, "i4")
        file["norm/mean"], file["norm/std"] = np.zeros(params, "f4"), np.ones(params, "f4")
        for name, tensor in golden["param"].items():
            file[f"model/{name}"] = (running[name] if name in running else tensor)[()].astype("f4")


def write_store(path: Path, golden: h5py.Group, case: dict) -> None:
    """The case's inputs as the rows of test objects, in PyTorch's order: weight [out][in], then bias."""
    dims, params = arch_of(case)
    parts = []
    for i in range(len(dims) - 1):
        weights = golden[f"input/weights.{i}"][..., 0].transpose(0, 2, 1)
        parts += [weights.reshape(len(weights), -1), golden[f"input/biases.{i}"][..., 0]]
    rows = np.concatenate(parts, 1).astype("f4")
    objects = len(rows)
    with h5py.File(path, "w") as file:
        file.attrs["polyview_kind"] = "store"
        file.attrs["polyview_version"] = 1
        file.attrs["arch"] = json.dumps({"dims": dims, "w0": 30.0, "offset": 0.5})
        file.attrs["signal"] = json.dumps({"source": "idx", "classes": case["n_classes"]})
        file.attrs["config"] = ""
        file["params"] = rows.reshape(1, objects, params)
        file["view/status"] = np.ones((1, objects), "u1")
        file["view/checksum"] = np.zeros((1, objects), "u8")
        file["view/psnr"] = np.zeros((1, objects), "f4")
        file["view/steps"] = np.zeros((1, objects), "u4")
        file["object/label"] = golden["input/label"][()].astype("i4")
        file["object/split"] = np.full(objects, 2, "u1")
        file["object/source"] = np.arange(objects, dtype="u8")


def prepare(work: Path) -> tuple[np.ndarray, np.ndarray, dict]:
    """model.h5 and store.h5; returns the golden logits of evaluation, the labels and the case's settings."""
    with h5py.File(ORACLE / "dws_model.h5") as file:
        golden = file[CASE]
        case = json.loads(golden.attrs["config"])
        write_model(work / "model.h5", golden, case)
        write_store(work / "store.h5", golden, case)
        return golden["output/logits_eval"][()], golden["input/label"][()], case


def eval_words(work: Path, *words: object) -> list[object]:
    return ["eval", "--model", work / "model.h5", "--store", work / "store.h5", "--no-verify", *words]


def logits_are_the_published_ones(work: Path) -> None:
    expected, labels, _ = prepare(work)
    for ranks in (1, 4):
        run = polyview(*eval_words(work, "--logits", work / "logits.h5"), ranks=ranks)
        with h5py.File(work / "logits.h5") as file:
            found = file["logits"][()]
        error = np.abs(found - expected).max() / (1 + np.abs(expected)).max()
        check(
            run.status == 0 and found.shape == expected.shape and error < TOLERANCE,
            f"the published model's logits come out on {ranks} rank(s) ({error:.1e})",
            run,
            found,
            expected,
        )
        right = (expected.argmax(1) == labels).mean()
        check(abs(run.json["accuracy"] - right) < 1e-6, "and its accuracy", run)
    run = polyview("eval", "--model", work / "model.h5", "--store", work / "store.h5", ranks=2)
    check(one_error(run, 3, "view 0 of object", "checksum"), "without --no-verify the checksums count", run)
    with h5py.File(work / "model.h5", "r+") as file:
        file["model/layers.layers.1.weights_bn.1.running_mean"][...] += 1
    polyview(*eval_words(work, "--logits", work / "logits.h5"))
    with h5py.File(work / "logits.h5") as file:
        changed = np.abs(file["logits"][()] - expected).max()
    check(changed > 10 * TOLERANCE, "a changed running mean is seen in the logits", changed)


def statistics_are_applied(work: Path) -> None:
    expected, _, case = prepare(work)
    rng, params = np.random.default_rng(1), arch_of(case)[1]
    mean, std = rng.normal(size=params).astype("f4"), rng.uniform(0.5, 2, params).astype("f4")
    with h5py.File(work / "model.h5", "r+") as file, h5py.File(work / "store.h5", "r+") as store:
        file["norm/mean"][...], file["norm/std"][...] = mean, std
        store["params"][...] = store["params"][()] * std + mean
    run = polyview(*eval_words(work, "--logits", work / "logits.h5"), ranks=2)
    with h5py.File(work / "logits.h5") as file:
        error = np.abs(file["logits"][()] - expected).max()
    check(run.status == 0 and error < 10 * TOLERANCE, "rows are normalised: (row - mean) / std", run, error)


def double_precision_is_converted(work: Path) -> None:
    expected, _, _ = prepare(work)
    with h5py.File(work / "model.h5", "r+") as file:
        for name in list(file["model"]):
            tensor = file["model"][name][()]
            del file["model"][name]
            kind = "i8" if name.endswith("num_batches_tracked") else "f8"
            file[f"model/{name}"] = tensor.astype(kind)
    run = polyview(*eval_words(work, "--logits", work / "logits.h5"))
    with h5py.File(work / "logits.h5") as file:
        error = np.abs(file["logits"][()] - expected).max()
    check(
        run.status == 0 and error < TOLERANCE,
        "float64 arrays and int64 counters are read as well",
        run,
        error,
    )


def wrong_models_are_refused(work: Path) -> None:
    prepare(work)
    model = work / "model.h5"
    name, wide = "clf.layer.0.weight", "layers.layers.4.skip.2.weight"

    def reshape(tensor: str, shape: tuple[int, ...]) -> Callable[[h5py.File], None]:
        def change(file: h5py.File) -> None:
            del file[f"model/{tensor}"]
            file[f"model/{tensor}"] = np.zeros(shape, "f4")

        return change

    def add(file: h5py.File) -> None:
        file["model/clf.layer.4.weight"] = np.zeros((5, 5), "f4")

    def attribute(key: str, value: object) -> Callable[[h5py.File], None]:
        return lambda file: file.attrs.__setitem__(key, value)

    def dims(values: list[int]) -> Callable[[h5py.File], None]:
        def change(file: h5py.File) -> None:
            params = sum((a + 1) * b for a, b in zip(values, values[1:]))
            for path, array in (
                ("inr_dims", values),
                ("norm/mean", [0.0] * params),
                ("norm/std", [1.0] * params),
            ):
                del file[path]
                file[path] = np.array(array, "f4" if path.startswith("norm") else "i4")

        return change

    cases: list[tuple[str, Callable[[h5py.File], object], list[str]]] = [
        ("a model without a tensor", lambda file: file.__delitem__(f"model/{name}"), [name, "no dataset"]),
        ("a model without tensors", lambda file: file.__delitem__("model"), ["no dataset"]),
        ("a tensor too many", add, ["clf.layer.4.weight"]),
        ("a tensor of another shape", reshape(wide, (4, 5)), [wide, "4 x 5", "4 x 4"]),
        ("a tensor of another rank", reshape(wide, (4, 4, 1)), [wide, "3 dimensions"]),
        ("a model for other widths", dims([2, 6, 4, 3]), ["another architecture"]),
        ("a model for another w0", attribute("inr_w0", 20.0), ["another architecture"]),
        (
            "a model of other settings",
            attribute("config", '{"model": {"hidden": 4, "layers": 2}}'),
            ["which the model of its config has not"],
        ),
        ("a model with a damaged config", attribute("config", "model: {hidden: -1}"), ["model.hidden"]),
        ("a model of no classes", attribute("classes", 0), ["classes"]),
        ("a model of other classes", attribute("classes", 6), ["clf.layer"]),
        ("a model of another version", attribute("polyview_version", 2), ["version 2"]),
        ("a model without statistics", lambda file: file.__delitem__("norm/std"), ["/norm/std"]),
        ("a model without widths", lambda file: file.__delitem__("inr_dims"), ["/inr_dims"]),
        ("a model without its config", lambda file: file.attrs.__delitem__("config"), ["config"]),
    ]
    for what, change, named in cases:
        with changed_bytes(model):
            with h5py.File(model, "r+") as file:
                change(file)
            refused(what, eval_words(work), 3, "model.h5", *named)
    check(polyview(*eval_words(work), ranks=3).status == 0, "the model as it was is accepted")


def main() -> int:
    return run_tests(
        logits_are_the_published_ones,
        statistics_are_applied,
        double_precision_is_converted,
        wrong_models_are_refused,
    )


if __name__ == "__main__":
    sys.exit(main())
