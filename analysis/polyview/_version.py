"""The version of the package, as Python writes versions: git's word on a checkout, what an archive or a prefix noted, or
what pip installed."""

import re
import subprocess
from importlib import metadata
from pathlib import Path

UNKNOWN = "0+unknown"
DESCRIBED = re.compile(
    r"v?(\d+(?:\.\d+)+)(?:-(\d+)-(g\w+))?"
)  # what `git describe` says where there are tags


def standard(described: str) -> str:
    """0.2, 0.2.post5+g12ab34 five commits later, 0+g12ab34 where no commit has a tag."""
    described = described.removesuffix("-dirty")
    match = DESCRIBED.fullmatch(described)
    if not match:
        return f"0+g{described}"
    return match[1] + (f".post{match[2]}+{match[3]}" if match[2] else "")


def version(root: Path) -> str:
    """That of what lies below root, the checkout, archive or prefix that the package is in if it has a .version."""
    if not (root / ".version").is_file():
        try:
            return metadata.version("polyview")
        except metadata.PackageNotFoundError:
            return UNKNOWN
    words = (root / ".version").read_text(encoding="utf-8")
    if "Format" in words:  # git puts its word there when it makes an archive
        try:
            git = ["git", "-C", str(root), "describe", "--always"]
            words = subprocess.run(git, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            return UNKNOWN
    return standard(words.split()[0]) if words.split() else UNKNOWN


VERSION = version(Path(__file__).resolve().parents[2])
