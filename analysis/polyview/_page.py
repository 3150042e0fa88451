"""The page of a report: its look, and sections of tables and pictures that are written into it."""

import base64
import html
import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ._paths import replaced
from ._runs import Run, told
from .figures import STYLE

SCREEN_DPI = 112  # all figures in one scale

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ --ink: #1f2933; --soft: #5f6c7b; --line: #e3e8ee; --ground: #f5f7fa; --accent: #0072b2; }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.55 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }}
header {{ background: #12344d; color: #fff; padding: 34px 0 30px; }}
header p {{ margin: 6px 0 0; color: #c4d4e0; }}
.page {{ max-width: 1060px; margin: 0 auto; padding: 0 24px; }}
h1 {{ margin: 0; font-size: 27px; font-weight: 650; letter-spacing: -0.01em; }}
h2 {{ margin: 44px 0 14px; font-size: 19px; font-weight: 650; }}
nav {{ margin-top: 16px; font-size: 13.5px; }} nav a {{ color: #9fd0f0; text-decoration: none; margin-right: 18px; }}
.tiles {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 14px; margin: -1px 0 0; padding-top: 24px; }}
.tile, figure, .table {{ background: #fff; border: 1px solid var(--line); border-radius: 10px; }}
.tile {{ padding: 14px 16px; }} .tile b {{ display: block; font-size: 23px; font-weight: 650; color: var(--accent); }}
.tile span {{ color: var(--soft); font-size: 13px; }}
figure {{ margin: 0 0 16px; padding: 18px; overflow-x: auto; }} figure img {{ display: block; margin: 0 auto; max-width: 100%; height: auto; }}
figcaption, .source {{ color: var(--soft); font-size: 12.5px; margin-top: 12px; }}
figcaption {{ border-top: 1px solid var(--line); padding-top: 10px; }}
code {{ font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, monospace; background: #eef2f6; border-radius: 4px; padding: 1px 5px; }}
figcaption code, .source code {{ display: inline-block; overflow-wrap: anywhere; line-height: 1.35; }}
td code {{ white-space: nowrap; }}
.table {{ padding: 6px 18px 14px; overflow-x: auto; margin-bottom: 16px; }}
table {{ border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; padding: 8px 14px 8px 0; border-bottom: 1px solid var(--line); vertical-align: top; }}
th {{ color: var(--soft); font-weight: 600; font-size: 12.5px; }} tr:last-child td {{ border-bottom: 0; }}
td.n, th.n {{ text-align: right; padding-right: 18px; }}
.pair {{ display: grid; grid-template-columns: 1.22fr 1fr; gap: 16px; align-items: start; }}
@media (max-width: 760px) {{ .pair {{ grid-template-columns: 1fr; }} }}
footer {{ color: var(--soft); font-size: 12.5px; padding: 26px 0 46px; }}
@media print {{ header {{ background: none; color: var(--ink); }} nav {{ display: none; }} figure, .table {{ break-inside: avoid; }} }}
</style></head><body>
<header><div class="page"><h1>{title}</h1><p>{subtitle}</p><nav>{nav}</nav></div></header>
<main class="page"><div class="tiles">{tiles}</div>
{sections}
<footer>Every figure names the run record it comes from as file:line, relative to {where}. A record holds the command, the config's
hash, the code's revision, the ranks and hosts, and where the time went.</footer></main></body></html>
"""


def escape(text: object) -> str:
    return html.escape(str(text))


def number(value: float, digits: int = 0) -> str:
    """With thin spaces between thousands."""
    return f"{value:,.{digits}f}".replace(",", "\u2009")


def duration(seconds: float) -> str:
    if not seconds >= 100:
        return told(seconds, ".1f", " s")
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class Report:
    """Sections in order; each figure with its caption and its sources."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.sections: list[tuple[str, list[str]]] = []

    def section(self, title: str) -> None:
        self.sections.append((title, []))

    def add(self, text: str) -> None:
        self.sections[-1][1].append(text)

    def places(self, runs: list[Run]) -> str:
        return ", ".join(f"<code>{escape(run.name(self.directory))}</code>" for run in runs)

    def source(self, runs: list[Run]) -> str:
        return f"From {self.places(runs)}." if runs else ""

    def picture(self, draw: Callable[[BinaryIO], None], what: str, caption: str, runs: list[Run]) -> str:
        image = io.BytesIO()
        draw(image)
        data = base64.b64encode(image.getvalue()).decode()
        width = int.from_bytes(image.getvalue()[16:20], "big") * SCREEN_DPI // STYLE["figure.dpi"]
        img = f'<img alt="{escape(what)}" width="{width}" src="data:image/png;base64,{data}">'
        return f"<figure>{img}<figcaption>{caption} {self.source(runs)}</figcaption></figure>"

    def table(self, head: list[str], rows: list[list[str]], runs: list[Run], numbers: int = 0) -> str:
        """The last `numbers` columns are numbers."""
        plain = len(head) - numbers
        mark = ["" if i < plain else ' class="n"' for i in range(len(head))]
        lines = ["<tr>" + "".join(f"<th{m}>{escape(cell)}</th>" for m, cell in zip(mark, head)) + "</tr>"]
        lines += [
            "<tr>" + "".join(f"<td{m}>{cell}</td>" for m, cell in zip(mark, row)) + "</tr>" for row in rows
        ]
        source = f'<div class="source">{self.source(runs)}</div>' if runs else ""
        return f'<div class="table"><table>{"".join(lines)}</table>{source}</div>'

    def write(self, output: Path, title: str, subtitle: str, tiles: list[tuple[str, str]]) -> None:
        anchors = [(f"s{i}", name, body) for i, (name, body) in enumerate(self.sections) if body]
        page = PAGE.format(
            title=escape(title),
            subtitle=subtitle,
            nav="".join(f'<a href="#{key}">{escape(name)}</a>' for key, name, _ in anchors),
            tiles="".join(
                f'<div class="tile"><b>{value}</b><span>{escape(what)}</span></div>' for value, what in tiles
            ),
            sections="".join(
                f'<h2 id="{key}">{escape(name)}</h2>{"".join(body)}' for key, name, body in anchors
            ),
            where=f"<code>{escape(self.directory.resolve())}</code>",
        )
        with replaced(output, *self.directory.glob("*.h5*")) as to:
            to.write_text(page, encoding="utf-8", errors="backslashreplace")  # paths may hold any bytes
