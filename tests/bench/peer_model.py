"""What the timings beside published PyTorch models share: random INRs 2-32-32-1, the loop of training steps, our bench."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import Any

DIMS = [2, 32, 32, 1]
CLASSES = 10


def parse(doc: str, batch: int, seconds: float) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout")
    parser.add_argument(
        "--batch",
        type=int,
        nargs="+",
        default=[batch],
        help="of the published model, its best counts; ours: 64",
    )
    parser.add_argument("--seconds", type=float, default=seconds, help="for each rate")
    parser.add_argument("--bench", default="build/tests/bench/bench_model")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="of ours")
    return parser.parse_args()


def skip(title: str, why: str) -> None:
    print(f"{title}: skipped: {why}", file=sys.stderr)
    sys.exit(0)


def need_torch(title: str) -> Any:
    """PyTorch on one thread; ends the program with status 0 where it is missing."""
    try:
        import torch
    except ImportError:
        skip(title, "torch is not installed (Debian: python3-torch)")
    torch.manual_seed(1)
    torch.set_num_threads(1)
    return torch


def rate_of(torch: Any, model: Any, batch: int, seconds: float) -> float:
    """Samples a second of the fastest training step: forward, cross entropy, backward, AdamW."""
    optim = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=5e-4, amsgrad=True)
    weights = tuple(torch.randn(batch, a, b, 1) for a, b in zip(DIMS[:-1], DIMS[1:]))
    biases = tuple(torch.randn(batch, b, 1) for b in DIMS[1:])
    labels = torch.randint(CLASSES, (batch,))
    best, start, steps = float("inf"), time.perf_counter(), 0
    while steps < 3 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        optim.zero_grad()
        torch.nn.functional.cross_entropy(model((weights, biases)), labels).backward()
        optim.step()
        best = min(best, time.perf_counter() - before)
        steps += 1
    return batch / best


def compared(torch: Any, model: Any, args: argparse.Namespace, title: str) -> dict[str, Any]:
    """The published model as it is and, where PyTorch can, compiled, each at its best batch; then ours."""
    ways = {"eager": model} | ({"compiled": torch.compile(model)} if hasattr(torch, "compile") else {})
    found: dict[str, Any] = {"pytorch": torch.__version__}
    rates = {
        way: max((rate_of(torch, theirs, batch, args.seconds), batch) for batch in args.batch)
        for way, theirs in ways.items()
    }
    ours = rate_ours(args.bench, args.seconds, title, args.precision)
    for way, (rate, batch) in rates.items():
        found |= {f"{way}_samples_per_s_core": round(rate, 2), f"{way}_batch": batch}
    found |= {"polyview_samples_per_s_core": round(ours, 2), "polyview_precision": args.precision}
    return found | {f"times_{way}": round(ours / rate, 2) for way, (rate, _) in rates.items()}


def rate_ours(bench: str, seconds: float, title: str, precision: str) -> float:
    """Samples a second of the fastest step, batch 64, of the bench's first line that begins so."""
    with subprocess.Popen([bench, str(seconds), title, precision], stdout=subprocess.PIPE, text=True) as process:
        line = next(line for line in process.stdout or [] if line.startswith(title))
        process.terminate()
    return float(line.split("samples/s")[0].split()[-1])
