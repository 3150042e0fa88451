"""One INR in one file: .pth as the published DWS trainers read it, or .npz, which needs no PyTorch.

Both hold the tensors by their state_dict names and, beside them, an entry "label".  Reading trusts no file: a .pth
goes through torch.load(weights_only=True), a .npz is read without pickle, and what is left must be tensors of
floating-point numbers whose names number the layers of one INR.  What people save around that is taken off: a
dict around the state_dict, the prefixes of wrappers, other module names, other precisions, whatever is no tensor.
"""

import io
import math
import re
import warnings
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._paths import write_whole

Tensors = dict[str, NDArray[np.float32]]
Layout = list[tuple[str, int, int, int]]  # name, offset, rows, cols

MAX_LAYERS, MAX_WIDTH = 8, 256  # of an INR, as the program has it
TORCH_SUFFIXES = (".pth", ".pt")
SUFFIXES = (*TORCH_SUFFIXES, ".npz")
MAX_BYTES = 1 << 26  # of a file and of what is packed in it; the largest INR has 4 MiB
NUMBERED = re.compile(r"(.*?)_?(\d{1,3})", re.ASCII)  # a part of a name: 0, fc1, layer_2
WRAPPERS = re.compile(
    r"(?:module\.|_orig_mod\.)*"
)  # what DataParallel and torch.compile put in front of names
MAX_AROUND = 4  # dicts around a state_dict
AROUND = ("state_dict", "model_state_dict", "model", "net", "params", "weights")
FLOATS = ("float32", "float64", "float16", "bfloat16")
MAX_LABEL = 2**31 - 1  # so that the number of classes is an int32, too
ZIP_START = b"PK\x03\x04"
UNSUPPORTED = re.compile(r"unsupported (?:global: GLOBAL|GLOBAL|class) [\w.]+", re.I)
FLOAT_REFUSED = "Unsupported operand 71"  # what PyTorch 1.13 says of a pickled float
TORCHSCRIPT = b"constants.pkl"  # the entry by which torch.load knows an archive of code


def need_torch() -> ModuleType:
    try:
        import torch
    except ImportError as error:
        raise ValueError(
            "PyTorch is not installed and .pth files need it (Debian: python3-torch; pip: polyview[torch]); .npz do without"
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
    file = io.BytesIO()
    torch.save(state | {"label": label}, file)
    write_whole(path, file.getvalue())


def write_npz(path: Path, tensors: Tensors, label: int) -> None:
    arrays: dict[str, Any] = {**tensors, "label": np.int64(label)}
    file = io.BytesIO()
    np.savez(file, **arrays)
    write_whole(path, file.getvalue())


def content_of(path: Path, limit: float) -> bytes:
    """A file's bytes; ValueError if they are more than the limit."""
    if (size := path.stat().st_size) > limit:
        raise ValueError(f"'{path}' has {size} bytes, more than any INR: save one INR a file")
    return path.read_bytes()


def check_size(archive: zipfile.ZipFile, limit: float) -> None:
    if sum(entry.file_size for entry in archive.infolist()) > limit:
        raise ValueError("it unpacks to more than any INR")


def load_pth(path: Path) -> dict[Any, Any]:
    """The dict in a .pth file, tensors not yet arrays."""
    torch = need_torch()
    content = content_of(path, MAX_BYTES)
    if content[:4] != ZIP_START:
        raise ValueError(
            f"'{path}' is not a file of torch.save since PyTorch 1.6: load it where it is trusted and save it again"
        )
    # torch.load would hand such an archive to torch.jit, past weights_only.
    if TORCHSCRIPT in content:
        raise ValueError(f"'{path}' is refused: it is a TorchScript archive, which can hold code")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            check_size(archive, MAX_BYTES)
            if archive.testzip() is not None:  # torch.load may not look at the checksums
                raise ValueError("wrong checksum")
        with warnings.catch_warnings(action="ignore"):  # of what is refused below, and says so
            found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a crafted file makes the readers stumble over
        # PyTorch's own words go on to say how to run the code in a file.
        refused = UNSUPPORTED.search(str(error))
        told = refused[0] if refused else str(error).split("WeightsUnpickler error: ")[-1].partition("\n")[0]
        if FLOAT_REFUSED in told:
            raise ValueError(
                f"'{path}' holds a float, which this PyTorch reads from no untrusted file: save it as a tensor, or "
                "import with PyTorch 2"
            ) from error
        raise ValueError(
            f"'{path}' is refused: it is damaged or holds more than tensors, dicts and numbers (save those alone: "
            f"tensors, and int(label)): {type(error).__name__}: {told}"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"'{path}' is not a state_dict: it holds a {type(found).__name__}")
    return found


def array_of(path: Path, name: str, value: Any) -> NDArray[np.float32]:
    """A tensor's own array.  Its shape is looked at before its data, which a crafted file may claim to be huge."""
    kind, shape = getattr(value.dtype, "name", str(value.dtype)), tuple(value.shape)
    if kind.removeprefix("torch.") not in FLOATS:
        raise ValueError(f"'{path}': {name} is {kind}, expected a tensor of {', '.join(FLOATS)}")
    if len(shape) != (2 if name.endswith("weight") else 1) or not all(1 <= n <= MAX_WIDTH for n in shape):
        raise ValueError(f"'{path}': {name} has shape {shape}, no INR of up to {MAX_WIDTH} neurons a layer")
    if isinstance(value, np.ndarray):
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused as not finite
            return value.astype(np.float32)
    if str(value.layout) != "torch.strided" or value.device.type != "cpu":
        raise ValueError(f"'{path}': {name} is not a dense tensor in memory")
    return np.asarray(value.detach().float().numpy())


def whole_number(value: Any) -> int | None:
    """A label as people keep it: also as a float, in an array, or in a list of one.  None for anything else."""
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if hasattr(value, "item"):
        try:
            value = value.item()
        except (ValueError, RuntimeError):
            return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and type(value) is not bool and abs(value) < 2**63 else None


def label_of(path: Path, value: Any) -> int | None:
    if value is None:
        return None
    label = whole_number(value)
    if label == -1:  # of no class
        return None
    if label is None or not 0 <= label < MAX_LABEL:
        # What a crafted file holds here may be too large to print.
        told = (
            repr(value)[:40] if isinstance(value, (str, np.generic)) else label or f"a {type(value).__name__}"
        )
        raise ValueError(
            f"'{path}': its label is {told}, expected a class from 0 upwards, saved as int(label)"
        )
    return label


def load_npz(path: Path, limit: float = MAX_BYTES) -> dict[str, Any]:
    """The arrays in a .npz file."""
    content = content_of(path, limit)
    if content[:4] != ZIP_START:
        raise ValueError(f"'{path}' is not a .npz file")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            check_size(file.zip, limit)
            return {name: file[name] for name in file.files}
    except Exception as error:  # whatever a crafted file makes the readers stumble over
        raise ValueError(f"'{path}' is refused: it is damaged or no .npz of arrays: {error}") from error


def is_tensor(value: Any) -> bool:
    """Not a figure, as people save beside weights: the PSNR, the loss, the epoch, a name."""
    return hasattr(value, "dtype") and getattr(value, "ndim", 0) > 0


def unwrap(found: dict[Any, Any]) -> dict[Any, Any]:
    """The entries of the state_dict itself, and a label from around it."""
    for _ in range(MAX_AROUND):
        dicts = {name: value for name, value in found.items() if isinstance(value, dict)}
        named = [dicts[name] for name in AROUND if name in dicts]
        if not named and len(dicts) == 1 and not any(map(is_tensor, found.values())):
            named = [*dicts.values()]
        if not named:
            break
        found = named[0] | ({"label": found["label"]} if "label" in found else {})
    return found


def place_of(name: Any) -> tuple[str, tuple[int, ...], str] | None:
    """(module, number of the layer, weight or bias) of net.2.linear.weight, net.0.1.bias, fc1.weight; else None."""
    *parts, kind = WRAPPERS.sub("", name, count=1).split(".") if isinstance(name, str) else [""]
    matches = [NUMBERED.fullmatch(part) for part in parts]
    numbers = tuple(int(match[2]) for match in matches if match)
    if kind not in ("weight", "bias") or not numbers:
        return None
    while not matches[-1]:  # what stands after the last number is the layer's own
        matches.pop()
    words = [match[1] if match else part for match, part in zip(matches, parts)]
    return ".".join(filter(None, words)), numbers, kind


def standard_names(path: Path, names: list[Any]) -> dict[str, str]:
    """Our name of every tensor: seq.{layer}.weight or .bias, layers counted in the order of their numbers."""
    found: dict[str, tuple[str, tuple[int, ...], str]] = {}
    for name in names:
        place = place_of(name)
        if not place:
            raise ValueError(
                f"'{path}' is not an INR: it has an entry '{str(name)[:40]}', expected a weight and a bias of every "
                "layer, whose names number the layers, as seq.0.weight"
            )
        found[name] = place
    modules = sorted({module for module, _, _ in found.values()})
    if len(modules) > 1:
        raise ValueError(f"'{path}' holds several networks, {' and '.join(modules[:2])}: save one INR a file")
    layers = sorted({layer for _, layer, _ in found.values()})
    return {name: f"seq.{layers.index(layer)}.{kind}" for name, (_, layer, kind) in found.items()}


def read_view(path: Path) -> tuple[Tensors, int | None]:
    """(tensors, label or None) of a file.  ValueError, which names it, for anything but a plain INR."""
    found = unwrap(load_npz(path) if path.suffix == ".npz" else load_pth(path))
    label = label_of(path, found.pop("label", None))
    held = {name: value for name, value in found.items() if is_tensor(value)}
    tensors = {}
    for name, standard in standard_names(path, list(held)).items():
        if standard in tensors:
            raise ValueError(f"'{path}': '{name}' stands for {standard}, which another entry is")
        tensors[standard] = array_of(path, standard, held[name])
        if not np.isfinite(tensors[standard]).all():
            raise ValueError(f"'{path}': {name} is not finite")
    return dict(sorted(tensors.items())), label


def fits(tensors: Tensors) -> bool:
    """Whether every layer takes what the one before gives, and has a bias for every row."""
    weights = [tensor for name, tensor in tensors.items() if name.endswith("weight")]
    return all(a.shape[0] == b.shape[1] for a, b in zip(weights, weights[1:])) and all(
        len(tensors[f"seq.{i}.bias"]) == len(weight) for i, weight in enumerate(weights)
    )


def dims_of(path: Path, tensors: Tensors) -> list[int]:
    """Widths d_0 .. d_M of the INR in a file."""
    layers = (len(tensors) + 1) // 2
    if not 2 <= layers <= MAX_LAYERS:
        raise ValueError(f"'{path}' is not an INR: it has {layers} layers, expected 2 to {MAX_LAYERS}")
    weights = [tensors.get(f"seq.{layer}.weight") for layer in range(layers)]
    dims = [weights[0].shape[1]] if weights[0] is not None else []
    dims += [weight.shape[0] for weight in weights if weight is not None]
    for name in (f"seq.{layer}.bias" for layer in range(layers)):
        if len(dims) == layers + 1 and name not in tensors:
            raise ValueError(f"'{path}' has no {name}: layers without a bias are saved with one of zeros")
    if len(dims) != layers + 1:
        raise ValueError(f"'{path}' is not an INR: it has {', '.join(tensors)}")
    turned = {name: array.T for name, array in tensors.items()}
    if not fits(tensors) and fits(turned):
        raise ValueError(
            f"'{path}': its weights are [in][out]: save them transposed, [out][in], as PyTorch does"
        )
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
