"""One INR in one file: .pth as the published DWS trainers read it, or .npz, which needs no PyTorch.

Both hold the tensors by their state_dict names and, beside them, an entry "label".  Reading trusts no file: a .pth
goes through torch.load(weights_only=True), a .npz is read without pickle, and what is left must be float32 tensors
of known names and shapes.
"""

import io
import math
import re
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[np.float32]]
Layout = list[tuple[str, int, int, int]]  # name, offset, rows, cols

MAX_LAYERS, MAX_WIDTH = 8, 256  # of an INR, as the program has it
NAME = re.compile(r"seq\.([0-7])\.(weight|bias)")
ZIP_START = b"PK\x03\x04"
TORCHSCRIPT = b"constants.pkl"  # the entry by which torch.load knows an archive of code


def need_torch() -> ModuleType:
    try:
        import torch
    except ImportError as error:
        raise ValueError(
            "PyTorch is not installed and .pth files need it (Debian: python3-torch); .npz files do without"
        ) from error
    return torch


def layout_of(dims: list[int]) -> Layout:
    """Where each tensor of an INR of these widths lies in its row."""
    layout, offset = [], 0
    for layer, (cols, rows) in enumerate(zip(dims, dims[1:])):
        layout.append((f"seq.{layer}.weight", offset, rows, cols))
        layout.append((f"seq.{layer}.bias", offset + rows * cols, rows, 1))
        offset += rows * (cols + 1)
    return layout


def write_pth(path: Path, tensors: Tensors, label: int) -> None:
    torch = need_torch()
    state = {name: torch.from_numpy(array.copy()) for name, array in tensors.items()}
    torch.save(state | {"label": label}, path)


def write_npz(path: Path, tensors: Tensors, label: int) -> None:
    np.savez(path, **tensors, label=np.int64(label))


def load_pth(path: Path) -> dict[Any, Any]:
    """The dict in a .pth file, tensors not yet arrays."""
    torch = need_torch()
    content = path.read_bytes()
    if content[:4] != ZIP_START:
        raise ValueError(f"'{path}' is not a file of torch.save (PyTorch 1.6 or newer)")
    # torch.load would hand such an archive to torch.jit, past weights_only.
    if TORCHSCRIPT in content:
        raise ValueError(f"'{path}' is refused: it is a TorchScript archive, which can hold code")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.testzip() is not None:  # torch.load may not look at the checksums
                raise ValueError("wrong checksum")
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a crafted file makes the readers stumble over
        cause = str(error).rpartition("WeightsUnpickler error: ")[2].strip().splitlines() or [""]
        raise ValueError(
            f"'{path}' is refused: it is damaged or holds more than tensors: {type(error).__name__}: {cause[0]}"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"'{path}' is not a state_dict: it holds a {type(found).__name__}")
    return found


def array_of(path: Path, name: str, value: Any) -> NDArray[np.float32]:
    """A tensor's own array.  Its shape is looked at before its data, which a crafted file may claim to be huge."""
    kind, shape = str(getattr(value, "dtype", type(value).__name__)), tuple(getattr(value, "shape", ()))
    if kind.removeprefix("torch.") != "float32":
        raise ValueError(f"'{path}': {name} is {kind}, expected a float32 tensor")
    if len(shape) != (2 if name.endswith("weight") else 1) or not all(1 <= n <= MAX_WIDTH for n in shape):
        raise ValueError(f"'{path}': {name} has shape {shape}, no INR of up to {MAX_WIDTH} neurons a layer")
    if isinstance(value, np.ndarray):
        return value
    if str(value.layout) != "torch.strided" or value.device.type != "cpu":
        raise ValueError(f"'{path}': {name} is not a dense tensor in memory")
    return np.asarray(value.detach().numpy())


def label_of(path: Path, value: Any) -> int | None:
    if value is None:
        return None
    try:
        label = value.item() if hasattr(value, "item") else value
    except (ValueError, RuntimeError):
        label = value
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < 2**31:
        raise ValueError(f"'{path}': its label is {str(label)[:40]!r}, expected a class from 0 upwards")
    return label


def load_npz(path: Path) -> dict[str, Any]:
    """The arrays in a .npz file."""
    content = path.read_bytes()
    if content[:4] != ZIP_START:
        raise ValueError(f"'{path}' is not a .npz file")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # whatever a crafted file makes the readers stumble over
        raise ValueError(f"'{path}' is refused: it is damaged or no .npz of arrays: {error}") from error


def read_view(path: Path) -> tuple[Tensors, int | None]:
    """(tensors, label or None) of a file.  ValueError, which names it, for anything but a plain INR."""
    found: dict[Any, Any] = load_npz(path) if path.suffix == ".npz" else load_pth(path)
    label = label_of(path, found.pop("label", None))
    tensors = {}
    for name, value in found.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f"'{path}' is not an INR: it has an entry '{str(name)[:40]}'")
        tensors[name] = array_of(path, name, value)
        if not np.isfinite(tensors[name]).all():
            raise ValueError(f"'{path}': {name} is not finite")
    return tensors, label


def dims_of(path: Path, tensors: Tensors) -> list[int]:
    """Widths d_0 .. d_M of the INR in a file."""
    layers = len(tensors) // 2
    if not 2 <= layers <= MAX_LAYERS:
        raise ValueError(f"'{path}' is not an INR: it has {layers} layers, expected 2 to {MAX_LAYERS}")
    weights = [tensors.get(f"seq.{layer}.weight") for layer in range(layers)]
    dims = [weights[0].shape[1]] if weights[0] is not None else []
    dims += [weight.shape[0] for weight in weights if weight is not None]
    if len(dims) != layers + 1:
        raise ValueError(f"'{path}' is not an INR: it has {', '.join(tensors)}")
    flatten(path, tensors, layout_of(dims))
    return dims


def flatten(path: Path, tensors: Tensors, layout: Layout) -> NDArray[np.float32]:
    """The row [P] of a file's tensors; ValueError if they are not those of the layout."""
    if len(tensors) != len(layout):
        raise ValueError(f"'{path}' has {len(tensors)} tensors, expected {len(layout)}")
    parts = []
    for name, _, rows, cols in layout:
        shape = (rows,) if name.endswith("bias") else (rows, cols)
        if name not in tensors:
            raise ValueError(f"'{path}' has no {name}")
        if tensors[name].shape != shape:
            raise ValueError(f"'{path}': {name} has shape {tensors[name].shape}, expected {shape}")
        parts.append(tensors[name].ravel())
    return np.concatenate(parts)


def params_of(layout: Layout) -> int:
    return sum(math.prod(shape) for _, _, *shape in layout)
