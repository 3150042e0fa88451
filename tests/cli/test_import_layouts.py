"""Sets of INRs in the layouts of other projects: each is a function before the import, and the same one after it.

What a project's files hold is written here by hand, and its formula is computed here by hand, in double precision.
"""

import json
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any, Callable

import h5py
import numpy as np

from harness import ROOT, TOOLS, check, convert, polyview, run_tests, skip

sys.path.insert(0, str(ROOT / "analysis"))
from polyview.store import Store  # noqa: E402

try:
    import torch
except ImportError:
    torch = None

DIMS = [2, 6, 5, 3]
TOLERANCE = 1e-5
Layers = list[tuple[np.ndarray, np.ndarray]]  # weight [out][in] and bias
Formula = Callable[[Layers, np.ndarray], np.ndarray]
POINTS = np.random.default_rng(7).uniform(-1, 1, (40, 2))


def layers_of(seed: int, dims: list[int] = DIMS) -> Layers:
    rng, found = np.random.default_rng(seed), []
    for cols, rows in zip(dims, dims[1:]):
        weight, bias = rng.uniform(-1, 1, (rows, cols)) / (2 * cols), rng.uniform(-1, 1, rows) / 8
        found.append((weight.astype("f4"), bias.astype("f4")))
    return found


def sines(
    layers: Layers, x: np.ndarray, activation: Callable[[int, np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """activation(layer, W h, b) of every layer but the last, which is linear."""
    hidden = x.astype("f8")
    for layer, (weight, bias) in enumerate(layers[:-1]):
        hidden = np.sin(activation(layer, hidden @ weight.T.astype("f8"), bias.astype("f8")))
    weight, bias = layers[-1]
    return hidden @ weight.T.astype("f8") + bias.astype("f8")


def usual(w0: float, offset: float) -> Formula:
    return lambda layers, x: sines(layers, x, lambda _, product, bias: w0 * (product + bias)) + offset


def imported(directory: Path, store: Path, *options: object) -> dict[str, Any]:
    run = convert("import", directory, store, *options)
    if run.returncode != 0:
        raise ValueError(f"{' '.join(run.args)}: status {run.returncode}: {run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def same_functions(
    store: Path, expected: dict[tuple[int, int], Layers], formula: Formula, statement: str
) -> None:
    """Those rows and no others are there, and each computes what its layers did."""
    with Store(store) as opened:
        rows = {(int(view), int(object)) for view, object in np.argwhere(opened.status == 1)}
        errors = [
            np.abs(opened.evaluate(*place, POINTS) - formula(layers, POINTS)).max()
            for place, layers in expected.items()
            if place in rows
        ]
        largest = max(errors, default=np.inf)
        check(rows == set(expected) and largest < TOLERANCE, f"{statement} ({largest:.0e})", rows, errors)


def columns(store: Path) -> tuple[list[int], list[int], list[int]]:
    """(labels, splits, sources)"""
    with h5py.File(store) as file:
        label, split, source = (file[f"object/{name}"][()].tolist() for name in ("label", "split", "source"))
        return label, split, source


def refused(directory: Path, statement: str, words: list[str], *options: object) -> None:
    store = directory.parent / "refused.h5"
    run = convert("import", directory, store, *options)
    holds = (
        run.returncode == 3
        and len(run.stderr.splitlines()) == 1
        and all(word in run.stderr for word in words)
    )
    check(holds and not [*store.parent.glob("refused.h5*")], f"refused: {statement}", run.stderr)


# ---- a file an INR


def write_pth(path: Path, layers: Layers, template: list[str], **beside: Any) -> None:
    state: OrderedDict[str, Any] = OrderedDict()
    for name, (weight, bias) in zip(template, layers):
        state[f"{name}.weight"], state[f"{name}.bias"] = torch.tensor(weight), torch.tensor(bias)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(OrderedDict(state, **beside), path)


SEQ = ["seq.0", "seq.1", "seq.2"]
MNIST = [
    "mnist_png_training_2_23089",
    "mnist_png_training_7_4",
    "mnist_png_training_2_77",
    "mnist_png_testing_0_5",
]


def write_mnist(directory: Path) -> list[Path]:
    paths = [directory / name / "checkpoints" / "model_final.pth" for name in MNIST]
    for number, path in enumerate(paths):
        write_pth(path, layers_of(number), SEQ)
    return paths


def table(names: list[str]) -> str:
    """Splits as DWSNets makes them: the label is cut from the folder's name, as text."""
    found: dict[str, dict[str, list[str]]] = {}
    for split, chosen in (("train", names[:2]), ("test", names[3:]), ("val", names[2:3])):
        found[split] = {"path": chosen, "label": [name.split("/")[-3].split("_")[-2] for name in chosen]}
    return json.dumps(found)


def dwsnets(work: Path) -> None:
    """Whole paths; neural-graphs has them from the data set on, scalegmn from its own directory on."""
    directory = work / "mnist-inrs"
    paths = write_mnist(directory)
    for project, names in (
        ("DWSNets", [path.as_posix() for path in paths]),
        ("neural-graphs", [path.relative_to(work).as_posix() for path in paths]),
        ("scalegmn", [f"data/{path.relative_to(work).as_posix()}" for path in paths]),
    ):
        splits, store = work / f"{project}_splits.json", work / f"{project}.h5"
        splits.write_text(table(names))
        imported(directory, store, "--splits", splits, "--image", 28, 28)
        rows = {(0, number): layers_of(number) for number in range(4)}
        same_functions(
            store, rows, usual(30, 0.5), f"the MNIST INRs by a list of {project} are the same functions"
        )
        label, split, _ = columns(store)
        with Store(store) as opened:
            names_of = [opened.class_names[i] for i in label]
        check(
            (names_of, split) == (["2", "7", "2", "0"], [0, 0, 1, 2]),
            "labels and splits are the list's",
            label,
        )
    directory.rename(work / "mnist-inrs_canon")
    imported(work / "mnist-inrs_canon", work / "canon.h5", "--splits", work / "scalegmn_splits.json")
    same_functions(work / "canon.h5", rows, usual(30, 0.5), "a list finds the files of a directory renamed")
    verified = polyview("verify", work / "canon.h5")
    check(verified.status == 0 and verified.json["bad"] == 0, "verify takes such a store", verified)


def fashion_mnist(work: Path) -> None:
    """Lists of paths of another machine, labels in the files; trainers take the last two parts of a path."""
    directory, lists = work / "fmnist_inrs", {}
    for number, split in enumerate(("train", "val", "test")):
        write_pth(directory / split / f"{number}.pth", layers_of(number), SEQ, label=2 - number)
        lists[split] = [f"/home/someone/inrs/{split}/{number}.pth"]
    (directory / "splits.json").write_text(json.dumps(lists))
    imported(directory, work / "store.h5")
    rows = {(0, number): layers_of(number) for number in range(3)}
    same_functions(work / "store.h5", rows, usual(30, 0.5), "the Fashion-MNIST INRs are the same functions")
    check(
        columns(work / "store.h5")[:2] == ([2, 1, 0], [0, 1, 2]), "labels are the files', splits the list's"
    )


NET = ["net.0.linear", "net.1.linear", "net.2"]
DIGITS = [3, 0, 1, 2, 3]


def write_nfn(directory: Path, template: list[str] = NET, **beside: Any) -> dict[tuple[int, int], Layers]:
    """Folders PREFIX_DIGITs; the augmented copies are of training images alone."""
    rows = {}
    for view, prefix in enumerate(("randinit_smaller", "randinit_smaller_aug0")):
        for number, digit in enumerate(DIGITS[: 2 if view else None]):
            rows[view, number] = layers_of(10 * view + number)
            path = directory / f"{prefix}_{digit}s" / f"net{number}.pth"
            write_pth(path, rows[view, number], template, **beside)
    return rows


def nfn(work: Path) -> None:
    directory, points = work / "siren_cifar_wts", ("--split-points", 2, 3)
    rows = write_nfn(directory)
    imported(directory, work / "plain.h5", *points)
    same_functions(
        work / "plain.h5", rows, usual(30, 0), "the SIRENs of nfn are the same functions, a view a prefix"
    )
    label, split, source = columns(work / "plain.h5")
    check(
        (label, split, source) == (DIGITS, [0, 0, 1, 2, 2], [0, 1, 2, 3, 4]), "labels are the folders'", label
    )
    normalised = ("--mean", 0.5, "--std", 0.5, "--yx", "--image", 8, 8)
    imported(directory, work / "store.h5", *points, *normalised)
    same_functions(
        work / "store.h5",
        rows,
        lambda layers, x: usual(30, 0)(layers, x[:, ::-1]) * 0.5 + 0.5,
        "with their conventions they give colours, of (x, y)",
    )
    axis = np.linspace(-1, 1, 8)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    theirs = (usual(30, 0)(rows[0, 4], grid).reshape(8, 8, 3) + 1) / 2
    with Store(work / "store.h5") as opened:
        error = np.abs(opened.image(0, 4) - theirs.clip(0, 1)).max()
    check(error < TOLERANCE, "and the picture is theirs, upright", error)
    canon = work / "canon"
    write_nfn(canon, SEQ, label=torch.tensor(3))
    refused(canon, "a label that is not the folder's", ["net1.pth", "label"], *points)
    refused(directory, "no list and no --split-points", ["siren_cifar_wts", "--split-points"])
    refused(directory, "three means of one", ["--mean", "2 numbers"], *points, "--mean", 1, 2)


# ---- chunks


def write_chunk(
    path: Path,
    rows: list[Layers],
    names: list[str],
    kernels_first: bool = False,
    kind: str = "f4",
    **beside: Any,
) -> None:
    """One array of rows, the JSON of what they hold as one string, more arrays: kernels are [in][out]."""
    tensors: dict[str, list[np.ndarray]] = {}
    for layer, name in enumerate(names):
        tensors[f"{name}.bias"] = [layers[layer][1] for layers in rows]
        tensors[f"{name}.kernel"] = [layers[layer][0].T for layers in rows]
    order = sorted(tensors, key=(lambda name: ("bias" in name, name)) if kernels_first else None)
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "params",
            data=np.concatenate([np.stack(tensors[n]).reshape(len(rows), -1) for n in order], 1).astype(kind),
        )
        config = file.create_dataset("param_config", (1,), dtype=h5py.special_dtype(vlen=str))
        config[0] = json.dumps([(name, tensors[name][0].shape) for name in order])
        for name, values in beside.items():
            file.create_dataset(name, data=values)


FLAX = ["kernel_net_0.linear", "kernel_net_1.linear", "output_linear"]
NEF = {"name": "SIREN", "params": {"hidden_dim": 6, "num_layers": 3, "omega_0": 8.0, "output_dim": 3}}
AT_3_AND_4 = ("--split-points", 3, 4)


def write_set(directory: Path) -> dict[int, Layers]:
    """Two seeds of five signals, in chunks of 2; that of row 8 is not there yet."""
    rows = {number: layers_of(number) for number in range(10) if number != 8}
    directory.mkdir()
    (directory / "nef.json").write_text(json.dumps(NEF))
    (directory / "cfg.json").write_text(json.dumps({"seeds": [0, 1], "train": {"fixed_init": True}}))
    for first, end in ((0, 2), (2, 4), (4, 5), (5, 7), (7, 8), (9, 10)):
        chosen = [rows[number] for number in range(first, end)]
        labels = [number % 5 % 3 for number in range(first, end)]
        write_chunk(directory / f"nefs_{first}-{end}.hdf5", chosen, FLAX, labels=labels)
    return rows


def test_fit_a_nef(work: Path) -> None:
    directory, store = work / "SIREN", work / "store.h5"
    rows = write_set(directory)
    imported(directory, store, "--objects", 5, *AT_3_AND_4, "--mean", 0.1, 0.2, 0.3, "--std", 0.5, 0.25, 0.75)
    same_functions(
        store,
        {divmod(number, 5): layers for number, layers in rows.items()},
        lambda layers, x: usual(8, 0)(layers, x) * [0.5, 0.25, 0.75] + [0.1, 0.2, 0.3],
        "the chunks of two seeds are two views, w0 is that of nef.json, colours were normalised",
    )
    check(columns(store) == ([0, 1, 2, 0, 1], [0, 0, 0, 1, 2], [0, 1, 2, 3, 4]), "labels are the chunks'")
    with Store(store) as opened:
        start = json.loads(opened.attributes["config"])["fit"]
        check(
            opened.arch["w0"] == 8 and start == {"views": 2, "init": "shared"}, "one start is told of", start
        )
    verified = polyview("verify", store)
    check(verified.status == 0 and verified.json["fitted"] == 9, "verify takes such a store", verified)
    imported(directory, work / "one.h5", *AT_3_AND_4, "--w0", 8)
    same_functions(
        work / "one.h5",
        {(0, number): layers for number, layers in rows.items()},
        usual(8, 0),
        "without --objects they are one view",
    )


def test_chunk_names(work: Path) -> None:
    """Prefixes, nesting, orders, precisions, more than ten numbers."""
    rows = [layers_of(number) for number in range(3)]
    layouts: list[tuple[str, list[str], dict[str, Any]]] = [
        ("Dense_0, Dense_1, Dense_2", ["Dense_0", "Dense_1", "Dense_2"], {}),
        ("layers inside params", [f"params.siren.layers_{i}.linear" for i in range(3)], {}),
        ("numbers that sort as text does not", ["net_2.linear", "net_10.linear", "out"], {}),
        ("names with slashes", ["params/layers_0", "params/layers_1", "params/head"], {}),
        ("kernels before biases", FLAX, {"kernels_first": True}),
        ("double precision", FLAX, {"kind": "f8"}),
        ("big-endian numbers", FLAX, {"kind": ">f4"}),
        ("other arrays beside", FLAX, {"coords": np.zeros((4, 2))}),
    ]
    for number, (what, names, options) in enumerate(layouts):
        directory, store = work / str(number), work / f"{number}.h5"
        directory.mkdir()
        write_chunk(directory / "weights.h5", rows, names, **options)
        imported(directory, store, "--split-points", 1, 2, "--w0", 15, "--offset", 0.25)
        expected = {(0, place): layers for place, layers in enumerate(rows)}
        same_functions(store, expected, usual(15, 0.25), f"one chunk, {what}: the same functions")


def test_conventions(work: Path) -> None:
    """What differs from the store's formula by numbers goes into the weights."""
    rows = [layers_of(number) for number in range(2)]
    (work / "set").mkdir()
    write_chunk(work / "set" / "nefs_0-2.hdf5", rows, FLAX)
    formulas: list[tuple[str, list[object], Formula]] = [
        (
            "a first layer of its own frequency",
            ["--w0", 5, "--first-w0", 20],
            lambda a, x: sines(a, x, lambda i, p, b: (5 if i else 20) * (p + b)),
        ),
        (
            "a bias that the frequency does not multiply",
            ["--w0", 12, "--bias-outside"],
            lambda a, x: sines(a, x, lambda _, p, b: 12 * p + b),
        ),
        (
            "an offset in the sine, here cosines",
            ["--w0", 9, "--phase", np.pi / 2],
            lambda a, x: sines(a, x, lambda _, p, b: 9 * (p + b) + np.pi / 2),
        ),
        ("no frequency", ["--w0", 1], lambda a, x: sines(a, x, lambda _, p, b: p + b)),
        (
            "all of these, and an output that was normalised",
            "--w0 7 --first-w0 15 --bias-outside --phase 0.3 --offset 0.5 --mean 0.2 --std 2 --yx".split(),
            lambda a, x: (sines(a, x[:, ::-1], lambda i, p, b: (7 if i else 15) * p + b + 0.3) + 0.5) * 2
            + 0.2,
        ),
    ]
    for words in ("--w0 0", "--first-w0 -1", "--std 0", "--phase inf", "--split-points 3 2", "--objects 0"):
        command = [
            *TOOLS,
            "import",
            work / "set",
            work / "none.h5",
            "--split-points",
            "2",
            "2",
            *words.split(),
        ]
        run = subprocess.run(command, capture_output=True, text=True)
        check(
            run.returncode == 2 and words.split()[0] in run.stderr.splitlines()[-1],
            f"{words} is a usage error",
            run.stderr,
        )
    for number, (what, options, formula) in enumerate(formulas):
        store = work / f"{number}.h5"
        imported(work / "set", store, "--split-points", 2, 2, *options)
        same_functions(store, {(0, 0): rows[0], (0, 1): rows[1]}, formula, f"{what}: the same functions")


def test_chunks_refused(work: Path) -> None:
    """What a store cannot hold is refused by one line, with the file and what in it."""
    rows, good = [layers_of(number) for number in range(2)], ("--w0", 30, *AT_3_AND_4)

    def case(
        statement: str, words: list[str], change: Callable[[h5py.File], object], *options: object
    ) -> None:
        directory = work / f"{len([*work.iterdir()])}"
        directory.mkdir()
        path = directory / "nefs_0-2.hdf5"
        write_chunk(path, rows, FLAX, labels=[0, 1])
        with h5py.File(path, "r+") as file:
            change(file)
        refused(directory, statement, ["nefs_0-2.hdf5", *words], *(options or good))

    def replaced(name: str, value: Any) -> Callable[[h5py.File], object]:
        def change(file: h5py.File) -> None:
            del file[name]
            file[name] = value

        return change

    def config(file: h5py.File) -> list[Any]:
        return json.loads(file["param_config"][0])

    def renamed(old: str, new: str) -> Callable[[h5py.File], object]:
        return lambda file: replaced("param_config", [json.dumps(config(file)).replace(old, new)])(file)

    case("no list of names", ["'param_config'"], lambda file: file.pop("param_config"))
    case("no rows", ["'params'"], lambda file: file.pop("params"))
    case("a list that is no JSON", ["'param_config'", "JSON"], replaced("param_config", ["["]))
    case("a list of two strings", ["'param_config'"], replaced("param_config", ["[]", "[]"]))
    case("rows of another length", ["'params'", "(2, 70)"], replaced("params", np.zeros((2, 70), "f4")))
    case("whole numbers", ["'params'", "int32"], replaced("params", np.zeros((2, 71), "i4")))
    case(
        "fewer rows than named",
        ["'params'", "1 rows"],
        lambda file: replaced("params", file["params"][:1])(file),
    )
    case("an encoding before the layers", ["encoding.sigma"], renamed("output_linear.bias", "encoding.sigma"))
    case("filters beside layers", ["filters"], renamed("kernel_net_0", "filters_0"))
    case("a layer named twice", ["kernel_net_1"], renamed("kernel_net_0", "kernel_net_1"))
    case("layers that are too wide", ["[300"], renamed("[6", "[300"))
    case("layers that do not fit", ["shape"], renamed("[6]", "[2, 3]"))
    case("a class a row that is none", ["'labels'", "-7"], replaced("labels", [0, -7]))
    case("several attributes a row", ["'labels'", "(2, 40)"], replaced("labels", np.zeros((2, 40), "i8")))
    case(
        "rows that lead elsewhere",
        ["'params'"],
        replaced("params", h5py.ExternalLink("/etc/other.h5", "params")),
    )

    def not_finite(file: h5py.File) -> None:
        file["params"][1, 3] = np.nan

    case("rows that are not finite", ["row 1", "'params'"], not_finite)


def test_sets_refused(work: Path) -> None:
    """So are chunks that are no set, and settings of networks that are none of sines."""
    directory = work / "SIREN"
    rows = write_set(directory)
    last, nef, good = directory / "nefs_9-10.hdf5", directory / "nef.json", ("--w0", 8, *AT_3_AND_4)
    refused(directory, "no --split-points", ["SIREN", "--split-points"], "--objects", 5)
    for change, words in (
        ({"name": "MLP"}, ["'name'", "'MLP'"]),
        ({"params": {"omega_0": -8}}, ["'omega_0'"]),
        ({"params": 8}, ["'omega_0'"]),
    ):
        nef.write_text(json.dumps(NEF | change))
        refused(directory, f"{change} in nef.json", ["nef.json", *words], *AT_3_AND_4)
    nef.write_text(json.dumps(NEF | {"name": "RFFNet"}))
    refused(directory, "networks of no sines, whatever --w0 says", ["nef.json", "'RFFNet'"], *good)
    nef.unlink()
    refused(directory, "neither nef.json nor --w0", ["nef.json", "--w0"], *AT_3_AND_4)
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    refused(directory, "half a file", [last.name], *good)
    last.write_bytes(b"no HDF5")
    refused(directory, "a file that is no HDF5", [last.name, "HDF5"], *good)
    write_chunk(last, [layers_of(9, [2, 6, 4, 3])], FLAX)
    refused(directory, "chunks of two architectures", [last.name, "[2, 6, 4, 3]"], *good)
    write_chunk(last, [rows[9]], FLAX, labels=[2])
    refused(directory, "a label that is not the other view's", [last.name, "label 2"], *good, "--objects", 5)
    last.write_bytes(whole)
    write_chunk(directory / "nefs_3-5.hdf5", [rows[3], rows[4]], FLAX)
    refused(directory, "two chunks of the same rows", ["nefs_3-5.hdf5", "nefs_2-4.hdf5"], *good)
    (directory / "nefs_3-5.hdf5").rename(directory / "more.hdf5")
    refused(directory, "a chunk of several that says not which", ["more.hdf5", "nefs_0-500"], *good)


def test_pytorch_files(work: Path) -> None:
    if torch is None:
        skip("sets of .pth files", "PyTorch is not installed")
        return
    for test in (dwsnets, fashion_mnist, nfn):
        place = work / test.__name__
        place.mkdir()
        test(place)


if __name__ == "__main__":
    sys.exit(
        run_tests(
            test_pytorch_files,
            test_fit_a_nef,
            test_chunk_names,
            test_conventions,
            test_chunks_refused,
            test_sets_refused,
        )
    )
