"""The published DWS classifier trained by PyTorch and ours, on the same store with the same settings.

    peer_train.py --published DIR --polyview build/polyview --store store.h5 [--seeds 1 2 3] [--epochs 20] [--mixup]
                  [--kept FILE]

DIR is a checkout of the published code (github.com/AvivSham/deep-weight-space-augmentations), whose model is trained here
as its trainer does it: AdamW with AMSGrad, rate 1e-3, weight decay 5e-4, batches of 256 in a new order every epoch,
entries standardised by the training split.  With --mixup both mix every sample with another of any class that is aligned
to it, theirs by its own class (which wants matplotlib, scipy and wandb), on weights that are not standardised yet.  Both
keep the epoch with the best validation accuracy and report its test accuracy; both score view 0.  The store must hold the
splits train, val and test.  With --kept what a seed gave is kept in the file, a line a run, and taken from there the next
time.  Without PyTorch or DIR it says so and ends with status 0; with status 1 if the test accuracies of the two do not
overlap between seeds.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Iterator

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "analysis"))

HIDDEN, LAYERS, BATCH, LR, WEIGHT_DECAY, CLASSES = 16, 2, 256, 1e-3, 5e-4, 10


def scores(model: Any, loader: Any) -> float:
    import torch

    model.eval()
    right = total = 0
    with torch.no_grad():
        for batch in loader:
            right += int((model((batch.weights, batch.biases)).argmax(1) == batch.label).sum())
            total += len(batch.label)
    return right / total


class InMemory:
    """The batches of a data set, all of it in memory, in a new order every time or in order."""

    def __init__(self, dataset: Any, shuffle: bool) -> None:
        import torch

        self.all = torch.utils.data.default_collate([dataset[i] for i in range(len(dataset))])
        self.shuffle = shuffle

    def __iter__(self) -> Iterator[Any]:
        import torch

        count = len(self.all.label)
        order = torch.randperm(count) if self.shuffle else torch.arange(count)
        for chosen in order.split(BATCH):
            yield type(self.all)(*self.rows(chosen), self.all.label[chosen])

    def rows(self, chosen: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(w[chosen] for w in self.all.weights), tuple(b[chosen] for b in self.all.biases)


class Mixed:
    """The same of raw rows, each mixed with another by the published class, then standardised; labels are shares."""

    def __init__(self, raw: Any, normalised: Any) -> None:
        from augmentations.augmentations import mixup_augs

        from polyview.torch import by_layer

        self.raw, self.mixup = InMemory(raw, True), mixup_augs["rebasin"]
        mean, std = normalised.statistics
        self.mean, self.std = by_layer(mean, raw.store.layout), by_layer(std, raw.store.layout)

    def one(self, number: int) -> Any:
        import torch

        weights, biases = self.raw.rows(number)
        partner = random.randint(0, len(self.raw.all.label) - 1)
        names = [[f"seq.{layer}.{what}" for layer in range(len(weights))] for what in ("weight", "bias")]
        mixed = self.mixup(weights, biases, *self.raw.rows(partner), *names)
        own, other = (torch.nn.functional.one_hot(self.raw.all.label[i], CLASSES) for i in (number, partner))
        return mixed.weights, mixed.biases, mixed.alpha * own + (1 - mixed.alpha) * other

    def __iter__(self) -> Iterator[Any]:
        import torch

        for chosen in torch.randperm(len(self.raw.all.label)).split(BATCH):
            *rows, label = torch.utils.data.default_collate([self.one(int(number)) for number in chosen])
            standard = [
                tuple((x - mean) / std for x, mean, std in zip(tensors, self.mean[i], self.std[i]))
                for i, tensors in enumerate(rows)
            ]
            yield type(self.raw.all)(*standard, label)


def train_published(store: Path, seed: int, epochs: int, mixup: bool) -> dict[str, float]:
    import torch
    from models.models import CannibalModelForClassification
    from polyview.torch import ViewDataset

    torch.manual_seed(seed)
    random.seed(seed)
    data = ViewDataset(store, "train", normalize=True)
    plain = InMemory(data, True)
    train = Mixed(ViewDataset(store, "train"), data) if mixup else plain
    val, test = (
        InMemory(ViewDataset(store, split, normalize=True, statistics=data.statistics), False)
        for split in ("val", "test")
    )
    model = CannibalModelForClassification(
        weight_shapes=tuple(tuple(weight.shape[1:3]) for weight in plain.all.weights),
        bias_shapes=tuple((bias.shape[1],) for bias in plain.all.biases),
        input_features=1,
        hidden_dim=HIDDEN,
        n_hidden=LAYERS,
        n_classes=CLASSES,
        reduction="max",
        set_layer="ds",
        bn=True,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, amsgrad=True, weight_decay=WEIGHT_DECAY)
    best = {"val": -1.0, "test": 0.0}
    seconds = 0.0
    for _ in range(epochs):
        start = time.monotonic()
        model.train()
        for batch in train:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model((batch.weights, batch.biases)), batch.label)
            loss.backward()
            optimizer.step()
        seconds += time.monotonic() - start
        accuracy = scores(model, val)
        if accuracy > best["val"]:
            best = {"val": accuracy, "test": scores(model, test)}
    return best | {"samples_per_s": epochs * len(plain.all.label) / seconds}


def train_ours(polyview: Path, store: Path, seed: int, epochs: int, mixup: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="polyview-peer-") as name:
        config = {
            "store": str(store),
            "model": {
                "kind": "dws",
                "hidden": HIDDEN,
                "layers": LAYERS,
                "set_layer": "ds",
                "batch_norm": True,
            },
            "train": {
                "output": f"{name}/model.h5",
                "epochs": epochs,
                "batch": BATCH,
                "lr": LR,
                "weight_decay": WEIGHT_DECAY,
                "seed": seed,
            },
            "augment": [{"kind": "mixup_aligned"}] if mixup else [],
        }
        path = Path(name) / "config.yaml"
        path.write_text(json.dumps(config))
        command = [str(polyview), "train", "--config", str(path), "--quiet"]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(run.stdout.splitlines()[-1])
    return {
        "val": result["best_val_accuracy"],
        "test": result["test_accuracy"],
        "samples_per_s": result["samples_per_s"],
    }


def kept(file: Path | None, what: dict[str, Any]) -> dict[str, float] | None:
    """What an earlier run of the same gave."""
    if not file or not file.exists():
        return None
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return next((line["result"] for line in lines if line["run"] == what), None)


def keep(file: Path | None, what: dict[str, Any], result: dict[str, float]) -> dict[str, float]:
    if file:
        with file.open("a") as to:
            print(json.dumps({"run": what, "result": result}), file=to)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--published", type=Path, required=True)
    parser.add_argument("--polyview", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--mixup", action="store_true", help="aligned MixUp of every sample")
    parser.add_argument("--kept", type=Path, help="file of what seeds gave")
    args = parser.parse_args()
    try:
        import torch
    except ImportError:
        print("peer_train: skipped: PyTorch is not installed (Debian: python3-torch)", file=sys.stderr)
        return 0
    if not (args.published / "models" / "models.py").exists():
        print(f"peer_train: skipped: {args.published} does not hold the published code", file=sys.stderr)
        return 0
    torch.set_num_threads(1)
    sys.path.insert(0, str(args.published))
    trained = {
        "published": lambda seed: train_published(args.store, seed, args.epochs, args.mixup),
        "polyview": lambda seed: train_ours(args.polyview, args.store, seed, args.epochs, args.mixup),
    }
    found: dict[str, list[dict[str, float]]] = {who: [] for who in trained}
    for seed in args.seeds:
        for who, train in trained.items():
            what = {
                "who": who,
                "seed": seed,
                "epochs": args.epochs,
                "mixup": args.mixup,
                "store": str(args.store),
            }
            found[who].append(kept(args.kept, what) or keep(args.kept, what, train(seed)))
            print(f"seed {seed} {who:10}", json.dumps(found[who][-1]), flush=True)
    tests = {who: [run["test"] for run in runs] for who, runs in found.items()}
    for who, accuracies in tests.items():
        spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
        print(
            f"{who:10} test accuracy {statistics.mean(accuracies):.4f} +- {spread:.4f} over {len(args.seeds)} seeds"
        )
    one, other = tests.values()
    overlap = max(min(one), min(other)) <= min(max(one), max(other))
    print(json.dumps({"runs": found, "seeds_overlap": overlap}))
    return 0 if overlap else 1


if __name__ == "__main__":
    sys.exit(main())
