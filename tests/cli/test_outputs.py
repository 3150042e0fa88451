"""An output takes the place of an earlier one of its kind, and of nothing else: no slip of the keyboard costs a store."""

import shutil
import sys
from pathlib import Path

import h5py
import numpy as np

from harness import check, make_store, polyview, refused, run_tests

USAGE = 2


def outputs(work: Path, path: Path) -> dict[str, list[object]]:
    """Every command that writes where it is told, told to write there."""
    store, model = work / "store.h5", work / "model.h5"
    probe = ["probe", "--store", store, "--features", "raw"]
    train = ["train", "--config", work / "config.yaml"]
    return {
        "-o": ["render", store, "--object", 0, "-o", path],
        "--logits": ["eval", "--model", model, "--store", store, "--logits", path],
        "--output": [*probe, "--method", "pca", "--output", path],
        "train.output": [*train, "--fresh", "--set", f"train.output={path}"],
    }


def make_all(work: Path) -> None:
    make_store(work)
    run = polyview("train", "--config", work / "config.yaml")
    if run.status != 0:
        raise ValueError(str(run))


def what_is_no_output_stays(work: Path) -> None:
    make_all(work)
    with h5py.File(work / "own.h5", "w") as file:
        file["mine"] = np.arange(4)
    (work / "text.txt").write_text("mine\n", encoding="utf-8")
    (work / "link.h5").symlink_to(work / "store.h5")
    (work / "hard.h5").hardlink_to(work / "store.h5")
    kept = ["store.h5", "model.h5", "config.yaml", "own.h5", "text.txt", "link.h5", "hard.h5"]
    before = {name: (work / name).read_bytes() for name in kept}
    for name in kept:
        for key, words in outputs(work, work / name).items():
            if (name, key) == ("model.h5", "train.output"):
                continue  # its own output
            refused(
                f"{key} over {name}", words, USAGE, key, name if name != "link.h5" else "would be replaced"
            )
            check((work / name).read_bytes() == before[name], f"{name} is what it was")


def earlier_outputs_are_replaced(work: Path) -> None:
    make_all(work)
    for key, words in outputs(work, work / "out").items():
        for there in ("nothing", "an empty file", "an earlier one"):
            if there == "an empty file":
                (work / "out").write_bytes(b"")
            run = polyview(*words)
            check(
                run.status == 0 and (work / "out").stat().st_size > 0,
                f"{key} takes the place of {there}",
                run,
            )
        (work / "out").unlink()
    model = work / "model.h5"
    shutil.copy(model, work / "other.h5")
    run = polyview(*outputs(work, work / "other.h5")["train.output"])
    check(run.status == 0, "a training that begins anew takes the place of a model", run)


def changed_data_are_told_beside_a_picture(work: Path) -> None:
    make_store(work)
    words = ["render", work / "store.h5", "-o", work / "x.png", "--object"]
    images = work / "images" / "train-images-idx3-ubyte"
    data = bytearray(images.read_bytes())
    data[16 + 64 * 3] ^= 255  # of the fourth image
    images.write_bytes(bytes(data))
    with h5py.File(work / "store.h5") as file:
        sources = file["object/source"][()].tolist()
    for ranks in (1, 2):
        for source, warned in ((3, True), (4, False)):
            run = polyview(*words, sources.index(source), ranks=ranks)
            check(
                run.status == 0 and (run.stderr.count("source data have changed") == 1) == warned,
                f"an image that {'has' if warned else 'has not'} changed, {ranks} ranks",
                run,
            )


if __name__ == "__main__":
    sys.exit(
        run_tests(
            what_is_no_output_stays, earlier_outputs_are_replaced, changed_data_are_told_beside_a_picture
        )
    )
