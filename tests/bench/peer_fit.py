"""The same fits in PyTorch, for comparison: many SIRENs at once by batched matrix products, on one thread.

    peer_fit.py [--seconds T]                          INR-steps/s per core of PyTorch
    peer_fit.py --polyview build/polyview              the same beside `polyview bench fit`, in turn (A B A B)
    peer_fit.py --quality --polyview build/polyview    mean PSNR of the same images fitted by both

The work: 2-32-32-1 SIRENs, w0 30, initialised as the published DWSNets INRs, full-batch Adam at 5e-4 on the 784
pixels of FashionMNIST images.  Runs with PyTorch 1.13 (Debian's python3-torch) or later; without it, it says so
and ends with status 0.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
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

SIDE, HIDDEN, W0, OFFSET, LR = 28, 32, 30.0, 0.5, 5e-4
DIMS = [2, HIDDEN, HIDDEN, 1]
BATCH = 64  # INRs in flight where speed is not the question


def read_images(directory: Path, count: int) -> torch.Tensor:
    """The first images of the train file, [count][784][1] in [0, 1]."""
    plain = directory / "train-images-idx3-ubyte"
    data = plain.read_bytes() if plain.exists() else gzip.open(f"{plain}.gz").read()
    magic, total, height, width = (int.from_bytes(data[i : i + 4], "big") for i in range(0, 16, 4))
    if magic != 0x803 or (height, width) != (SIDE, SIDE) or total < count:
        raise SystemExit(f"peer_fit: {directory}: not {count} images of {SIDE} x {SIDE} pixels")
    pixels = np.frombuffer(data, np.uint8, count * SIDE * SIDE, 16).reshape(count, SIDE * SIDE, 1)
    return torch.from_numpy(pixels.astype(np.float32) / 255)


def coordinates() -> torch.Tensor:
    """[784][2]: x runs fastest."""
    line = torch.linspace(-1, 1, SIDE)
    return torch.stack([line.repeat(SIDE), line.repeat_interleave(SIDE)], 1)


class Fits:
    """As many SIRENs as there are images, in flight together."""

    def __init__(self, images: torch.Tensor, seed: int) -> None:
        torch.manual_seed(seed)
        self.images = images
        batch = len(images)
        self.coords = coordinates().expand(batch, -1, -1)
        self.params: list[torch.Tensor] = []
        for layer, (inputs, outputs) in enumerate(zip(DIMS, DIMS[1:])):
            last = layer == len(DIMS) - 2
            bound = 1 / math.sqrt(inputs) if last else math.sqrt(6 / inputs) / W0
            weight = torch.empty(batch, inputs, outputs).uniform_(-bound, bound)
            bias = (
                torch.empty(batch, 1, outputs).uniform_(-bound, bound)
                if last
                else torch.zeros(batch, 1, outputs)
            )
            self.params += [weight.requires_grad_(), bias.requires_grad_()]
        self.optimizer = torch.optim.Adam(self.params, lr=LR)

    def errors(self) -> torch.Tensor:
        """The mean squared error of every INR, [batch]."""
        hidden = self.coords
        for layer in range(len(DIMS) - 1):
            weight, bias = self.params[2 * layer : 2 * layer + 2]
            hidden = torch.baddbmm(bias, hidden, weight)
            if layer < len(DIMS) - 2:
                hidden = torch.sin(W0 * hidden)
        return (hidden + OFFSET - self.images).square().mean((1, 2))

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            self.errors().sum().backward()
            self.optimizer.step()

    def psnr(self) -> torch.Tensor:
        """Of every INR in dB, [batch]."""
        with torch.no_grad():
            return -10 * torch.log10(self.errors())

    def start_from(self, rows: torch.Tensor) -> None:
        """Takes the weights of rows [batch][P], in state_dict order."""
        at = 0
        with torch.no_grad():
            for layer, (inputs, outputs) in enumerate(zip(DIMS, DIMS[1:])):
                weight, bias = self.params[2 * layer : 2 * layer + 2]
                middle, end = at + inputs * outputs, at + (inputs + 1) * outputs
                weight.copy_(rows[:, at:middle].reshape(-1, outputs, inputs).transpose(1, 2))
                bias.copy_(rows[:, middle:end].reshape(-1, 1, outputs))
                at = end


def rate(fits: Fits, seconds: float) -> float:
    """INR-steps a second."""
    fits.advance(2)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        fits.advance(5)
        steps += 5
    return steps * len(fits.images) / (time.perf_counter() - start)


def polyview(program: str, *words: object) -> dict[str, Any]:
    """The result of a polyview command."""
    command = [program, *map(str, words)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"peer_fit: {' '.join(command)} failed:\n{run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def best_batch(images: torch.Tensor, seconds: float) -> int:
    """The number of INRs in flight that suits PyTorch best here."""
    rates = {batch: rate(Fits(images[:batch], 1), seconds) for batch in (1, 4, 16, 64, 256)}
    print("PyTorch, INRs in flight: " + ", ".join(f"{b}: {r:.0f} INR-steps/s" for b, r in rates.items()))
    return max(rates, key=rates.__getitem__)


def compare(args: argparse.Namespace) -> None:
    images = read_images(args.data, 256)
    batch = args.batch or best_batch(images, args.seconds / 4)
    theirs: list[float] = []
    ours: list[float] = []
    for _ in range(args.repeats):
        theirs.append(rate(Fits(images[:batch], 1), args.seconds))
        if args.polyview:
            words = ("--seconds", args.seconds, "--steps", 100, "--set", f"signal.path={args.data}", "--json")
            with tempfile.TemporaryDirectory() as work:
                result = polyview(args.polyview, "bench", "fit", "--dir", work, *words)
            ours.append(result["inr_steps_per_s_core"])
    print(
        f"PyTorch {torch.__version__}, {batch} INRs in flight: {statistics.median(theirs):.0f} INR-steps/s per core"
    )
    if ours:
        ratio = statistics.median(o / t for o, t in zip(ours, theirs))
        print(f"Polyview, {result['instruction_set']}: {statistics.median(ours):.0f} INR-steps/s per core")
        print(f"ratio {ratio:.2f} (median of {args.repeats} pairs, in turn)")


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
    for first, images in enumerate(read_images(args.data, args.images).split(BATCH)):
        fits = Fits(images, 1 + first)
        if starts is not None:
            fits.start_from(starts[first * BATCH :][:BATCH])
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
    parser.add_argument("--batch", type=int, help="INRs in flight in PyTorch (default: the fastest of a few)")
    parser.add_argument("--seconds", type=float, default=4, help="of one measurement (4)")
    parser.add_argument("--repeats", type=int, default=5, help="pairs of measurements (5)")
    parser.add_argument("--images", type=int, default=256, help="of --quality (256)")
    parser.add_argument("--steps", type=int, default=1000, help="of --quality (1000)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.quality:
        quality(args)
    else:
        compare(args)


if __name__ == "__main__":
    main()
