"""INRs as other people keep them: what is saved around the tensors is taken off, or refused with the way out."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import h5py
import numpy as np

from harness import ROOT, check, run_tests, skip

try:
    import torch
except ImportError:
    torch = None

DIMS = [2, 6, 5, 1]
Arrays = dict[str, Any]


def convert(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "analysis" / "convert.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def inr(seed: int) -> Arrays:
    """Tensors of a network, small enough to be the same numbers in half precision."""
    rng, found = np.random.default_rng(seed), {}
    for layer, (cols, rows) in enumerate(zip(DIMS, DIMS[1:])):
        found[f"seq.{layer}.weight"] = rng.integers(-8, 9, (rows, cols)).astype("f4") / 16
        found[f"seq.{layer}.bias"] = rng.integers(-8, 9, rows).astype("f4") / 16
    return found


def expected(count: int) -> np.ndarray:
    return np.stack([np.concatenate([a.ravel() for a in inr(seed).values()]) for seed in range(count)])


def renamed(template: str, numbers: list[int]) -> Callable[[Arrays], Arrays]:
    """Names by a template with {} for the layer's number."""

    def change(arrays: Arrays) -> Arrays:
        found = {}
        for name, array in arrays.items():
            _, layer, kind = name.split(".")
            found[template.format(numbers[int(layer)]) + "." + kind] = array
        return found

    return change


def write(
    directory: Path, change: Callable[[Arrays], Any], suffix: str = ".npz", path: Callable[[str], str] = str
) -> None:
    """Three objects, one a split, labelled 0, 1, 2; `change` is what the saver did to a dict of arrays."""
    lists: dict[str, list[str]] = {}
    for number, split in enumerate(("train", "val", "test")):
        file = directory / "fits" / split / f"{number}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        arrays = change(inr(number))
        if suffix == ".npz":
            np.savez(file, **{"label": np.int64(number)} | arrays)
        else:
            torch.save({"label": number} | arrays, file)
        lists[split] = [path(file.relative_to(directory.parent).as_posix())]
    (directory / "splits.json").write_text(
        "\ufeff" + json.dumps(lists).replace(",", ",\r\n"), encoding="utf-8"
    )


def imports(work: Path, what: str, change: Callable[[Arrays], Any], **options: Any) -> None:
    directory, store = work / what.replace(" ", "_"), work / "store.h5"
    write(directory, change, **options)
    run = convert("import", directory, store)
    right = run.returncode == 0
    if right:
        with h5py.File(store) as file:
            right = np.array_equal(file["params"][0], expected(3)) and [*file["object/label"]] == [0, 1, 2]
        store.unlink()
    check(right, f"read: {what}", run.stderr)


def refuses(
    work: Path, what: str, change: Callable[[Arrays], Any], *words: str, suffix: str = ".npz"
) -> None:
    directory = work / what.replace(" ", "_")
    write(directory, change, suffix)
    run = convert("import", directory, work / "none.h5")
    holds = (
        run.returncode == 3 and all(word in run.stderr for word in words) and "Traceback" not in run.stderr
    )
    check(holds and not list(work.glob("none.h5*")), f"refused, with the way out: {what}", run.stderr)


def to(kind: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {name: array.astype(kind) for name, array in arrays.items()}


def without(name: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {n: a for n, a in arrays.items() if n != name}


def test_names_and_precisions(work: Path) -> None:
    imports(work, "names as ours", lambda arrays: arrays)
    imports(work, "the prefix of DataParallel", renamed("module.seq.{}", [0, 1, 2]))
    imports(work, "the prefix of torch.compile", renamed("_orig_mod.seq.{}", [0, 1, 2]))
    imports(work, "both prefixes", renamed("_orig_mod.module.seq.{}", [0, 1, 2]))
    imports(work, "activations that take numbers", renamed("net.{}", [0, 2, 4]))
    imports(work, "layers inside layers", renamed("net.{}.linear", [0, 1, 2]))
    imports(work, "no module at all", renamed("{}", [0, 1, 2]))
    imports(work, "more than ten names", renamed("siren.net.{}", [0, 9, 10]))
    imports(work, "double precision", to("f8"))
    imports(work, "half precision", to("f2"))
    imports(work, "numbers beside the tensors", lambda a: a | {"psnr": np.float64(31.5), "step": np.int64(9)})


def test_paths(work: Path) -> None:
    imports(work, "backslashes", lambda a: a, path=lambda p: p.replace("/", "\\"))
    imports(work, "paths from the directory on", lambda a: a, path=lambda p: p.split("/", 1)[1])
    directory = work / "flat"
    directory.mkdir()
    for number in range(3):
        np.savez(directory / f"{number}.npz", **inr(number), label=np.int64(number))
    lists = {"train": ["0.npz"], "val": ["1.npz"], "test": ["2.npz"]}
    (directory / "splits.json").write_text(json.dumps(lists))
    run = convert("import", directory, work / "flat.h5")
    check(run.returncode == 0, "files that lie beside splits.json are of one view", run.stderr)
    os.symlink("flat.h5", work / "link.h5")
    run = convert("import", directory, work / "link.h5")
    check(run.returncode == 1 and "exists already" in run.stderr, "a store behind a link is not replaced")
    os.symlink("later.h5", work / "dangling.h5")
    run = convert("import", directory, work / "dangling.h5")
    check(
        run.returncode == 0 and (work / "dangling.h5").is_symlink() and h5py.is_hdf5(work / "later.h5"),
        "a link that leads nowhere yet stays one, and the store is made where it leads",
        run.stderr,
    )


def test_refused(work: Path) -> None:
    refuses(work, "a layer without a bias", without("seq.1.bias"), "seq.1.bias", "zeros")
    refuses(work, "the last layer without a bias", without("seq.2.bias"), "seq.2.bias", "zeros")
    two = renamed("other.{}", [0, 1, 2])
    refuses(work, "two networks in a file", lambda a: a | two(a), "several networks", "other")
    refuses(work, "whole numbers", to("i4"), "seq.0.weight", "int32", "float32")
    refuses(work, "more than float32 holds", lambda a: a | {"seq.0.bias": np.full(6, 1e300)}, "not finite")
    refuses(work, "one layer named twice", lambda a: a | {"module.seq.0.bias": a["seq.0.bias"]}, "seq.0.bias")
    refuses(work, "a label that is text", lambda a: a | {"label": np.str_("cat")}, "label", "int(label)")


def test_pytorch(work: Path) -> None:
    if torch is None:
        skip("what torch.save keeps around an INR", "PyTorch is not installed")
        return

    def tensors(arrays: Arrays) -> Arrays:
        return {name: torch.tensor(array) for name, array in arrays.items()}

    imports(work, "the suffix pt", tensors, suffix=".pt")
    for name in ("state_dict", "model_state_dict", "model"):
        imports(work, f"nested under {name}", lambda a, n=name: {n: tensors(a)}, suffix=".pth")
    nested = renamed("module.net.{}.linear", [0, 1, 2])
    imports(work, "nested twice", lambda a: {"model": {"state_dict": tensors(nested(a))}}, suffix=".pt")
    imports(work, "bfloat16", lambda a: {n: torch.tensor(x).bfloat16() for n, x in a.items()}, suffix=".pth")
    imports(work, "a figure as a tensor", lambda a: tensors(a) | {"psnr": torch.tensor(31.5)}, suffix=".pth")
    imports(work, "parameters that want gradients", lambda a: dict(network(a).state_dict()), suffix=".pth")
    refuses(
        work, "a label of numpy", lambda a: tensors(a) | {"label": np.int64(3)}, "int(label)", suffix=".pth"
    )


def network(arrays: Arrays) -> Any:
    """A torch.nn.Module that holds the arrays."""
    layers = [torch.nn.Linear(cols, rows) for cols, rows in zip(DIMS, DIMS[1:])]
    module = torch.nn.Module()
    module.seq = torch.nn.Sequential(*layers)
    module.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
    return module


if __name__ == "__main__":
    sys.exit(run_tests(test_names_and_precisions, test_paths, test_refused, test_pytorch))
