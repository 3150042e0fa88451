"""The Python reader of stores and the plots, against a small store that h5py writes here."""

import gzip
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable

import h5py
import numpy as np
from drawn import ball, write_store as write_inr

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "analysis"))
TOOLS = [sys.executable, str(ROOT / "analysis" / "polyview-tools")]
from polyview.store import Store  # noqa: E402

DIMS, W0, OFFSET = [2, 9, 7, 1], 12.0, 0.25
HEIGHT, WIDTH, TRAIN_FILE, TEST_FILE = 6, 5, 40, 20
VIEWS, SPLITS, MISSING, REFUSED = 2, [0] * 12 + [1] * 3 + [2] * 5, (1, 4), (1, 16)
LAYOUT = [
    ("seq.0.weight", 0, 9, 2),
    ("seq.0.bias", 18, 9, 1),
    ("seq.1.weight", 27, 7, 9),
    ("seq.1.bias", 90, 7, 1),
    ("seq.2.weight", 97, 1, 7),
    ("seq.2.bias", 104, 1, 1),
]
PARAMS = 105

results: list[bool] = []


def check(holds: bool, statement: str) -> None:
    results.append(bool(holds))
    print(f"{'ok' if holds else 'not ok'} {len(results)} - {statement}", flush=True)


def raises(kind: type[Exception], call: Callable[[], object], *words: str) -> bool:
    try:
        call()
    except kind as error:
        return all(word in str(error) for word in words)
    return False


def write_store(path: Path, source: Path) -> None:
    rng = np.random.default_rng(1)
    objects = len(SPLITS)
    with h5py.File(path, "w") as file:
        file.attrs["polyview_kind"] = "store"
        file.attrs["polyview_version"] = 1
        file.attrs["arch"] = json.dumps({"dims": DIMS, "w0": W0, "offset": OFFSET})
        file.attrs["signal"] = json.dumps(
            {"source": "idx", "path": str(source), "height": HEIGHT, "width": WIDTH, "channels": 1}
        )
        file.attrs["config"] = np.bytes_(b"fit: {views: 2}\n")
        file["params"] = rng.normal(scale=0.3, size=(VIEWS, objects, PARAMS)).astype("f4")
        kind = np.dtype([("name", "S24"), ("offset", "i4"), ("rows", "i4"), ("cols", "i4")])
        file["layout"] = np.array([(name.encode(), *rest) for name, *rest in LAYOUT], kind)
        status = np.ones((VIEWS, objects), "u1")
        status[MISSING], status[REFUSED] = 0, 2
        file["view/status"] = status
        file["view/checksum"] = np.zeros((VIEWS, objects), "u8")
        file["view/psnr"] = rng.normal(30, 2, (VIEWS, objects)).astype("f4")
        file["view/steps"] = np.full((VIEWS, objects), 1000, "u4")
        file["object/label"] = (np.arange(objects) % 4).astype("i4")
        file["object/split"] = np.array(SPLITS, "u1")
        first = {0: 0, 1: TRAIN_FILE - 15, 2: TRAIN_FILE - 15}
        file["object/source"] = np.array([i + first[split] for i, split in enumerate(SPLITS)], "u8")


def write_images(directory: Path) -> None:
    rng = np.random.default_rng(2)
    for name, count in (("train", TRAIN_FILE), ("t10k", TEST_FILE)):
        head = b"".join(n.to_bytes(4, "big") for n in (0x803, count, HEIGHT, WIDTH))
        pixels = rng.integers(0, 256, count * HEIGHT * WIDTH, np.uint8).tobytes()
        (directory / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + pixels))


def write_metrics(path: Path, model: str, epochs: int, torn: bool) -> None:
    lines = [json.dumps({"event": "start", "model": model})]
    for epoch in range(1, epochs + 1):
        record = {"event": "epoch", "epoch": epoch, "train_loss": 2 / epoch, "train_accuracy": 0.5}
        record |= {"val_loss": 2.2 / epoch, "val_accuracy": 1 - 0.6 / epoch, "lr": 1e-3, "seconds": 1.0}
        lines += [json.dumps(record), json.dumps({"event": "checkpoint", "epoch": epoch})]
    path.write_text("\n".join(lines) + ('\n{"event": "epo' if torn else "\n"), encoding="utf-8")


def siren(row: list[float], x: float, y: float) -> float:
    """The formula of the SIREN, one neuron at a time."""
    hidden, at = [x, y], 0
    for layer, (inputs, outputs) in enumerate(zip(DIMS, DIMS[1:])):
        last = layer == len(DIMS) - 2
        bias_at = at + inputs * outputs
        sums = [
            math.fsum(row[at + o * inputs + i] * hidden[i] for i in range(inputs)) + row[bias_at + o]
            for o in range(outputs)
        ]
        hidden = sums if last else [math.sin(W0 * s) for s in sums]
        at = bias_at + outputs
    return hidden[0] + OFFSET


def check_reader(path: Path) -> None:
    with Store(path) as store, h5py.File(path) as file:
        check(
            (store.views, store.objects, store.params) == (VIEWS, len(SPLITS), PARAMS)
            and (store.height, store.width, store.channels) == (HEIGHT, WIDTH, 1)
            and store.dims == DIMS
            and store.config == "fit: {views: 2}\n",
            "a store tells its shape, signal, architecture and config",
        )
        row = file["params"][1, 6]
        tensors = store.tensors(1, 6)
        check(
            [(name, array.shape) for name, array in tensors.items()]
            == [(n, (r,) if n.endswith("bias") else (r, c)) for n, _, r, c in LAYOUT]
            and np.array_equal(np.concatenate([array.ravel() for array in tensors.values()]), row),
            "tensors have PyTorch's names, order and shapes",
        )
        points = [(-1.0, -1.0), (0.3, -0.7), (0.0, 0.0), (1.0, 0.2)]
        expected = [siren([float(v) for v in row], *point) for point in points]
        found = store.evaluate(1, 6, points)
        check(
            found.shape == (4, 1) and np.allclose(found[:, 0], expected, rtol=0, atol=1e-6),
            "evaluate is the SIREN's formula",
        )
        image = store.image(1, 6)
        r, c = 2, 3
        pixel = siren([float(v) for v in row], -1 + 2 * c / (WIDTH - 1), -1 + 2 * r / (HEIGHT - 1))
        check(
            image.shape == (HEIGHT, WIDTH, 1)
            and 0 <= image.min() <= image.max() <= 1
            and abs(image[r, c, 0] - min(max(pixel, 0), 1)) < 1e-6,
            "an image has rows along y, columns along x, values in [0, 1]",
        )
        check(
            np.array_equal(store.rows("val", [1, 0]), file["params"][:][[1, 0], 12:15])
            and store.rows("test", [0]).shape == (1, 5, PARAMS)
            and list(store.objects_of("test")) == [15, 16, 17, 18, 19],
            "rows gives the INRs of a split in the order of the views asked for",
        )
        check(
            raises(ValueError, lambda: store.row(*REFUSED), "view 1 of object 16 is refused")
            and raises(ValueError, lambda: store.rows("test", [0, 1]), "view 1 of object 16 is refused"),
            "a row that is refused is an error, not zeros",
        )
        check(
            raises(ValueError, lambda: store.tensors(*MISSING), "view 1 of object 4 is not fitted")
            and raises(ValueError, lambda: store.rows("train", [0, 1]), "view 1 of object 4")
            and raises(ValueError, lambda: store.rows("dev", [0]), "dev")
            and raises(ValueError, lambda: store.evaluate(0, 0, [[0.0]]), "(n, 2)")
            and raises(IndexError, lambda: store.row(2, 0)),
            "a row that is missing is an error, not zeros",
        )


def check_activation(work: Path, store: Path) -> None:
    for name, arch in (("named.h5", {"activation": "sine"}), ("other.h5", {"activation": "tanh(W h + b)"})):
        with h5py.File(shutil.copy(store, work / name), "r+") as file:
            file.attrs["arch"] = json.dumps({"dims": DIMS, "w0": W0, "offset": OFFSET} | arch)
    with Store(store) as plain, Store(work / "named.h5") as named, Store(work / "other.h5") as other:
        check(
            np.array_equal(plain.image(0, 1), named.image(0, 1)),
            "an activation that is not named is the sine",
        )
        check(
            raises(ValueError, lambda: other.image(0, 1), "other.h5", "tanh(W h + b)")
            and np.array_equal(other.row(0, 1), plain.row(0, 1)),
            "rows of an unknown activation are read, but not evaluated",
        )


def check_refusals(work: Path, store: Path) -> None:
    text, other, torn = work / "notes.txt", work / "model.h5", work / "torn.h5"
    text.write_text("hello", encoding="utf-8")
    with h5py.File(other, "w") as file:
        file.attrs["polyview_kind"] = "model"
    torn.write_bytes(store.read_bytes())
    with h5py.File(torn, "r+") as file:
        del file["view/psnr"]
    check(raises(ValueError, lambda: Store(text), "notes.txt", "not an HDF5 file"), "a text file is no store")
    check(raises(ValueError, lambda: Store(other), "polyview_kind is 'model'"), "a model is no store")
    check(
        raises(ValueError, lambda: Store(torn), "lacks /view/psnr"), "a store without a data set is refused"
    )
    check(
        raises(OSError, lambda: Store(work / "absent.h5"), "absent.h5"), "a file that is not there is named"
    )


def plots(*args: object) -> subprocess.CompletedProcess[str]:
    command = [*TOOLS, "plot", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def draws(output: Path, *args: object) -> bool:
    run = plots(*args, "-o", output)
    print("".join(f"# {line}\n" for line in run.stderr.splitlines()), end="")
    return run.returncode == 0 and not run.stderr and output.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def check_names_of_runs() -> None:
    from polyview.plots import names_of_runs

    here, elsewhere = Path("a.h5.jsonl"), Path("x/a.h5.jsonl")
    check(
        names_of_runs([here, Path("b.jsonl")]) == ["a", "b"]
        and names_of_runs([elsewhere, Path("y/a.h5.jsonl")]) == ["x/a", "y/a"]
        and names_of_runs([here, elsewhere]) == [f"{Path().resolve().name}/a", "x/a"],
        "runs are told apart by their files, and by directories where these differ",
    )


def check_plots(work: Path, store: Path, images: Path) -> None:
    write_metrics(work / "dws.jsonl", "dws", 20, torn=True)
    write_metrics(work / "mlp.jsonl", "mlp", 12, torn=False)
    check(draws(work / "gallery.png", "gallery", store), "gallery draws INRs beside their sources")
    images.rename(work / "moved")
    check(
        draws(work / "few.png", "gallery", store, "--count", 3, "--originals", work / "moved"),
        "gallery takes the sources from another directory",
    )
    check(draws(work / "psnr.png", "psnr", store), "psnr draws a histogram")
    metrics = work / "dws.jsonl", work / "mlp.jsonl"
    check(draws(work / "curve.png", "training", *metrics), "training draws several runs, one still running")
    run = plots("gallery", store, "-o", work / "none.png")
    check(
        run.returncode == 1
        and "--originals" in run.stderr
        and "Traceback" not in run.stderr
        and not (work / "none.png").exists(),
        "gallery without the sources says how to name them",
    )


def check_numbers_that_are_none(work: Path, store: Path) -> None:
    """Imported rows have no PSNR, exact fits an infinite one, bad fits a negative one."""
    from polyview.plots import psnr_of

    odd = shutil.copy(store, work / "odd.h5")
    fitted = np.argwhere(h5py.File(store)["view/status"][()] == 1)
    with h5py.File(odd, "r+") as file:
        psnr = file["view/psnr"]
        for value, (view, object) in zip((np.nan, np.nan, np.inf, -np.inf, -3.5, 3e38), fitted):
            psnr[view, object] = value
    with Store(odd) as opened:
        found = psnr_of(opened)
    check(
        found.others == {"of unknown PSNR": 2, "exact (infinite PSNR)": 1, "of PSNR minus infinity": 1}
        and len(found.finite) == len(fitted) - 4
        and {-3.5, float(np.float32(3e38))} <= set(found.finite),
        "unknown and infinite PSNRs are counted, negative and very large ones are numbers",
    )
    check(draws(work / "odd.png", "psnr", odd), "psnr draws the finite ones")
    check(draws(work / "odd-gallery.png", "gallery", odd), "gallery draws INRs without a PSNR")
    with h5py.File(odd, "r+") as file:
        file["view/psnr"][...] = np.nan
    check(draws(work / "unknown.png", "psnr", odd), "psnr draws a store without any PSNR")
    os.symlink(work / "elsewhere.png", work / "link.png")
    check(
        draws(work / "link.png", "psnr", store)
        and (work / "link.png").is_symlink()
        and (work / "elsewhere.png").is_file(),
        "a picture behind a link is drawn where the link leads",
    )


class Seen:
    """Axes that remember what is drawn on them."""

    def __init__(self, draw: Callable[["Seen"], None]) -> None:
        self.images: list[np.ndarray] = []
        self.curves: list[tuple[np.ndarray, np.ndarray]] = []
        self.spines: dict[str, object] = {}
        draw(self)

    def imshow(self, pixels: np.ndarray, **_: object) -> None:
        self.images.append(pixels)

    def plot(self, x: np.ndarray, y: np.ndarray, **_: object) -> None:
        self.curves.append((x, y))

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def inr_of(inputs: int, outputs: int) -> list[np.ndarray]:
    rng = np.random.default_rng(inputs + 10 * outputs)
    shapes = (6, inputs), (6,), (outputs, 6), (outputs,)
    return [rng.normal(scale=0.15, size=shape) for shape in shapes]


def check_kinds(work: Path) -> None:
    """Galleries of what is no grey picture."""
    from polyview.gallery import rows_of

    grid = {"source": "arrays", "height": 4, "width": 5, "channels": 3}
    kinds = {
        "colours": (inr_of(2, 3), grid),
        "wave": (inr_of(1, 2), {"source": "arrays", "coordinates": "linspace(-1, 1) a side"}),
        "volume": (inr_of(3, 1), grid | {"depth": 6, "channels": 1}),
    }
    rows = {}
    for name, (inr, about) in kinds.items():
        with Store(write_inr(work / f"{name}.h5", inr, about)) as store:
            rows[name] = [Seen(cells[0][0]) for _, cells in rows_of(store, [0], None)]
            points = [[-1.0, 0.2, 1.0], [1.0, -0.2, 1.0]]
            values = {n: store.evaluate(0, 0, np.array(points)[:, :n]) for n in (store.dims[0],)}
            kinds[name] = (values[store.dims[0]], store)
        check(draws(work / f"{name}.png", "gallery", work / f"{name}.h5"), f"gallery draws a {name}")
    check(
        [seen.images[0].shape for seen in rows["colours"]] == [(4, 5, 3)],
        "pictures without originals are drawn alone, in their colours",
    )
    (x, first), (_, second) = rows["wave"][0].curves
    expected = kinds["wave"][0]
    check(
        (x[0], x[-1]) == (-1, 1)
        and np.allclose([first[0], second[0]], expected[0], atol=1e-6)
        and np.allclose([first[-1], second[-1]], expected[1], atol=1e-6),
        "a wave has a curve a channel over its coordinates",
    )
    images = [seen.images[0] for seen in rows["volume"]]
    check(
        [image.shape for image in images] == [(4, 5), (6, 5), (6, 4)]
        and np.allclose(images[0][2], images[1][3])
        and np.allclose(images[0][:, 2], images[2][3])
        and np.allclose(images[1][:, 2], images[2][:, 2]),
        "slices of a volume run through its middle: they meet in lines that are alike",
    )
    try:
        import skimage  # noqa: F401
    except ImportError:
        print(f"ok {len(results) + 1} - meshes # SKIP scikit-image is not installed")
    else:
        check_meshes(work)


def read_ply(path: Path) -> tuple[np.ndarray, np.ndarray]:
    head, _, body = path.read_bytes().partition(b"end_header\n")
    words = head.split()
    vertices, faces = (int(words[words.index(name) + 1]) for name in (b"vertex", b"face"))
    triangles = np.frombuffer(body, "u1", offset=12 * vertices).reshape(faces, 13)
    found = np.ascontiguousarray(triangles[:, 1:]).view("<i4")
    if not (triangles[:, 0] == 3).all():
        raise ValueError("a face is no triangle")
    return np.frombuffer(body, "<f4", 3 * vertices).reshape(vertices, 3), found


def volume_of(vertices: np.ndarray, triangles: np.ndarray) -> float:
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def check_meshes(work: Path) -> None:
    store = write_inr(work / "ball.h5", ball(0.7), {"source": "shapes", "field": "sdf"})
    command = [*TOOLS, "mesh", str(store), "--object", "0"]

    def mesh(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command + [str(w) for w in words], capture_output=True, text=True, timeout=200, check=False
        )

    run = mesh("--resolution", 40, "-o", work / "ball.ply")
    vertices, triangles = read_ply(work / "ball.ply")
    radius = np.linalg.norm(vertices, axis=1)
    check(
        run.returncode == 0 and np.abs(radius - 0.7).max() < 0.01,
        "the mesh of a ball's INR lies on the ball",
    )
    check(
        abs(volume_of(vertices, triangles) / (4 / 3 * math.pi * 0.7**3) - 1) < 0.02,
        "it is closed, and its triangles turn outwards",
    )
    with h5py.File(store, "r+") as file:
        file["object/frame"] = np.array([[1.0, 2.0, -3.0, 10.0]], "f4")
    mesh("--resolution", 40, "-o", work / "moved.ply")
    mesh("--resolution", 40, "--unit", "-o", work / "unit.ply")
    moved, unit = read_ply(work / "moved.ply"), read_ply(work / "unit.ply")
    check(
        np.allclose(moved[0], [1, 2, -3] + 10 * unit[0], atol=1e-4) and np.array_equal(unit[0], vertices),
        "a mesh is put back to where its source lies",
    )
    command[3] = str(write_inr(work / "none.h5", ball(5.0), {"source": "shapes"}))
    run = mesh("-o", work / "none.ply", "--resolution", 9)
    check(run.returncode == 1 and "no surface" in run.stderr, "an INR without a surface is told")
    check(draws(work / "ball.png", "gallery", store), "gallery draws a shape")


def check_records(work: Path) -> None:
    """null stands for what is not finite."""
    from polyview.tables.augment import mean_and_error
    from polyview._runs import read_runs

    record = {
        "polyview_run": 1,
        "command": "train",
        "exit_status": 0,
        "result": {"test_loss": None, "a": 0.5},
    }
    (work / "x.runs.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    run = read_runs(work / "x.runs.jsonl")[0]
    check(
        math.isnan(run.figure("test_loss")) and math.isnan(run.figure("b")) and run.figure("a") == 0.5,
        "a figure that is null in a record, or not there, is NaN",
    )
    check(
        all(map(math.isnan, mean_and_error([0.5, math.nan]))), "a mean over a NaN is NaN, and so is its error"
    )


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.environ.setdefault("MPLCONFIGDIR", str(work / "matplotlib"))
        images, store = work / "images", work / "store.h5"
        images.mkdir()
        write_images(images)
        write_store(store, images)
        check_reader(store)
        check_activation(work, store)
        check_refusals(work, store)
        try:
            import matplotlib  # noqa: F401
        except ImportError:
            print(f"ok {len(results) + 1} - plots # SKIP matplotlib is not installed")
        else:
            check_numbers_that_are_none(work, store)
            check_names_of_runs()
            check_plots(work, store, images)
            check_kinds(work)
            check_records(work)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
