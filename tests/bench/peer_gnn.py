"""Times training steps of the published relational transformer (PyTorch) and of ours, on one core, in one run.

peer_gnn.py CHECKOUT [--batch N ...] [--seconds S] [--bench build/tests/bench/bench_model]
         [--precision float32|bfloat16]

CHECKOUT is a directory with the published code (github.com/AvivSham/deep-weight-space-augmentations); both models have
its default sizes, dropout 0.2, INRs 2-32-32-1, cross entropy and AdamW.  Prints one line of JSON.
"""

import json
import sys
import types

import peer_model


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


def main() -> None:
    args = peer_model.parse(__doc__, batch=8, seconds=20)
    torch = peer_model.need_torch("peer_gnn")
    sys.path.insert(0, args.checkout)
    try:
        import einops  # noqa: F401
    except ImportError:
        stand_in_for_einops()
    try:
        from models.relation_transformer.models import RelationTransformer
    except ModuleNotFoundError:
        peer_model.skip("peer_gnn", f"{args.checkout} does not hold the published code")
    model = RelationTransformer(
        d_in=1, layer_layout=peer_model.DIMS, inr_model=None, d_out=peer_model.CLASSES
    )
    print(json.dumps(peer_model.compared(torch, model, args, "gnn 64/32/128x4")))


if __name__ == "__main__":
    main()
