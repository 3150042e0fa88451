"""Places along an axis of a store as users write them: a number, a slice, numbers, or a mask."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


def numbers_of(index: Any, count: int, what: str) -> Numbers:
    """The places that an index names among `count`: [n], or [] of a single number.  Negative ones count from the end.

    IndexError for a place that there is not, a mask of another length, or what is no index.
    """
    if isinstance(index, slice):
        return np.arange(count)[index]
    found = np.asarray(index)
    if found.dtype == bool:
        if found.shape != (count,):
            raise IndexError(f"a mask of shape {found.shape} for {count} {what}s")
        return np.flatnonzero(found)
    if found.ndim > 1 or (found.size and found.dtype.kind not in "iu"):
        raise IndexError(f"{what}s are a number, a slice, numbers or a mask, not {index!r}")
    numbers = found.astype(np.int64)
    for wrong in numbers[(numbers < -count) | (numbers >= count)].ravel()[:1]:
        raise IndexError(f"{what} {wrong} of {count}")
    return np.where(numbers < 0, numbers + count, numbers)


def spans(numbers: Numbers, gap: int) -> Iterator[tuple[int, int, slice]]:
    """(first, behind the last, which of the ascending numbers) of groups between which more than `gap` are left out."""
    breaks = np.flatnonzero(np.diff(numbers) > gap + 1) + 1
    for start, stop in zip([0, *breaks], [*breaks, len(numbers)]):
        if start < stop:
            yield int(numbers[start]), int(numbers[stop - 1]) + 1, slice(int(start), int(stop))
