"""Every call that one rank can fail alone: reads, writes, syncs and openings of the run's files, and allocations, each
made to fail on each rank of 2 and 3.  The job ends within a bounded time and says why, or does without; nothing is
lost; and the next start, without faults, does the work.

How many calls each rank makes is counted first.  A run of the tests tries some of them, drawn anew each time;
`--draws N [COMMAND [KIND]]` as many as it is told.  `--all [COMMAND [KIND]]` tries every way by which the program comes
to such a call once, and all that follow it fail, too: a way is the program's innermost functions, and a thousand reads
of one loop are one.  That takes hours.
"""

import errno
import random
import shutil
import sys
from filecmp import cmp
from pathlib import Path

import h5py

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))
from harness import (  # noqa: E402
    AT_ONCE,
    HUNG,
    Process,
    Run,
    check,
    launch,
    make_store,
    polyview,
    run_tests,
    skip,
)
from test_failing_files import faults  # noqa: E402

KINDS = {
    "open": (errno.ESTALE, errno.EMFILE),
    "read": (errno.EIO,),
    "write": (errno.EDQUOT, errno.ENOSPC),
    "sync": (errno.EIO, errno.EDQUOT),
    "memory": (errno.ENOMEM,),
}
WRITING = ("make", "fit", "extend", "repair", "train", "resume")
READING = (
    "eval",
    "probe",
    "align",
    "info",
    "verify",
    "render",
    "bench",
)  # these leave the store and the model as they are
COMMANDS = (*WRITING, *READING)
DRAWN, BOUND_S, PATIENCE_S = 12, 40, 4
ENDS = {0, 1, 75}
WAYS, WAYS_OF = 8, {"memory": 3}  # the innermost functions that make a way of --all


class Scene:
    """Files as they are before a command, put back before each try."""

    def __init__(self, work: Path) -> None:
        self.work, self.kept = work / "now", work / "kept"
        self.now = self.work  # the paths within files and configs are those of now
        self.now.mkdir()
        self.store = make_store(self.now, train={"reduce": "ordered", "micro_batch": 2})
        self.model, self.config = self.now / "model.h5", self.now / "config.yaml"
        run = polyview("train", "--config", self.config)
        if run.status != 0:
            raise ValueError(f"no model to test with: {run}")
        shutil.copytree(self.now, self.kept)

    def restore(self, command: str) -> None:
        shutil.rmtree(self.now)
        shutil.copytree(self.kept, self.now)
        if command == "make":
            self.store.unlink()
        if command in ("fit", "repair"):
            with h5py.File(self.store, "r+") as file:
                if command == "fit":
                    file["view/status"][0, ::3] = 0
                else:
                    file["params"][1, 5, 3] += 1
        if command == "train":
            for path in self.now.glob("model.h5*"):
                path.unlink()

    def words(self, command: str) -> list[object]:
        train = ["train", "--config", self.config]
        given = ["--model", self.model, "--store", self.store]
        return {
            "make": ["fit", "--config", self.config],
            "fit": ["fit", "--config", self.config],
            "extend": ["extend", self.store, "--views", 3],
            "repair": ["verify", self.store, "--repair"],
            "train": train,
            "resume": [*train, "--set", "train.epochs=5"],
            "eval": ["eval", *given, "--split", "val", "--logits", self.now / "logits.h5"],
            "probe": ["probe", *given, "--method", "ridge"],
            "align": ["align", self.store, "--objects", 5],
            "info": ["info", self.store],
            "verify": ["verify", self.store],
            "render": ["render", self.store, "--object", 3, "--view", 1, "-o", self.now / "3.png"],
            "bench": ["bench", "store", "--config", self.config, "--dir", self.now, "--rounds", 1],
        }[command]


def count(scene: Scene, library: Path, command: str, kind: str, ranks: int, **ways: object) -> list[int]:
    """How many calls of a kind each rank makes, or by how many ways it comes to them."""
    scene.restore(command)
    told = scene.now.parent / "counts"
    told.unlink(missing_ok=True)
    fault(scene, library, command, kind, ranks, None, 0, 0, FAULT_COUNT=told, **ways)
    found = dict(map(int, line.split()) for line in told.read_text().splitlines())
    return [found.get(rank, 0) for rank in range(ranks)]


def fault(
    scene: Scene,
    library: Path,
    command: str,
    kind: str,
    ranks: int,
    rank: int | None,
    after: int,
    code: int,
    **more: object,
) -> Run:
    variables = {"FAULT_PATH": scene.now, "FAULT_CALLS": kind, "FAULT_ERRNO": code, "FAULT_AFTER": after}
    chosen = {} if rank is None else {"FAULT_RANK": rank}
    words = launch(scene.words(command), ranks)
    variables |= {"LD_PRELOAD": library, "POLYVIEW_PATIENCE": PATIENCE_S}
    process = Process(words, scene.now.parent, **(AT_ONCE | variables | chosen | more))
    return process.finish(BOUND_S)


def ended_well(run: Run) -> bool:
    """With its work done, or with one error."""
    said = len(run.errors) == 1 or (run.status == 75 and "polyview: stopped" in run.stderr)
    return run.status in ENDS and (run.status == 0 or said)


def try_call(
    scene: Scene,
    library: Path,
    command: str,
    kind: str,
    ranks: int,
    rank: int,
    after: int,
    calls: int,
    **ways: object,
) -> None:
    code = random.choice(KINDS[kind])
    scene.restore(command)
    run = fault(scene, library, command, kind, ranks, rank, after, code, **ways)
    what = f"{command}: {kind} {after} of {calls} on rank {rank} of {ranks}, {errno.errorcode[code]}"
    hung = run.status == HUNG
    check(ended_well(run), f"{what}: {'hangs' if hung else f'ends with {run.status} and says why'}", run)
    if command in READING:
        same = all(cmp(path, scene.kept / path.name, shallow=False) for path in (scene.store, scene.model))
        if not same:
            check(False, f"{what}: the store and the model stay as they are", run)
        return
    again = polyview(*scene.words(command), ranks=2)
    seen = polyview("verify", scene.store)
    if again.status != 0 or seen.status != 0 or seen.json["bad"] != 0:
        check(False, f"{what}: the next start does the work", run, again, seen)


def cells(asked: list[str]) -> list[tuple[str, str]]:
    """Commands and kinds of calls, of all or of those that were asked for."""
    return [(c, k) for c in asked[:1] or COMMANDS for k in asked[1:2] or KINDS]


def every_call_may_fail(work: Path) -> None:
    library = faults(work)
    if not library:
        return skip("failing calls", "no C compiler")
    scene = Scene(work)
    mark = work / "met"
    for command, kind in cells(ASKED[1:]):
        depth = {"FAULT_WAYS": WAYS_OF.get(kind, WAYS)}
        for ranks in (2, 3):
            counts, met = count(scene, library, command, kind, ranks, **depth), 0
            for rank, calls in enumerate(counts):
                for after in range(calls):
                    mark.unlink(missing_ok=True)
                    more = depth | {"FAULT_MARK": mark}
                    try_call(scene, library, command, kind, ranks, rank, after, calls, **more)
                    met += mark.exists()
            print(f"# {command}: {kind} on {ranks} ranks: {sum(counts)} ways, {met} met", flush=True)
    return None


def some_calls_fail(work: Path) -> None:
    library = faults(work)
    if not library:
        return skip("failing calls", "no C compiler")
    scene = Scene(work)
    counts: dict[tuple[str, str, int], list[int]] = {}
    chosen = (
        random.sample(cells([]), DRAWN) if not ASKED else random.choices(cells(ASKED[2:]), k=int(ASKED[1]))
    )
    for command, kind in chosen:
        cell = (command, kind, random.choice((2, 3)))
        counts[cell] = counts.get(cell) or count(scene, library, *cell)
        rank = random.choice([rank for rank, calls in enumerate(counts[cell]) if calls > 0] or [0])
        if counts[cell][rank] > 0:
            after = random.randrange(counts[cell][rank])
            try_call(scene, library, *cell, rank, after, counts[cell][rank])
    return None


def one_rank_cannot_open_within_mpi(work: Path) -> None:
    """Each rank tries to open a file before all do; who cannot do it a second time leaves the others in MPI-IO."""
    library = faults(work)
    if not library:
        return skip("failing calls", "no C compiler")
    scene = Scene(work)
    for ranks, rank, after in ((2, 1, 1), (3, 2, 1), (3, 0, 12)):
        scene.restore("eval")
        run = fault(scene, library, "eval", "open", ranks, rank, after, errno.ESTALE)
        check(
            ended_well(run)
            and run.status == 1
            and (rank == 0 or "has not ended within 4 seconds" in run.stderr),
            f"rank {rank} of {ranks} cannot open the store within MPI: the job ends when its patience does",
            run,
        )
    return None


if __name__ == "__main__":
    ASKED = sys.argv[1:] if sys.argv[1:2] in (["--all"], ["--draws"]) else []
    if ASKED:
        sys.argv[1:] = []
        sys.exit(run_tests(every_call_may_fail if ASKED[0] == "--all" else some_calls_fail))
    sys.exit(run_tests(one_rank_cannot_open_within_mpi, some_calls_fail))
