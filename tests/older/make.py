"""Makes the files of this folder with the program of an older version: stores, models, checkpoints, configs, and
what that program made of them later.  Usage: make.py PROGRAM.  tests/cli/test_older_files.py hands them to the
program of today.

Everything is small, on the portable instruction set, with sums in a fixed order."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))
from harness import environment, write_images  # noqa: E402

SIGNAL = {"path": "images", "train": 21, "val": 7, "test": 9}
FITS = {
    "image": {"signal": SIGNAL, "inr": {"hidden": [8, 8]}, "fit": {"views": 2, "steps": 100, "lr": 5e-3}},
    "sine": {
        "signal": {"source": "sine", "train": 40, "val": 4, "test": 4, "samples": 32, "seed": 3},
        "inr": {"hidden": [8], "variant": "standard", "w0": 10, "offset": 0},
        "fit": {"steps": 60, "lr": 1e-2, "schedule": "cosine", "plateau_steps": 20, "batch": 16},
    },
}
EPOCHS, STOPPED = 4, 2
TRAIN = {"views": 2, "batch": 12, "micro_batch": 3, "reduce": "ordered", "log_steps": 1, "lr": 4e-3}
TRAININGS = {
    "dws": {
        "model": {"kind": "dws", "hidden": 8, "layers": 1},
        "train": {"canonical": "both", "clip": 1},
        "augment": [
            {"kind": "noise", "amount": 0.1},
            {"kind": "mixup_aligned", "p": 0.5, "signs": True, "lambda": "beta"},
        ],
    },
    "mlp": {
        "model": {"kind": "mlp", "hidden": 16, "layers": 2, "dropout": 0.1},
        "train": {"task": "simclr", "embedding": 8, "optimizer": "adam", "positives": "both"}
        | {"temperature": 0.5},
        "augment": [{"kind": kind} for kind in "translate rotate scale phase negation dropout".split()],
    },
    "gnn": {
        "model": {"kind": "gnn", "layers": 1, "heads": 2, "d_node": 8, "d_edge": 8, "d_attn": 8}
        | {"d_node_hid": 8, "d_edge_hid": 8, "d_out_hid": 8},
        "train": {"align": "signed", "normalise": "tensor"},
        "augment": [
            {"kind": "quantile_dropout", "p": 0.5},
            {"kind": "label_smoothing"},
            {"kind": "self_aligned"},
        ],
    },
    "inr2vec": {
        "model": {"kind": "inr2vec", "hidden": 8, "layers": 1, "heads": 2},
        "train": {"optimizer": "sgd", "warmup_steps": 3, "random_view": True},
        "augment": [{"kind": "permute"}, {"kind": "mixup", "partner": "object"}],
    },
}


# What a program tells that does not depend on the machine.
LASTING = "rows fitted mean_psnr_db best_epoch train_loss best_val_accuracy best_val_loss".split()
LASTING += "test_loss test_accuracy".split()
LASTING += "accuracy loss per_class width neighbours val_accuracy parameters".split()


def main() -> int:
    """The files, each by the program that is named."""
    program = str(Path(sys.argv[1]).resolve())
    os.chdir(HERE)

    def call(*words: object, status: int = 0) -> dict:
        command = [program, *map(str, words), "--quiet"]
        variables = environment() | {"POLYVIEW_ISA": "portable"}
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=variables)
        if run.returncode != status:
            raise SystemExit(f"status {run.returncode}: {' '.join(command)}")
        result = json.loads(run.stdout.splitlines()[-1])
        return {key: result[key] for key in LASTING if key in result}

    told: dict = {}
    write_images(Path("images"))
    for name, keys in FITS.items():
        views = keys["fit"].get("views", 1)
        Path(f"{name}.yaml").write_text(json.dumps(keys, indent=1) + "\n", encoding="utf-8")
        words = ["fit", "--config", f"{name}.yaml", "--store"]
        call(*words, f"{name}.h5", "--set", f"fit.views={views}", "--max-hours", 1e-5, status=75)
        told[name] = call(*words, f"{name}-later.h5", "--set", f"fit.views={views + 1}")
    for name, keys in TRAININGS.items():
        config = {"store": "image-later.h5"} | keys | {"train": TRAIN | keys["train"] | {"epochs": EPOCHS}}
        config["train"]["output"] = f"{name}.h5"
        Path(f"{name}.yaml").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        words = ["train", "--config", f"{name}.yaml", "--fresh", "--set"]
        told[name] = {"train": call(*words, f"train.output={name}-later.h5")}
        call(*words, f"train.epochs={STOPPED}")
        words = ["--model", f"{name}.h5", "--store", "image-later.h5"]
        if name != "mlp":  # an embedding has no classes to be right or wrong about
            told[name]["eval"] = call("eval", *words)
        told[name]["probe"] = call("probe", *words, "--method", "knn", "--neighbours", 3)
        for end in (".h5", ".h5.ckpt"):
            Path(f"{name}-later{end}").unlink()
    for path in [*HERE.glob("*.lock"), *HERE.glob("*.runs.jsonl")]:
        path.unlink()
    Path("told.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
