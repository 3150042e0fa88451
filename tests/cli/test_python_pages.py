"""The Python on the pages runs as it stands there, on the PyTorch of the system and on the current one."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

from harness import ROOT, check, current_python, make_store, polyview, run_tests, skip

TRAIN, TEST = 21, 9  # objects of the store that the harness makes
BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
ELSEWHERE = ("data.md", "tutorial.md")  # test_data_page.py runs these, section by section
STORY = "python.md"  # whose blocks are one script
# Where there is no pandas, one that goes along with everything.
PANDAS = "import sys, unittest.mock\ntry: import pandas\nexcept ImportError: sys.modules['pandas'] = unittest.mock.MagicMock()"
# What a block takes for granted, and what must hold after it; by a part of its text.
AROUND = {
    "from polyview.graphs": (
        PANDAS,
        "assert many.shape == (2, 10, store.params) and some.shape == (3, store.params) and graphs.num_graphs > 0",
    ),
    'f.attrs["arch"]': ("", "assert [t.shape for t in tensors.values()][:2] == [(6, 2), (6, 1)], tensors"),
    'h5py.File("dws.h5")': (
        "",
        "assert len(state) > 4 and all(isinstance(v, torch.Tensor) for v in state.values()), state",
    ),
    "logits = dws(": (
        "def dws(inputs): return [w.mean() for w in inputs[0]]",
        "assert pixels.shape == (8, 8, 1) and len(logits) == 3 and batch.label.dtype == torch.int64",
    ),
}


def blocks() -> list[tuple[str, str]]:
    """(page, Python) of every block of the pages."""
    pages = [
        ROOT / "README.md",
        *(p for p in sorted((ROOT / "docs").glob("*.md")) if p.name not in ELSEWHERE),
    ]
    found = [
        (page.name, block) for page in pages for block in BLOCK.findall(page.read_text(encoding="utf-8"))
    ]
    story = "".join(block for page, block in found if page == STORY)
    return [pair for pair in found if pair[0] != STORY] + [(STORY, story)]


def run_blocks(python: str, version: str, work: Path) -> None:
    for page, block in blocks():
        before, after = next(text for part, text in AROUND.items() if part in block)
        done = subprocess.run(
            [python, "-c", f"{before}\n{block}\n{after}\n"],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
            cwd=work,
            env=os.environ | {"PYTHONPATH": str(ROOT / "analysis")},
        )
        first = block.splitlines()[0]
        check(
            done.returncode == 0, f"{page}: '{first} ...' runs on PyTorch {version}", done.stdout, done.stderr
        )


def version_of(python: str) -> str:
    words = [python, "-c", "import torch, h5py; print(torch.__version__)"]
    return subprocess.run(words, capture_output=True, text=True, timeout=200, check=False).stdout.strip()


def the_examples_train(work: Path) -> None:
    """analysis/examples, the second on two processes as torchrun would start them."""
    if not version_of(sys.executable):
        return skip("the examples", "PyTorch is not installed")
    make_store(work)

    def start(name: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "analysis" / "examples" / name), "store.h5", "2"],
            cwd=work,
            env=os.environ | {"PYTHONPATH": str(ROOT / "analysis"), "OMP_NUM_THREADS": "1"} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    job = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    alone = start("train.py")
    ranks = [start("train_ddp.py", RANK=str(rank), LOCAL_RANK=str(rank), **job) for rank in (0, 1)]
    said = [process.communicate(timeout=100)[0] for process in (alone, *ranks)]
    statuses = [process.returncode for process in (alone, *ranks)]
    check(statuses[0] == 0 and said[0].count("epoch") == 2, "train.py trains from a store", said[0])
    check(
        statuses[1:] == [0, 0]
        and said[1].count(f"over {TRAIN} samples") == 2
        and f"of {TEST} samples" in said[1],
        "train_ddp.py on two processes sees every sample of a split once an epoch",
        *said[1:],
    )


# A trained model in the published class, as docs/formats.md says; prints the largest difference of its logits.
PUBLISHED = """
import sys, h5py, numpy, torch
from nn.models import DWSModelForClassification
from polyview.torch import Samples
model, store, logits, set_layer = sys.argv[1:]
file = h5py.File(model)
state = {k: torch.as_tensor(v[()]) for k, v in file["model"].items()}
test = Samples(store, "test", normalize=True, statistics=(file["norm/mean"][()], file["norm/std"][()]))
batch = test.read(range(test.count))
shapes = [tuple(tuple(t.shape[1:-1]) for t in part) for part in (batch.weights, batch.biases)]
dws = DWSModelForClassification(
    *shapes, 1, 4, 1, n_classes=int(file.attrs["classes"]), set_layer=set_layer, num_heads=2, bn=True
)
dws.load_state_dict(state)
found = dws.eval()((batch.weights, batch.biases)).detach().numpy()
print(numpy.abs(found - h5py.File(logits)["logits"][()]).max())
"""


def the_published_model_is_at_home(work: Path) -> None:
    """DWSNets learns from a store, and takes what the program has trained."""
    checkout = os.environ.get("POLYVIEW_DWSNETS", "")
    if not (Path(checkout) / "nn" / "models.py").exists() or not version_of(sys.executable):
        return skip(
            "DWSNets beside ours", "POLYVIEW_DWSNETS names no checkout of it, or PyTorch is not installed"
        )
    store = make_store(work)

    def python(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=work,
            env=os.environ | {"PYTHONPATH": f"{checkout}:{ROOT / 'analysis'}", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    run = python(ROOT / "analysis" / "examples" / "train_dwsnets.py", "store.h5", "2")
    check(
        run.returncode == 0 and run.stdout.count("epoch") == 2 and "test accuracy" in run.stdout,
        "train_dwsnets.py trains the published model from a store",
        run,
    )
    for layer in ("ds", "sab"):
        model, logits = work / f"{layer}.h5", work / f"{layer}-logits.h5"
        options = [f"model.set_layer={layer}", "model.heads=2", f"train.output={model}"]
        sets = [word for option in options for word in ("--set", option)]
        trained = polyview("train", "--config", work / "config.yaml", *sets)
        judged = polyview("eval", "--model", model, "--store", store, "--logits", logits)
        run = python("-c", PUBLISHED, model, store, logits, layer)
        check(
            trained.status == judged.status == run.returncode == 0 and float(run.stdout) < 1e-5,
            f"a trained model loads into the published class and gives the same logits ({layer})",
            run,
        )


def the_pages_hold(work: Path) -> None:
    pieces = blocks()
    known = [[part for part in AROUND if part in block] for _, block in pieces]
    check(
        len(pieces) == len(AROUND) and all(len(parts) == 1 for parts in known),
        "every block of Python is known here",
        pieces,
    )
    make_store(work)
    run = polyview("train", "--config", work / "config.yaml", "--set", f"train.output={work / 'dws.h5'}")
    check(run.status == 0, "a model is trained with the defaults", run)
    if version := version_of(sys.executable):
        run_blocks(sys.executable, version, work)
    else:
        skip("the pages on the system's PyTorch", "PyTorch is not installed")
    python, missing = current_python("torch", "h5py", "numpy")
    if missing:
        skip("the pages on the current PyTorch", missing)
        return
    run_blocks(python, version_of(python), work)
    for script, part in (("test_foreign_inrs.py", "pytorch"), ("test_convert.py", "pth")):
        words = [python, str(Path(__file__).with_name(script)), part]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
        check(
            done.returncode == 0 and "# SKIP" not in done.stdout,
            f"{script} holds on PyTorch {version_of(python)}",
            done.stdout,
            done.stderr,
        )


if __name__ == "__main__":
    sys.exit(run_tests(the_examples_train, the_published_model_is_at_home, the_pages_hold))
