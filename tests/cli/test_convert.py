"""Export of a store to .pth and .npz files, import of such directories, and the PyTorch Dataset."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np

from harness import ROOT, TOOLS, Process, check, convert, make_store, polyview, run_tests, skip, write_config

sys.path.insert(0, str(ROOT / "analysis"))
from polyview import _xxh3 as xxh3  # noqa: E402
from polyview.view_files import layout_of, params_of  # noqa: E402
from polyview.writer import StoreWriter  # noqa: E402

try:
    import torch
except ImportError:
    torch = None

OBJECTS, TRAIN, VIEWS = 37, 21, 2  # of the store that the harness makes
COLUMNS = (
    "params layout view/status view/checksum view/psnr view/steps object/label object/split object/source"
)
NO_TORCH = "PyTorch is not installed"


def done(run: subprocess.CompletedProcess[str]) -> dict:
    if run.returncode != 0:
        raise ValueError(f"{' '.join(run.args)}: status {run.returncode}: {run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def differences(one: Path, other: Path) -> list[str]:
    """Columns and attributes that are not the same bytes."""
    with h5py.File(one) as a, h5py.File(other) as b:
        found = [name for name in COLUMNS.split() if a[name][()].tobytes() != b[name][()].tobytes()]
        names = set(a.attrs) | set(b.attrs)
        return found + [name for name in sorted(names) if a.attrs.get(name) != b.attrs.get(name)]


def verified(store: Path, fitted: int) -> bool:
    run = polyview("verify", store)
    return run.status == 0 and run.json["fitted"] == fitted and run.json["bad"] == 0


def trains(work: Path, store: Path) -> bool:
    config, output = work / "config.yaml", f"train.output={work / store.stem}-model.h5"
    run = polyview("train", "--config", config, "--store", store, "--set", "train.epochs=1", "--set", output)
    return run.status == 0 and run.json["samples"] == TRAIN


def refused(directory: Path, *words: str, options: tuple[object, ...] = ()) -> bool:
    """The import ends with status 3, one line that holds the words, and no file."""
    store = directory.parent / "refused.h5"
    run = convert("import", directory, store, *options)
    holds = (
        run.returncode == 3
        and all(word in run.stderr for word in words)
        and run.stderr.startswith("polyview-tools convert import: ")
        and len(run.stderr.splitlines()) == 1
        and not run.stdout
        and not list(store.parent.glob(store.name + "*"))
    )
    if not holds:
        print(f"# status {run.returncode}: {run.stderr}", flush=True)
    return holds


def views_of(store: Path) -> list[tuple[str, dict[str, np.ndarray], int]]:
    """(path below the directory, tensors, label) of every fitted row, read with h5py alone."""
    found = []
    with h5py.File(store) as file:
        for view, object in np.argwhere(file["view/status"][()] == 1):
            row, tensors = file["params"][view, object], {}
            for name, offset, rows, cols in file["layout"][()]:
                shape = (rows,) if name.endswith(b"bias") else (rows, cols)
                tensors[name.decode()] = row[offset : offset + rows * cols].reshape(shape)
            split = ("train", "val", "test")[file["object/split"][object]]
            found.append((f"view-{view:02}/{split}/{object:07}", tensors, int(file["object/label"][object])))
    return found


def test_checksums(work: Path) -> None:
    """The numpy XXH3-64 equals the program's for short, medium and long rows."""
    for hidden in ([4], [6, 5], [9, 8], [33, 31]):
        place = work / "-".join(map(str, hidden))
        store = make_store(place, inr={"hidden": hidden}, fit={"steps": 2})
        with h5py.File(store) as file:
            rows, expected = file["params"][0], file["view/checksum"][0]
        found = xxh3.xxh3_64(rows.view(np.uint8))
        check(np.array_equal(found, expected), f"rows of {rows[0].nbytes} bytes have the program's checksums")
    if xxh3.xxhash is None:
        skip("every length from 4 to 1400 bytes has XXH3-64's checksum", "python3-xxhash is not installed")
        return
    data = np.random.default_rng(3).integers(0, 256, (2, 1400), np.uint8)
    wrong = [
        length
        for length in range(4, data.shape[1] + 1)
        if [xxh3.xxhash.xxh3_64_intdigest(row[:length].tobytes()) for row in data]
        != xxh3.xxh3_64(data[:, :length]).tolist()
    ]
    check(not wrong, "every length from 4 to 1400 bytes has XXH3-64's checksum", wrong)


def test_npz(work: Path) -> None:
    store, directory, back = make_store(work), work / "out", work / "back.h5"
    result = done(convert("export", store, directory, "--format", "npz"))
    check(
        (result["views"], result["objects"], result["files"]) == (VIEWS, OBJECTS, VIEWS * OBJECTS)
        and not (work / "out.part").exists(),
        "export says what it wrote",
        result,
    )
    right = True
    for path, tensors, label in views_of(store):
        with np.load(directory / f"{path}.npz") as file:
            right &= list(file.files) == [*tensors, "label"] and int(file["label"]) == label
            right &= all(np.array_equal(file[name], array) for name, array in tensors.items())
    check(right, "a .npz file holds the tensors by their PyTorch names, and the label")
    done(convert("import", directory, back))
    check(not differences(store, back), "store -> npz -> store is lossless", differences(store, back))
    check(verified(back, VIEWS * OBJECTS), "verify accepts the imported store")
    check(trains(work, back), "train trains on the imported store")
    (work / "elsewhere").mkdir()
    directory.rename(work / "elsewhere" / "out")
    done(convert("import", work / "elsewhere" / "out", work / "moved.h5"))
    check(not differences(store, work / "moved.h5"), "an exported directory can be moved")
    check(
        refused(work / "elsewhere" / "out", "polyview.npz", "--w0", options=("--w0", 12)),
        "what polyview.npz says of the INRs cannot be said otherwise",
    )
    run = convert("export", store, work / "elsewhere" / "out", "--format", "npz")
    check(run.returncode == 1 and "exists already" in run.stderr, "export overwrites nothing")
    run = convert("import", work / "elsewhere" / "out", back)
    check(run.returncode == 1 and "exists already" in run.stderr, "import overwrites nothing")


def test_signals(work: Path) -> None:
    """Ten thousand files take seconds."""
    store, rows, layout = work / "many.h5", 10_000, layout_of([2, 4, 1])
    with StoreWriter(store, 1, rows, layout) as writer:
        values = np.random.default_rng(1).normal(size=(rows, params_of(layout))).astype("f4")
        good, ones = np.ones(rows, bool), np.ones(rows)
        writer.write_rows(0, 0, values, good, ones.astype("f4"), ones.astype("u4"))
        about = {"polyview_kind": "store", "polyview_version": 1, "config": "fit: {views: 1}", "signal": "{}"}
        arch = json.dumps({"dims": [2, 4, 1], "w0": 30.0, "offset": 0.5})
        writer.finish(
            about | {"arch": arch}, ones.astype("i4"), np.zeros(rows, "u1"), np.arange(rows, dtype="u8"), {}
        )
    for number in (signal.SIGTERM, signal.SIGUSR1):
        process = Process([*TOOLS, "export", str(store), str(work / "out"), "--format", "npz"])
        process.wait_for((work / "out.part").exists)
        asked = time.monotonic()
        process.process.send_signal(number)
        run = process.finish()
        seconds = time.monotonic() - asked
        left = sorted(path.name for path in work.iterdir() if path.name.startswith("out"))
        check(
            run.status == 75 and not left and seconds < 10,
            f"{number.name} ends an export, and takes away what it has written",
            left,
            seconds,
            run,
        )


def test_parts(work: Path) -> None:
    """Fewer views, and rows that are not fitted."""
    store = make_store(work)
    result = done(convert("export", store, work / "one", "--format", "npz", "--views", 1))
    done(convert("import", work / "one", work / "one.h5"))
    with h5py.File(store) as whole, h5py.File(work / "one.h5") as one:
        same = [
            np.array_equal(whole[name][:1], one[name][()]) for name in COLUMNS.split() if name[:4] == "view"
        ]
        same.append(np.array_equal(whole["params"][:1], one["params"][()]))
    check(result["files"] == OBJECTS and all(same), "--views 1 exports the first view")
    run = convert("export", store, work / "three", "--format", "npz", "--views", 3)
    check(run.returncode == 3 and "2 views" in run.stderr and not (work / "three").exists(), "--views 3 of 2")
    with h5py.File(store, "r+") as file:
        for column in ("status", "checksum", "psnr", "steps"):
            file[f"view/{column}"][1, 5] = 0
        file["params"][1, 5] = 0
    for views, count in ((1, 0), (2, 1)):
        run = convert("export", store, work / f"first-{views}", "--format", "npz", "--views", views)
        warned = f"{count} of {views * OBJECTS} views are not fitted" in run.stderr
        check(
            done(run)["files"] == views * OBJECTS - count and warned == (count > 0), f"of {views} views", run
        )
    done(convert("export", store, work / "gap", "--format", "npz"))
    run = convert("import", work / "gap", work / "gap.h5")
    check(
        not differences(store, work / "gap.h5") and "1 of 2 x 37 views have no file" in run.stderr,
        "a view that is not fitted has no file, and stays missing",
        run.stderr,
    )
    changed = work / "gap" / "view-00" / "train" / "0000003.npz"
    with np.load(changed) as file:
        arrays = dict(file) | {"seq.0.weight": -file["seq.0.weight"]}
    np.savez(changed, **arrays)
    run = convert("import", work / "gap", work / "changed.h5")
    check(
        "1 of 73 files are not as they were exported" in run.stderr, "a changed file is counted", run.stderr
    )
    with h5py.File(work / "changed.h5") as file:
        holds = (
            np.isnan(file["view/psnr"][0, 3])
            and file["view/steps"][0, 3] == 0
            and file["view/steps"][0, 4] > 0
        )
    check(holds and verified(work / "changed.h5", VIEWS * OBJECTS - 1), "a changed file loses PSNR and steps")


def write_foreign(directory: Path, store: Path, suffix: str, label_inside: bool) -> None:
    """The INRs of a store as others keep them: no polyview.npz, no numbers in the names."""
    lists: dict[str, dict[str, list]] = {}
    for path, tensors, label in views_of(store):
        view, split, object = path.split("/")
        target = directory / f"fit_{view}" / f"image_{object}" / f"inr.{suffix}"
        target.parent.mkdir(parents=True)
        inside: dict = {"label": label} if label_inside else {}
        if suffix == "npz":
            np.savez(target, **tensors, **inside)
        else:
            torch.save({name: torch.tensor(a) for name, a in tensors.items()} | inside, target)
        part = lists.setdefault(split, {"path": [], "label": []})
        part["path"].append(target.relative_to(directory.parent).as_posix())
        part["label"].append(str(label))
    if label_inside:
        (directory / "splits.json").write_text(json.dumps({k: v["path"] for k, v in lists.items()}))
    else:
        (directory / "splits.json").write_text(json.dumps(lists))


def check_foreign(work: Path, store: Path, suffix: str) -> None:
    write_foreign(work / "views", store, suffix, label_inside=True)
    done(convert("import", work / "views", work / "views.h5", "--image", 8, 8))
    with h5py.File(store) as a, h5py.File(work / "views.h5") as b:
        same = all(np.array_equal(a[n][()], b[n][()]) for n in ("params", "object/label", "object/split"))
        arch, signal = json.loads(b.attrs["arch"]), json.loads(b.attrs["signal"])
        unknown = np.isnan(b["view/psnr"][()]).all() and not b["view/steps"][()].any()
    check(
        same and arch["dims"] == [2, 6, 5, 1] and (arch["w0"], arch["offset"]) == (30.0, 0.5),
        f"a directory of .{suffix} files without polyview.npz becomes a store: views by folder, labels in files",
    )
    check(
        unknown and signal["classes"] == 4 and signal["height"] == 8, "PSNR and steps are unknown: NaN and 0"
    )
    check(
        verified(work / "views.h5", VIEWS * OBJECTS) and trains(work, work / "views.h5"),
        "verify and train take it",
    )
    run = polyview("info", work / "views.h5", "--json")
    check(run.status == 0 and run.json, "info takes it", run)
    run = polyview("fit", "--config", work / "config.yaml", "--store", work / "views.h5")
    check(
        run.status == 2 and "the config would not make the rows" in run.stderr, "fit does not touch it", run
    )


def test_foreign_npz(work: Path) -> None:
    store = make_store(work)
    check_foreign(work, store, "npz")
    one = make_store(work / "single", fit={"views": 1})
    write_foreign(work / "table", one, "npz", label_inside=False)
    done(convert("import", work / "table", work / "table.h5", "--w0", 12, "--offset", 0))
    with h5py.File(one) as a, h5py.File(work / "table.h5") as b:
        same = all(np.array_equal(a[n][()], b[n][()]) for n in ("params", "object/label", "object/split"))
        arch = json.loads(b.attrs["arch"])
    check(same and (arch["w0"], arch["offset"]) == (12.0, 0.0), "a table of paths and labels is one view")


def test_refusals(work: Path) -> None:
    """Every bad directory is refused by a line that names the file, and nothing is written."""
    store, directory = make_store(work), work / "out"
    done(convert("export", store, directory, "--format", "npz"))
    victim = directory / "view-01" / "val" / "0000023.npz"
    whole, splits, known = victim.read_bytes(), directory / "splits.json", directory / "polyview.npz"
    with np.load(victim) as file:
        arrays = dict(file)

    def with_file(**changes: object) -> None:
        np.savez(victim, **{name: array for name, array in (arrays | changes).items() if array is not None})

    victim.unlink()
    check(refused(directory, "view-01/val/0000023.npz", "missing"), "a file that is not there")
    victim.write_bytes(whole[: len(whole) // 2])
    check(refused(directory, victim.name), "half a file")
    victim.write_bytes(b"")
    check(refused(directory, victim.name), "an empty file")
    victim.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    check(refused(directory, victim.name), "a file with a flipped bit")
    with_file(**{"seq.0.bias": np.array([print], object)})
    check(refused(directory, victim.name, "pickle"), "a pickle in a .npz")
    with_file(**{"seq.0.weight": np.zeros((7, 2), "f4")})
    check(refused(directory, victim.name, "seq.0.weight", "(7, 2)", "(6, 2)"), "another shape")
    with_file(**{"seq.1.bias": None})
    check(refused(directory, victim.name, "5 tensors, expected 6"), "a tensor that is not there")
    with_file(**{"seq.1.bias": np.zeros(5, "i8")})
    check(refused(directory, victim.name, "seq.1.bias", "int64"), "another type")
    with_file(**{"seq.1.bias": np.full(5, np.nan, "f4")})
    check(refused(directory, victim.name, "seq.1.bias", "not finite"), "a NaN")
    with_file(extra=np.zeros(5, "f4"))
    check(refused(directory, victim.name, "extra"), "an entry that no INR has")
    with_file(label=np.int64(-2))
    check(refused(directory, victim.name, "label"), "a negative label")
    with_file(label=(arrays["label"] + 1) % 4)
    check(refused(directory, "object", "another view"), "views of one object with two labels")
    victim.write_bytes(whole)
    text = splits.read_text()
    listed = json.loads(text)
    for name, content in (
        ("a splits.json that is not JSON", text[:-5]),
        ("a splits.json of other splits", json.dumps({"training": listed["train"]})),
        ("a splits.json that lists nothing", json.dumps({"train": []})),
        ("a splits.json of numbers", json.dumps({"train": [1, 2]})),
        ("a table with a label too few", json.dumps({"train": {"path": listed["train"], "label": [1]}})),
    ):
        splits.write_text(content)
        check(refused(directory, "splits.json"), name)
    splits.write_text(json.dumps(listed | {"val": listed["val"] + listed["val"][:1]}))
    check(refused(directory, listed["val"][0], "twice, in 'val':"), "a file that is listed twice")
    splits.write_text(json.dumps(listed | {"val": listed["val"] + listed["train"][:1]}))
    named = (listed["train"][0], "twice, in 'train' and in 'val'")
    check(refused(directory, *named), "a file that is listed in two splits")
    splits.write_text(json.dumps({"train": ["/etc/hostname"]}))
    check(refused(directory, "/etc/hostname"), "a path that is no INR file")
    splits.write_text(text)
    whole = known.read_bytes()
    known.write_bytes(whole[:-200])
    check(refused(directory, "polyview.npz"), "half a polyview.npz")
    known.write_bytes(whole)
    with np.load(known) as file:
        columns = dict(file)
    np.savez(known, **columns | {"label": columns["label"][:-1]})
    check(refused(directory, "polyview.npz", "label"), "a polyview.npz of other shapes")
    known.unlink()
    run = convert("import", directory, work / "refused.h5", "--splits", work / "none.json")
    check(run.returncode == 1 and "none.json" in run.stderr and "--splits" in run.stderr, "no splits.json")
    run = convert("export", work / "none.h5", work / "none")
    check(run.returncode in (1, 3) and not (work / "none").exists(), "no store")


def test_without_torch(work: Path) -> None:
    store, hidden = make_store(work), work / "hidden"
    hidden.mkdir()
    (hidden / "torch.py").write_text("raise ImportError('hidden by a test')\n")

    def alone(*words: object) -> subprocess.CompletedProcess[str]:
        command = [*TOOLS, "convert", *map(str, words)]
        variables = os.environ | {"PYTHONPATH": str(hidden)}
        return subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, env=variables
        )

    run = alone("export", store, work / "pth")
    check(
        run.returncode == 3 and "PyTorch is not installed" in run.stderr and ".npz" in run.stderr,
        "export to .pth without PyTorch says so",
        run.stderr,
    )
    done(alone("export", store, work / "npz", "--format", "npz"))
    done(alone("import", work / "npz", work / "back.h5"))
    check(not differences(store, work / "back.h5"), "npz needs no PyTorch")


def test_pth(work: Path) -> None:
    if torch is None:
        skip("store -> pth -> store", NO_TORCH)
        return
    store, directory = make_store(work), work / "out"
    done(convert("export", store, directory))
    done(convert("import", directory, work / "back.h5"))
    check(not differences(store, work / "back.h5"), "store -> pth -> store is lossless")
    check(
        verified(work / "back.h5", VIEWS * OBJECTS) and trains(work, work / "back.h5"),
        "verify and train take it",
    )
    right = True
    for path, tensors, label in views_of(store):
        state = torch.load(directory / f"{path}.pth", weights_only=True)
        right &= state.pop("label") == label and list(state) == list(tensors)
        right &= all(torch.equal(state[name], torch.tensor(array)) for name, array in tensors.items())
    check(right, "a .pth file is a state_dict and the label")
    splits = json.loads((directory / "splits.json").read_text())
    check(
        [len(splits[name]) for name in ("train", "val", "test")] == [VIEWS * n for n in (21, 7, 9)]
        and sorted({path.split("/")[-3] for path in splits["train"]}) == ["view-00", "view-01"]
        and splits["train"][TRAIN].startswith("out/view-01/train/")
        and all((work / path).is_file() for paths in splits.values() for path in paths),
        "splits.json names a view by the folder third from the end",
    )
    tables = json.loads((directory / "dwsnets_splits.json").read_text())
    check(
        all(Path(path).is_absolute() and Path(path).is_file() for path in tables["train"]["path"])
        and [len(tables[name]["label"]) for name in ("train", "val", "test")] == [42, 7, 9],
        "dwsnets_splits.json has whole paths and labels",
    )
    stats = torch.load(directory / "statistics.pth", weights_only=True)
    shapes = [tuple(tensor.shape) for tensor in stats["weights"]["mean"] + stats["biases"]["std"]]
    check(
        shapes == [(2, 6, 1), (6, 5, 1), (5, 1, 1), (6, 1), (5, 1), (1, 1)],
        "statistics.pth has a trainer's shapes",
    )


def test_foreign_pth(work: Path) -> None:
    if torch is None:
        skip("a published directory becomes a store", NO_TORCH)
        return
    check_foreign(work, make_store(work), "pth")


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.system, (f"touch '{self.path}'",)


def test_hostile_pth(work: Path) -> None:
    if torch is None:
        skip("a hostile .pth is refused", NO_TORCH)
        return
    store, directory, trap = make_store(work), work / "out", work / "sprung"
    done(convert("export", store, directory))
    victim = directory / "view-00" / "train" / "0000000.pth"
    state = torch.load(victim, weights_only=True)
    whole = victim.read_bytes()

    torch.save(state | {"label": Hostile(trap)}, victim)
    check(refused(directory, victim.name, "refused", "system"), "code in a .pth is refused, and named")
    victim.write_bytes(pickle.dumps(Hostile(trap)))
    check(refused(directory, victim.name, "torch.save"), "a plain pickle is refused")
    torch.save(state | {"label": Hostile(trap)}, victim, _use_new_zipfile_serialization=False)
    check(refused(directory, victim.name, "torch.save"), "the old format is refused")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), victim)
    check(refused(directory, victim.name, "TorchScript"), "a TorchScript archive is refused")
    with zipfile.ZipFile(victim, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Hostile(trap), protocol=2))
        file.writestr("archive/version", "3\n")
    check(refused(directory, victim.name, "refused"), "an archive made by hand is refused")
    victim.write_bytes(whole[: len(whole) // 2])
    check(refused(directory, victim.name), "half a .pth is refused")
    place = whole.index(state["seq.0.weight"].numpy().tobytes())
    victim.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    check(refused(directory, victim.name, "checksum"), "a .pth with a flipped bit is refused")
    check(not trap.exists(), "no code was run")
    torch.save([1, 2], victim)
    check(refused(directory, victim.name, "not a state_dict"), "a list is refused")
    torch.save(state | {"seq.0.weight": state["seq.0.weight"].int()}, victim)
    check(refused(directory, victim.name, "seq.0.weight", "int32"), "whole numbers are refused")
    torch.save(state | {"seq.0.weight": torch.zeros(1).expand(2**40)}, victim)
    check(refused(directory, victim.name, "seq.0.weight", "shape"), "a shape larger than any INR is refused")
    torch.save(state | {"seq.0.weight": state["seq.0.weight"].to_sparse()}, victim)
    check(refused(directory, victim.name), "a sparse tensor is refused")
    torch.save(state | {"label": "7"}, victim)
    check(refused(directory, victim.name, "label"), "a label that is no number is refused")
    torch.save(state | {"label": torch.tensor(state["label"])}, victim)
    done(convert("import", directory, work / "back.h5"))
    check(not differences(store, work / "back.h5"), "a label may be a tensor")


def test_dataset(work: Path) -> None:
    if torch is None:
        skip("the PyTorch Dataset", NO_TORCH)
        return
    from polyview.torch import Batch, ViewDataset

    store = make_store(work)
    train = ViewDataset(store, "train", views=2)
    right = len(train) == VIEWS * TRAIN
    rows = [(p, t, label) for p, t, label in views_of(store) if "/train/" in p]
    for sample, (_, tensors, label) in zip(train, rows):
        arrays = list(tensors.values())
        right &= isinstance(sample, Batch) and sample.label == label
        right &= all(
            torch.equal(w, torch.tensor(a.T[..., None])) for w, a in zip(sample.weights, arrays[0::2])
        )
        right &= all(torch.equal(b, torch.tensor(a[:, None])) for b, a in zip(sample.biases, arrays[1::2]))
    check(right, "a sample is (weights [d_i][d_i+1][1], biases [d_i+1][1], label), view by view")
    alone = list(torch.utils.data.DataLoader(train, batch_size=8))
    check(
        isinstance(alone[0], Batch)
        and alone[0].to("cpu").weights[0].shape == (8, 2, 6, 1)
        and alone[0].label.dtype == torch.int64,
        "the default collate makes batches",
    )
    for start in ("fork", "spawn"):
        loader = torch.utils.data.DataLoader(
            train, batch_size=8, num_workers=2, multiprocessing_context=start
        )
        pairs = [
            (a, b)
            for x, y in zip(alone, loader, strict=True)
            for a, b in zip(x.weights + x.biases, y.weights + y.biases)
        ]
        check(all(torch.equal(a, b) for a, b in pairs), f"workers started by {start} read the same")
    normal = ViewDataset(store, "train", normalize=True)
    model = polyview("train", "--config", write_config(work, train={"epochs": 1, "normalise": "entry"}))
    with h5py.File(work / "model.h5") as file:
        close = [
            np.allclose(a, file[f"norm/{n}"][()], rtol=1e-5, atol=1e-7)
            for n, a in zip(("mean", "std"), normal.statistics)
        ]
    check(model.status == 0 and all(close), "normalisation is that of `polyview train`", model)
    val = ViewDataset(store, "val", normalize=True, statistics=normal.statistics)
    plain = ViewDataset(store, "val")[0].weights[0]
    mean, std = (torch.tensor(a[:12].reshape(6, 2).T[..., None]) for a in normal.statistics)
    check(
        torch.equal(val[0].weights[0], (plain - mean) / std),
        "another split takes the training split's statistics",
    )
    gap = shutil.copy(store, work / "gap.h5")
    with h5py.File(gap, "r+") as file:
        file["view/status"][1, 3] = 0
    try:
        message = str(ViewDataset(gap, "train", views=2))
    except ValueError as error:
        message = str(error)
    check(
        "view 1 of object 3 is not fitted" in message and len(ViewDataset(gap)) == TRAIN,
        "a missing row is named",
    )


if __name__ == "__main__":
    sys.exit(
        run_tests(
            test_checksums,
            test_npz,
            test_signals,
            test_parts,
            test_foreign_npz,
            test_refusals,
            test_without_torch,
            test_pth,
            test_foreign_pth,
            test_hostile_pth,
            test_dataset,
        )
    )
