"""What all figures share: colours, style, and how they are written."""

from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from ._paths import replaced

INK, FAINT = "#333333", "#d9d9d9"
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]  # Okabe and Ito
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.dpi": 150,
}


def save(figure: Figure, output: Path | BinaryIO, *sources: Path) -> None:
    """ValueError if the output is one of the files that were drawn."""
    image = BytesIO()
    figure.savefig(image, format="png", bbox_inches="tight", facecolor="white")
    plt.close(figure)
    if not isinstance(output, Path):
        output.write(image.getvalue())
    else:
        with replaced(output, *sources) as to:
            to.write_bytes(image.getvalue())
