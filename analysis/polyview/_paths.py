"""Paths as users write them, and files that are made or replaced whole, where their names really lead."""

import argparse
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template


class PathError(ValueError, argparse.ArgumentTypeError):
    """As an ArgumentTypeError its text is what argparse says of the word."""


def path_of(text: str) -> Path:
    """What exists by this name, else the path with a leading ~, $NAME and ${NAME} expanded; $$ is a dollar sign.

    PathError if it names a variable or a user that there is not.
    """
    if not text:
        raise PathError("a path is empty")
    if os.path.lexists(text):
        return Path(text)
    try:
        return Path(Template(text).substitute(os.environ)).expanduser()
    except KeyError as error:
        raise PathError(f"'{text}': the variable {error.args[0]} is not set") from error
    except (ValueError, RuntimeError) as error:
        raise PathError(f"'{text}': {error} ($$ stands for a dollar sign, ./~ for a name with ~)") from error


def program_path(text: str) -> Path:
    """A program's file, absolute, so that ./NAME is found where it lies; of a bare name, else, what a shell finds."""
    path = path_of(text)
    found = None if path.exists() else shutil.which(text)
    return Path(found) if found else path.absolute()


def real(path: str | Path) -> Path:
    """Where a path leads, through every link, whether anything stands there or not.  OSError if in a circle."""
    try:
        return Path(path).resolve()
    except RuntimeError as error:  # before Python 3.13
        raise OSError(f"'{path}' is a link that leads in a circle") from error


def real_output(path: Path) -> Path:
    """Where a file is to be made.  OSError if its directory is not there."""
    final = real(path)
    if not final.parent.is_dir():
        raise FileNotFoundError(f"'{path}' cannot be made: there is no directory '{final.parent}'")
    return final


def beside(output: Path, suffix: str) -> Path:
    """The file that goes with an output: beside what its name leads to, or, of older runs, beside a link."""
    found = Path(f"{real(output)}{suffix}")
    return found if found.exists() else Path(f"{output}{suffix}")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """What fails within, on a full disk for one, names the file, which a write alone does not."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_whole(path: Path, content: bytes | str) -> None:
    """Writes a file at once: of writers that fill one bit by bit some fail on a full disk once more, as they are freed."""
    with naming(path):
        path.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def replaced(path: Path, *sources: Path) -> Iterator[Path]:
    """A name to write to, which takes the place of `path` when the block is left without an error.

    A link stays one, and what it leads to is replaced or made; of two hard links the other keeps the old content.
    What is no plain file, as /dev/stdout, is written to itself.  ValueError if it is one of the sources.
    """
    if any(path.exists() and source.exists() and path.samefile(source) for source in sources):
        raise ValueError(f"'{path}' is what is read here: write to another file")
    if path.exists() and not path.is_file():
        with naming(path):
            yield path
        return
    final = real_output(path)
    part = final.with_name(f"{final.name}.{os.getpid()}.part")
    try:
        with naming(path):
            yield part
        part.replace(final)
    finally:
        part.unlink(missing_ok=True)
