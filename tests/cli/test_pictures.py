"""render draws every kind of signal: the pixels are what the INRs and the signals are."""

import json
import sys
from pathlib import Path

import numpy as np
from drawn import ball, pixels, write_box, write_store
from harness import ROOT, check, one_error, polyview, run_tests, write_config

sys.path.insert(0, str(ROOT / "analysis"))
from polyview.store import Store  # noqa: E402

GAP, SCALE = 4, 4
rng = np.random.default_rng(3)


def smooth(inputs: int, outputs: int) -> list[np.ndarray]:
    """An INR whose values are mostly in [0, 1]."""
    return [
        rng.normal(scale=0.15, size=(9, inputs)),
        rng.normal(scale=0.1, size=9),
        rng.normal(scale=0.13, size=(outputs, 9)),
        np.full(outputs, 0.5),
    ]


def shades(store: Path, coords: list[tuple[float, ...]]) -> np.ndarray:
    """What the INR is at coordinates, as bytes: by the formula in double precision."""
    with Store(store) as opened:
        return np.rint(255 * np.clip(opened.evaluate(0, 0, coords), 0, 1))


def render(store: Path, name: str, *words: object) -> tuple[dict, np.ndarray]:
    run = polyview("render", store, "--object", 0, "--scale", SCALE, "-o", store.parent / name, *words)
    if run.status != 0:
        raise ValueError(str(run))
    return run.json, pixels(store.parent / name).astype(int)


def line(count: int, place: int) -> float:
    return 2 * place / (count - 1) - 1


def pictures_have_their_colours(work: Path) -> None:
    height, width = 5, 6
    for channels, drawn in ((1, 1), (2, 3), (3, 3), (4, 4)):
        about = {"source": "idx", "height": height, "width": width, "channels": channels}
        store = write_store(work / f"{channels}.h5", smooth(2, channels), about)
        said, found = render(store, f"{channels}.png")
        places = [(y, x) for y in range(height) for x in range(width)]
        expected = shades(store, [(line(width, x), line(height, y)) for y, x in places])
        coarse = np.array([found[SCALE * y + 1, SCALE * x + 2] for y, x in places])
        check(
            said["kind"] == "picture"
            and found.shape == (SCALE * height, 2 * SCALE * width + GAP, drawn)
            and np.abs(coarse[:, :channels] - expected).max() <= 1
            and (coarse[:, channels:] == 0).all()
            and (found[:, SCALE * width : SCALE * width + GAP] == 255).all(),
            f"an INR of {channels} channels is drawn in its colours, on the signal's grid",
            said,
        )
        left = SCALE * width + GAP
        fine = [(y, x) for y in range(0, SCALE * height, 3) for x in range(0, SCALE * width, 5)]
        coords = [
            (line(width, (x + 0.5) / SCALE - 0.5), line(height, (y + 0.5) / SCALE - 0.5)) for y, x in fine
        ]
        there = np.array([found[y, left + x, :channels] for y, x in fine])
        check(np.abs(there - shades(store, coords)).max() <= 1, "and on a finer grid, pixel by pixel")


def volumes_are_three_slices(work: Path) -> None:
    depth, height, width = 4, 7, 5
    about = {"source": "idx", "depth": depth, "height": height, "width": width, "channels": 1}
    store = write_store(work / "volume.h5", smooth(3, 1), about)
    said, found = render(store, "volume.png")
    tops = [0, SCALE * height + GAP, SCALE * (height + depth) + 2 * GAP]
    slices = [
        (height, width, lambda r, c: (line(width, c), line(height, r), line(depth, depth // 2))),
        (depth, width, lambda r, c: (line(width, c), line(height, height // 2), line(depth, r))),
        (depth, height, lambda r, c: (line(width, width // 2), line(height, c), line(depth, r))),
    ]
    worst = 0.0
    for top, (rows, columns, coordinate) in zip(tops, slices):
        places = [(r, c) for r in range(rows) for c in range(columns)]
        expected = shades(store, [coordinate(r, c) for r, c in places])
        there = np.array([found[top + SCALE * r + 1, SCALE * c + 1] for r, c in places])
        worst = max(worst, float(np.abs(there - expected).max()))
    check(
        said["kind"] == "volume"
        and found.shape == (SCALE * (height + 2 * depth) + 2 * GAP, 2 * SCALE * height + GAP, 1)
        and worst <= 1,
        "an INR of volumes is drawn as its slices through the middle, along each axis",
        said,
        worst,
    )


def waves_are_curves(work: Path) -> None:
    signal = {"source": "sine", "samples": 300, "train": 3, "val": 1, "test": 1}
    config = write_config(work, signal=signal, inr={"hidden": [32, 32]}, fit={"views": 1, "steps": 400})
    text = json.loads(config.read_text())
    text["signal"].pop("path")
    config.write_text(json.dumps(text))
    run = polyview("fit", "--config", config, "--quiet", ranks=2)
    store, scale = work / "store.h5", 8
    said, found = render(store, "wave.png", "--scale", scale)
    height, width = found.shape[:2]
    with Store(store) as opened:
        a, b = opened.target[0]
        x = np.pi * (2 * (np.arange(width) + 0.5) / width - 1)
        inr = opened.evaluate(0, 0, x[:, None])[:, 0]

    def at(values: np.ndarray) -> np.ndarray:
        rows = (said["high"] - values) / (said["high"] - said["low"]) * height
        return found[np.clip(rows.astype(int), 0, height - 1), np.arange(width)]

    samples = a * np.sin(b * np.linspace(-np.pi, np.pi, 300))
    check(
        run.status == 0
        and said["kind"] == "wave"
        and (height, width) == (40 * scale, 80 * scale)
        and said["low"] < samples.min() <= samples.max() < said["high"],
        "a wave is drawn in a window of its values",
        said,
    )
    dark, seen = at(inr)[:, 0] < 110, at(a * np.sin(b * x))[:, 0] < 200
    check(dark.all(), "the INR's curve is where the INR is", np.flatnonzero(~dark), said)
    check(seen.mean() > 0.97, "the signal's curve is where the signal is", seen.mean())
    check(0.3 < (found == 255).all(axis=2).mean() < 0.98, "and the rest is white")

    about = {"source": "arrays", "classes": 0}
    two = write_store(work / "two.h5", smooth(1, 2), about)
    said, found = render(two, "two.png", "--scale", scale)
    blue, orange = (found[:, :, 0] < 60).any(axis=0), (found[:, :, 2] < 60).any(axis=0)
    check(
        said["kind"] == "wave" and blue.mean() > 0.95 and orange.mean() > 0.95,
        "each channel of a wave has a curve and a colour of its own",
        blue.mean(),
        orange.mean(),
    )


def shapes_are_surfaces(work: Path) -> None:
    about = {"source": "shapes", "field": "sdf", "classes": 0}
    for slope in (1.0, 3.0, 0.4):
        store = write_store(work / f"ball-{slope}.h5", ball(0.7, slope), about)
        said, found = render(store, f"ball-{slope}.png")
        side = found.shape[0]
        seen = (found < 250).any(axis=2)
        across = (np.arange(side) + 0.5) / side * 2.1 - 1.05
        far = np.hypot(across[:, None], across[None, :])
        area = seen.mean() * 2.1**2
        check(
            said["kind"] == "shape"
            and found.shape == (32 * SCALE, 32 * SCALE, 3)
            and abs(area - np.pi * 0.49) < 0.04
            and seen[far < 0.68].all()
            and not seen[far > 0.73].any(),
            f"a ball is drawn as a disc, by a field of slope {slope}",
            said,
            area,
        )
        quarter = slice(side // 4, side // 2), slice(side // 2, 3 * side // 4)
        check(
            found[quarter[0], quarter[0]].mean() > found[quarter[1], quarter[1]].mean() + 30,
            "which is brighter towards the light",
        )


def sources_stand_beside_their_inrs(work: Path) -> None:
    write_box(work / "images" / "box" / "train" / "box_0001.off", (3, 3, 3))
    signal = {"source": "shapes", "samples": 4096, "heldout": 512, "train": 1, "val": 0, "test": 0}
    config = write_config(
        work,
        signal=signal,
        inr={"hidden": [32, 32, 32], "w0": 10, "offset": 0.0},
        fit={"views": 1, "steps": 400, "lr": 2e-3},
    )
    run = polyview("fit", "--config", config, "--quiet")
    said, found = render(work / "store.h5", "box.png")
    side = found.shape[0]
    source, inr = found[:, :side], found[:, side + GAP :]
    there, drawn = (source < 250).any(axis=2), (inr < 250).any(axis=2)
    # A cube in the unit ball has sides 2 / sqrt(3); of each the share that its normal points to who looks.
    eye = np.abs([np.sin(0.6) * np.cos(0.45), np.cos(0.6) * np.cos(0.45), np.sin(0.45)])
    area = there.mean() * 2.1**2
    check(
        run.status == 0 and found.shape == (side, 2 * side + GAP, 3) and abs(area - 4 / 3 * eye.sum()) < 0.06,
        "a mesh's surface is drawn beside its INR's, in its true size",
        run,
        area,
    )
    shades_of_faces = np.unique(source[there] // 4, axis=0, return_counts=True)[1]
    check(
        np.sort(shades_of_faces)[-3:].sum() > 0.85 * there.sum(),
        "each of the three sides that are seen has one shade",
        shades_of_faces,
    )
    alike = (there & drawn).sum() / (there | drawn).sum()
    check(alike > 0.8, "the INR's surface covers the same area", alike)


def what_cannot_be_drawn_is_told(work: Path) -> None:
    cloud = write_store(work / "cloud.h5", smooth(2, 1), {"source": "idx", "classes": 0})
    run = polyview("render", cloud, "--object", 0, "-o", work / "x.png")
    check(one_error(run, 3, "cloud.h5", "nothing to render"), "points of no grid are not drawn", run)
    about = {"source": "idx", "depth": 4, "height": 4, "width": 4, "channels": 2}
    wrong = write_store(work / "wrong.h5", smooth(3, 1), about)
    run = polyview("render", wrong, "--object", 0, "-o", work / "x.png", ranks=2)
    check(one_error(run, 3, "wrong.h5", "channels"), "channels that the INRs do not have are told", run)
    about = {"source": "idx", "depth": 2147483646, "height": 2147483646, "width": 4, "channels": 1}
    large = write_store(work / "large.h5", smooth(3, 1), about)
    run = polyview("render", large, "--object", 0, "-o", work / "x.png")
    check(one_error(run, 2, "--scale"), "a picture that is too large is refused", run)


if __name__ == "__main__":
    sys.exit(
        run_tests(
            pictures_have_their_colours,
            volumes_are_three_slices,
            waves_are_curves,
            shapes_are_surfaces,
            sources_stand_beside_their_inrs,
            what_cannot_be_drawn_is_told,
        )
    )
