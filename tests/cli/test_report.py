"""The HTML report of a pipeline: every section is there, needs no network, and says what the run records say; a browser shows
it on every width, sorts its tables, and is dark where it is asked to be."""

import base64
import contextlib
import html
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from harness import ROOT, TOOLS, check, make_store, polyview, run_tests, skip, write_config
from png_files import RGB, png

sys.path.insert(0, str(ROOT / "analysis"))

SECTIONS = [
    "Data set",
    "Fits",
    "Training",
    "Test",
    "Augmentations",
    "Learning without labels",
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
ACCURACY = {"none": [0.5, 0.6], "negation": [0.75, 0.65, 0.7], "one_view_negation": [0.5]}
RIDGE = {"random": [0.2], "views": [0.3, 0.4], "noise": [0.5, 0.52]}


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
            epochs = [
                {"event": "epoch", "train_loss": 3.0 / epoch, "test_loss": 2.0 / epoch, "epoch": epoch}
                for epoch in (1, 2, 3)
            ]
            metrics = path.with_name(f"{name}-{seed}.h5.jsonl")
            first = Path(f"{model}.jsonl").read_text().splitlines()[0]
            metrics.write_text("\n".join([first, *map(json.dumps, epochs)]) + "\n")
    (work / "contrast").mkdir()
    for name, scores in RIDGE.items():
        for seed, score in enumerate(scores, 1):
            of = {method: {"test_accuracy": score} for method in ("ridge", "knn")}
            trained = {} if name == "random" else {"best_val_loss": 4.5}
            (work / "contrast" / f"{name}-{seed}.json").write_text(json.dumps(of | {"train": trained}))
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
        and re.findall("<script[^>]*>|<link[^>]*>", text) == ["<script>"]
        and all(base64.b64decode(r.split(",")[1]).startswith(PNG) for r in inline),
        "it refers to nothing outside itself",
        [r[:60] for r in page.references if not r.startswith("data:")],
    )
    drawn = {"Fits": 2, "Training": 1, "Test": 2, "Augmentations": 2, "Learning without labels": 1}
    drawn |= {"Strong scaling": 1, "Weak scaling": 1, "What it took": 1}
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
            "SIREN negation, one view": ["50.0", "", "25.0", "1.500", "1"],
        }
        and page.tables["Augmentations"][1][0] == "SIREN negation",
        "augmentations have the mean and the standard error of their seeds, the best first, beside the same views",
        page.tables["Augmentations"],
    )
    without = page.tables["Learning without labels"][1:]
    check(
        [row[1:] for row in without]
        == [
            ["51.0 ± 1.0", "51.0 ± 1.0", "4.500", "2"],
            ["35.0 ± 5.0", "35.0 ± 5.0", "4.500", "2"],
            ["20.0", "20.0", "", "1"],
        ],
        "encoders that were trained without labels have what their probes say, the best first",
        without,
    )
    scaling_says_what_the_records_say(page)
    commands_draw_the_pictures_again(work, text)
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
    curves_of_unlike_lengths_are_named(work, page)


def curves_of_unlike_lengths_are_named(work: Path, page: Page) -> None:
    with (work / "augment" / "none-2.h5.jsonl").open("a") as metrics:
        print(json.dumps({"event": "epoch", "train_loss": 0.5, "test_loss": 0.5, "epoch": 4}), file=metrics)
    done, text = report(work)
    check(
        done.returncode == 0
        and "No picture of the losses" in text
        and "no runs of none of one length" in text
        and Page(text).pictures["Augmentations"] == page.pictures["Augmentations"] - 1 == 1
        and Page(text).tables["Augmentations"] == page.tables["Augmentations"],
        "runs of one name with curves of unlike lengths are told, and what else there is stands",
        done,
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


def tools(*words: object) -> int:
    """polyview-tools in this process, which has to load its packages only once."""
    from polyview.tools import main as call

    return call([str(word) for word in words])


def commands_draw_the_pictures_again(work: Path, text: str) -> None:
    figures = re.findall(r'base64,([^"]*)".*?<code class="command">(.*?)</code>', text, re.S)
    drawn = []
    with contextlib.chdir(work):
        for data, command in figures:
            words = shlex.split(html.unescape(command))
            done = words[0] == "polyview-tools" and tools(*words[1:]) == 0
            drawn.append(done and Path(words[-1]).read_bytes() == base64.b64decode(data))
        refused = tools("report", ".", "--picture", "portrait", "-o", "portrait.png")
    check(
        len(figures) == 11 and all(drawn),
        "the command below a picture draws the same, in the report's directory",
        list(zip(drawn, (command for _, command in figures))),
    )
    check(refused == 1 and not (work / "portrait.png").exists(), "of no other name there is a picture")


# ---- in a browser

CLASSES = ["<script>document.title = 1", "a & b"]
SIGNALS: dict[str, dict[str, object]] = {
    "sine": {"source": "sine", "samples": 64, "train": 12, "val": 4, "test": 4},
    "images": {"source": "images", "train": 12, "val": 4, "test": 4},
    "arrays": {"source": "arrays", "train": 12, "val": 4, "test": 4},
    "shapes": {"source": "shapes", "train": 12, "val": 4, "test": 4, "samples": 128, "heldout": 128},
}
CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
SIDES = "0 1 3 2,4 6 7 5,0 4 5 1,2 3 7 6,0 2 6 4,1 5 7 3".split(",")


def write_signal(kind: str, root: Path) -> None:
    """20 objects of two classes."""
    rng = np.random.default_rng(5)
    root.mkdir(parents=True)
    label = np.arange(20) % 2
    if kind == "arrays":
        wave = np.sin(np.linspace(0, 6, 48) * (2 + label[:, None])) + 0.1 * rng.normal(size=(20, 48))
        with h5py.File(root / "waves.h5", "w") as file:
            file["images"], file["labels"] = wave.astype("f4"), label
    for n in range(20) if kind in ("images", "shapes") else ():
        place = root / CLASSES[label[n]]
        place.mkdir(exist_ok=True)
        if kind == "images":
            ramp = np.mgrid[0:8, 0:8][label[n]][..., None] * 30 * rng.random(3)
            (place / f"{n}.png").write_bytes(png(ramp.astype("u1"), RGB, 8))
        else:
            corners = CUBE * (1 + label[n] * rng.random(3))
            lines = [" ".join(map(str, corner)) for corner in corners] + [f"4 {side}" for side in SIDES]
            (place / f"{n}.off").write_text("OFF\n8 6 0\n" + "\n".join(lines) + "\n")


def pipeline(kind: str, work: Path) -> str:
    """The page about a data set of this kind, fitted, trained on and judged."""
    write_signal(kind, work / "data")
    data = work / "data/waves.h5" if kind == "arrays" else work / "data"
    config = write_config(work, fit={"views": 1, "steps": 30, "lr": 5e-3})
    own = SIGNALS[kind] | ({} if kind == "sine" else {"path": str(data)})
    config.write_text(json.dumps(json.loads(config.read_text()) | {"signal": own}))
    model, store = work / "model.h5", work / "store.h5"
    for words in (
        ["fit", "--config", config],
        ["train", "--config", config],
        ["eval", "--model", model, "--store", store, "--logits", f"{model}.logits.h5"],
    ):
        run = polyview(*words)
        if run.status:
            raise ValueError(f"no pipeline of {kind}: {run}")
    if tools("report", work):
        raise ValueError(f"no report of {kind}")
    return (work / "report.html").read_text()


PROBE = """<!DOCTYPE html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><body><script>
const found = {}, pages = PAGES, left = [];
const column = (table, i) => [...table.tBodies[0].rows].map((row) => row.cells[i].textContent);
function look(frame) {
  const page = frame.contentDocument, table = [...page.querySelectorAll(".sortable")].at(-1);
  const seen = {over: page.documentElement.scrollWidth - frame.clientWidth, title: page.title, sorted: [], aria: []};
  for (const [head, at] of [["wall time", 6], ["wall time", 6], ["run", 1]]) {
    const cell = [...table.tHead.rows[0].cells].find((cell) => cell.textContent === head);
    cell.querySelector("button").click();
    seen.sorted.push(column(table, at));
    seen.aria.push(cell.getAttribute("aria-sort"));
  }
  seen.ground = getComputedStyle(page.body).backgroundColor;
  seen.card = getComputedStyle(page.querySelector(".card")).backgroundColor;
  seen.scripts = page.scripts.length;
  return seen;
}
for (const [name, text] of Object.entries(pages)) for (const width of [390, 1200]) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width: ${width}px; height: 900px; border: 0; color-scheme: light dark`;
  frame.srcdoc = text;
  left.push(new Promise((done) => frame.onload = () => { found[`${name} ${width}`] = look(frame); done(); }));
  document.body.append(frame);
}
Promise.all(left).then(() => document.body.replaceChildren(Object.assign(document.createElement("pre"),
  {textContent: JSON.stringify(found)})));
</script>
"""


def browse(chromium: str, probe: Path, *flags: str) -> dict[str, dict[str, Any]]:
    """What the probe found in every page, by its name and width."""
    quiet = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--virtual-time-budget=20000",
    ]
    place = f"--user-data-dir={probe.parent / 'profile'}"
    words = [chromium, *quiet, place, *flags, "--dump-dom", probe.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    told = re.search(r"<pre>(.*)</pre>", done.stdout, re.S)
    if not told:
        raise ValueError(f"the browser tells nothing: {done.stdout[-500:]} {done.stderr[-500:]}")
    return json.loads(html.unescape(told[1]))


def pages_fit_every_width_and_sort(work: Path) -> None:
    pages = {kind: pipeline(kind, work / kind) for kind in SIGNALS}
    check(
        all(
            html.escape(name) in pages[kind] and name not in pages[kind].replace(html.escape(name), "")
            for kind in ("images", "shapes")
            for name in CLASSES
        ),
        "names of classes are text, whatever they hold",
    )
    chromium = shutil.which("chromium")
    if not chromium:
        return skip("the report in a browser", "chromium is not installed")
    probe = work / "probe.html"
    probe.write_text(PROBE.replace("PAGES", json.dumps(pages).replace("</", "<\\/")))
    found = browse(chromium, probe)
    check(
        len(found) == 8 and all(seen["scripts"] == 1 for seen in found.values()),
        "a browser shows them",
        found,
    )
    check(all(seen["over"] <= 0 for seen in found.values()), "no page is wider than a phone or a desk", found)
    walls = {
        kind: {
            run["command"]: run["time"]["wall_s"]
            for name in ("store", "model")
            for run in map(json.loads, (work / kind / f"{name}.h5.runs.jsonl").open())
        }
        for kind in SIGNALS
    }
    right = []
    for name, seen in found.items():
        by_time = [f"{wall:.1f} s" for wall in sorted(walls[name.split()[0]].values())]
        right.append(seen["sorted"] == [by_time, by_time[::-1], ["eval", "fit", "train"]])
    check(
        all(right), "a click on a head sorts a table, numbers as numbers; a second one turns it round", found
    )
    check(
        all(seen["aria"] == ["ascending", "descending", "ascending"] for seen in found.values()),
        "and the head says how",
    )
    light = {seen["ground"] for seen in found.values()}
    found = browse(chromium, probe, "--blink-settings=preferredColorScheme=0")
    dark = {seen["ground"] for seen in found.values()}
    brightness = [sum(map(int, re.findall(r"\d+", ground))) for (ground,) in (light, dark)]
    check(
        brightness[0] > 3 * 200 > 3 * 60 > brightness[1]
        and {seen["card"] for seen in found.values()} == {"rgb(255, 255, 255)"},
        "the page is dark where that is asked for, and its pictures stay on a light card",
        light,
        dark,
    )


def main() -> int:
    for module in ("matplotlib", "jinja2"):
        if not importlib.util.find_spec(module):
            skip("the report", f"{module} is not installed")
            return 0
    return run_tests(
        the_report_tells_what_the_records_tell,
        a_store_alone_gives_a_shorter_report,
        pages_fit_every_width_and_sort,
    )


if __name__ == "__main__":
    sys.exit(main())
