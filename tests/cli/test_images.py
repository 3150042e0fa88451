"""The source of pictures: every kind of PNG and JPEG is read as Pillow reads it, bad files are named all together, and a
tree of pictures goes the whole way of a store."""

import io
import json
import signal
import struct
import sys
from pathlib import Path

import h5py
import numpy as np

from harness import ROOT, Process, check, one_error, launch, polyview, refused, run_tests, skip
from png_files import DEPTHS, GREY, GREY_ALPHA, PALETTE, RGB, RGBA, chunk, png
from test_fit import contents

sys.path.insert(0, str(ROOT / "analysis"))
from polyview._xxh3 import xxh3_64  # noqa: E402

try:
    from PIL import Image
except ImportError:
    Image = None

HEIGHT, WIDTH = 7, 11


# ---- what must be read


def hash_of(data: bytes) -> int:
    return int(xxh3_64(np.frombuffer(data, np.uint8)[None])[0])


def random_png(kind: int, depth: int, interlaced: bool, keyed: bool) -> tuple[bytes, np.ndarray]:
    """(a file, its pixels [h][w][RGBA] as numbers of 8 or 16 bits)"""
    rng = np.random.default_rng([kind, depth, interlaced, keyed])
    white = 65535 if depth == 16 else 255
    channels = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}[kind]
    numbers = rng.integers(0, 2**depth, (HEIGHT, WIDTH, channels))
    rgba = np.full((HEIGHT, WIDTH, 4), white)
    palette, transparent = None, b""
    if kind == PALETTE:
        palette = rng.integers(0, 256, (2**depth, 3))
        alphas = rng.integers(0, 256, 2**depth - 1) if keyed else np.zeros(0, int)
        transparent = bytes(alphas.tolist())
        rgba[..., :3] = palette[numbers[..., 0]]
        rgba[..., 3] = np.append(alphas, np.full(2**depth - len(alphas), 255))[numbers[..., 0]]
    else:
        scaled = numbers * (white // (2**depth - 1))
        rgba[..., :3] = scaled[..., :1] if kind in (GREY, GREY_ALPHA) else scaled[..., :3]
        if kind in (GREY_ALPHA, RGBA):
            rgba[..., 3] = scaled[..., -1]
        elif keyed:
            key = numbers[2, 3]
            transparent = struct.pack(f">{channels}H", *key)
            rgba[..., 3] = np.where((numbers == key).all(-1), 0, white)
    return png(numbers, kind, depth, interlaced, palette, transparent), rgba


def zoo(depths: tuple[int, ...]) -> dict[str, tuple[bytes, np.ndarray]]:
    """Name -> (file, pixels) of every kind of PNG of these bit depths."""
    made = {}
    for kind, its_depths in DEPTHS.items():
        for depth in set(its_depths) & set(depths):
            for interlaced in (False, True):
                for keyed in (False, True) if kind not in (GREY_ALPHA, RGBA) else (False,):
                    name = f"kind{kind}-{depth}{'-interlaced' * interlaced}{'-keyed' * keyed}.png"
                    made[name] = random_png(kind, depth, interlaced, keyed)
    return made


def jpegs() -> dict[str, tuple[bytes, np.ndarray]]:
    made, rng = {}, np.random.default_rng(3)
    smooth = np.cumsum(rng.integers(-9, 10, (HEIGHT, WIDTH, 3)), 1) + 128
    for name, mode, options in (
        ("grey.jpg", "L", {}),
        ("full.JPEG", "RGB", {"subsampling": 0}),
        ("half.jpg", "RGB", {"subsampling": 2, "quality": 60}),
        ("progressive.jpg", "RGB", {"progressive": True}),
        ("named.png", "RGB", {"subsampling": 1}),  # the content decides
    ):
        file = io.BytesIO()
        Image.fromarray(smooth.astype("u1")).convert(mode).save(file, "jpeg", **options)
        pixels = np.full((HEIGHT, WIDTH, 4), 255)
        pixels[..., :3] = np.asarray(Image.open(file).convert("RGB"))
        made[name] = (file.getvalue(), pixels)
    return made


def converted(rgba: np.ndarray, channels: int, background: float = 1.0) -> np.ndarray:
    """The channels that signal.channels asks for, whole numbers of the file's depth."""
    white = 65535 if rgba.max() > 255 else 255
    if channels == 4:
        return rgba
    rgb, alpha = rgba[..., :3].astype("i8"), rgba[..., 3:].astype("i8")
    ground = int(background * white + 0.5)
    rgb = (rgb * alpha + ground * (white - alpha) + white // 2) // white
    return rgb if channels == 3 else ((rgb @ [19595, 38470, 7471] + 32768) >> 16)[..., None]


def seen_alike(data: bytes, rgba: np.ndarray) -> bool:
    """Whether Pillow sees these colours, and this alpha where the file has one of its own: it keeps 8 bits of 16, and
    does not find the transparent colour of a tRNS chunk at other depths than 8."""
    with Image.open(io.BytesIO(data)) as picture:
        if picture.mode.startswith("I"):  # grey of 16 bits, which it keeps
            return bool((np.asarray(picture)[..., None] == rgba[..., :3]).all())
        seen = np.asarray(picture.convert("RGBA")).astype(int)
        same = seen == (rgba // 256 if rgba.max() > 255 else rgba)
        return bool(same[..., : 4 if picture.mode in ("P", "LA", "RGBA") else 3].all())


def averaged(numbers: np.ndarray, height: int, width: int) -> np.ndarray:
    """Means over boxes: both sides repeated to a common multiple, then cut into equal boxes."""
    h, w, c = numbers.shape
    large = numbers.astype("f8").repeat(height, 0).repeat(width, 1)
    return large.reshape(height, h, width, w, c).mean((1, 3))


def digest(values: np.ndarray, label: int) -> int:
    """What a store keeps of an object that was fitted: the hash of its values and its label."""
    return hash_of(values.astype("<f4").tobytes() + struct.pack("<i", label))


def write_tree(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def config_of(work: Path, tree: Path, name: str = "config.json", **signal: object) -> Path:
    config = {
        "store": str(work / "store.h5"),
        "signal": {"source": "images", "path": str(tree)} | signal,
        "inr": {"hidden": [6], "w0": 3},
        "fit": {"steps": 1},
        "model": {"hidden": 8, "layers": 1},
        "train": {"output": str(work / "model.h5"), "epochs": 30, "batch": 16, "lr": 3e-3, "views": 2},
    }
    (work / name).write_text(json.dumps(config))
    return work / name


def stored(work: Path, tree: Path, store: str, **signal: object) -> dict[int, tuple[int, int, int]]:
    """Source id -> (digest, split, label) after a fit of the tree."""
    run = polyview("fit", "--config", config_of(work, tree, **signal), "--store", work / store)
    if run.status != 0:
        raise ValueError(str(run))
    with h5py.File(work / store) as file:
        ids, digests = file["object/source"][()].tolist(), file["object/digest"][()].tolist()
        splits, labels = file["object/split"][()].tolist(), file["object/label"][()].tolist()
        return dict(zip(ids, zip(digests, splits, labels)))


# ---- statements


def all_kinds_are_read(work: Path) -> None:
    """Whole pixels, to the bit of their float32: a store's digests are of them."""
    if Image is None:
        return skip("every kind of PNG and JPEG is read as Pillow reads it", "Pillow is not installed")
    low, deep = zoo((1, 2, 4, 8)) | jpegs(), zoo((16,))
    wrong = [name for name, (data, rgba) in (low | deep).items() if not seen_alike(data, rgba)]
    check(not wrong, f"Pillow reads the {len(low) + len(deep)} files as they were meant", wrong)
    for files, depth, wishes in (
        (low, 8, ((1, 1.0), (3, 0.3))),
        (low | deep, 16, ((1, 0.0), (3, 1.0), (3, 0.3), (4, 1.0))),
    ):
        tree = write_tree(work / str(depth), {name: data for name, (data, _) in files.items()})
        for channels, background in wishes:
            store = f"{depth}-{channels}-{background}.h5"
            found = stored(work, tree, store, channels=channels, background=background)
            wrong = []
            for name, (_, rgba) in files.items():
                white = np.float32(65535 if name in deep else 255)
                values = converted(rgba, channels, background).astype("f4") / white
                if found[hash_of(name.encode())][0] != digest(values, -1):
                    wrong.append(name)
            check(
                not wrong and len(found) == len(files),
                f"files of up to {depth} bits are read to the bit, with {channels} channels on {background:g}",
                wrong,
            )


def another_size_is_an_area_average(work: Path) -> None:
    rng = np.random.default_rng(11)
    files, pictures = {}, {}
    for number, (height, width) in enumerate(((7, 11), (12, 5), (30, 40), (5, 6), (1, 1))):
        pictures[f"{number}.png"] = rng.integers(0, 256, (height, width, 3))
        files[f"{number}.png"] = png(pictures[f"{number}.png"], RGB, 8)
    tree = write_tree(work / "tree", files)
    refused(
        "a tree of pictures of several sizes", ["fit", "--config", config_of(work, tree)], 3, "signal.size"
    )
    for size in ([5, 6], [9, 4], [31, 41]):
        found = stored(work, tree, f"{size[0]}.h5", size=size)
        wrong = [
            name
            for name, pixels in pictures.items()
            if found[hash_of(name.encode())][0] != digest(averaged(pixels, *size) / 255, -1)
        ]
        with h5py.File(work / f"{size[0]}.h5") as file:
            signal = json.loads(file.attrs["signal"])
        shape = [signal["height"], signal["width"], signal["channels"]]
        check(
            not wrong and shape == [*size, 3],
            f"the mean over boxes is read at {size[0]} x {size[1]}",
            wrong,
            shape,
        )


def good_file(number: int, side: int = 6) -> bytes:
    return png(np.random.default_rng(number).integers(0, 256, (side, side, 3)), RGB, 8)


def bad_files() -> dict[str, tuple[bytes, str]]:
    """Name -> (content, words of the message)"""
    whole = good_file(99)
    huge = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    bad = {
        "a/cut.png": (whole[:-20], "is truncated"),
        "a/empty.png": (b"", "is empty"),
        "a/text.jpg": (b"not a picture", "is neither a PNG nor a JPEG"),
        "b/bits.png": (whole[:60] + b"\x55\xaa" + whole[62:], "is damaged"),
        "b/huge.png": (whole[:8] + chunk(b"IHDR", huge) + whole[33:], "60000 x 60000 pixels"),
        "b/odd.png": (good_file(5, 9), "9 x 9 pixels"),
    }
    if Image:
        cmyk = io.BytesIO()
        Image.new("CMYK", (6, 6)).save(cmyk, "jpeg")
        bad["a/print.jpg"] = (cmyk.getvalue(), "CMYK")
    return bad


def bad_files_are_named_together_or_left_out(work: Path) -> None:
    good = {f"{'ab'[n % 2]}/{n}.png": good_file(n) for n in range(12)}
    bad = bad_files()
    clean = stored(work, write_tree(work / "clean", good), "clean.h5")
    tree = write_tree(work / "tree", good | {name: data for name, (data, _) in bad.items()})
    (tree / "a" / "directory.png").mkdir()
    words = [word for name, (_, what) in bad.items() for word in (tree / name, what)]
    config = config_of(work, tree)
    refused(
        "a tree with bad files of all kinds", ["fit", "--config", config], 3, *words, "signal.skip_bad: true"
    )
    run = polyview(
        "fit", "--config", config, "--set", "signal.skip_bad=true", "--store", work / "s.h5", ranks=2
    )
    found = stored(work, tree, "skipped.h5", skip_bad=True)
    check(
        found == clean, "without bad files the others keep their ids, splits, labels and values", found, clean
    )
    warnings = [line for line in run.stderr.splitlines() if "warning" in line]
    check(
        run.status == 0
        and len(warnings) == 1
        and f"{len(bad)} of {len(good) + len(bad)} files" in warnings[0],
        "one warning counts what was left out",
        run,
    )
    many = write_tree(work / "many", good | {f"a/x{n}.png": b"x" for n in range(500)})
    run = polyview("fit", "--config", config_of(work, many))
    check(
        one_error(run, 3, "500 of 512", "; and 4", " more"),
        "of many bad files some are named, all counted",
        run,
    )
    none = write_tree(work / "none", {"a/1.png": b"x", "a/2.png": b""})
    options = ["--set", "signal.skip_bad=true"]
    refused(
        "a tree without a good file",
        ["fit", "--config", config_of(work, none), *options],
        3,
        "no file is left",
    )


def damage_that_only_decoding_shows(work: Path) -> None:
    """A stream of too few pixels, with the right checksums."""
    files = {f"a/{n}.png": good_file(n) for n in range(5)}
    short = png(np.zeros((2, 6, 3), int), RGB, 8)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 6, 6, 8, 2, 0, 0, 0))
    tree = write_tree(work / "tree", files | {"a/short.png": short[:8] + head + short[33:]})
    words = ["fit", "--config", config_of(work, tree), "--set", "signal.test=0", "--set", "signal.val=0"]
    refused(
        "a picture that breaks off within its data", words, 3, tree / "a/short.png", "signal.skip_bad: true"
    )
    found = stored(work, tree, "store.h5", skip_bad=True)
    check(len(found) == len(files), "signal.skip_bad decodes beforehand and leaves such a file out", found)


def wrong_options_are_named(work: Path) -> None:
    tree = write_tree(work / "tree", {f"a/{n}.png": good_file(n) for n in range(5)})
    config = config_of(work, tree)
    wrong = [
        ("size", "[3]"),
        ("size", "[0,5]"),
        ("size", "[16000,16000]"),
        ("size", "[4097,16384]"),
        ("channels", "2"),
        ("background", "1.5"),
    ]
    for key, value in wrong:
        run = polyview("fit", "--config", config, "--set", f"signal.{key}={value}")
        check(one_error(run, 2, f"signal.{key}"), f"signal.{key}={value} is refused", run)
    run = polyview("fit", "--config", config_of(work, work / "absent"))
    check(one_error(run, 1, work / "absent", "signal.path"), "a directory that is not there is named", run)


def folder(names: str, count: int = 6) -> dict[str, bytes]:
    """Pictures in each of these directories."""
    return {f"{name}/{n}.png": good_file(n) for name in names.split() for n in range(count)}


def fit_says_what_it_took(work: Path) -> None:
    trees = {
        "Training Testing": (
            {"Training/cat", "Training/dog", "Testing/cat", "Testing/dog"},
            "12 train, 0 val, 12 test",
        ),
        "TRAIN val": ({"TRAIN/cat", "TRAIN/dog", "val/dog"}, "12 train, 6 val, 0 test"),
    }
    for number, (what, (names, counts)) in enumerate(trees.items()):
        tree = write_tree(work / f"tree-{number}", folder(" ".join(names)))
        run = polyview(
            "fit", "--config", config_of(work, tree), "--store", work / f"{number}.h5", ranks=number + 1
        )
        line = f"polyview: objects: {counts}, of 2 classes (cat, dog)"
        check(
            run.status == 0 and run.stderr.splitlines().count(line) == 1,
            f"the directories {what} are splits, and one line says so",
            run,
        )
    others = {f"{n}.{end}": b"" for n, end in enumerate(("bmp", "gif", "tif", "webp"))}
    tree = write_tree(work / "mixed", folder("a b c d e f", 2) | others)
    config = config_of(work, tree, val=0, test=0)
    run, again = polyview("fit", "--config", config), polyview("fit", "--config", config)
    line = "objects: 12 train, 0 val, 0 test, of 6 classes (a, b, c, d, ...); files passed over by their endings: 4"
    check(run.status == 0 and line in run.stderr, "files of other endings are counted", run)
    check(
        again.status == 0 and "objects:" not in again.stderr,
        "a store that is there needs no such line",
        again,
    )
    tree = write_tree(work / "flat", {f"{n}.png": good_file(n) for n in range(3)})
    run = polyview("fit", "--config", config_of(work, tree, val=0, test=0), "--store", work / "flat.h5")
    check(run.status == 0 and "of no class" in run.stderr, "or that there are no classes", run)


def trees_one_level_off_are_refused(work: Path) -> None:
    tree = write_tree(work / "t1", folder("data/train/cat data/train/dog data/test/cat"))
    words = "'data' would be the only class", f"'{tree}/data': set signal.path to that"
    refused("a tree of splits below a directory", ["fit", "--config", config_of(work, tree)], 3, *words)
    tree = write_tree(work / "t4", folder("animals/cat animals/dog"))
    config = config_of(work, tree, val=2, test=2)
    run = polyview("fit", "--config", config)
    warned = f"'animals' is the only class: 'cat' and other directories in '{tree}/animals' are classes if signal.path"
    check(run.status == 0 and warned in run.stderr, "of classes below a directory a warning is given", run)
    run = polyview("train", "--config", config, "--set", "train.views=1", "--set", "train.epochs=1", ranks=2)
    warned = f"'{work}/store.h5': all training objects are of one class"
    check(run.status == 0 and run.stderr.count(warned) == 1, "and training on one class warns once", run)


def splits_that_leave_none_to_train_on_are_refused(work: Path) -> None:
    tree = write_tree(work / "tree", folder("a b"))
    shares = {
        "shares of more than all": ({"val": 0.9, "test": 0.9}, ("signal.val is 0.9 and signal.test 0.9",)),
        "numbers of all": (
            {"val": 2, "test": 10},
            ("signal.val takes 2 and signal.test 10 of the 12", "signal.train: 0"),
        ),
        "a share of none": (
            {"train": 0.01, "val": 0, "test": 0},
            ("train split has no object", "raise signal.train"),
        ),
    }
    for what, (keys, words) in shares.items():
        refused(what, ["fit", "--config", config_of(work, tree, **keys)], 2, *words)
    run = polyview("fit", "--config", config_of(work, tree, train=0, val=2, test=10))
    check(
        run.status == 0 and "0 train, 2 val, 10 test" in run.stderr,
        "unless the config says signal.train: 0",
        run,
    )


def files_that_come_or_go_are_not_blamed_on_the_config(work: Path) -> None:
    tree = write_tree(work / "tree", folder("a b", 10))
    config, store = config_of(work, tree), work / "store.h5"
    words: list[object] = ["fit", "--config", config]
    run = polyview(*words)
    with h5py.File(store) as file:
        counts = np.bincount(file["object/split"][()], minlength=3).tolist()
    had = "but '{}' holds {}, {} and {}: files have come or gone".format(store, *counts)
    write_tree(tree, folder("c", 1))
    check(run.status == 0, "a store is made", run)
    refused("a file more", words, 3, f"signal.path '{tree}' has", had, "another --store")
    run = polyview(*words, "--set", "fit.lr=0.1")
    check(
        one_error(run, 2, "fit.lr: 0.1 here") and "signal." not in run.stderr,
        "only the config's own is its fault",
        run,
    )
    run = polyview(*words, "--set", "signal.train=5")
    check(
        one_error(run, 2, f"signal.train: 5 here, {counts[0]} in the store"), "and numbers that it says", run
    )
    for name in ("a/0.png", "b/1.png", "c/0.png"):
        (tree / name).unlink()
    refused("a file less", words, 3, f"signal.path '{tree}' has", had, "another --store")


# ---- the whole way of a store

CLASSES, OBJECTS = 3, 120


def coloured_tree(root: Path) -> Path:
    """Stripes in noise, on a ground that is red, green or blue."""
    rng, side = np.random.default_rng(5), 8
    y, x = np.mgrid[0:side, 0:side]
    files = {}
    for number in range(OBJECTS):
        kind = number % CLASSES
        wave = np.sin(rng.uniform(0.5, 1) * (y if number % 2 else x) + rng.uniform(0, 6))[..., None]
        ground = np.where(np.arange(CLASSES) == kind, 200, 50)
        picture = ground + 30 * wave + rng.normal(0, 6, (side, side, 3))
        files[f"class {kind}/{number}.png"] = png(np.clip(picture, 0, 255).astype(int), RGB, 8)
    return write_tree(root, files)


def rows_by_id(store: Path) -> dict[int, tuple]:
    """Source id -> (split, label, the rows of its views)."""
    with h5py.File(store) as file:
        ids, rows = file["object/source"][()].tolist(), file["params"][()]
        splits, labels = file["object/split"][()].tolist(), file["object/label"][()].tolist()
    return {key: (splits[i], labels[i], rows[:, i].tobytes()) for i, key in enumerate(ids)}


OFTEN = ["--set", "fit.steps=100", "--set", "fit.lr=0.005", "--set", "fit.views=2"]


def a_tree_goes_the_whole_way(work: Path) -> None:
    config = config_of(work, coloured_tree(work / "tree"), test=0.25, val=0.2)
    made, stores = {}, {}
    for ranks, node_ranks in ((1, 0), (2, 0), (3, 0), (3, 1)):
        stores[ranks, node_ranks] = store = work / f"{ranks}-{node_ranks}.h5"
        words = ["fit", "--config", config, "--store", store, *OFTEN]
        run = polyview(*words, ranks=ranks, POLYVIEW_NODE_RANKS=node_ranks)
        made[ranks, node_ranks] = contents(store) if run.status == 0 else {"error": str(run).encode()}
    first, store = made[1, 0], stores[1, 0]
    wrong = [str(other.get("error")) for other in made.values() if other != first]
    check(not wrong, "one, two and three ranks, on one node and on three, make the same bytes", *wrong)
    with h5py.File(store) as file:
        splits, labels = file["object/split"][()], file["object/label"][()]
    counts = np.bincount(splits, minlength=3).tolist()
    check(
        sum(counts) == OBJECTS and min(counts) > 0,
        "every picture is in a split, and every split has some",
        counts,
    )
    check(sorted(set(labels)) == list(range(CLASSES)), "labels are those of the directories", labels)

    unkept = work / "unkept.h5"
    run = polyview("fit", "--config", config, "--store", unkept, *OFTEN, "--set", "signal.keep=0", ranks=2)
    check(
        run.status == 0 and contents(unkept) == first, "pictures decoded on demand make the same bytes", run
    )

    killed = work / "killed.h5"
    process = Process(launch(["fit", "--config", config, "--store", killed, *OFTEN], 2))
    process.wait_for(killed.exists)
    process.signal(signal.SIGKILL)
    process.finish()
    run = polyview("fit", "--config", config, "--store", killed, *OFTEN, ranks=3)
    check(run.status == 0 and contents(killed) == first, "killed and resumed, the store is the same", run)

    with h5py.File(killed, "r+") as file:
        file["params"][1, 5, 3] += 1
    run = polyview("verify", killed, "--repair", ranks=2)
    check(
        run.status == 0 and contents(killed) == first,
        "verify --repair refits a damaged row from its file",
        run,
    )

    small = work / "small.h5"
    run = polyview("fit", "--config", config, "--store", small, *OFTEN, "--set", "signal.train=10")
    come = work / "tree" / "class 0" / "00.png"
    come.write_bytes((work / "tree" / "class 0" / "0.png").read_bytes())
    run = polyview("extend", small, "--objects", OBJECTS, ranks=2)
    check(one_error(run, 3, "small.h5", "come or gone"), "growth among files that moved is refused", run)
    come.unlink()
    polyview("extend", small, "--objects", OBJECTS, ranks=2)
    run = polyview("fit", "--store", small, ranks=2)
    check(
        run.status == 0 and rows_by_id(small) == rows_by_id(store), "a store that grew has the same rows", run
    )

    words = ["--set", f"store={store}"]
    train = polyview("train", "--config", config, *words, ranks=2)
    test = polyview("eval", "--model", work / "model.h5", "--store", store, "--split", "test")
    check(
        train.status == 0 and test.json.get("accuracy", 0) > 0.7,
        "a network learns the classes of the pictures from their INRs, chance is 0.33",
        train,
        test,
    )
    image = work / "one.png"
    run = polyview("render", store, "--object", 0, "-o", image)
    check(run.status == 0 and image.exists(), "render draws an INR beside its picture", run)


if __name__ == "__main__":
    sys.exit(
        run_tests(
            all_kinds_are_read,
            another_size_is_an_area_average,
            bad_files_are_named_together_or_left_out,
            damage_that_only_decoding_shows,
            wrong_options_are_named,
            fit_says_what_it_took,
            trees_one_level_off_are_refused,
            splits_that_leave_none_to_train_on_are_refused,
            files_that_come_or_go_are_not_blamed_on_the_config,
            a_tree_goes_the_whole_way,
        )
    )
