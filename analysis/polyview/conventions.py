"""How the INRs of others compute, and their rows as a store's formula has them.

A store knows h_l = sin(w0 (W_l h_{l-1} + b_l)), f(x) = W_M h_{M-1} + b_M + offset, of coordinates (x, y).  INRs that
differ from it by numbers alone become rows of the same function: the numbers go into the weights and biases.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .view_files import Layout


@dataclass(frozen=True)
class Conventions:
    """What they have in a layer's place: sin(w0 (W h + b) + phase), or sin(w0 W h + b + phase)."""

    w0: float | None = None  # None: as the files say
    offset: float | None = None
    first_w0: float | None = None  # of the first layer; None: w0
    bias_outside: bool = False
    phase: float = 0.0
    mean: tuple[float, ...] = ()  # value = output * std + mean, one number or one a channel; (): output
    std: tuple[float, ...] = ()
    yx: bool = False  # the coordinates are (y, x)

    def filled(self, w0: float, offset: float) -> "Conventions":
        """With these where nothing is said."""
        return replace(
            self,
            w0=w0 if self.w0 is None else self.w0,
            offset=offset if self.offset is None else self.offset,
        )

    def problem(self) -> str:
        """What no INR can have, "" if all is well."""
        if not all(w0 is None or 0 < w0 < math.inf for w0 in (self.w0, self.first_w0)):
            return "--w0 and --first-w0 must be positive"
        if not all(map(math.isfinite, (self.offset or 0.0, self.phase, *self.mean, *self.std))):
            return "--offset, --phase, --mean and --std must be finite"
        return "--std must not be 0" if 0 in self.std else ""

    def check_widths(self, dims: list[int]) -> None:
        if self.yx and dims[0] != 2:
            raise ValueError(f"--yx is of INRs over two coordinates, these have {dims[0]}")
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) not in (0, 1, dims[-1]):
                raise ValueError(
                    f"--{name} has {len(numbers)} numbers, expected one or one a channel: {dims[-1]}"
                )

    def rows(self, rows: NDArray[np.float32], layout: Layout) -> NDArray[np.float32]:
        """Rows [n][P] of theirs, of filled conventions, as the store's; the same bytes where nothing differs."""
        w0, offset = self.w0 or 0.0, self.offset or 0.0
        own = self.first_w0 or w0
        if replace(self, first_w0=None if own == w0 else own) == Conventions(w0, offset):
            return rows
        tensors = [
            rows[:, first : first + height * width].astype(np.float64).reshape(-1, height, width)
            for _, first, height, width in layout
        ]
        if self.yx:
            tensors[0] = tensors[0][..., ::-1]
        for weight in range(0, len(tensors) - 2, 2):
            frequency = own if weight == 0 else w0
            tensors[weight] = tensors[weight] * (frequency / w0)
            inside = 1 / w0 if self.bias_outside else frequency / w0
            tensors[weight + 1] = tensors[weight + 1] * inside + self.phase / w0
        std, mean = (np.array(numbers)[:, None] for numbers in (self.std or (1.0,), self.mean or (0.0,)))
        tensors[-2] = tensors[-2] * std
        tensors[-1] = (tensors[-1] + offset) * std + mean - offset
        with np.errstate(over="ignore"):
            found = np.concatenate([tensor.reshape(len(rows), -1) for tensor in tensors], 1).astype(
                np.float32
            )
        if not np.isfinite(found).all():
            raise ValueError("with these conventions the weights are more than float32 holds")
        return found
