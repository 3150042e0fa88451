"""The command polyview-tools.  A command's module, and what it needs, is imported when the command is called."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType

COMMANDS = {  # (module, words that go before the user's, what it does)
    "report": ("report", (), "one HTML page about a pipeline's directory"),
    "plot": ("plots", (), "pictures of stores, trainings and alignments"),
    "gallery": (
        "plots",
        ("gallery",),
        "INRs of several classes below what they were fitted to; short for plot gallery",
    ),
    "mesh": ("meshes", (), "the surface of a shape's INR as a PLY file"),
    "embeddings": ("embeddings", (), "what `polyview probe` finds in representations"),
    "scaling": ("scaling", (), "times and efficiencies of a scaling study"),
    "card": ("card", (), "a card of a store in Markdown, as hubs of data sets show it"),
    "tensorboard": ("tensorboard", (), "the metrics of a training as TensorBoard's events"),
    "convert": ("convert", (), "a store to a directory of .pth or .npz files, and back"),
    "export": ("convert", ("export",), "short for convert export"),
    "import": ("convert", ("import",), "short for convert import"),
    "recipes": ("recipes", (), "which fits can be read: the study of recipes"),
    "table augment": ("tables.augment", (), "what augmentation does: the study and its table"),
    "table contrast": ("tables.contrast", (), "what learning without labels gives: the study and its table"),
    "data icons": ("data.icons", (), "a set of small colour pictures, of Debian's icon themes"),
    "data emoji": ("data.emoji", (), "a set of small colour pictures, of Unicode's emoji"),
    "data kicad": ("data.kicad", (), "a set of real meshes, of Debian's models of electronic parts"),
}
PACKAGES = {  # (Debian's package, what pip installs) of a module
    "h5py": ("python3-h5py", "h5py"),
    "numpy": ("python3-numpy", "numpy"),
    "matplotlib": ("python3-matplotlib", "polyview[plots]"),
    "jinja2": ("python3-jinja2", "polyview[report]"),
    "markupsafe": ("python3-jinja2", "polyview[report]"),
    "PIL": ("python3-pil", "polyview[plots]"),
    "torch": ("python3-torch", "polyview[torch]"),
    "tensorboard": ("has none", "polyview[tensorboard]"),
}
STOPS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
STOPPED = 75
FAILURES = (ValueError, OSError, LookupError, RuntimeError, subprocess.SubprocessError)


@contextmanager
def stoppable() -> Iterator[None]:
    """A signal that asks for an end leaves every block that it meets: what is half written is taken away."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(STOPPED)

    heard = [number for number in STOPS if signal.getsignal(number) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        heard = []
    for number in heard:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_DFL)


def usage(start: str) -> str:
    """The commands that begin with a word, a line each."""
    rows = [f"  {name:<16}{what}" for name, (_, _, what) in COMMANDS.items() if name.startswith(start)]
    more = "`polyview-tools COMMAND --help` tells more."
    return "\n".join(["usage: polyview-tools COMMAND ...", "", *rows, "", more])


def call(name: str, words: list[str]) -> int:
    """Runs a command; the exit status.  What it cannot do is said in one sentence."""
    module, before, _ = COMMANDS[name]
    program = f"polyview-tools {name}"
    try:
        command = import_module(f".{module}", __package__).main
        with stoppable():
            return int(
                command(program.removesuffix("".join(f" {word}" for word in before)), [*before, *words])
            )
    except ModuleNotFoundError as error:
        lacking = (error.name or "").split(".")[0]
        if lacking not in PACKAGES:
            raise
        debian, pip = PACKAGES[lacking]
        print(f"{program}: {lacking} is not installed (Debian: {debian}; pip: {pip})", file=sys.stderr)
    except FAILURES as error:
        print(f"{program}: {error}", file=sys.stderr)
    return 1


def main(words: list[str] | None = None) -> int:
    words = sys.argv[1:] if words is None else words
    for length in (2, 1):
        if (name := " ".join(words[:length])) in COMMANDS:
            return call(name, words[length:])
    if words[:1] == ["--version"]:
        from ._version import VERSION

        print(f"polyview-tools {VERSION}")
        return 0
    start = next((word for word in words[:1] if any(name.startswith(f"{word} ") for name in COMMANDS)), "")
    if not words or {"-h", "--help"} & {*words[:1], *words[1:2]}:
        print(usage(start))
        return 0 if words else 2
    print(
        usage(start),
        f"\npolyview-tools: there is no command '{' '.join(words[:2])}'",
        sep="\n",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())
