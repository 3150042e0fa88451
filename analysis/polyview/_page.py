"""The page of a report: sections of tables and pictures, which templates/report.html makes one file of."""

import base64
import io
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, ClassVar, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ._paths import replaced
from ._runs import Run, told
from .figures import STYLE

SCREEN_DPI = 112  # all figures in one scale


def number(value: float, digits: int = 0) -> str:
    """With thin spaces between thousands."""
    return f"{value:,.{digits}f}".replace(",", "\u2009")


def duration(seconds: float) -> str:
    if not seconds >= 100:
        return told(seconds, ".1f", " s")
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def code(text: object) -> Markup:
    return Markup("<code>{}</code>").format(text)


class Keyed(NamedTuple):
    """A cell that is sorted by another number than the one that it begins with."""

    text: str
    key: float


Cell = str | Keyed  # all text is escaped, but what is Markup


@dataclass(frozen=True)
class Picture:
    kind: ClassVar = "picture"
    what: str
    caption: str
    sources: list[str]
    command: str
    png: bytes

    @property
    def data(self) -> str:
        return base64.b64encode(self.png).decode()

    @property
    def size(self) -> list[int]:
        """Width and height on the page."""
        sides = (int.from_bytes(self.png[i : i + 4], "big") for i in (16, 20))
        return [int(side * SCREEN_DPI / STYLE["figure.dpi"]) for side in sides]


@dataclass(frozen=True)
class Facts:
    """Names and values, in an order of their own."""

    kind: ClassVar = "facts"
    rows: list[tuple[str, str]]
    sources: list[str]
    numbers: bool


@dataclass(frozen=True)
class Table:
    """One that can be sorted; the last `numbers` columns are numbers."""

    kind: ClassVar = "table"
    head: list[str]
    rows: Sequence[Sequence[Cell]]
    sources: list[str]
    numbers: int


@dataclass(frozen=True)
class Note:
    kind: ClassVar = "note"
    text: str
    sources: list[str]


Block = Picture | Facts | Table | Note


@dataclass(frozen=True)
class Section:
    title: str
    rows: list[tuple[Block, ...]] = field(default_factory=list)  # two blocks stand side by side


class Report:
    """Sections in order; each figure with its caption, its sources, and the command that draws it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.sections: list[Section] = []
        self.pictures: dict[str, bytes] = {}

    def section(self, title: str) -> None:
        self.sections.append(Section(title))

    def add(self, *blocks: Block) -> None:
        self.sections[-1].rows.append(blocks)

    def names(self, runs: list[Run]) -> list[str]:
        return [run.name(self.directory) for run in runs]

    def picture(
        self,
        name: str,
        draw: Callable[[BinaryIO], None],
        what: str,
        caption: str,
        runs: list[Run],
        command: Sequence[str | Path] = (),
    ) -> Picture:
        """The command is that of polyview-tools which draws it, with paths; without one it is the report's own."""
        image = io.BytesIO()
        draw(image)
        self.pictures[name] = image.getvalue()
        words = [self.path(word) if isinstance(word, Path) else word for word in command]
        words = ["polyview-tools", *(words or ["report", ".", "--picture", name]), "-o", f"{name}.png"]
        return Picture(what, caption, self.names(runs), shlex.join(words), self.pictures[name])

    def path(self, path: Path) -> str:
        """As a command names it in the report's directory."""
        return str(
            path.relative_to(self.directory) if path.is_relative_to(self.directory) else path.resolve()
        )

    def facts(self, rows: list[tuple[str, str]], runs: list[Run], numbers: bool = False) -> Facts:
        return Facts(rows, self.names(runs), numbers)

    def table(
        self, head: list[str], rows: Sequence[Sequence[Cell]], runs: list[Run], numbers: int = 0
    ) -> Table:
        return Table(head, rows, self.names(runs), numbers)

    def note(self, text: str, runs: list[Run]) -> Note:
        return Note(text, self.names(runs))

    def write(self, output: Path, title: str, subtitle: str, tiles: list[tuple[str, str]]) -> None:
        pages = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        page = pages.get_template("report.html").render(
            title=title,
            subtitle=subtitle,
            tiles=tiles,
            sections=[section for section in self.sections if section.rows],
            where=self.directory.resolve(),
        )
        with replaced(output, *self.directory.glob("*.h5*")) as to:
            to.write_text(page, encoding="utf-8", errors="backslashreplace")  # paths may hold any bytes

    def write_picture(self, name: str, output: Path) -> None:
        """ValueError if there is no such picture."""
        if name not in self.pictures:
            raise ValueError(f"there is no picture '{name}': there are {', '.join(self.pictures) or 'none'}")
        with replaced(output, *self.directory.glob("*.h5*")) as to:
            to.write_bytes(self.pictures[name])
