"""probe: the same predictions on any number of ranks, those of scikit-learn; real targets; what cannot be is refused."""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from harness import ROOT, Run, check, make_store, one_error, polyview, refused, run_tests, skip, write_config

sys.path.insert(0, str(ROOT / "analysis"))
from polyview.store import Store  # noqa: E402

TRAIN, VAL, TEST = 21, 7, 9
TOLERANCE = 1e-8

try:
    from sklearn.decomposition import PCA
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import StandardScaler
except ImportError:
    PCA = None


def probe(work: Path, *words: object, ranks: int = 1, store: str = "store.h5") -> Run:
    return polyview("probe", "--store", work / store, *words, ranks=ranks)


def read(path: Path) -> dict[str, NDArray]:
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file}


def splits(path: Path) -> list[tuple[NDArray, NDArray]]:
    """(weights of view 0, labels) of train, val and test."""
    with h5py.File(path) as file:
        rows, label, split = file["params"][0], file["object/label"][()], file["object/split"][()]
    return [(rows[split == s].astype(float), label[split == s]) for s in range(3)]


METHODS = {
    "ridge": ["--method", "ridge"],
    "krr": ["--method", "krr", "--lambda", "0.01,0.1"],
    "linear krr": ["--method", "krr", "--kernel", "linear", "--lambda", "0.1", "--scale", "none"],
    "knn": ["--method", "knn", "--neighbours", "1,3,5"],
}


def ranks_predict_the_same(work: Path) -> None:
    make_store(work)
    run = polyview("train", "--config", write_config(work, model={"hidden": 4, "layers": 2}), "--quiet")
    check(run.status == 0, "a classifier is trained", run)
    for features, many in (
        (["--model", work / "model.h5"], (1, 2, 3, 4, 6)),
        (["--features", "aligned"], (1, 6)),
    ):
        for name, words in METHODS.items():
            first = None
            for ranks in many:
                output = work / "out.h5"
                run = probe(work, *features, *words, "--output", output, ranks=ranks)
                if run.status != 0:
                    check(False, f"{name} of {features[-1]} runs on {ranks} ranks", run)
                    continue
                found = read(output)
                first = first or found
                same = all(
                    np.abs(found[key].astype(float) - first[key].astype(float)).max() < TOLERANCE
                    for key in found
                )
                if ranks > 1:
                    check(
                        same, f"{name} of {Path(features[-1]).name} predicts the same on {ranks} ranks", run
                    )


def predictions_are_scikit_learns(work: Path) -> None:
    make_store(work)
    if PCA is None:
        skip("predictions are scikit-learn's", "no scikit-learn")
        return
    (x, label), _, (x_test, label_test) = splits(work / "store.h5")
    y = np.eye(label.max() + 1)[label]
    scaler = StandardScaler().fit(x)
    scaled, scaled_test = scaler.transform(x), scaler.transform(x_test)
    raw = ["--features", "raw", "--output", work / "out.h5"]

    def same(name: str, run: Run, truth: NDArray, key: str = "prediction") -> None:
        found = read(work / "out.h5")[key] if run.status == 0 else np.nan
        check(np.abs(found - truth).max() < TOLERANCE, f"{name}: scikit-learn's {key}", run)

    run = probe(work, *raw, "--method", "ridge", "--lambda", "0.03", ranks=3)
    same("ridge", run, Ridge(alpha=run.json["alpha"]).fit(scaled, y).predict(scaled_test))
    run = probe(work, *raw, "--method", "krr", "--lambda", "0.02", "--gamma", "0.01", ranks=4)
    model = KernelRidge(alpha=run.json["alpha"], kernel="rbf", gamma=0.01)
    same("kernel ridge", run, model.fit(scaled, y - y.mean(0)).predict(scaled_test) + y.mean(0))
    run = probe(work, *raw, "--method", "knn", "--neighbours", "5", ranks=2)
    neighbours = KNeighborsClassifier(5, metric="cosine").fit(x, label)
    truth = np.zeros((len(x_test), y.shape[1]))
    truth[:, neighbours.classes_] = neighbours.predict_proba(x_test)
    same("neighbours", run, truth)
    run = probe(work, *raw, "--method", "pca", "--components", "3", ranks=2)
    pca = PCA(3, svd_solver="full").fit(x)
    signs = np.sign(pca.components_[range(3), np.abs(pca.components_).argmax(1)])
    same("components", run, pca.transform(x_test) * signs, "coordinates")
    check(
        run.status == 0 and np.allclose(run.json["explained"], pca.explained_variance_ratio_, atol=1e-6),
        "components: scikit-learn's explained variance",
        run,
    )


def alignments_are_their_definition(work: Path) -> None:
    make_store(work)
    with h5py.File(work / "store.h5") as file:
        views = [file["params"][v][file["object/split"][()] == 2].astype(float) for v in range(2)]
    centred = [view - view.mean(0) for view in views]
    gram = [view @ view.T for view in centred]
    truth = [[(a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()) for b in gram] for a in gram]
    for ranks in (1, 3):
        run = probe(work, "--features", "raw", "--method", "cka", "--views", "0-1", ranks=ranks)
        found = run.json.get("cka")
        check(
            run.status == 0 and np.allclose(found, truth, atol=1e-6),
            f"cka of two views on {ranks} ranks",
            run,
        )


def waves_have_real_targets(work: Path) -> None:
    """The store keeps a and b of every wave; ridge on features that hold them finds them again."""
    keys = {"source": "sine", "train": TRAIN, "val": VAL, "test": TEST, "samples": 64}
    config = write_config(work, signal=keys, fit={"steps": 200})
    run = polyview("fit", "--config", config, "--quiet", ranks=2)
    with h5py.File(work / "store.h5") as file:
        targets, rows = file["object/target"][()], file["params"][()]
        dims = json.loads(file.attrs["arch"])["dims"]
    check(
        run.status == 0 and targets.shape == (TRAIN + VAL + TEST, 2) and dims[0] == 1 and rows.any(),
        "waves are fitted, with their coefficients in the store",
        run,
    )
    check(
        targets.min() >= 0 and targets.max() < 10 and len(np.unique(targets)) == targets.size,
        "the coefficients are drawn from U(0, 10), each anew",
        targets,
    )
    with Store(work / "store.h5") as store:
        check((store.target == targets).all(), "the Python reader gives the coefficients")
    wrong = (
        np.sin(targets[:, 1:] * np.linspace(-np.pi, np.pi, 64)) * targets[:, :1] - evaluate(rows[0], dims)
    ).std()
    check(wrong < 0.7 * targets[:, 0].mean(), "an INR approaches the wave of its coefficients", wrong)
    grown = polyview("extend", work / "store.h5", "--objects", TRAIN + VAL + TEST + 4, ranks=2)
    with h5py.File(work / "store.h5") as file:
        longer = file["object/target"][()]
    check(
        grown.status == 0 and len(longer) == len(targets) + 4 and (longer[: len(targets)] == targets).all(),
        "a grown store keeps the coefficients and adds those of the new waves",
        grown,
    )
    words = ["--features", "raw", "--method", "ridge", "--targets", "object", "--output", work / "out.h5"]
    polyview("fit", "--config", config, "--quiet", "--set", f"signal.train={TRAIN + 4}")
    runs = [probe(work, *words, ranks=ranks) for ranks in (1, 4)]
    truth = read(work / "out.h5")["truth"] if runs[-1].status == 0 else np.zeros(0)
    check(
        all(run.status == 0 and len(run.json["test_r2_of_targets"]) == 2 for run in runs)
        and abs(runs[0].json["test_r2"] - runs[1].json["test_r2"]) < 1e-6
        and (truth == targets[TRAIN + VAL :]).all(),
        "ridge regression of the coefficients is judged by R2, on any ranks",
        *runs,
    )


def evaluate(rows: NDArray, dims: list[int]) -> NDArray:
    """The INRs of rows on 64 positions: [objects][64]."""
    h, at = np.linspace(-np.pi, np.pi, 64)[None, :, None], 0
    for layer, (inputs, outputs) in enumerate(zip(dims, dims[1:])):
        weight = rows[:, at : at + inputs * outputs].reshape(-1, outputs, inputs)
        bias = rows[:, at + inputs * outputs : at + (inputs + 1) * outputs]
        h = h @ weight.transpose(0, 2, 1) + bias[:, None]
        h = np.sin(30 * h) if layer < len(dims) - 2 else h + 0.5
        at += (inputs + 1) * outputs
    return h[..., 0]


def few_labels(work: Path) -> None:
    make_store(work)
    words = ["--features", "raw", "--method", "knn", "--neighbours", "1", "--labels-per-class", "2"]
    one, other = probe(work, *words, "--seed", "4"), probe(work, *words, "--seed", "4", ranks=3)
    check(
        one.status == 0
        and one.json["train"] == 8
        and one.json["test_accuracy"] == other.json["test_accuracy"],
        "two labels of each of four classes, the same on any ranks",
        one,
        other,
    )


def few_objects(work: Path) -> None:
    """The default numbers of neighbours are more than there are objects; of one test object R2 is not known."""
    make_store(work, signal={"path": str(work / "images"), "train": 12, "val": 5, "test": 1})
    for ranks in (1, 3):
        run = probe(work, "--features", "raw", "--method", "knn", ranks=ranks)
        told = "20 neighbours" in run.stderr and "50 neighbours" in run.stderr
        check(
            run.status == 0 and run.json["neighbours"] in (1, 5, 10) and told,
            f"as many as there are, {ranks} ranks",
            run,
        )
    waves = {"source": "sine", "train": 12, "val": 5, "test": 1}
    store = str(work / "waves.h5")
    run = polyview("fit", "--config", write_config(work, signal=waves, store=store), "--quiet")
    words = ["--features", "raw", "--method", "ridge", "--targets", "object"]
    for ranks in (1, 3):
        run = probe(work, *words, ranks=ranks, store="waves.h5")
        check(
            run.status == 0
            and run.json["test_r2"] is None
            and run.json["test_r2_of_targets"] == [None, None]
            and run.json["val_r2"] is not None,
            f"R2 of one object is null, {ranks} ranks",
            run,
        )


def wrong_words_are_refused(work: Path) -> None:
    make_store(work)
    store = ["probe", "--store", work / "store.h5"]
    raw = [*store, "--features", "raw"]
    refused("a probe without a method", raw, 2, "--method")
    refused("an unknown method", [*raw, "--method", "svm"], 2, "ridge, krr, knn, pca, cka")
    refused("features of nothing", [*store, "--method", "ridge"], 2, "--model")
    refused("a negative lambda", [*raw, "--method", "ridge", "--lambda", "-1"], 2, "--lambda")
    refused("real targets of images", [*raw, "--method", "ridge", "--targets", "object"], 3, "real targets")
    refused("too many neighbours", [*raw, "--method", "knn", "--neighbours", "99"], 3, "neighbours")
    refused(
        "too many labels", [*raw, "--method", "ridge", "--labels-per-class", "50"], 3, "--labels-per-class"
    )
    singular = [*raw, "--method", "ridge", "--lambda", "0"]
    refused("more features than samples without lambda", singular, 1, "raise lambda")
    run = polyview(*store, "--model", work / "store.h5", "--method", "ridge")
    check(one_error(run, 3), "a store in place of a model is refused", run)


if __name__ == "__main__":
    sys.exit(
        run_tests(
            ranks_predict_the_same,
            predictions_are_scikit_learns,
            alignments_are_their_definition,
            waves_have_real_targets,
            few_labels,
            few_objects,
            wrong_words_are_refused,
        )
    )
