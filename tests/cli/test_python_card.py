"""polyview-tools card and tensorboard: what they say is what the store and the metrics hold."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from harness import ROOT, TOOLS, check, current_python, run_tests, skip

sys.path.insert(0, str(ROOT / "analysis"))
import rows_of_noise  # noqa: E402

EVENTS = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1])
events.Reload()
found = {}
for tag in events.Tags()["tensors"]:
    found[tag] = [[e.step, float(e.tensor_proto.float_val[0])] for e in events.Tensors(tag)]
print(json.dumps(found))
"""


def tools(
    *words: object, python: str = TOOLS[0], hidden: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"PYTHONPATH": str(hidden)} if hidden else {})
    return subprocess.run(
        [python, *TOOLS[1:], *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def without(work: Path, module: str) -> Path:
    """A directory on whose account a module is missing."""
    place = work / "hidden"
    place.mkdir(exist_ok=True)
    (place / f"{module}.py").write_text(f"raise ModuleNotFoundError('hidden', name='{module}')\n")
    return place


def a_card_says_what_a_store_holds(work: Path) -> None:
    rows_of_noise.write(work / "noise.h5", ((1, 5), (1, 60)))
    run = tools(
        "card", work / "noise.h5", "-o", work / "README.md", "--title", 'A "test"', "--licence", "mit"
    )
    text = (work / "README.md").read_text() if run.returncode == 0 else ""
    _, head, body = re.split(r"^---$", text, maxsplit=2, flags=re.M) if text else ("", "", "")
    check(
        run.returncode == 0
        and {"license: mit", 'pretty_name: "A \\"test\\""', "- hdf5", "- n<1K"} <= set(head.splitlines()),
        "its head is what hubs read",
        run,
        head,
    )
    psnr = np.concatenate([rows_of_noise.write(work / "all.h5")[..., 0].ravel() + 20])
    psnr = np.delete(psnr, [66 + 5, 66 + 60])
    check(
        "| fitted | 130 |" in body
        and "| not fitted | 2 |" in body
        and f"| PSNR, mean | {psnr.mean():.2f} dB |" in body,
        "it tells how many rows are fitted, and how well",
        body,
    )
    check(
        "| train | 50 | 17 | 17 | 16 |" in body and "| val | 7 | 2 |" in body, "it counts splits and classes"
    )
    check("```yaml\nfit: {views: 2}\n```" in body, "it has the recipe")
    picture = work / "README-psnr.png"
    check(
        f"]({picture.name})" in body and picture.read_bytes()[:4] == b"\x89PNG",
        "a picture of the PSNRs lies beside it",
    )
    loading = re.search(r"```python\n(.*?)\n\n", body, re.S)
    code = loading[1] + "\nassert rows.shape == (66, 44) and tensors['seq.0.weight'].shape == (5, 2)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=work,
        env=os.environ | {"PYTHONPATH": str(ROOT / "analysis")},
        capture_output=True,
        text=True,
        check=False,
    )
    check(done.returncode == 0, "how to load it works", done)
    run = tools("card", work / "noise.h5", hidden=without(work, "matplotlib"))
    check(
        run.returncode == 0 and "license: unknown" in run.stdout and "Licence: not stated" in run.stdout,
        "without a licence it says so; it needs no matplotlib",
        run,
    )
    run = tools("card", work / "noise.h5", "-o", work / "noise.h5")
    check(run.returncode == 1 and "what is read here" in run.stderr, "it replaces no store", run)


def metrics_are_shown_by_tensorboard(work: Path) -> None:
    metrics = work / "m.h5.jsonl"
    epochs = [
        {"event": "epoch", "epoch": 1, "train_loss": 2.5, "val_accuracy": 0.25, "lr": 0.5, "stream": "ab"},
        {"event": "epoch", "epoch": 2, "train_loss": 9.0, "val_accuracy": 0.0, "lr": 0.5, "stream": "ab"},
        {"event": "epoch", "epoch": 2, "train_loss": None, "val_accuracy": 0.5, "lr": 0.5, "stream": "ab"},
    ]
    steps = [
        {"event": "step", "epoch": epoch, "batch": batch, "loss": epoch + batch / 4}
        for epoch in (1, 2)
        for batch in (1, 2)
    ]
    lines = [{"event": "start", "model": "dws"}, *steps, *epochs]
    metrics.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event": "ep')
    run = tools("tensorboard", metrics, work / "events", hidden=without(work, "tensorboard"))
    check(
        run.returncode == 1
        and len(run.stderr.splitlines()) == 1
        and "polyview[tensorboard]" in run.stderr
        and not (work / "events").exists(),
        "without tensorboard, what to install is said",
        run,
    )
    python, missing = current_python("tensorboard", "h5py", "numpy")
    if missing:
        return skip("metrics as events", missing)
    run = tools("tensorboard", metrics, work / "events", python=python)
    done = subprocess.run(
        [python, "-c", EVENTS, str(work / "events")], capture_output=True, text=True, check=False
    )
    found = json.loads(done.stdout) if done.returncode == 0 else {}
    check(
        set(found) == {"train/loss", "val/accuracy", "run/lr", "step/loss"}
        and found["val/accuracy"] == [[1, 0.25], [2, 0.5]]
        and found["train/loss"][0] == [1, 2.5]
        and np.isnan(found["train/loss"][1][1])
        and found["step/loss"] == [[1, 1.25], [2, 1.5], [3, 2.25], [4, 2.5]],
        "every figure is a curve, of an epoch that was repeated the last",
        run,
        done,
    )
    run = tools("tensorboard", metrics, work / "events", python=python)
    check(run.returncode == 1 and "events already" in run.stderr, "curves are not drawn over others", run)


if __name__ == "__main__":
    sys.exit(run_tests(a_card_says_what_a_store_holds, metrics_are_shown_by_tensorboard))
