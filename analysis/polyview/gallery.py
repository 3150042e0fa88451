"""Galleries: INRs of several classes, and the signals that they were fitted to where these can be read here.

Pictures of IDX files stand above their INRs, waves a sin(b x) under them; of other sources only INRs are drawn, unless the
program is named that draws the signals, too (`polyview render`).  Volumes are drawn as the slices through their middle, shapes
as their surface.
"""

import gzip
import math
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .figures import COLOURS, INK, save
from .meshes import is_shape, surface
from ._paths import path_of
from .store import FITTED, Store

SURFACE_RESOLUTION = 48
RENDER_SCALE, RENDER_COLUMNS = 6, 4
IMAGE_MAGIC = b"\x00\x00\x08\x03"


def read_images(directory: Path, name: str) -> NDArray[np.uint8]:
    """The images of an IDX file, plain or gzip: [count][height][width]."""
    path = next((p for p in (directory / name, directory / f"{name}.gz") if p.is_file()), None)
    if path is None:
        raise ValueError(f"'{directory}' holds no {name}[.gz]: name the source images with --originals")
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read()
    count, height, width = (int.from_bytes(content[at : at + 4], "big") for at in (4, 8, 12))
    if content[:4] != IMAGE_MAGIC or len(content) != 16 + count * height * width:
        raise ValueError(f"'{path}' is not a whole IDX file of images")
    return np.frombuffer(content, np.uint8, offset=16).reshape(count, height, width)


def originals(store: Store, directory: Path, chosen: list[int]) -> list[NDArray[np.uint8]]:
    """The source images of objects.  Source ids number the train file's images, then the test file's."""
    train = read_images(directory, "train-images-idx3-ubyte")
    sources = [int(store.source[i]) for i in chosen]
    if all(source < len(train) for source in sources):
        return [train[source] for source in sources]
    test = read_images(directory, "t10k-images-idx3-ubyte")
    if max(sources) >= len(train) + len(test):
        raise ValueError(
            f"'{directory}' has {len(train) + len(test)} images, the store uses number {max(sources)}"
        )
    return [train[s] if s < len(train) else test[s - len(train)] for s in sources]


def one_of_each_class(store: Store, view: int, count: int) -> list[int]:
    """Up to `count` fitted objects: the first of every class, then the second of every class, ..."""
    fitted = np.flatnonzero(store.status[view] == FITTED)
    by_rank: list[tuple[int, int, int]] = []
    seen: dict[int, int] = {}
    for i in fitted:
        label = int(store.label[i])
        seen[label] = seen.get(label, -1) + 1
        by_rank.append((seen[label], label, int(i)))
    return [i for _, _, i in sorted(by_rank)[:count]]


def class_of(store: Store, label: int) -> str:
    if label < 0:
        return "no class"
    return store.class_names[label] if label < len(store.class_names) else f"class {label}"


def decibels(psnr: float) -> str:
    return "exact" if psnr == math.inf else "PSNR unknown" if math.isnan(psnr) else f"{psnr:.1f} dB"


Draw = Callable[[Any], None]  # onto axes, which of shapes are those of space
Row = tuple[str, list[tuple[Draw, str]]]  # its name; of each object a drawing, and what stands below it


def words_of(store: Store, i: int) -> tuple[str, str]:
    """(its class, how well it was fitted: a shape by how much of its inside is right)."""
    judged = store.judgements
    good = decibels(float(store.psnr[0, i])) if judged is None else f"IoU {judged[0][0, i]:.3f}"
    return class_of(store, int(store.label[i])), good


def image_of(pixels: NDArray[Any]) -> Draw:
    """Values [height][width][channels] in [0, 1], or bytes."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim == 3 and pixels.shape[2] == 2:
        pixels = np.dstack([pixels, np.zeros_like(pixels[:, :, 0])])

    def draw(axes: Axes) -> None:
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255 if pixels.dtype == np.uint8 else 1)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(False)
        for spine in axes.spines.values():
            spine.set_visible(False)

    return draw


def pictures(store: Store, chosen: list[int], directory: Path | None) -> list[Row]:
    words = [words_of(store, i) for i in chosen]
    inrs = [image_of(store.image(0, i)) for i in chosen]
    if store.signal.get("source", "idx") != "idx":
        return [("INR", [(inr, ", ".join(word)) for inr, word in zip(inrs, words)])]
    sources = originals(store, directory or path_of(store.signal.get("path", ".")), chosen)
    return [
        ("image", [(image_of(pixels), label) for pixels, (label, _) in zip(sources, words)]),
        ("INR", [(inr, quality) for inr, (_, quality) in zip(inrs, words)]),
    ]


def slices(store: Store, chosen: list[int]) -> list[Row]:
    """Through the middle, across each axis."""
    sides = int(store.signal["depth"]), store.height, store.width

    def plane_of(i: int, across: int) -> Draw:
        axes = [np.linspace(-1, 1, n) if n > 1 else np.array([-1.0]) for n in sides]
        axes[across] = axes[across][[sides[across] // 2]]
        z, y, x = np.meshgrid(*axes, indexing="ij")
        values = store.evaluate(0, i, np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1))
        return image_of(np.clip(values, 0, 1).reshape(*(n for a, n in enumerate(sides) if a != across), -1))

    words = [words_of(store, i) for i in chosen]
    below = [[label for label, _ in words], [""] * len(chosen), [quality for _, quality in words]]
    return [
        (name, [(plane_of(i, across), text) for i, text in zip(chosen, below[across])])
        for across, name in enumerate(("x, y", "x, z", "y, z"))
    ]


def waves(store: Store, chosen: list[int]) -> list[Row]:
    """The INR over the signal, where the store's targets say what that is."""
    reach = math.pi if "pi" in str(store.signal.get("coordinates", "")) else 1.0
    x = np.linspace(-reach, reach, 600)

    def curve_of(i: int) -> Draw:
        values = store.evaluate(0, i, x[:, None])
        sine = store.target[i] if store.target is not None and store.signal.get("source") == "sine" else None

        def draw(axes: Axes) -> None:
            if sine is not None:
                axes.plot(x, sine[0] * np.sin(sine[1] * x), color=COLOURS[5], linewidth=2.6, alpha=0.7)
            for channel in range(values.shape[1]):
                axes.plot(x, values[:, channel], color=COLOURS[channel] if channel else INK, linewidth=0.8)
            axes.tick_params(labelsize=6)

        return draw

    return [("INR", [(curve_of(i), ", ".join(words_of(store, i))) for i in chosen])]


def surfaces(store: Store, chosen: list[int]) -> list[Row]:
    def surface_of(i: int) -> Draw:
        vertices, triangles = surface(store, 0, i, SURFACE_RESOLUTION)

        def draw(axes: Any) -> None:
            x, y, z = vertices.T
            axes.plot_trisurf(x, y, z, triangles=triangles, color=COLOURS[5], linewidth=0, antialiased=False)
            axes.set(xlim=(-0.7, 0.7), ylim=(-0.7, 0.7), zlim=(-0.7, 0.7))
            axes.set_box_aspect((1, 1, 1))
            axes.view_init(elev=26, azim=-56)
            axes.set_axis_off()

        return draw

    return [("INR", [(surface_of(i), ", ".join(words_of(store, i))) for i in chosen])]


def rendered(store: Store, chosen: list[int], program: Path) -> list[Row]:
    """What `polyview render` draws of each object: the signal and the INR."""

    def drawing_of(i: int, picture: Path) -> Draw:
        words = [program, "render", store.path, "--object", i, "--scale", RENDER_SCALE, "-o", picture]
        run = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise ValueError(f"'{program}' cannot draw object {i}: {run.stderr.strip()}")
        return image_of(plt.imread(picture))

    with tempfile.TemporaryDirectory() as work:
        drawn = [(drawing_of(i, Path(work) / "x.png"), ", ".join(words_of(store, i))) for i in chosen]
    starts = range(0, len(drawn), RENDER_COLUMNS)
    return [("signal, INR", drawn[start : start + RENDER_COLUMNS]) for start in starts]


def rows_of(store: Store, chosen: list[int], directory: Path | None) -> list[Row]:
    """ValueError where it is not known here what the INRs show."""
    if store.inputs == 1:
        return waves(store, chosen)
    if is_shape(store):
        return surfaces(store, chosen)
    return slices(store, chosen) if store.signal.get("depth") else pictures(store, chosen, directory)


def gallery(
    store_path: Path, output: Path | BinaryIO, count: int, directory: Path | None, program: Path | None = None
) -> None:
    with Store(store_path) as store:
        chosen = one_of_each_class(store, 0, count)
        if not chosen:
            raise ValueError(f"'{store_path}' has no fitted row in view 0")
        rows = rendered(store, chosen, program) if program else rows_of(store, chosen, directory)
        projection = "3d" if is_shape(store) and not program else None
        wide = 2.2 if program or projection or store.inputs == 1 else 0.95
    columns = max(len(cells) for _, cells in rows)
    figure, grid = plt.subplots(
        len(rows),
        columns,
        figsize=(0.3 + wide * columns, 0.4 + (0.95 if wide < 1 else 1.4) * len(rows)),
        squeeze=False,
        layout="constrained",
        subplot_kw={"projection": projection},
    )
    for line, (name, cells) in zip(grid, rows):
        for axes in line[len(cells) :]:
            axes.set_axis_off()
        for axes, (draw, text) in zip(line, cells):
            draw(axes)
            if projection:
                axes.set_title(text, fontsize=7, y=-0.12)
            else:
                axes.set_xlabel(text, fontsize=7, labelpad=2)
        line[0].set_ylabel(name)
    save(figure, output, store_path)
