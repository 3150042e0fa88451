"""INRs as other people keep them: what is saved around the tensors is taken off, or refused with the way out."""

import json
import os
import sys
from collections import OrderedDict
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator
from unittest import mock

import h5py
import numpy as np

from harness import ROOT, check, convert, polyview, run_tests, skip

sys.path.insert(0, str(ROOT / "analysis"))
from polyview.store import Store  # noqa: E402

try:
    import torch
except ImportError:
    torch = None

DIMS = [2, 6, 5, 1]
Arrays = dict[str, Any]


def inr(seed: int) -> Arrays:
    """Tensors of a network, small enough to be the same numbers in half precision."""
    rng, found = np.random.default_rng(seed), {}
    for layer, (cols, rows) in enumerate(zip(DIMS, DIMS[1:])):
        found[f"seq.{layer}.weight"] = rng.integers(-8, 9, (rows, cols)).astype("f4") / 16
        found[f"seq.{layer}.bias"] = rng.integers(-8, 9, rows).astype("f4") / 16
    return found


def expected(count: int) -> np.ndarray:
    return np.stack([np.concatenate([a.ravel() for a in inr(seed).values()]) for seed in range(count)])


def nested_numbers(names: list[str]) -> Callable[[Arrays], Arrays]:
    """The layers by these names."""
    return lambda arrays: {f"{names[int(n.split('.')[1])]}.{n.split('.')[2]}": a for n, a in arrays.items()}


def renamed_last(name: str) -> Callable[[Arrays], Arrays]:
    return nested_numbers(["net.0", "net.1", name])


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
    directory: Path,
    change: Callable[[Arrays], Any],
    suffix: str = ".npz",
    path: Callable[[str], str] = str,
    save: Callable[..., None] = np.savez,
) -> None:
    """Three objects, one a split, labelled 0, 1, 2; `change` is what the saver did to a dict of arrays."""
    lists: dict[str, list[str]] = {}
    for number, split in enumerate(("train", "val", "test")):
        file = directory / "fits" / split / f"{number}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        arrays = change(inr(number))
        if suffix == ".npz":
            save(file, **{"label": np.int64(number)} | arrays)
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


def refuses(work: Path, what: str, change: Callable[[Arrays], Any], *words: str, **options: Any) -> None:
    directory = work / what.replace(" ", "_")
    write(directory, change, **options)
    run = convert("import", directory, work / "none.h5")
    holds = (
        run.returncode == 3
        and all(word in run.stderr for word in words)
        and not any(word in run.stderr for word in ("Traceback", "weights_only", "safe_globals"))
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
    imports(work, "a layer inside a block", renamed("net.net.{}.0", [0, 1, 2]))
    imports(work, "several layers a block", nested_numbers(["a.0.b.0", "a.0.b.2", "a.1.b.0"]))
    imports(work, "numbers at the end of names", renamed("fc{}", [1, 2, 3]))
    imports(work, "numbers after a line", renamed("model.layer_{}", [1, 2, 10]))
    imports(work, "big-endian numbers", to(">f4"))
    imports(work, "columns in memory", lambda a: {n: np.asfortranarray(x) for n, x in a.items()})
    imports(work, "another order of entries", lambda a: dict(reversed(a.items())))
    imports(
        work, "mixed precisions", lambda a: {n: x.astype("f8" if "bias" in n else "f2") for n, x in a.items()}
    )
    imports(work, "packed files", lambda a: a, save=np.savez_compressed)
    imports(work, "names and notes beside the tensors", lambda a: a | {"name": np.str_("7")})
    imports(work, "numbers beside the tensors", lambda a: a | {"psnr": np.float64(31.5), "step": np.int64(9)})


def test_paths(work: Path) -> None:
    imports(work, "backslashes", lambda a: a, path=lambda p: p.replace("/", "\\"))
    imports(work, "a whole path of Windows", lambda a: a, path=lambda p: "C:\\data\\" + p.replace("/", "\\"))
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


def labels_of(work: Path, labels: list[Any]) -> tuple[list[int], list[str], str, Path]:
    """(labels, names of the classes, what is said, store) of INRs that are labelled so; None: not at all."""
    directory = work / f"labels-{len(list(work.iterdir()))}"
    directory.mkdir()
    store = directory / "store.h5"
    for number, label in enumerate(labels):
        np.savez(directory / f"{number}.npz", **inr(number), **({} if label is None else {"label": label}))
    lists = {"train": [f"{number}.npz" for number in range(len(labels))]}
    (directory / "splits.json").write_text(json.dumps(lists))
    run = convert("import", directory, store)
    if run.returncode != 0:
        raise ValueError(run.stderr)
    with Store(store) as opened:
        return [*map(int, opened.label)], opened.class_names, run.stderr, store


def test_labels(work: Path) -> None:
    for labels, found, names in (
        ([2, 0, 1], [2, 0, 1], []),
        ([1, 2, 3], [0, 1, 2], ["1", "2", "3"]),
        ([7, 2**31 - 2, 7], [0, 1, 0], ["7", "2147483646"]),
        ([5, None, 9], [0, -1, 1], ["5", "9"]),
        ([None, None], [-1, -1], []),
        ([-1, 0], [-1, 0], []),
    ):
        seen, called, said, store = labels_of(work, labels)
        check((seen, called) == (found, names), f"labels {labels} are the classes {found}", seen, called)
        count = found.count(-1)
        check(
            (f"{count} of {len(labels)} objects have no label" in said) == (count > 0),
            "none are counted",
            said,
        )
        info = polyview("info", store)
        check(info.status == 0 and info.json["objects"] == len(labels), "info takes such a store", info)


def test_refused(work: Path) -> None:
    refuses(work, "a layer without a bias", without("seq.1.bias"), "seq.1.bias", "zeros")
    refuses(work, "the last layer without a bias", without("seq.2.bias"), "seq.2.bias", "zeros")
    two = renamed("other.{}", [0, 1, 2])
    refuses(work, "two networks in a file", lambda a: a | two(a), "several networks", "other")
    refuses(work, "whole numbers", to("i4"), "seq.0.weight", "int32", "float32")
    refuses(work, "more than float32 holds", lambda a: a | {"seq.0.bias": np.full(6, 1e300)}, "not finite")
    refuses(work, "one layer named twice", lambda a: a | {"module.seq.0.bias": a["seq.0.bias"]}, "seq.0.bias")
    turned = {"seq.0.weight": 0, "seq.1.weight": 1, "seq.2.weight": 2}
    refuses(
        work,
        "matrices as [in][out]",
        lambda a: {n: x.T if n in turned else x for n, x in a.items()},
        "transposed",
    )
    refuses(
        work, "a last layer without a number", renamed_last("net.out"), "net.out.weight", "number the layers"
    )
    refuses(work, "two layers of one number", nested_numbers(["a.0.b", "a.0.c", "a.1.b"]), "stands for")
    refuses(work, "weight normalisation", lambda a: a | {"seq.0.weight_g": a["seq.0.bias"]}, "weight_g")
    refuses(work, "complex numbers", to("c8"), "complex64", "float32")
    refuses(
        work,
        "an entry larger than any INR",
        lambda a: a | {"mesh": np.zeros(2**25, "f4")},
        "more than any INR",
    )
    refuses(
        work,
        "zeros packed small",
        lambda a: a | {"x": np.zeros(2**25)},
        "more than any INR",
        save=np.savez_compressed,
    )
    refuses(work, "the largest int32 as a label", lambda a: a | {"label": np.int64(2**31 - 1)}, "2147483647")
    refuses(work, "a label that is a boolean", lambda a: a | {"label": np.bool_(True)}, "label")
    refuses(work, "a label of one in ten", lambda a: a | {"label": np.eye(10)[3]}, "label")
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
    imports(work, "nested under a name of one's own", lambda a: {"siren": tensors(a)}, suffix=".pt")
    imports(
        work,
        "as a trainer saves",
        lambda a: {"epoch": 3, "state_dict": tensors(a), "optimizer": {}},
        suffix=".pth",
    )
    imports(work, "half and double", lambda a: {n: halved(n, x) for n, x in a.items()}, suffix=".pth")
    imports(work, "views of other tensors", lambda a: {n: turned(x) for n, x in a.items()}, suffix=".pth")
    for device in ("cuda:0", "mps"):
        with saved_from(device):
            imports(work, f"tensors of {device}", tensors, suffix=".pth")
    imports(work, "what DataParallel and compile leave", renamed("module._orig_mod.module.net.{}", [0, 2, 4]))
    imports(
        work,
        "text beside the tensors",
        lambda a: tensors(a) | {"about": "a digit", "tags": ["a"]},
        suffix=".pth",
    )
    imports(work, "an ordered dict", lambda a: OrderedDict(reversed(tensors(a).items())), suffix=".pth")
    for label in ([0], torch.tensor([0]), torch.tensor(0.0), torch.tensor([[0]])):
        one_label(work, f"a label as {label!r}", tensors, label, True)
    loop: list[Any] = []
    loop.append(loop)
    for label in (endless(), loop, 10**6000, torch.tensor([1, 2]), "7", -2, torch.tensor(1.5)):
        one_label(work, f"a label that is {type(label).__name__}", tensors, label, False)
    refuses(work, "a dict that holds itself", in_itself, "in_itself", suffix=".pth")
    refuses(work, "a whole module", lambda a: {"model": network(a)}, "tensors", suffix=".pth")
    refuses(work, "numpy arrays", lambda a: a, "tensors", suffix=".pth")
    refuses(
        work,
        "whole numbers of bits",
        lambda a: {n: torch.tensor(x).char() for n, x in a.items()},
        "int8",
        suffix=".pth",
    )
    refuses(
        work,
        "tensors without data",
        lambda a: {n: torch.tensor(x).to("meta") for n, x in a.items()},
        suffix=".pth",
    )
    refuses(
        work,
        "tensors larger than any INR",
        lambda a: tensors(a) | {"x": torch.zeros(2**25)},
        "more",
        suffix=".pth",
    )
    imports(work, "a figure as a tensor", lambda a: tensors(a) | {"psnr": torch.tensor(31.5)}, suffix=".pth")
    imports(work, "parameters that want gradients", lambda a: dict(network(a).state_dict()), suffix=".pth")
    refuses(
        work, "a label of numpy", lambda a: tensors(a) | {"label": np.int64(3)}, "int(label)", suffix=".pth"
    )


def halved(name: str, array: np.ndarray) -> Any:
    tensor = torch.tensor(array)
    return tensor.half() if "weight" in name else tensor.double()


def turned(array: np.ndarray) -> Any:
    """The same numbers, as a view that is not contiguous of a larger tensor."""
    whole = torch.full((*array.T.shape, 3), torch.nan)
    whole[..., 1] = torch.tensor(array).t()
    return whole[..., 1].t()


@contextmanager
def saved_from(device: str) -> Iterator[None]:
    """torch.save as on a machine that keeps tensors on this device."""
    with mock.patch.object(torch.serialization, "location_tag", lambda storage: device):
        yield


def endless() -> list[Any]:
    """A list whose text would be 2^60 brackets, in a few bytes of pickle."""
    found: list[Any] = []
    for _ in range(60):
        found = [found, found]
    return found


def in_itself(arrays: Arrays) -> Arrays:
    found: Arrays = {"in_itself": torch.tensor(arrays["seq.0.bias"])}
    found["model"] = found
    return found


def one_label(work: Path, what: str, change: Callable[[Arrays], Any], label: Any, read: bool) -> None:
    """Of a directory of one file: what its label is read as, if at all."""
    directory, store = work / "label", work / "label.h5"
    directory.mkdir(exist_ok=True)
    torch.save(change(inr(0)) | {"label": label}, directory / "0.pth")
    (directory / "splits.json").write_text('{"train": ["0.pth"]}')
    run = convert("import", directory, store)
    if read:
        right = run.returncode == 0 and list(h5py.File(store)["object/label"]) == [0]
    else:
        right = (
            run.returncode == 3 and "0.pth" in run.stderr and "label" in run.stderr and len(run.stderr) < 400
        )
    check(
        right and "Traceback" not in run.stderr,
        f"{what} is {'read' if read else 'refused'}",
        run.stderr[:2000],
    )
    store.unlink(missing_ok=True)


def network(arrays: Arrays) -> Any:
    """A torch.nn.Module that holds the arrays."""
    layers = [torch.nn.Linear(cols, rows) for cols, rows in zip(DIMS, DIMS[1:])]
    module = torch.nn.Module()
    module.seq = torch.nn.Sequential(*layers)
    module.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
    return module


if __name__ == "__main__":
    sys.exit(run_tests(test_names_and_precisions, test_paths, test_labels, test_refused, test_pytorch))
