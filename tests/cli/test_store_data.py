"""A store knows the data that it was made from, counts PSNRs that are no numbers, and keeps what users add to it."""

import shutil
import sys
from pathlib import Path

import h5py
import numpy as np

from harness import IMAGES, LABELS, ROOT, check, one_error, polyview, run_tests, write_config, write_images

sys.path.insert(0, str(ROOT / "analysis"))
from polyview._xxh3 import checksums  # noqa: E402

BAD_DATA = 3


def digests(store: Path) -> np.ndarray:
    with h5py.File(store) as file:
        return file["object/digest"][()]


def half_made(work: Path) -> tuple[Path, Path]:
    """A config and a store of two views of which the second is missing."""
    write_images(work / "images")
    config = write_config(work)
    store = work / "store.h5"
    polyview("fit", "--config", config)
    with h5py.File(store, "r+") as file:
        file["view/status"][1] = 0
    return config, store


def change(directory: Path, name: str, place: int) -> None:
    """Another value at a place behind the head of an IDX file."""
    path = directory / f"train-{name}"
    data = bytearray(path.read_bytes())
    data[(16 if name == IMAGES else 8) + place] ^= 3
    path.write_bytes(bytes(data))


def digests_are_as_documented(work: Path) -> None:
    write_images(work / "images")
    polyview("fit", "--config", write_config(work), ranks=2)
    pixels = np.frombuffer((work / f"images/train-{IMAGES}").read_bytes()[16:], np.uint8).reshape(40, 64)
    labels = np.frombuffer((work / f"images/train-{LABELS}").read_bytes()[8:], np.uint8)
    words = np.empty((21, 65), np.float32)
    words[:, :64] = pixels[:21] / np.float32(255)
    words.view(np.int32)[:, 64] = labels[:21]
    found = digests(work / "store.h5")
    check((found[:21] == checksums(words)).all() and (found != 0).all(), "digests are XXH3-64 of samples and label")


def other_data_are_refused(work: Path) -> None:
    config, store = half_made(work)
    before = store.read_bytes()
    for kind, (name, place) in {
        "one pixel of one picture": (IMAGES, 5 * 64 + 9),
        "one label": (LABELS, 20),
    }.items():
        other = work / kind.replace(" ", "-")
        shutil.copytree(work / "images", other)
        change(other, name, place)
        for ranks, words in ((1, ["fit"]), (3, ["fit"]), (2, ["fit", "--set", "fit.steps=20"])):
            run = polyview(*words, "--config", config, "--set", f"signal.path={other}", ranks=ranks)
            check(
                one_error(run, BAD_DATA, "1 of 37 objects", "store.h5", str(other), str(work / "images")),
                f"{kind} changed is seen by fit on {ranks} rank(s), which names the object and both sources",
                run,
            )
    check(store.read_bytes() == before, "the store is as it was")
    change(work / "images", IMAGES, 3)
    for words in (["verify", store, "--repair"], ["extend", store, "--objects", 39], ["fit", "--store", store]):
        run = polyview(*words, ranks=2)
        check(one_error(run, BAD_DATA, "objects 0"), f"{words[0]} on other data is refused", run)
    check(store.read_bytes() == before, "and nothing is written")


def half_fitted_objects_are_not_mixed(work: Path) -> None:
    """Data of which none of the objects yet to be fitted has a digest."""
    config, store = half_made(work)
    with h5py.File(store, "r+") as file:
        file["view/status"][:, 5:] = 0
        file["object/digest"][5:] = 0
    other = shutil.copytree(work / "images", work / "other")
    change(other, IMAGES, 0)
    run = polyview("fit", "--config", config, "--set", f"signal.path={other}", ranks=2)
    check(one_error(run, BAD_DATA, "1 of 5 objects"), "the objects fitted already tell that the others differ", run)


def the_same_data_may_move(work: Path) -> None:
    config, store = half_made(work)
    write_images(work / "packed", packed=True)
    run = polyview("fit", "--config", config, "--set", f"signal.path={work}/packed", ranks=2)
    check(run.status == 0 and run.json["fitted"] == 37, "the same data, packed and elsewhere, are taken", run)


def old_stores_are_said_to_be_unchecked(work: Path) -> None:
    config, store = half_made(work)
    with h5py.File(store, "r+") as file:
        del file["object/digest"]
    run = polyview("fit", "--config", config, ranks=2)
    check(
        run.status == 0 and run.json["fitted"] == 37 and "kept no digests" in run.stderr,
        "a store without digests is filled, with a warning",
        run,
    )
    polyview("extend", store, "--views", 3)
    run = polyview("fit", "--store", store, ranks=2)
    check(run.status == 0 and (digests(store) != 0).all(), "a grown one keeps them", run)


def growth_keeps_what_users_add(work: Path) -> None:
    write_images(work / "images")
    store = work / "store.h5"
    polyview("fit", "--config", write_config(work))
    with h5py.File(store, "r+") as file:
        file.attrs["note"] = "größer"
        file.attrs["numbers"] = np.arange(3.0)
        file.attrs["names"] = ["a", "bc"]
        file["params"].attrs["unit"] = "none"
        file["object/mine"] = np.arange(37)
        file.create_group("results/first").attrs["accuracy"] = 0.5
        file["results/logits"] = np.ones((3, 4), np.float32)
        file.attrs["empty"] = h5py.Empty("f4")
    for views in (3, 4):
        run = polyview("extend", store, "--views", views, ranks=views - 2)
        with h5py.File(store) as file:
            check(
                run.status == 0
                and file.attrs["note"] == "größer"
                and list(file.attrs["numbers"]) == [0, 1, 2]
                and list(file.attrs["names"]) == ["a", "bc"]
                and file["params"].attrs["unit"] == "none"
                and (file["object/mine"][()] == np.arange(37)).all()
                and file["results/first"].attrs["accuracy"] == 0.5
                and file["results/logits"].shape == (3, 4)
                and file["params"].shape[0] == views
                and file.attrs["polyview_kind"] == b"store",
                f"attributes, groups and datasets of a user's are in the store of {views} views",
                run,
            )
    run = polyview("fit", "--store", store, ranks=2)
    check(run.status == 0 and polyview("verify", store).json["fitted"] == 4 * 37, "which is filled as ever", run)


def psnrs_that_are_no_numbers_are_counted(work: Path) -> None:
    write_images(work / "images")
    store = work / "store.h5"
    polyview("fit", "--config", write_config(work))
    with h5py.File(store, "r+") as file:
        psnr = file["view/psnr"][()]
        psnr[0, :5] = np.nan
        psnr[1, :2] = np.inf
        psnr[1, 3:6] = -7
        file["view/psnr"][...] = psnr
    for ranks in (1, 3):
        info = polyview("info", store, "--json", ranks=ranks).json
        finite = psnr[np.isfinite(psnr)]
        check(
            (info["psnr_unknown"], info["psnr_infinite"], info["psnr_negative"]) == (5, 2, 3)
            and abs(info["mean_psnr_db"] - finite.mean()) < 1e-4
            and sum(rows for _, rows in info["psnr_histogram"]) == 74 - 5,
            f"unknown, infinite and negative PSNRs are counted on {ranks} rank(s), the mean is of the finite ones",
            info,
        )
    with h5py.File(store, "r+") as file:
        file["view/psnr"][...] = np.nan
    run = polyview("info", store)
    check(
        run.status == 0 and run.json["mean_psnr_db"] is None and run.json["psnr_unknown"] == 74,
        "where none is known the mean is null",
        run,
    )


if __name__ == "__main__":
    sys.exit(
        run_tests(
            digests_are_as_documented,
            other_data_are_refused,
            half_fitted_objects_are_not_mixed,
            the_same_data_may_move,
            old_stores_are_said_to_be_unchecked,
            growth_keeps_what_users_add,
            psnrs_that_are_no_numbers_are_counted,
        )
    )
