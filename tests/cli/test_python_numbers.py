"""Figures that are no numbers, infinite, negative or huge: shown and counted by the pictures, tables and the report."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from harness import (
    ROOT,
    TOOLS,
    check,
    convert,
    make_store,
    polyview,
    run_tests,
    skip,
    write_config,
    write_images,
)

sys.path.insert(0, str(ROOT / "analysis"))
from polyview.store import Store  # noqa: E402

ODD = [math.nan, math.nan, math.inf, -math.inf, -41.5, 3.0e38]
RECORD = {
    "polyview_run": 1,
    "command": "train",
    "exit_status": 0,
    "ranks": 1,
    "nodes": 1,
    "started": "2024-01-01T00:00:00Z",
    "end": "done",
    "code_version": "x",
    "peak_memory_mib": 1,
    "time": {"wall_s": 1.0, "compute_s": 1.0, "io_s": 0.0, "communication_s": 0.0, "idle_s": 0.0},
}


def tool(*words: object) -> subprocess.CompletedProcess[str]:
    command = [TOOLS[0], "-W", "error::RuntimeWarning", *TOOLS[1:], *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def record(path: Path, **result: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(RECORD | {"result": result}) + "\n")


def strict(text: str) -> Any:
    """JSON as others read it, without Python's NaN and Infinity."""

    def refuse(token: str) -> None:
        raise ValueError(f"{token} is not JSON")

    return json.loads(text, parse_constant=refuse)


def odd_store(work: Path) -> Path:
    store = make_store(work)
    with h5py.File(store, "r+") as file:
        file["view/psnr"][0, : len(ODD)] = ODD
        file.attrs["mine"], file.attrs["range"], file.attrs["names"] = "kept", np.arange(3), ["a", "\u00fc"]
    return store


def the_report_counts_them(work: Path) -> None:
    odd_store(work)
    run = polyview("train", "--config", work / "config.yaml")
    logits = np.zeros((9, 70), "f4")
    label = np.arange(9, dtype="i4") % 4
    logits[np.arange(9), label] = 1
    logits[2, 5], logits[3, 0], label[4], label[5] = np.nan, np.inf, -1, 70
    with h5py.File(work / "model.h5.logits.h5", "w") as file:
        file["logits"], file["label"] = logits, label
    with (work / "model.h5.jsonl").open("a") as file:
        for epoch, (loss, val) in enumerate(((None, 1e300), (math.inf, None), (-2.5, math.nan)), 4):
            file.write(
                json.dumps({"event": "epoch", "epoch": epoch, "train_loss": loss, "val_loss": val}) + "\n"
            )
    record(
        work / "augment" / "none-1.h5.runs.jsonl", test_accuracy=0.5, best_val_accuracy=0.5, test_loss=None
    )
    for seed, score in enumerate((0.6, None, 0.7), 1):
        record(work / "augment" / f"noise-{seed}.h5.runs.jsonl", test_accuracy=score, test_loss=1.0)
    record(
        work / "augment" / "negation-1.h5.runs.jsonl",
        test_accuracy=0.7,
        best_val_accuracy=0.5,
        test_loss=1e30,
    )
    for ranks, seconds in ((1, None), (2, 0.0), (4, 1.0)):
        record(work / f"strong-{ranks}" / "model.h5.runs.jsonl", samples=None)
        whole = json.loads((work / f"strong-{ranks}" / "model.h5.runs.jsonl").read_text())
        whole["time"]["wall_s"] = seconds
        (work / f"strong-{ranks}" / "model.h5.runs.jsonl").write_text(json.dumps(whole) + "\n")
        plan = {"train": {"wall_s": seconds, "low_s": None, "high_s": 2.0}}
        (work / f"strong-{ranks}" / "plan.json").write_text(json.dumps(plan))
    report = tool("report", work)
    page = (work / "report.html").read_text() if report.returncode == 0 else ""
    check(run.status == 0 and page and not report.stderr, "a report of odd figures is made", run, report)
    for what, count in (("of unknown PSNR", 2), ("exact (infinite PSNR)", 1), ("of PSNR minus infinity", 1)):
        check(f'<td>{what}</td><td class="n">{count}</td>' in page, f"{count} {what}")
    check('<td>PSNR, lowest</td><td class="n">-41.50 dB</td>' in page, "a negative PSNR is one")
    check(
        "5 INRs of the test split; 4 more have logits that are not finite, or no class." in page, "odd logits"
    )
    order = [page.index(f"<td>{name}</td>") for name in ("SIREN negation", "none", "Gaussian noise")]
    check(order == sorted(order), "a seed without a result moves its augmentation only", order)
    check(
        page.count("not finite") >= 4 and not re.search(r"\bnan\b", re.sub(r"base64,[^\"]*", "", page)),
        "what is not finite is said in words",
    )


def pictures_show_them(work: Path) -> None:
    from polyview._metrics import read_metrics
    from polyview.plots import not_finite

    lines = [{"event": "start", "model": "m"}]
    losses = [None, math.nan, math.inf, -math.inf, -1.0, 1e300, 0.5]
    lines += [
        {"event": "epoch", "epoch": i, "train_loss": x, "val_accuracy": None} for i, x in enumerate(losses)
    ]
    (work / "m.jsonl").write_text("\ufeff" + "\r\n".join(map(json.dumps, lines)))
    run = tool("plot", "training", work / "m.jsonl", "-o", work / "m.png")
    check(run.returncode == 0 and not run.stderr, "losses of every kind are drawn", run.stderr)
    epochs = read_metrics(work / "m.jsonl")[1]
    check(not_finite(epochs, "train_loss") == ", train loss not finite in 4 of 7 epochs", "and counted")
    check(not_finite(epochs, "val_loss") == "", "what a run does not keep is not counted")
    align = {"lambda": [0, 0.5, 1], "pairs": 3, "alignments": {}}
    align["alignments"] = {"none": {"losses": [0, None, 1e30]}, "signed": {"losses": [None, None, None]}}
    (work / "align.json").write_text(json.dumps(align))
    run = tool("plot", "barrier", work / "align.json", "-o", work / "align.png")
    check(run.returncode == 0 and not run.stderr, "so are barriers", run.stderr)
    (work / "cka.json").write_text(json.dumps({"features": "a.h5", "cka": [[1.0, None], [None, 1.0]]}))
    run = tool("embeddings", "cka", work / "cka.json", "-o", work / "cka.png")
    check(run.returncode == 0 and not run.stderr, "a CKA that is null is drawn", run.stderr)
    with h5py.File(work / "pca.h5", "w") as file:
        file["coordinates"] = [[math.nan, 1], [math.inf, 2], [3, 4.0]]
        file["truth"], file["label"], file["explained"] = np.eye(3), [0, 1, -1], [math.nan, 0.1]
    run = tool("embeddings", "scatter", work / "pca.h5", "-o", work / "pca.png")
    check(run.returncode == 0 and not run.stderr, "coordinates that are not finite are left out", run.stderr)
    probes = {name: {"test_accuracy": None} for name in ("ridge", "knn")} | {"train": {"best_val_loss": None}}
    (work / "views-1.json").write_text(json.dumps(probes))
    run = tool("table", "contrast", "table", "--runs", work)
    check(run.returncode == 0 and run.stdout.count("not finite") == 3, "a table says what is not finite", run)


def signals_without_pixels_have_a_report(work: Path) -> None:
    config = write_config(work, signal={"source": "sine", "train": 20, "val": 5, "test": 5})
    text = json.loads(config.read_text())
    del text["signal"]["path"]
    config.write_text(json.dumps(text))
    run = polyview("fit", "--config", config)
    report = tool("report", work)
    page = (work / "report.html").read_text() if report.returncode == 0 else ""
    check(run.status == 0 and "<td>sine, " in page, "a store of curves has a report", run, report)
    convert("export", work / "store.h5", work / "out", "--format", "npz")
    run = convert("import", work / "out", work / "back.h5")
    with h5py.File(work / "store.h5") as a, h5py.File(work / "back.h5") as b:
        same = all(np.array_equal(a["object"][name][()], b["object"][name][()]) for name in a["object"])
        check("target" in a["object"] and same, "real targets come back from an export", run)


def names_of_classes_come_back(work: Path) -> None:
    write_images(work / "images")
    for part in ("train", "t10k"):
        path = work / "images" / f"{part}-labels-idx1-ubyte"
        content = path.read_bytes()
        path.write_bytes(content[:8] + bytes(3 * label + 1 for label in content[8:]))
    fit = polyview("fit", "--config", write_config(work))
    runs = [
        convert("export", work / "store.h5", work / "out", "--format", "npz"),
        convert("import", work / "out", work / "back.h5"),
    ]
    with Store(work / "back.h5") as store:
        check(store.class_names == ["1", "4", "7", "10"], "names of classes come back from an export", fit)
    check(not any(run.stderr for run in runs), "without a word", *runs)
    told = [
        polyview(*words) for words in (("verify", work / "back.h5"), ("info", work / "back.h5", "--json"))
    ]
    told.append(polyview("fit", "--config", work / "config.yaml", "--store", work / "back.h5"))
    check(all(run.status == 0 for run in told), "the program reads them, and continues the store", *told)
    report = tool("report", work)
    check(report.returncode == 0 and not report.stderr, "so does the report", report.stderr)


def exports_keep_them(work: Path) -> None:
    store = odd_store(work)
    run, back = convert("export", store, work / "out", "--format", "npz"), work / "back.h5"
    check(run.returncode == 0 and strict(run.stdout)["files"] == 74, "export", run)
    run = convert("import", work / "out", back)
    check(run.returncode == 0 and strict(run.stdout)["fitted"] == 74, "import", run)
    with Store(store) as a, Store(back) as b:
        check(
            a.attributes == b.attributes and len(a.attributes) > 9,
            "attributes that a user added come back, too",
        )
    with h5py.File(store) as a, h5py.File(back) as b:
        check(a["view/psnr"][()].tobytes() == b["view/psnr"][()].tobytes(), "every PSNR comes back as it was")
    with np.load(work / "out" / "view-00" / "train" / "0000000.npz") as file:
        arrays = dict(file)
    for name, value in (("huge", 3.4e38), ("tiny", 1e-45)):
        weights = np.full_like(arrays["seq.0.weight"], value)
        np.savez(work / "out" / "view-00" / "train" / "0000000.npz", **arrays | {"seq.0.weight": weights})
        run = convert("import", work / "out", work / f"{name}.h5")
        check(
            run.returncode == 0 and "1 of 74 files are not as they were" in run.stderr, f"{name} weights", run
        )
        report = tool("plot", "gallery", work / f"{name}.h5", "-o", work / f"{name}.png")
        check(
            report.returncode == 0 and not report.stderr, f"INRs of {name} weights are drawn", report.stderr
        )


def main() -> int:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        skip("figures that are no numbers", "matplotlib is not installed")
        return 0
    return run_tests(
        the_report_counts_them,
        pictures_show_them,
        signals_without_pixels_have_a_report,
        names_of_classes_come_back,
        exports_keep_them,
    )


if __name__ == "__main__":
    sys.exit(main())
