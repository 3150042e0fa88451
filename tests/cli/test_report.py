"""The HTML report of a pipeline: every section is there, needs no network, and says what the run records say."""

import base64
import importlib.util
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from harness import TOOLS, check, make_store, polyview, run_tests, skip

SECTIONS = [
    "Data set",
    "Fits",
    "Training",
    "Test",
    "Augmentations",
    "Strong scaling",
    "Weak scaling",
    "What it took",
]
PNG = b"\x89PNG\r\n\x1a\n"
# seconds of a fit and of a training, by kind and ranks
WALL = {
    ("strong", 1): (8.0, 4.0),
    ("strong", 2): (4.25, 2.5),
    ("strong", 4): (2.5, 2.0),
    ("weak", 1): (2.0, 1.0),
    ("weak", 2): (2.5, 1.25),
    ("weak", 4): (4.0, 2.0),
}
ACCURACY = {"none": [0.5, 0.6], "negation": [0.75, 0.65, 0.7]}


class Page(HTMLParser):
    """The text of every section's tables, the pictures, what is referred to, and the records that are named."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.pictures: dict[str, int] = {}
        self.references: list[str] = []
        self.records: list[str] = []
        self.tiles: list[str] = []
        self.section, self.inside = "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.references += [given[key] for key in ("src", "href") if key in given]
        if tag == "h2":
            self.inside, self.section = tag, ""
        elif tag == "tr":
            self.tables.setdefault(self.section, []).append([])
        elif tag in ("td", "th"):
            self.tables[self.section][-1].append("")
            self.inside = tag
        elif tag == "img":
            self.pictures[self.section] = self.pictures.get(self.section, 0) + 1
        elif tag == "code":
            self.records.append("")
        elif given.get("class") == "tile":
            self.tiles.append("")
            self.inside = "tile"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("h2", "td", "th", "div"):
            self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.get_starttag_text() == "<code>" and self.records[-1] == "":
            self.records[-1] = data
        if self.inside == "h2":
            self.section += data
        elif self.inside in ("td", "th"):
            self.tables[self.section][-1][-1] += data
        elif self.inside == "tile":
            self.tiles[-1] += data


def last_record(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text().splitlines()[-1])


def write_record(path: Path, record: dict[str, Any], wall: float, ranks: int, **result: object) -> None:
    """A record as if the run had taken so long on so many ranks: half of it computing."""
    parts = {
        "compute_s": 0.5 * wall,
        "io_s": 0.125 * wall,
        "communication_s": 0.25 * wall,
        "idle_s": 0.125 * wall,
    }
    changed = record | {"ranks": ranks, "nodes": 1, "time": {"wall_s": wall, "cpu_s": wall} | parts}
    changed["result"] = record["result"] | result
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(changed) + "\n")


def fill(work: Path) -> None:
    """A pipeline's directory: real runs, and studies made of their records."""
    store, model = make_store(work), work / "model.h5"
    runs = [
        polyview("train", "--config", work / "config.yaml", ranks=2),
        polyview("eval", "--model", model, "--store", store, "--logits", f"{model}.logits.h5"),
    ]
    if any(run.status for run in runs):
        raise ValueError(f"no pipeline to report: {runs}")
    fit, train = (
        last_record(Path(f"{store}.runs.jsonl")),
        Path(f"{model}.runs.jsonl").read_text().splitlines()[0],
    )
    for name, scores in ACCURACY.items():
        for seed, score in enumerate(scores, 1):
            path = work / "augment" / f"{name}-{seed}.h5.runs.jsonl"
            write_record(
                path, json.loads(train), 1, 1, test_accuracy=score, best_val_accuracy=0.25, test_loss=1.5
            )
    for (kind, ranks), (fit_s, train_s) in WALL.items():
        point = work / "scaling" / f"{kind}-{ranks}"
        write_record(point / "store.h5.runs.jsonl", fit, fit_s, ranks)
        write_record(point / "model.h5.runs.jsonl", json.loads(train), train_s, ranks)
        planned = {"wall_s": 1.1 * fit_s, "low_s": fit_s, "high_s": 1.2 * fit_s}
        plan = {"fit": planned, "train": {key: value * train_s / fit_s for key, value in planned.items()}}
        (point / "plan.json").write_text(json.dumps(plan) + "\n")


def report(work: Path) -> tuple[subprocess.CompletedProcess[str], str]:
    done = subprocess.run(
        [*TOOLS, "report", str(work)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    page = work / "report.html"
    return done, page.read_text(encoding="utf-8") if page.is_file() else ""


def scaling_says_what_the_records_say(page: Page) -> None:
    for kind in ("strong", "weak"):
        rows = page.tables[f"{kind.capitalize()} scaling"][1:]
        found = {(row[0], int(row[2])): row for row in rows}
        right = len(found) == 6
        for (of, ranks), seconds in WALL.items():
            for command, wall, alone in zip(("fit", "train"), seconds, WALL[kind, 1]):
                if of != kind or not right:
                    continue
                row = found[command, ranks]
                efficiency = 100 * alone / wall / (ranks if kind == "strong" else 1)
                right = (
                    row[1]
                    == f"scaling/{kind}-{ranks}/{'store' if command == 'fit' else 'model'}.h5.runs.jsonl:1"
                    and row[5] == f"{wall:.2f}"
                    and row[6] == f"{1.1 * wall:.2f} ({wall:.2f} to {1.2 * wall:.2f})"
                    and abs(int(row[7]) - efficiency) <= 0.5
                    and abs(int(row[8]) - efficiency) <= 0.5
                )
        check(right, f"{kind} scaling tells times, plans and efficiencies of the records", rows)


def the_report_tells_what_the_records_tell(work: Path) -> None:
    fill(work)
    done, text = report(work)
    check(done.returncode == 0 and text.endswith("</html>\n"), "a report is made", done)
    page = Page(text)
    anchors = re.findall(r'<h2 id="\w+">([^<]*)</h2>', text)
    check(anchors == SECTIONS, "with all its sections, in order", anchors)
    inline = [r for r in page.references if r.startswith("data:image/png;base64,")]
    check(
        all(r.startswith(("data:image/png;base64,", "#")) for r in page.references)
        and "@import" not in text
        and "url(" not in text
        and "<script" not in text
        and all(base64.b64decode(r.split(",")[1]).startswith(PNG) for r in inline),
        "it refers to nothing outside itself",
        [r[:60] for r in page.references if not r.startswith("data:")],
    )
    drawn = {"Fits": 2, "Training": 1, "Test": 2, "Strong scaling": 1, "Weak scaling": 1, "What it took": 1}
    check(page.pictures == drawn, "and shows its figures", page.pictures)
    named = {r for r in page.records if re.search(r"\.jsonl:\d+$", r)}
    lines = {
        r: (work / r.rpartition(":")[0]).read_text().splitlines()[int(r.rpartition(":")[2]) - 1]
        for r in named
    }
    wanted = {str(path.relative_to(work)) for path in work.rglob("*.runs.jsonl")}
    check(
        {r.rpartition(":")[0] for r in named} == wanted
        and all(json.loads(line)["polyview_run"] == 1 for line in lines.values()),
        "every record that it draws from is named, and is there",
        named,
        wanted,
    )
    fit, score = last_record(work / "store.h5.runs.jsonl"), last_record(work / "model.h5.runs.jsonl")
    check(
        page.tiles[:3]
        == [
            f"{fit['result']['fitted']}INRs fitted",
            f"{fit['result']['mean_psnr_db']:.1f} dBmean PSNR",
            f"{100 * score['result']['accuracy']:.1f} %test accuracy",
        ],
        "its headline figures are those of the fit and the evaluation",
        page.tiles,
        fit,
        score,
    )
    told = {row[0]: row[1:] for row in page.tables["Augmentations"][1:]}
    check(
        told
        == {
            "SIREN negation": ["70.0 ± 2.9", "+15.0", "25.0", "1.500", "3"],
            "none": ["55.0 ± 5.0", "+0.0", "25.0", "1.500", "2"],
        }
        and page.tables["Augmentations"][1][0] == "SIREN negation",
        "augmentations have the mean and the standard error of their seeds, the best first",
        page.tables["Augmentations"],
    )
    scaling_says_what_the_records_say(page)
    ours = [
        json.loads(line) for name in ("store", "model") for line in (work / f"{name}.h5.runs.jsonl").open()
    ]
    rows = {row[1]: row for row in page.tables["What it took"][1:]}
    check(
        len(rows) == len(ours) == 3
        and all(
            rows[run["command"]][4] == f"{run['nodes']} x {run['ranks']}"
            and rows[run["command"]][5] == ("shared" if run["cpus_shared"] else "own")
            and rows[run["command"]][6] == f"{run['time']['wall_s']:.1f} s"
            and f"{run['peak_memory_mib']} MiB" in rows[run["command"]]
            for run in ours
        ),
        "every run is listed with its ranks, their cores, time and memory",
        rows,
        ours,
    )


def a_store_alone_gives_a_shorter_report(work: Path) -> None:
    make_store(work)
    done, text = report(work)
    anchors = re.findall(r'<h2 id="\w+">([^<]*)</h2>', text)
    check(
        done.returncode == 0 and anchors == ["Data set", "Fits", "What it took"],
        "a report of a store alone has no empty sections",
        done,
        anchors,
    )
    (work / "store.h5").unlink()
    (work / "report.html").unlink()
    done, text = report(work)
    check(
        done.returncode == 1
        and done.stderr.startswith("polyview-tools report: ")
        and "store.h5" in done.stderr
        and not text,
        "without a store there is an error and no report",
        done,
    )


def main() -> int:
    if not importlib.util.find_spec("matplotlib"):
        skip("the report", "matplotlib is not installed")
        return 0
    return run_tests(the_report_tells_what_the_records_tell, a_store_alone_gives_a_shorter_report)


if __name__ == "__main__":
    sys.exit(main())
