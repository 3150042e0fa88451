"""Times training steps of the published relational transformer (PyTorch) and of ours, on one core, in one run.

peer_gnn.py CHECKOUT [--batch N] [--seconds S] [--bench build/tests/bench/bench_model]

CHECKOUT is a directory with the published code (github.com/AvivSham/deep-weight-space-augmentations); both models have
its default sizes, dropout 0.2, INRs 2-32-32-1, cross entropy and AdamW.  Prints one line of JSON.
"""

import argparse
import json
import subprocess
import sys
import time
import types


def stand_in_for_einops() -> None:
    """The few rearrangements that the model asks of einops, where it is not installed."""
    import torch

    class SplitNode(torch.nn.Module):
        def __init__(self, heads: int) -> None:
            super().__init__()
            self.heads = heads

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(x.size(0), x.size(1), self.heads, -1).permute(0, 2, 1, 3)

    class SplitEdge(torch.nn.Module):
        def __init__(self, heads: int) -> None:
            super().__init__()
            self.heads = heads

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(x.size(0), x.size(1), x.size(2), self.heads, -1).permute(0, 3, 1, 2, 4)

    class JoinHeads(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.transpose(1, 2).flatten(2, 3)

    class Turn(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.transpose(1, 2)

    def rearrange(pattern: str, h: int = 1) -> torch.nn.Module:
        return {
            "b n (h d) -> b h n d": lambda: SplitNode(h),
            "b n m (h d) -> b h n m d": lambda: SplitEdge(h),
            "... h n d -> ... n (h d)": JoinHeads,
            "b n m d -> b m n d": Turn,
        }[pattern]()

    einops, layers, leaf = (types.ModuleType(n) for n in ("einops", "einops.layers", "einops.layers.torch"))
    leaf.Rearrange = rearrange
    sys.modules.update({"einops": einops, "einops.layers": layers, "einops.layers.torch": leaf})


def time_published(batch: int, seconds: float) -> float:
    """Samples a second, of the fastest step."""
    import torch
    from models.relation_transformer.models import RelationTransformer

    torch.manual_seed(1)
    torch.set_num_threads(1)
    dims = [2, 32, 32, 1]
    model = RelationTransformer(d_in=1, layer_layout=dims, inr_model=None, d_out=10)
    optim = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=5e-4, amsgrad=True)
    weights = tuple(torch.randn(batch, a, b, 1) for a, b in zip(dims[:-1], dims[1:]))
    biases = tuple(torch.randn(batch, b, 1) for b in dims[1:])
    labels = torch.randint(10, (batch,))
    best, start, steps = float("inf"), time.perf_counter(), 0
    while steps < 3 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        optim.zero_grad()
        torch.nn.functional.cross_entropy(model((weights, biases)), labels).backward()
        optim.step()
        best = min(best, time.perf_counter() - before)
        steps += 1
    return batch / best


def time_ours(bench: str, seconds: float) -> float:
    """Samples a second, of the fastest step, batch 64."""
    text = subprocess.run([bench, str(seconds), "gnn"], check=True, capture_output=True, text=True).stdout
    line = next(line for line in text.splitlines() if line.startswith("gnn") and "no dropout" not in line)
    return float(line.split("samples/s")[0].split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout")
    parser.add_argument("--batch", type=int, default=8, help="of the published model; ours has 64")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--bench", default="build/tests/bench/bench_model")
    args = parser.parse_args()
    try:
        import torch  # noqa: F401
    except ImportError:
        print("peer_gnn: skipped: torch is not installed (Debian: python3-torch)", file=sys.stderr)
        return
    sys.path.insert(0, args.checkout)
    try:
        import einops  # noqa: F401
    except ImportError:
        stand_in_for_einops()
    published = time_published(args.batch, args.seconds)
    ours = time_ours(args.bench, args.seconds)
    print(
        json.dumps(
            {
                "published_samples_per_s_core": round(published, 2),
                "published_batch": args.batch,
                "polyview_samples_per_s_core": round(ours, 2),
                "ratio": round(ours / published, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
