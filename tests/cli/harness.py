"""What the tests of the program share: TAP lines, runs that cannot hang, and tiny data sets, configs and stores."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager, suppress, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from run import BUILD, MARK, MPIRUN, environment  # noqa: E402

POLYVIEW = str(BUILD / "polyview")
ORACLE = Path(environment()["POLYVIEW_ORACLE"])
TIMEOUT_S = 60
REFUSAL_S = 20  # what is wrong must be told within
VENV_S = 300
HUNG = -1000  # the status of a run that had to be killed

IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"

results: list[bool] = []


# ---- statements of behaviour


def check(holds: object, statement: str, *evidence: object) -> None:
    """One TAP line; what does not hold is followed by its evidence."""
    results.append(bool(holds))
    print(f"{'ok' if holds else 'not ok'} {len(results)} - {statement}", flush=True)
    for item in () if holds else evidence:
        print("".join(f"# {line}\n" for line in str(item).splitlines()), end="", flush=True)


def skip(statement: str, why: str) -> None:
    results.append(True)
    print(f"ok {len(results)} - {statement} # SKIP {why}", flush=True)


def run_tests(*tests: Callable[[Path], None]) -> int:
    """Runs every test in a new directory; arguments of the program choose some by a part of their name."""
    chosen = [
        test for test in tests if not sys.argv[1:] or any(part in test.__name__ for part in sys.argv[1:])
    ]
    for test in chosen:
        with tempfile.TemporaryDirectory(prefix="polyview-") as name:
            try:
                test(Path(name))
            except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
                check(False, f"{test.__name__} runs to its end", f"{type(error).__name__}: {error}")
    return 0 if results and all(results) else 1


# ---- running the program


@dataclass
class Run:
    command: list[str]
    status: int  # HUNG if it had to be killed
    stdout: str
    stderr: str
    seconds: float

    @property
    def json(self) -> dict:
        """The last line of stdout, {} if there is none."""
        lines = self.stdout.splitlines()
        return json.loads(lines[-1]) if lines else {}

    @property
    def errors(self) -> list[str]:
        return [line for line in self.stderr.splitlines() if line.startswith("polyview: error: ")]

    def __str__(self) -> str:
        return f"{' '.join(self.command)}\nstatus {self.status} after {self.seconds:.1f} s\n{self.stdout}{self.stderr}"


# mpirun need not wait for the ranks to heed its SIGTERM when one ends with an error: all have ended alike.
AT_ONCE = {"OMPI_MCA_odls_base_sigkill_timeout": 0}
RANK = (b"OMPI_COMM_WORLD_RANK=", b"PMI_RANK=")  # of Open MPI and of MPICH


def launch(words: list[object], ranks: int) -> list[str]:
    """One rank starts alone, as on a laptop; several under mpirun."""
    start = [] if ranks == 1 else [MPIRUN, "-n", str(ranks)]
    return start + [POLYVIEW] + [str(word) for word in words]


class Process:
    """A started program and all that it starts: a variable marks them, so that no rank outlives it."""

    started = 0

    def __init__(self, command: list[str], cwd: Path | None = None, **variables: object) -> None:
        self.command, self.start = command, time.monotonic()
        Process.started += 1
        self.mark = f"{os.getpid()}.{Process.started}"
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=cwd,
            env=environment() | {key: str(value) for key, value in variables.items()} | {MARK: self.mark},
            start_new_session=True,
        )

    def ranks(self, name: str = "polyview") -> list[int]:
        """The ids of its processes of that name ("" for all), in the order of their ranks."""
        found, mark = [], f"{MARK}={self.mark}".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                head, _, rest = (entry / "stat").read_text().rpartition(")")
                if rest.split()[0] == "Z" or (name and head.split("(", 1)[1] != name):
                    continue
                variables = (entry / "environ").read_bytes().split(b"\0")
                rank = [int(v.split(b"=")[1]) for v in variables if v.startswith(RANK)]
                if mark in variables:
                    found.append((rank[0] if rank else 0, int(entry.name)))
            except (OSError, IndexError, ValueError):
                continue  # it has ended meanwhile
        return [pid for _, pid in sorted(found)]

    def give_way(self) -> None:
        """Leaves the cores to programs that are started beside it: Linux shares them out by sessions, and one that starts
        may wait for many seconds where the ranks of another spin."""
        for pid in self.ranks()[:1]:
            with suppress(OSError):  # it has ended, or the kernel has no such shares
                Path(f"/proc/{pid}/autogroup").write_text("19")

    def signal(self, number: int, *ranks: int) -> int:
        """Signals the given ranks (all by default); returns how many there were."""
        pids = self.ranks()
        chosen = [pids[rank] for rank in ranks if rank < len(pids)] if ranks else pids
        for pid in chosen:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        return len(chosen)

    def heeds(self, number: int, ranks: int) -> bool:
        """Whether that many ranks run and have a handler for the signal, which would end them otherwise."""
        pids, caught = self.ranks(), 0
        for pid in pids:
            with suppress(OSError):  # it has ended
                state = Path(f"/proc/{pid}/status").read_text()
                caught += int(state.split("SigCgt:")[1].split()[0], 16) >> (number - 1) & 1
        return len(pids) == caught == ranks

    def wait_for(self, event: Callable[[], object], timeout: float = TIMEOUT_S) -> bool:
        """Waits until the event holds; False if the program ended or the time ran out before."""
        while self.process.poll() is None and time.monotonic() - self.start < timeout:
            if event():
                return True
            time.sleep(0.005)
        return False

    def finish(self, timeout: float = TIMEOUT_S) -> Run:
        hung = False
        try:
            stdout, stderr = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            hung = True
            for pid in self.ranks(""):
                os.kill(pid, signal.SIGKILL)
            stdout, stderr = self.process.communicate()
        status = HUNG if hung else self.process.returncode
        return Run(self.command, status, stdout, stderr, time.monotonic() - self.start)


def polyview(
    *words: object, ranks: int = 1, timeout: float = TIMEOUT_S, cwd: Path | None = None, **variables: object
) -> Run:
    return Process(launch(list(words), ranks), cwd, **(AT_ONCE | variables)).finish(timeout)


# ---- the tools in Python

TOOLS = [sys.executable, str(ROOT / "analysis" / "polyview-tools")]


def convert(*words: object) -> subprocess.CompletedProcess[str]:
    """polyview-tools convert in this process, which has to load PyTorch only once."""
    sys.path.insert(0, str(ROOT / "analysis"))
    from polyview.tools import main

    command, out, err = ["convert", *map(str, words)], io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = main(command)
        except Exception:
            traceback.print_exc()
            status = 1
    return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())


# ---- other versions of Python's packages


def current_python(*packages: str) -> tuple[str, str]:
    """(a Python with the current versions of packages of PyPI, "") or ("", why there is none).

    It is that of a virtual environment, which is made where $POLYVIEW_VENV names one, and kept: PyTorch's takes 3 GB of
    downloads, which nobody gets unasked.
    """
    place = os.environ.get("POLYVIEW_VENV")
    if not place:
        return "", f"POLYVIEW_VENV names no virtual environment with {' and '.join(packages)}"
    python = str(Path(place).absolute() / "bin" / "python")
    install = [python, "-m", "pip", "install", "-q", "--retries", "1", "--timeout", "20", *packages]
    try:
        if not Path(python).exists():
            subprocess.run(
                [sys.executable, "-m", "venv", place], check=True, capture_output=True, timeout=VENV_S
            )
        if (
            subprocess.run([python, "-c", f"import {', '.join(packages)}"], capture_output=True).returncode
            != 0
        ):
            subprocess.run(install, check=True, capture_output=True, timeout=VENV_S)
    except (OSError, subprocess.SubprocessError) as error:
        return "", f"pip cannot install {' and '.join(packages)} here: {type(error).__name__}"
    return python, ""


# ---- data sets, configs


def idx(array: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_images(
    directory: Path, train: int = 40, test: int = 12, side: int = 8, packed: bool = False
) -> Path:
    """Four classes of stripes with noise, under MNIST's names; the same bytes every time."""
    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:side, 0:side] / side
    for name, count in (("train", train), ("t10k", test)):
        labels = rng.integers(0, 4, count)
        angle = (labels * np.pi / 4)[:, None, None]
        waves = np.sin(7 * (np.cos(angle) * x + np.sin(angle) * y) + rng.uniform(0, 1, (count, 1, 1)))
        images = np.clip(127 + 100 * waves + rng.normal(0, 8, waves.shape), 0, 255)
        for kind, array in ((IMAGES, images), (LABELS, labels)):
            path = directory / f"{name}-{kind}{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return directory


def default_config(work: Path) -> dict:
    return {
        "store": str(work / "store.h5"),
        "signal": {"path": str(work / "images"), "train": 21, "val": 7, "test": 9},
        "inr": {"hidden": [6, 5]},
        "fit": {"views": 2, "steps": 20, "lr": 5e-3},
        "model": {"hidden": 4, "layers": 1},
        "train": {"output": str(work / "model.h5"), "epochs": 3, "batch": 8, "lr": 1e-3},
    }


def write_config(work: Path, name: str = "config.yaml", **sections: dict | str) -> Path:
    """The default config with some keys changed, written as JSON, which is YAML too."""
    config = default_config(work)
    for section, keys in sections.items():
        config[section] = config.get(section, {}) | keys if isinstance(keys, dict) else keys
    path = work / name
    path.write_text(json.dumps(config, indent=1), encoding="utf-8")
    return path


def make_store(work: Path, **sections: dict | str) -> Path:
    """Images, a config (work/config.yaml) and a filled store."""
    write_images(work / "images")
    run = polyview("fit", "--config", write_config(work, **sections), "--quiet")
    if run.status != 0:
        raise ValueError(f"no store to test with: {run}")
    return work / "store.h5"


def some_rows(store: Path) -> bool:
    """Whether a fit that is under way has written any."""
    import h5py  # the tests of the program alone do without

    try:
        with h5py.File(store) as file:
            return bool((file["view/status"][()] == 1).any())
    except OSError:
        return False


def one_error(run: Run, status: int | tuple[int, ...], *words: object) -> bool:
    """Ended by itself with one of the statuses and one error line, which holds the words."""
    statuses = status if isinstance(status, tuple) else (status,)
    return (
        run.status in statuses
        and len(run.errors) == 1
        and all(str(word) in run.stderr[run.stderr.index("polyview: error: ") :] for word in words)
        and "Traceback" not in run.stderr
    )


def refused(
    what: str, words: list[object], status: int | tuple[int, ...], *named: object, at_once: bool = True
) -> None:
    """On one rank and on three, at once unless both could ask for the lock of one file before they are refused."""
    at_once = at_once and words[0] not in ("train", "fit", "extend") and "--repair" not in words
    started = ((ranks, Process(launch(words, ranks), **AT_ONCE)) for ranks in (1, 3))
    for ranks, process in list(started) if at_once else started:
        run = process.finish(REFUSAL_S)
        check(
            one_error(run, status, *named) and not run.json,
            f"{what} is refused on {ranks} rank(s)",
            run,
            named,
        )


@contextmanager
def changed_bytes(path: Path) -> Iterator[None]:
    """Puts the file back as it was."""
    before = path.read_bytes()
    try:
        yield
    finally:
        path.write_bytes(before)
