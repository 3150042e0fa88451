"""Plans: predictions from given figures and from measured ones, and held against runs."""

import json
import sys
from pathlib import Path

from harness import check, polyview, refused, run_tests, write_config, write_images

FIGURES = {
    "measured_nodes": 1,
    "measured_ranks_per_node": 1,
    "spread": 0.02,
    "fit_step_s": 1e-4,
    "view_s": 1e-3,
    "view_io_s": 1e-4,
    "fit_start_s": 0.1,
    "fit_start_io_s": 0.1,
    "fit_start_mpi_s": 0,
    "train_step_s": 1e-3,
    "train_sample_s": 1e-4,
    "train_mpi_step_s": 0,
    "gradient_bytes": 1e6,
    "small_reductions": 5,
    "small_bytes": 400,
    "eval_sample_s": 5e-5,
    "epoch_s": 0.01,
    "train_start_s": 0.2,
    "train_start_io_s": 0.1,
    "train_start_mpi_s": 0.05,
    "row_load_s": 1e-6,
    "row_io_s": 1e-6,
    "counter_s": 2e-6,
    "open_rank_s": 2e-5,
    "rank_mib": 30,
    "model_mib": 20,
    "latency_inside_s": 5e-7,
    "byte_inside_s": 2e-10,
    "latency_between_s": 2e-6,
    "byte_between_s": 1e-10,
}
OBJECTS, VIEWS, STEPS = 37, 2, 20  # of the harness's config


def prepare(work: Path) -> tuple[Path, Path]:
    write_images(work / "images")
    figures = work / "figures.json"
    figures.write_text(json.dumps(FIGURES))
    return write_config(work), figures


def given_figures_are_used(work: Path) -> None:
    config, figures = prepare(work)
    runs = [
        polyview(
            "plan", "--config", config, "--figures", figures, "--nodes", n, "--ranks-per-node", r, ranks=k
        )
        for n, r, k in ((1, 1, 1), (1, 1, 2), (4, 16, 1), (64, 64, 1))
    ]
    check(all(run.status == 0 for run in runs), "a plan needs no cluster", *runs)
    one, same, cluster, large = (run.json for run in runs)
    fit = OBJECTS * VIEWS * (STEPS * 1e-4 + 1e-3)
    check(
        abs(one["fit"]["compute_s"] - fit) < 1e-6 * fit,
        "the computing of a fit is rows times what one takes",
        one["fit"],
        fit,
    )
    check(one["fit"] == same["fit"], "who plans does not change the plan", one, same)
    check(
        one["fit"]["low_s"] < one["fit"]["wall_s"] < one["fit"]["high_s"]
        and one["train"]["low_s"] < one["train"]["wall_s"] < one["train"]["high_s"],
        "predictions have an error bar",
        one,
    )
    check(
        cluster["fit"]["compute_s"] * 64 - fit < 1e-6 and cluster["train"]["communication_s"] > 0,
        "64 ranks share the work, and talk",
        cluster,
    )
    check(
        large["train"]["high_s"] / large["train"]["wall_s"] > one["train"]["high_s"] / one["train"]["wall_s"],
        "the bar grows away from what was measured",
        large,
    )
    check(
        large["fit"]["node_hours"] > one["fit"]["node_hours"]
        and large["fit"]["file_mib"] == one["fit"]["file_mib"],
        "nodes cost, whatever their number the store is the same",
        large,
    )


def a_narrow_wire_is_planned(work: Path) -> None:
    """On nodes of one rank and a network whose bytes are what takes time, half the bytes are half the time."""
    config, figures = prepare(work)
    figures.write_text(json.dumps(FIGURES | {"byte_between_s": 8e-8, "train_sample_s": 0}))
    words = ["plan", "--config", config, "--figures", figures, "--nodes", 4, "--ranks-per-node", 1]
    runs = [polyview(*words, "--set", f"train.wire={wire}") for wire in ("float32", "bfloat16")]
    whole, narrow = (run.json["train"]["gradient_s"] for run in runs)
    check(abs(narrow / whole - 0.5) < 1e-3, "bfloat16 takes half as long as float32", *runs)


def measured_figures_plan_the_run(work: Path) -> None:
    """Of a batch in parts of which the smaller batches that are measured hold too few."""
    prepare(work)
    parts = {"batch": 24, "accumulate": 8, "reduce": "ordered", "micro_batch": 2}
    config = write_config(work, train=parts)
    plan = polyview("plan", "--config", config, "--dir", work, ranks=2, timeout=240)
    check(
        plan.status == 0 and plan.json["ranks_per_node"] == 2 and plan.json["figures"]["fit_step_s"] > 0,
        "a plan measures on its own ranks",
        plan,
    )
    left = [
        path.name for path in work.iterdir() if path.name not in ("images", "config.yaml", "figures.json")
    ]
    check(not left, "and leaves nothing behind", left)
    saved = work / "plan.json"
    saved.write_text(plan.stdout)
    for command, output in (("fit", "store.h5"), ("train", "model.h5")):
        run = polyview(command, "--config", config, ranks=2)
        compared = polyview(
            "plan", "--config", config, "--figures", saved, "--compare", work / f"{output}.runs.jsonl"
        )
        result = compared.json
        check(
            run.status == compared.status == 0
            and result["compared"] == command
            and result["ranks_per_node"] == 2
            and result["ratio"] > 0
            and abs(result["planned"]["wall_s"] / result["measured_wall_s"] - result["ratio"])
            < 1e-3 * result["ratio"],
            f"a finished {command} is held against the plan",
            compared,
        )


def bad_words_are_refused(work: Path) -> None:
    config, figures = prepare(work)
    broken, empty = work / "broken.json", work / "empty.jsonl"
    broken.write_text(json.dumps(FIGURES | {"fit_step_s": -1}))
    empty.write_text('{"command": "verify"}\n')
    plan = ["plan", "--config", config, "--figures"]
    refused("a plan without a config", ["plan"], 2, "--config")
    refused("no nodes", plan + [figures, "--nodes", 0], 2, "--nodes")
    refused("a negative figure", plan + [broken], 3, "fit_step_s")
    refused("no figures", plan + [work / "none.json"], 3, "none.json")
    refused("records of no fit", plan + [figures, "--compare", empty], 3, "empty.jsonl")
    refused("ranks beside a record", plan + [figures, "--compare", empty, "--nodes", 2], 2, "--compare")


def messages_are_timed(work: Path) -> None:
    config, _ = prepare(work)
    for ranks, a_node, wire in ((1, 0, "float32"), (3, 0, "float32"), (4, 2, "bfloat16")):
        run = polyview(
            "bench",
            "comm",
            "--config",
            config,
            "--dir",
            work,
            "--set",
            f"train.wire={wire}",
            ranks=ranks,
            timeout=120,
            POLYVIEW_NODE_RANKS=a_node,
        )
        figures = run.json
        check(
            run.status == 0
            and min(figures[key] for key in figures if key.endswith(("_us", "_ms"))) > 0
            and figures["inside"]["measured"] == (ranks > 1)
            and figures["between"]["measured"] == (a_node > 0),
            f"bench comm times messages on {ranks} ranks, {max(1, ranks // a_node if a_node else 1)} node(s)",
            run,
        )


if __name__ == "__main__":
    sys.exit(
        run_tests(
            given_figures_are_used,
            a_narrow_wire_is_planned,
            measured_figures_plan_the_run,
            bad_words_are_refused,
            messages_are_timed,
        )
    )
