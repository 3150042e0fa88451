"""INRs of every activation and encoding: the same bytes however they are made, Python evaluates what C fitted, what they lack is named."""

import sys
from pathlib import Path

import h5py
import numpy as np

from harness import ROOT, TOOLS, Process, check, one_error, polyview, run_tests, write_config, write_images

sys.path.insert(0, str(ROOT / "analysis"))
from polyview.store import Store, grid  # noqa: E402

INRS = {  # by name: the keys of `inr`
    "relu": {"activation": "relu"},
    "gauss": {"activation": "gauss", "w0": 8},
    "fourier": {"activation": "relu", "encoding": "fourier", "frequencies": 9, "sigma": 1.5},
}
FIT = {"steps": 40, "lr": 5e-3, "seed": 3}


def bytes_of(store: Path) -> bytes:
    with h5py.File(store) as file:
        return b"".join(file[name][()].tobytes() for name in ("params", "view/checksum", "view/psnr"))


def psnr_of(store: Store, view: int, object: int, picture: np.ndarray) -> float:
    values = store.evaluate(view, object, grid(store.height, store.width)).astype("f8")
    return -10 * float(np.log10(np.mean((values[:, 0] - picture.ravel()) ** 2)))


def pictures_of(work: Path) -> np.ndarray:
    """Those of the training split, in their order."""
    raw = next((work / "images").glob("train-images*")).read_bytes()
    sides = [int.from_bytes(raw[at : at + 4], "big") for at in (4, 8, 12)]
    return np.frombuffer(raw, "u1", offset=16).reshape(sides) / 255


def every_inr(work: Path) -> None:
    write_images(work / "images")
    for name, inr in INRS.items():
        store = work / f"{name}.h5"
        config = write_config(work, f"{name}.yaml", inr=inr, fit=FIT)
        made = []
        for ranks in (1, 2, 3, 4):
            path = store if ranks == 1 else work / f"{name}-{ranks}.h5"
            run = polyview("fit", "--config", config, "--store", path, "--quiet", ranks=ranks)
            check(run.status == 0, f"{name}: {ranks} ranks fit", run)
            made.append(bytes_of(path))
        check(len(set(made)) == 1, f"{name}: rows are the same bytes on 1 to 4 ranks")
        grows_and_resumes(work, name, config, made[0])
        evaluates(work, name, store)
        goes_out_and_comes_back(work, name, store)
        takes_its_own_words(work, name, config, store)


def grows_and_resumes(work: Path, name: str, config: Path, whole: bytes) -> None:
    path = work / f"{name}-part.h5"
    run = polyview("fit", "--config", config, "--store", path, "--set", "fit.views=1", "--quiet")
    more = polyview("extend", path, "--views", 2, "--quiet")
    again = polyview("fit", "--store", path, "--quiet", ranks=2)
    check(
        run.status == more.status == again.status == 0 and bytes_of(path) == whole,
        f"{name}: a store that grows goes on with the same bytes",
        run,
        more,
        again,
    )


def evaluates(work: Path, name: str, path: Path) -> None:
    pictures = pictures_of(work)
    run = polyview("verify", path, "--quiet", ranks=2)
    check(run.status == 0, f"{name}: verify finds its rows whole", run)
    run = polyview("render", path, "--object", 3, "--view", 1, "-o", work / "x.png", "--quiet")
    check(run.status == 0, f"{name}: an INR is drawn", run)
    with Store(path) as store:
        told = [float(store.psnr[view, 3]) for view in (0, 1)]
        found = [psnr_of(store, view, 3, pictures[store.source[3]]) for view in (0, 1)]
        check(
            np.allclose(told, found, rtol=0, atol=1e-3) and np.isfinite(told).all(),
            f"{name}: Python's evaluation has the PSNR that C's has",
            told,
            found,
        )
        check(store.activation == INRS[name].get("activation", "sine"), f"{name}: the reader knows its name")


def goes_out_and_comes_back(work: Path, name: str, path: Path) -> None:
    back = work / f"{name}-back.h5"
    run = Process([*TOOLS, "export", str(path), str(work / f"{name}-out"), "--format", "npz"]).finish()
    again = Process([*TOOLS, "import", str(work / f"{name}-out"), str(back)]).finish()
    seen = polyview("verify", back, "--quiet", ranks=2)
    with Store(path) as before, Store(back) as after:
        x = grid(before.height, before.width)
        check(
            run.status == again.status == seen.status == 0
            and before.arch == after.arch
            and all(np.array_equal(before.evaluate(v, 5, x), after.evaluate(v, 5, x)) for v in (0, 1)),
            f"{name}: files of an export come back as the same INRs, encoding and all",
            run,
            again,
            seen,
        )


def takes_its_own_words(work: Path, name: str, config: Path, store: Path) -> None:
    run = polyview("fit", "--config", config, "--store", store, "--set", "inr.activation=sine", "--quiet")
    check(one_error(run, 2, "inr.activation"), f"{name}: a fit of sines is not resumed as one of these", run)
    train = ("train", "--config", config, "--quiet", "--set", f"store={store}")
    run = polyview(*train, "--set", "model.kind=probe", "--set", "train.normalise=none")
    check(one_error(run, 2, "model.kind: probe"), f"{name}: the probe model refuses it", run)
    wrong = {"augment=[{kind: phase}]": "activation", "train.canonical=phase": "activation"}
    wrong |= {"model.kind=scalegmn": "model.kind: scalegmn"}
    wrong |= {"train={align: fixed, align_signs: false, align_phases: true}": "train.align_phases"}
    right = "augment=[{kind: negation}]", "train.canonical=sign", "train.align=signed"
    if name != "gauss":
        wrong |= {key: "" for key in right}
        wrong |= {"train.align=signed": "train.align: ", "train.align=fixed": "train.align_signs: "}
        right = "augment=[{kind: rescale}]", "train.canonical=scale", "train.align=permutation"
    if name == "fourier":
        wrong |= {f"augment=[{{kind: {kind}}}]": "inr.encoding" for kind in ("translate", "rotate", "scale")}
        keys = "inr.encoding=none", "inr.frequencies=8", "inr.sigma=1"
        for key in keys:
            run = polyview("fit", "--config", config, "--store", store, "--set", key, "--quiet")
            check(one_error(run, 2, key.split("=")[0]), f"{key} is another store", run)
    for key, word in wrong.items():
        run = polyview(*train, "--set", key)
        check(one_error(run, 2, word), f"{name}: {key} is refused", run)
    model = ("--set", f"train.output={work / name}-model.h5", *(f"--set={key}" for key in right))
    run = polyview(*train, *model, ranks=2)
    check(run.status == 0, f"{name}: {', '.join(right)} go together", run)
    run = polyview("eval", "--model", work / f"{name}-model.h5", "--store", store, "--quiet", ranks=2)
    check(run.status == 0, f"{name}: the model is judged", run)
    probe = ("probe", "--store", store, "--method", "ridge", "--features", "aligned", "--quiet")
    run = polyview(*probe, ranks=3)
    check(run.status == 0, f"{name}: rows are matched as far as units allow for a probe", run)


def precisions(work: Path) -> None:
    write_images(work / "images")
    config = write_config(work, inr=INRS["relu"], fit=FIT | {"precision": "int16"})
    run = polyview("fit", "--config", config, "--quiet", ranks=2)
    check(one_error(run, 2, "fit.precision: int16", "relu"), "int16 is not offered to ReLU", run)


if __name__ == "__main__":
    sys.exit(run_tests(every_inr, precisions))
