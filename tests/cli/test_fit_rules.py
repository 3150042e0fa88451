"""The rules of a fit: target, plateau, schedule and mini-batches give the same bytes on any ranks; views that
diverge start again, and their rows are refused when no attempt stays finite."""

import json
import sys
from pathlib import Path

import h5py
import numpy as np

from harness import ROOT, check, one_error, polyview, run_tests, write_config, write_images

sys.path.insert(0, str(ROOT / "analysis"))
from polyview.store import Store  # noqa: E402

OBJECTS, VIEWS = 21 + 7 + 9, 2
ROWS = OBJECTS * VIEWS
FITTED, REFUSED = 1, 2
ABSURD = 1e30  # a learning rate that no attempt survives
COLUMNS = "params view/status view/checksum view/psnr view/steps".split()


def columns(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: file[name][()] for name in COLUMNS}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> list[str]:
    """The columns that differ."""
    return [name for name in COLUMNS if a[name].tobytes() != b[name].tobytes()]


def the_same_bytes_on_any_ranks(work: Path) -> None:
    write_images(work / "images")
    recipes = {
        "mini-batches": {"steps": 40, "lr": 5e-3, "batch": 20},
        "operands of int16, polished": {"steps": 40, "precision": "int16", "polish": 9},
        "operands of bfloat16, by batches": {"steps": 40, "precision": "bfloat16", "batch": 20},
        "squares of bfloat16": {"steps": 40, "precision": "bfloat16_amx", "batch": 20, "polish": 3},
        "a target": {"steps": 300, "lr": 5e-3, "target_psnr": 24.0},
        "a plateau, by batches, under a cosine": {
            "steps": 300,
            "lr": 5e-3,
            "schedule": "cosine",
            "batch": 24,
            "plateau_steps": 20,
            "plateau_drop": 0.2,
        },
    }
    for name, fit in recipes.items():
        config, made = write_config(work, fit=fit), {}
        for ranks in (1, 2, 3):
            store = work / f"{ranks}.h5"
            store.unlink(missing_ok=True)
            run = polyview("fit", "--config", config, "--store", store, ranks=ranks)
            check(run.status == 0 and run.json["fitted"] == ROWS, f"{ranks} ranks fit by {name}", run)
            made[ranks] = columns(store)
            check(
                run.json["steps"] == int(made[ranks]["view/steps"].sum()),
                f"{ranks} ranks, {name}: the steps of the result are those of the rows",
                run.json,
            )
        for ranks in (2, 3):
            different = same(made[1], made[ranks])
            check(not different, f"{name}: {ranks} ranks make the same bytes as one", different)
        steps, psnr = made[1]["view/steps"], made[1]["view/psnr"]
        if "target" in name:
            early = steps < fit["steps"]
            check(
                early.any() and (psnr[early] >= fit["target_psnr"]).all() and len(np.unique(steps)) > 3,
                "rows that reach the target end early, each at its own step, and not below it",
                steps,
                psnr,
            )
        elif "plateau" in name:
            check((steps >= 20).all() and (steps < 300).any(), "rows that stand still end early", steps)
        else:
            check((steps == 40).all(), "without a stop rule every row takes every step", steps)


def a_resumed_store_is_the_same(work: Path) -> None:
    write_images(work / "images")
    config = write_config(work, fit={"steps": 60, "batch": 20, "target_psnr": 20.0})
    polyview("fit", "--config", config)
    whole = columns(work / "store.h5")
    with h5py.File(work / "store.h5", "r+") as file:
        status, rows = file["view/status"], file["params"]
        for view, object in ((0, 3), (1, 20), (1, 36)):
            status[view, object] = 0
            rows[view, object] = 7
    run = polyview("fit", "--config", config, ranks=2)
    check(
        run.status == 0 and run.json["fitted"] == 3 and not same(whole, columns(work / "store.h5")),
        "rows fitted again beside others are the same bytes",
        run,
    )


def a_store_is_resumed_by_its_own_rules(work: Path) -> None:
    write_images(work / "images")
    config = write_config(work, fit={"batch": 20})
    polyview("fit", "--config", config)
    others = {"batch": 30, "target_psnr": 30, "schedule": "cosine", "plateau_steps": 5, "precision": "int16"}
    for key, value in {**others, "polish": 5}.items():
        run = polyview("fit", "--config", config, "--set", f"fit.{key}={value}")
        check(one_error(run, 2, f"fit.{key}: {value}"), f"another fit.{key} would make other rows", run)
    run = polyview("fit", "--config", config, "--set", "fit.restarts=9")
    check(run.status == 0 and run.json["present"] == ROWS, "fit.restarts may change", run)


def a_store_is_repaired_in_its_precision(work: Path) -> None:
    write_images(work / "images")
    store = work / "store.h5"
    for precision in ("float32", "bfloat16", "bfloat16_amx", "int16"):
        store.unlink(missing_ok=True)
        config = write_config(work, fit={"steps": 30, "precision": precision, "polish": 3})
        polyview("fit", "--config", config)
        whole = columns(store)
        with h5py.File(store, "r+") as file:
            file["params"][1, 20] += 1
        run = polyview("verify", store, "--repair", ranks=2)
        check(
            run.status == 0 and run.json["repaired"] == 1 and not same(whole, columns(store)),
            f"a row fitted in {precision} is made again as it was",
            run,
        )
        told = polyview("info", store, "--json").json["fit_precision"]
        check(told == precision, "the store says in which precision its rows were fitted", told)


def objects_may_share_their_starts(work: Path) -> None:
    write_images(work / "images")
    still = {"steps": 1, "lr": 1e-12}  # weights stay where they start, but for nothing
    store, made = work / "store.h5", {}
    for init in ("independent", "shared"):
        for ranks in (1, 3):
            store.unlink(missing_ok=True)
            config = write_config(work, fit=still | {"init": init})
            run = polyview("fit", "--config", config, ranks=ranks)
            check(run.status == 0 and run.json["fitted"] == ROWS, f"{init} starts on {ranks} ranks", run)
            made[init, ranks] = columns(store)
        check(not same(made[init, 1], made[init, 3]), f"{init} starts are the same on any ranks")
        told = polyview("info", store, "--json").json["fit_init"]
        check(told == init, "the store says what its fits started from", told)
    starts = {}
    for init in ("independent", "shared"):
        rows = made[init, 1]["params"].reshape(ROWS, -1).round(6) + 0.0  # no -0
        starts[init] = len(np.unique(rows, axis=0))
    check(
        starts == {"independent": ROWS, "shared": VIEWS},
        "independent rows all start apart, shared ones of a view together and each view apart",
        starts,
    )
    run = polyview("fit", "--config", config, "--set", "fit.init=independent")
    check(one_error(run, 2, "fit.init: independent"), "a store is not resumed from other starts", run)
    run = polyview("train", "--config", config, "--set", "train.epochs=1", ranks=2)
    check(run.status == 0 and run.json["fit_init"] == "shared", "a training says it beside its accuracy", run)
    run = polyview("eval", "--model", work / "model.h5", "--store", store)
    check(run.status == 0 and run.json["fit_init"] == "shared", "so does an evaluation", run)
    run = polyview("probe", "--store", store, "--method", "ridge", "--features", "raw")
    check(run.status == 0 and run.json["fit_init"] == "shared", "so does a probe", run)


def a_fit_starts_by_its_variant(work: Path) -> None:
    """Before their first step pictures of `flat` hardly differ from the offset, others do."""
    write_images(work / "images")
    store, most = work / "store.h5", {}
    for variant in ("dwsnets", "standard", "flat"):
        made = {}
        for ranks in (1, 3):
            store.unlink(missing_ok=True)
            config = write_config(work, inr={"variant": variant}, fit={"steps": 1, "lr": 1e-12})
            run = polyview("fit", "--config", config, ranks=ranks)
            check(run.status == 0 and run.json["fitted"] == ROWS, f"{variant} starts on {ranks} ranks", run)
            made[ranks] = columns(store)
        check(not same(made[1], made[3]), f"{variant} starts are the same on any ranks")
        with Store(store) as fitted, h5py.File(store) as file:
            arch = json.loads(file.attrs["arch"])
            pictures = np.array([fitted.image(0, k) for k in range(8)])
            most[variant] = float(np.abs(pictures - arch["offset"]).max())
        check(arch["init"] == variant, "the store says how its fits started", arch)
    check(most["flat"] < 0.15 < min(most["dwsnets"], most["standard"]), "flat starts are nearly flat", most)
    run = polyview("fit", "--config", config, "--set", "inr.variant=dwsnets")
    check(one_error(run, 2, "inr.variant: dwsnets"), "a store is not resumed by another variant", run)
    run = polyview(
        "train", "--config", config, "--set", "train.epochs=1", "--set", "train.align=signed", ranks=2
    )
    check(
        run.status == 0, "rows of flat starts are aligned to a network that started so, and trained on", run
    )


def rows_that_never_stay_finite_are_refused(work: Path) -> None:
    write_images(work / "images")
    config, store, made = write_config(work, fit={"lr": ABSURD}), work / "store.h5", {}
    for ranks in (1, 2, 3):
        store.unlink(missing_ok=True)
        run = polyview("fit", "--config", config, ranks=ranks)
        result = run.json
        check(
            run.status == 0
            and (result["refused"], result["restarted"], result["fitted"]) == (ROWS, 3 * ROWS, 0)
            and f"{ROWS} of {ROWS} rows are refused" in run.stderr,
            f"{ranks} ranks try every row four times, refuse it, count it and end with status 0",
            run,
        )
        made[ranks] = columns(store)
    check(not same(made[1], made[2]) and not same(made[1], made[3]), "refused rows are the same on any ranks")
    check(
        (made[1]["view/status"] == REFUSED).all()
        and not made[1]["params"].any()
        and np.isnan(made[1]["view/psnr"]).all()
        and (made[1]["view/steps"] >= 1).all()
        and (made[1]["view/steps"] < 20).all(),
        "a refused row is zeros, its PSNR is NaN, its steps are those taken",
        made[1],
    )
    again = polyview("fit", "--config", config)
    check(
        again.status == 0 and again.json["restarted"] == 0 and again.json["refused"] == ROWS,
        "a later run leaves refused rows alone",
        again,
    )
    retried = polyview("fit", "--config", config, "--retry-refused", "--set", "fit.restarts=1")
    check(
        retried.status == 0 and retried.json["restarted"] == ROWS and retried.json["refused"] == ROWS,
        "--retry-refused tries them again",
        retried,
    )
    verify, info = polyview("verify", store), polyview("info", store, "--json")
    check(
        verify.status == 0
        and (verify.json["refused"], verify.json["missing"], verify.json["bad"]) == (ROWS, 0, 0),
        "verify counts refused rows, and does not call them bad",
        verify,
    )
    check(
        info.status == 0 and (info.json["refused"], info.json["fitted"]) == (ROWS, 0),
        "info counts them",
        info,
    )


def refused_rows_are_not_read(work: Path) -> None:
    write_images(work / "images")
    config, store = write_config(work), work / "store.h5"
    polyview("fit", "--config", config)
    with h5py.File(store, "r+") as file:
        for view, object in ((0, 5), (0, 11), (1, 4), (0, 30)):
            file["view/status"][view, object] = REFUSED
    for ranks in (1, 3):
        run = polyview("train", "--config", config, "--set", "train.views=2", ranks=ranks)
        check(
            one_error(run, 3, "3 refused row(s)", "view 0 of object 5", "--retry-refused"),
            f"train on {ranks} ranks names the first refused row and counts those of its split",
            run,
        )
    run = polyview("render", store, "--object", 5, "-o", work / "x.png")
    check(one_error(run, 3, "view 0 of object 5", "refused"), "render says that a row is refused", run)
    with Store(store) as reader:
        try:
            reader.row(0, 5)
            message = ""
        except ValueError as error:
            message = str(error)
    check("refused" in message, "the Python reader raises for a refused row", message)
    run = polyview("fit", "--config", config, "--retry-refused")
    check(
        run.status == 0 and (run.json["fitted"], run.json["refused"]) == (4, 0),
        "rows that are finite when tried again are fitted",
        run,
    )


def a_restart_takes_the_next_stream(work: Path) -> None:
    """About some rate a part of all initialisations overflows: the rate is found, then the attempts compared."""
    write_images(work / "images")
    for lr in np.geomspace(1e8, 1e10, 60):
        fit = {"steps": 5, "lr": float(lr), "restarts": 0}
        (work / "store.h5").unlink(missing_ok=True)
        config = write_config(work, fit=fit)
        once = polyview("fit", "--config", config)
        if ROWS / 4 < once.json["refused"] < ROWS:
            break
    first = columns(work / "store.h5")
    refused = first["view/status"] == REFUSED
    check(0 < refused.sum() < ROWS, f"at rate {lr:.3g} some first attempts overflow, some do not", once)
    made = {}
    for ranks in (1, 2, 3):
        run = polyview(
            "fit", "--config", config, "--store", work / f"{ranks}.h5", "--set", "fit.restarts=4", ranks=ranks
        )
        made[ranks] = columns(work / f"{ranks}.h5")
        status = made[ranks]["view/status"]
        check(
            run.status == 0
            and run.json["restarted"] >= refused.sum()
            and run.json["refused"] == int((status == REFUSED).sum()) < refused.sum(),
            f"{ranks} ranks: with restarts more rows are fitted",
            run,
        )
    check(
        not same(made[1], made[2]) and not same(made[1], made[3]), "restarted rows are the same on any ranks"
    )
    check(
        made[1]["params"][~refused].tobytes() == first["params"][~refused].tobytes(),
        "rows whose first attempt was finite do not depend on the restarts",
    )
    retried = polyview("fit", "--config", config, "--set", "fit.restarts=4", "--retry-refused", ranks=2)
    check(
        retried.status == 0 and not same(columns(work / "store.h5"), made[1]),
        "retrying refused rows with more restarts makes the same bytes as fitting with them at once",
        retried,
    )


if __name__ == "__main__":
    sys.exit(
        run_tests(
            the_same_bytes_on_any_ranks,
            a_resumed_store_is_the_same,
            a_store_is_resumed_by_its_own_rules,
            a_store_is_repaired_in_its_precision,
            objects_may_share_their_starts,
            a_fit_starts_by_its_variant,
            rows_that_never_stay_finite_are_refused,
            refused_rows_are_not_read,
            a_restart_takes_the_next_stream,
        )
    )
