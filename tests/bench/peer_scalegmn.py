"""Times training steps of the published ScaleGMN (PyTorch) and of ours, on one core, in one run.

peer_scalegmn.py CHECKOUT [--batch N] [--seconds S] [--bench build/tests/bench/bench_model]
         [--precision float32|bfloat16]

CHECKOUT is a directory with the published code (github.com/jkalogero/scalegmn), which needs torch_geometric.  Both models
are those of FashionMNIST, signs and permutations, forward, dropout 0.2, INRs 2-32-32-1, cross entropy and AdamW; the
published one is given graphs that are made already.  Prints one line of JSON.
"""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import peer_model

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "oracle"))
CASE = {"dims": peer_model.DIMS, "hidden": 128, "layers": 2, "classes": peer_model.CLASSES, "dropout": 0.2}


def main() -> None:
    args = peer_model.parse(__doc__, batch=16, seconds=20)
    torch = peer_model.need_torch("peer_scalegmn")
    sys.path.insert(0, args.checkout)
    try:
        import make_scalegmn
        import yaml

        settings = yaml.safe_load((Path(args.checkout) / make_scalegmn.SETTINGS).read_text())
        model = make_scalegmn.model_of(settings["scalegmn_args"], CASE)
    except (ModuleNotFoundError, FileNotFoundError) as error:
        peer_model.skip("peer_scalegmn", f"the published code does not run: {error}")

    class OnGraphs(torch.nn.Module):
        """The model on one batch of graphs, which it changes."""

        def __init__(self, net: Any) -> None:
            super().__init__()
            self.net = net
            weights = sum((a + 1) * b for a, b in zip(peer_model.DIMS, peer_model.DIMS[1:]))
            self.batch = make_scalegmn.graphs(CASE, torch.randn(args.batch[0], weights))

        def forward(self, _: Any) -> Any:
            return self.net(copy.copy(self.batch))

    theirs = peer_model.rate_of(torch, OnGraphs(model), args.batch[0], args.seconds)
    ours = peer_model.rate_ours(args.bench, args.seconds, "scalegmn 128x2", args.precision)
    print(
        json.dumps(
            {
                "pytorch": torch.__version__,
                "published_samples_per_s_core": round(theirs, 2),
                "published_batch": args.batch[0],
                "polyview_samples_per_s_core": round(ours, 2),
                "ratio": round(ours / theirs, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
