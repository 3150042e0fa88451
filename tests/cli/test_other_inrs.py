"""What comes after the fit takes INRs of any coordinates, channels and widths: shapes in space and waves, on any ranks."""

import json
import sys
from pathlib import Path

from drawn import write_box
from harness import check, one_error, polyview, run_tests, write_config

KINDS = ("dws", "gnn", "mlp", "tokens", "scalegmn", "probe")


def losses(path: Path) -> list[float]:
    records = [json.loads(line) for line in Path(f"{path}.jsonl").read_text().splitlines()]
    return [record["train_loss"] for record in records if record.get("event") == "epoch"]


def train(config: Path, output: Path, ranks: int, *sets: str) -> list[float]:
    words = [f"--set={word}" for word in (f"train.output={output}", *sets)]
    run = polyview("train", "--config", config, "--quiet", *words, ranks=ranks)
    if run.status != 0:
        raise ValueError(str(run))
    return losses(output)


def each_model_takes(work: Path, config: Path, what: str) -> None:
    for place, kind in enumerate(KINDS):
        ranks = 2 + 2 * (place % 2)
        sets = [f"model.kind={kind}"] + ["train.normalise=none", "model.points=9"] * (kind == "probe")
        found = [train(config, work / f"{kind}-{count}.h5", count, *sets) for count in (1, ranks)]
        check(
            len(found[0]) == 2 and found[0] == found[1],
            f"{kind} trains on {what}, on {ranks} ranks as on one",
            found,
        )
    model, store = work / "mlp-1.h5", work / "store.h5"
    for judged in (model, work / "probe-1.h5"):
        run = polyview("eval", "--model", judged, "--store", store, "--split", "test", ranks=3)
        check(run.status == 0 and 0 <= run.json["accuracy"] <= 1, f"eval judges a model of {what}", run)
    run = polyview("train", "--config", config, "--set", "model.kind=probe", "--fresh", ranks=2)
    check(one_error(run, 2, "train.normalise: none"), "probe wants weights as they are", run)
    signs = (
        "--set",
        "model.kind=scalegmn",
        "--set",
        f"train.output={work}/signs.h5",
        "--set",
        "train.epochs=1",
    )
    for how, warned in (("entry", True), ("scale", False)):
        run = polyview("train", "--config", config, *signs, "--set", f"train.normalise={how}", "--fresh")
        told = "train.normalise: scale" in run.stderr
        check(run.status == 0 and told == warned, f"scalegmn without signs ({how}: {warned}) warns", run)
    run = polyview("align", store, "--objects", 4, "--quiet", ranks=2)
    check(run.status == 0 and run.json["pairs"] == 4, f"align matches views of {what}", run)
    run = polyview("probe", "--model", model, "--store", store, "--method", "ridge", "--quiet", ranks=4)
    check(run.status == 0 and 0 <= run.json["test_accuracy"] <= 1, f"probe takes a model of {what}", run)


def common(**augment: object) -> dict:
    return {
        "model": {"hidden": 8, "layers": 1},
        "train": {"epochs": 2, "batch": 8, "reduce": "ordered", "micro_batch": 2, "align": "signed"},
        "augment": [augment, {"kind": "mixup_aligned"}],
    }


def shapes(work: Path) -> None:
    """Flat boxes and long ones."""
    for i in range(8):
        for kind, sides in (("flat", (9 + i, 9, 2)), ("long", (2, 2, 9 + i))):
            split = "train" if i < 6 else "test"
            write_box(work / "images" / kind / split / f"{kind}_{i:04}.off", sides)
    config = write_config(
        work,
        signal={"source": "shapes", "samples": 256, "heldout": 64, "train": 10, "val": 2, "test": 4},
        inr={"hidden": [16, 16, 16], "w0": 10, "offset": 0.0},
        **common(kind="rotate", axis="any", amount=180),
    )
    run = polyview("fit", "--config", config, "--quiet", ranks=2)
    check(run.status == 0 and run.json["fitted"] == 32, "shapes are fitted", run)
    each_model_takes(work, config, "shapes")
    for ranks in (1, 4):
        run = polyview("bench", "train", "--config", config, "--seconds", 0.2, "--json", ranks=ranks)
        check(
            run.status == 0 and run.json["dims"] == [3, 16, 16, 16, 1],
            f"bench train makes up INRs of the config's signal, on {ranks} ranks",
            run,
        )


def waves(work: Path) -> None:
    config = write_config(work, signal={}, **common(kind="scale"))
    text = json.loads(config.read_text())
    text["signal"] = {"source": "sine", "samples": 64, "train": 12, "val": 4, "test": 4}
    config.write_text(json.dumps(text))
    run = polyview("fit", "--config", config, "--quiet", ranks=3)
    check(run.status == 0 and run.json["fitted"] == 40, "waves are fitted", run)
    each_model_takes(work, config, "waves")


if __name__ == "__main__":
    sys.exit(run_tests(shapes, waves))
