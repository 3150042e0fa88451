"""`polyview bench fit` and `train`: fields and tables, on one rank and on two, with and without images."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

BUILD = Path(os.environ.get("BUILD", "build")).resolve()
MPIRUN = os.environ.get("MPIRUN", "mpirun")
SIDE, TRAIN_FILE, TEST_FILE = 12, 40, 8
FINITE = ["fma_gflops", "activation_ns", "inr_steps_per_s_core", "limit_inr_steps_per_s_core", "inr_steps_per_s"]
FINITE += ["scaling", "psnr_db", "limit_share", "limit_share_together", "fma_gflops_together"]

results: list[bool] = []


def check(holds: bool, statement: str) -> None:
    results.append(bool(holds))
    print(f"{'ok' if holds else 'not ok'} {len(results)} - {statement}", flush=True)


def write_images(directory: Path) -> None:
    for name, count in (("train", TRAIN_FILE), ("t10k", TEST_FILE)):
        head = b"".join(n.to_bytes(4, "big") for n in (0x803, count, SIDE, SIDE))
        pixels = bytes((17 * i * i) % 251 for i in range(count * SIDE * SIDE))
        (directory / f"{name}-images-idx3-ubyte").write_bytes(head + pixels)
        head = b"".join(n.to_bytes(4, "big") for n in (0x801, count))
        (directory / f"{name}-labels-idx1-ubyte").write_bytes(head + bytes(i % 10 for i in range(count)))


def bench(ranks: int, work: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [MPIRUN, "-n", str(ranks), str(BUILD / "polyview"), "bench", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, cwd=work)


def result_of(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    print("".join(f"# {line}\n" for line in run.stderr.splitlines()), end="")
    lines = run.stdout.splitlines()
    return json.loads(lines[-1]) if run.returncode == 0 and lines else {}


def sane(result: dict[str, Any]) -> bool:
    return (
        all(isinstance(result.get(key), float) and result[key] > 0 for key in FINITE)
        and result["limit_share"] <= 1.1
        and result["limit_share_together"] <= 1.1
    )


def check_images(work: Path, images: Path, ranks: int) -> float:
    splits = (
        "signal.train=30",
        "signal.val=2",
        "signal.test=8",
        "inr.hidden=[16, 16]",
        f"signal.path={images}",
    )
    sets = [word for split in splits for word in ("--set", split)]
    result = result_of(bench(ranks, work, "fit", "--seconds", 0.5, "--steps", 20, "--json", *sets))
    check(sane(result), f"on {ranks} rank(s) every figure is positive and the limit is not passed")
    check(
        result.get("ranks") == ranks
        and result.get("steps") == 20
        and result.get("psnr_images") == 32
        and result.get("dims") == [2, 16, 16, 1]
        and result.get("samples") == SIDE * SIDE,
        f"on {ranks} rank(s) the result says what was measured",
    )
    share = result.get("overhead_share")
    check(
        isinstance(share, float) and 0 <= share < 1 and not list(work.glob("*.h5*")),
        f"on {ranks} rank(s) the overhead of a store is measured and the store removed",
    )
    return result.get("psnr_db", 0.0)


def check_activations(work: Path) -> None:
    def of(activation: str) -> tuple[dict[str, Any], str]:
        word = f"inr.activation={activation}"
        run = bench(1, work, "fit", "--seconds", 0.2, "--steps", 5, "--set", word, "--set", "inr.hidden=[8, 8]")
        return result_of(run), run.stderr

    results_of = {name: of(name) for name in ("sine", "relu", "gauss")}
    check(
        all(
            one.get("activation") == name and one["activation_ns"] > 0 and one["step_activations"] > 0
            for name, (one, _) in results_of.items()
        ),
        "the limit of fits is that of their own activation",
    )
    check(
        ["libmvec" in table for _, table in results_of.values()] == [True, False, False]
        and results_of["relu"][0]["activation_of_limit"] == "polyview",
        "and libmvec's is told of the sine alone",
    )


def check_grid(work: Path) -> None:
    run = bench(2, work, "fit", "--grid", "--seconds", 0.5)
    cells = result_of(run).get("grid", [])
    places = {(cell["inputs"], cell["width"], cell["precision"]) for cell in cells}
    check(
        len(cells) == len(places) == 3 * 5 * 4
        and {place[2] for place in places} == {"float32", "bfloat16", "bfloat16_amx", "int16"}
        and all(cell[key] > 0 for cell in cells for key in ("inr_steps_per_s_core", "limit_share", "over_float32"))
        and all(cell["over_float32"] == 1 for cell in cells if cell["precision"] == "float32"),
        "the grid has every width, number of inputs and precision once, beside its limit and float32",
    )
    check(run.stderr.count("256-256") == 12, "and its table goes to stderr")


TRAINED = ["samples_per_s_core", "samples_per_s", "peak_share", "fma_gflops", "speedup", "sample_flops"]
SPENT = ["compute_share", "reduce_share", "wait_share", "data_share"]


def check_training(work: Path, ranks: int, what: str, *sets: str) -> None:
    words = [word for item in ("inr.hidden=[8, 8]", "train.batch=16", *sets) for word in ("--set", item)]
    result = result_of(bench(ranks, work, "train", "--seconds", 0.2, "--json", *words))
    spent = [result.get(key, -1) + result.get(f"{key}_alone", -1) for key in SPENT]
    check(
        all(isinstance(result.get(key), float) and result[key] > 0 for key in TRAINED)
        and result["peak_share"] <= 1.1
        and result["ranks"] == ranks,
        f"{what} on {ranks} rank(s): every figure is positive and the peak is not passed",
    )
    check(
        min(spent) >= 0 and abs(sum(spent) - 2) < 0.2,
        f"{what} on {ranks} rank(s): compute, sums, waits and data make up the time: {spent}",
    )


def check_trainings(work: Path) -> None:
    dws = ("model.hidden=8", "model.layers=1")
    check_training(work, 1, "DWS", *dws)
    check_training(work, 2, "ordered DWS", *dws, "train.reduce=ordered", "train.micro_batch=4")
    check_training(
        work, 2, "MLP with MixUp", "model.kind=mlp", "augment=[{kind: mixup}]", "train.accumulate=2"
    )
    check(not list(work.glob("*.h5*")), "training is timed without a store")
    run = bench(1, work, "train", "--seconds", 0.1, "--set", "inr.hidden=[4, 4]", "--set", "model.hidden=4")
    check(run.returncode == 0 and "share of the peak" in run.stderr, "a table goes to stderr")


def check_alignment(work: Path) -> None:
    for ranks in (1, 2):
        run = bench(ranks, work, "align", "--seconds", 0.1, "--set", "fit.steps=20", "--set", "fit.lr=0.005")
        result = result_of(run)
        widths = result["widths"]
        check(
            [w["width"] for w in widths] == [32, 64, 128]
            and result["pairs_per_s_core"]
            == widths[0]["pairs_per_s_core"]
            > widths[2]["pairs_per_s_core"]
            > 0
            and all(
                w["objective"]["none"] < w["objective"]["permutation"] < w["objective"]["signed"]
                and w["barrier"]["none"] > 0
                for w in widths
            )
            and "pairs/s" in run.stderr,
            f"on {ranks} rank(s) weight matching is timed and judged at three widths",
        )


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        images = work / "images"
        images.mkdir()
        write_images(images)
        psnr = [check_images(work, images, ranks) for ranks in (1, 2)]
        check(abs(psnr[0] - psnr[1]) < 1e-5, "the PSNR does not depend on the number of ranks")
        run = bench(1, work, "fit", "--seconds", 0.1, "--steps", 5, "--set", f"signal.path={work / 'none'}")
        result = result_of(run)
        check(
            sane(result) and result["signal"] == "synthetic" and result["overhead_share"] is None,
            "without images it fits made-up pictures",
        )
        check(
            "share of the limit in that time" in run.stderr and "made-up" in run.stderr,
            "a table goes to stderr",
        )
        check_grid(work)
        check_activations(work)
        check_trainings(work)
        check_alignment(work)
        run = bench(1, work, "fit", "--help")
        check(run.returncode == 0 and "bench fit" in run.stdout, "--help says how to use it")
        wrong = (["fit", "--seconds", "0"], ["fit", "--seconds", "x"], ["fit", "--steps", "0"], ["tea"], [])
        check(all(bench(1, work, *words).returncode == 2 for words in wrong), "bad words end with status 2")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
