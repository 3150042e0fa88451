"""The same fits by others' means, for comparison: many INRs at once, on one thread.

    peer_fit.py [--peers eager compile jax]            INR-steps/s per core of each, at the batch that suits it best
    peer_fit.py --polyview build/polyview              the same beside `polyview bench fit`, in turn
    peer_fit.py --quality --polyview build/polyview    mean PSNR of the same images fitted by both

The work: 2-32-32-1 INRs, SIRENs of w0 30 or --activation, initialised as the published DWSNets INRs, full-batch Adam at
5e-4 on the 784 pixels of FashionMNIST images.  The first peer runs with PyTorch 1.13 (Debian's python3-torch) or later,
`compile` with 2.0 or later, `jax` with JAX.  Without PyTorch it says so and ends with status 0.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

try:
    import numpy as np
    import torch
except ImportError as error:
    print(f"peer_fit: skipped: {error.name} is not installed (Debian: python3-torch)", file=sys.stderr)
    sys.exit(0)

from peer_inr import ACTIVATIONS, HIDDEN, LR, OFFSET, PEERS, SIDE, W0, Eager

BATCH = 64  # INRs in flight where speed is not the question
STEPS = 25  # at a time


def read_images(directory: Path, count: int) -> np.ndarray:
    """The first images of the train file, [count][784][1] in [0, 1]."""
    plain = directory / "train-images-idx3-ubyte"
    data = plain.read_bytes() if plain.exists() else gzip.open(f"{plain}.gz").read()
    magic, total, height, width = (int.from_bytes(data[i : i + 4], "big") for i in range(0, 16, 4))
    if magic != 0x803 or (height, width) != (SIDE, SIDE) or total < count:
        raise SystemExit(f"peer_fit: {directory}: not {count} images of {SIDE} x {SIDE} pixels")
    pixels = np.frombuffer(data, np.uint8, count * SIDE * SIDE, 16).reshape(count, SIDE * SIDE, 1)
    return pixels.astype(np.float32) / 255


def rate(fits: Any, seconds: float) -> float:
    """INR-steps a second."""
    fits.advance(STEPS)  # compiles what is compiled
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        fits.advance(STEPS)
        steps += STEPS
    return steps * len(fits.images) / (time.perf_counter() - start)


def polyview(program: str, *words: object) -> dict[str, Any]:
    """The result of a polyview command."""
    command = [program, *map(str, words)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"peer_fit: {' '.join(command)} failed:\n{run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def best_batch(peer: type, images: np.ndarray, args: argparse.Namespace) -> int:
    """The number of INRs in flight that suits a peer best here."""
    rates = {
        batch: rate(peer(images[:batch], 1, args.activation), args.seconds / 4)
        for batch in (1, 4, 16, 64, 256)
    }
    told = ", ".join(f"{batch}: {found:.0f}" for batch, found in rates.items())
    print(f"{peer.name}, INR-steps/s by INRs in flight: {told}", flush=True)
    return max(rates, key=rates.__getitem__)


def ours(args: argparse.Namespace, precision: str) -> dict[str, Any]:
    keys = [
        f"signal.path={args.data}",
        f"inr.activation={args.activation}",
        f"fit.precision={precision}",
        *args.set,
    ]
    words = ["--seconds", args.seconds, "--steps", 100, "--json", *(f"--set={key}" for key in keys)]
    with tempfile.TemporaryDirectory() as work:
        return polyview(args.polyview, "bench", "fit", "--dir", work, *words)


def usable(name: str) -> bool:
    if name == "jax":
        return importlib.util.find_spec("jax") is not None
    return name != "compile" or hasattr(torch, "compile")


def ratio(own: list[float], others: list[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(own, others))


def compare(args: argparse.Namespace) -> None:
    images = read_images(args.data, 256)
    peers = [PEERS[name] for name in args.peers if usable(name)]
    batches = [args.batch or best_batch(peer, images, args) for peer in peers]
    fits = [peer(images[:batch], 1, args.activation) for peer, batch in zip(peers, batches)]
    theirs: list[list[float]] = [[] for _ in peers]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in args.precisions if args.polyview}
    for _ in range(args.repeats):
        for rates, fit in zip(theirs, fits):
            rates.append(rate(fit, args.seconds))
        for precision, runs in found.items():
            runs.append(ours(args, precision))
    speeds = {name: [one["inr_steps_per_s_core"] for one in runs] for name, runs in found.items()}
    for peer, batch, rates in zip(peers, batches, theirs):
        print(f"{peer.name}, {batch} INRs in flight: {statistics.median(rates):.0f} INR-steps/s per core")
        for precision, own in speeds.items():
            print(f"    Polyview in {precision} {ratio(own, rates):.2f} times that")
    for precision, own in speeds.items():
        share = statistics.median(one["limit_share"] for one in found[precision])
        told = (
            f"Polyview in {precision}, {found[precision][0]['instruction_set']}: {statistics.median(own):.0f}"
        )
        told += f" INR-steps/s per core, {share:.2f} of the limit"
        if precision != args.precisions[0]:
            told += f", {ratio(own, speeds[args.precisions[0]]):.2f} times {args.precisions[0]}"
        print(told)
    print(f"{args.activation}; medians of {args.repeats} rounds, in turn")


def polyview_fits(args: argparse.Namespace, steps: int, lr: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows [images][P] and PSNR [images] that `polyview fit` makes of the first images."""
    import h5py

    with tempfile.TemporaryDirectory() as work:
        config = Path(work) / "fit.yaml"
        config.write_text(
            f"store: {work}/store.h5\n"
            f"signal: {{path: {json.dumps(str(args.data))}, train: {args.images}, val: 0, test: 0}}\n"
            f"inr: {{hidden: [{HIDDEN}, {HIDDEN}], variant: dwsnets, w0: {W0}, offset: {OFFSET}}}\n"
            f"fit: {{views: 1, steps: {steps}, lr: {lr!r}, seed: 1}}\n",
            encoding="utf-8",
        )
        polyview(args.polyview, "fit", "--config", config)
        with h5py.File(f"{work}/store.h5") as file:
            return torch.from_numpy(file["params"][0]), torch.from_numpy(file["view/psnr"][0])


def torch_psnr(args: argparse.Namespace, starts: torch.Tensor | None) -> torch.Tensor:
    """PSNR [images] of PyTorch's fits, from these rows or from draws of its own."""
    found = []
    images = read_images(args.data, args.images)
    for first in range(0, args.images, BATCH):
        fits = Eager(images[first : first + BATCH], 1 + first)
        if starts is not None:
            fits.start_from(starts[first : first + BATCH])
        fits.advance(args.steps)
        found.append(fits.psnr())
    return torch.cat(found)


def quality(args: argparse.Namespace) -> None:
    """From the same starts the means must agree; draws alone move an INR by 1 dB, the mean of 256 by 0.06 dB."""
    print(f"mean PSNR of {args.images} images after {args.steps} steps")

    def tell(what: str, psnr: torch.Tensor) -> None:
        print(f"  {what:<48} {float(psnr.mean()):.3f} dB", flush=True)

    if args.polyview:
        starts, _ = polyview_fits(args, 1, 1e-30)  # a step too small to change a weight
        _, ours = polyview_fits(args, args.steps, LR)
        tell("Polyview", ours)
        theirs = torch_psnr(args, starts)
        tell(f"PyTorch {torch.__version__}, from the same starts", theirs)
        tell("difference of the means", ours - theirs)
    tell(f"PyTorch {torch.__version__}, draws of its own", torch_psnr(args, None))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--polyview", metavar="PROGRAM", help="run this beside PyTorch")
    parser.add_argument("--quality", action="store_true", help="compare PSNR, not speed")
    parser.add_argument(
        "--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"), help="IDX files"
    )
    parser.add_argument(
        "--peers", nargs="+", choices=list(PEERS), default=list(PEERS), help="(all there are)"
    )
    parser.add_argument("--activation", choices=list(ACTIVATIONS), default="sine", help="of speeds (sine)")
    parser.add_argument(
        "--precisions",
        nargs="+",
        default=["float32"],
        metavar="NAME",
        help="fit.precision of polyview, in turn (float32)",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="for polyview, of speeds"
    )
    parser.add_argument(
        "--batch", type=int, help="INRs in flight of the peers (default: the fastest of a few)"
    )
    parser.add_argument("--seconds", type=float, default=4, help="of one measurement (4)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of measurements (5)")
    parser.add_argument("--images", type=int, default=256, help="of --quality (256)")
    parser.add_argument("--steps", type=int, default=1000, help="of --quality (1000)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if args.quality:
        quality(args)
    else:
        compare(args)


if __name__ == "__main__":
    main()
