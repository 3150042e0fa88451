"""Times training steps of the published DWS classifier (PyTorch) and of ours, on one core, in one run.

peer_dws.py CHECKOUT [--batch N ...] [--seconds S] [--bench build/tests/bench/bench_model]
         [--precision float32|bfloat16]

CHECKOUT is a directory with the published code: github.com/AvivSham/deep-weight-space-augmentations, or the older
github.com/AvivNavon/DWSNets.  Both models have hidden 32, 4 hidden layers, max pooling, batch norm, no dropout, INRs
2-32-32-1, cross entropy and AdamW.  They take turns, set layer by set layer: PyTorch as it is and compiled, where it
can, each at the best of the batches, then ours.  Prints one line of JSON for each.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import peer_model

# Module and class of the model in the published repositories.
PUBLISHED = [("models.models", "CannibalModelForClassification"), ("nn.models", "DWSModelForClassification")]


def find_published(checkout: str) -> Any:
    sys.path.insert(0, checkout)
    for module, name in PUBLISHED:
        try:
            return getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as missing:
            if missing.name not in (module, module.split(".")[0]):
                raise
    peer_model.skip("peer_dws", f"{checkout} does not hold the published code")


def main() -> None:
    args = peer_model.parse(__doc__, batch=64, seconds=20)
    torch = peer_model.need_torch("peer_dws")
    published = find_published(args.checkout)
    shapes = list(zip(peer_model.DIMS[:-1], peer_model.DIMS[1:]))
    for set_layer in ("ds", "sab"):
        model = published(
            weight_shapes=tuple(shapes),
            bias_shapes=tuple((rows,) for _, rows in shapes),
            input_features=1,
            hidden_dim=32,
            n_hidden=4,
            n_classes=peer_model.CLASSES,
            reduction="max",
            set_layer=set_layer,
            bn=True,
        )
        found = peer_model.compared(torch, model, args, f"dws 32x4 {set_layer} bn")
        print(json.dumps({"set_layer": set_layer} | found), flush=True)


if __name__ == "__main__":
    main()
