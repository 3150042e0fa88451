"""Pictures that the program wrote, and stores of INRs made by hand, of which is known what they show."""

import json
import zlib
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

W0 = 10.0


def unfiltered(kind: int, line: bytes, before: bytes, width: int) -> bytes:
    """A row of a PNG file; width is that of a pixel in bytes."""
    row = bytearray(line)
    for i in range(len(row)):
        left, corner = (row[i - width], before[i - width]) if i >= width else (0, 0)
        up = before[i]
        if kind == 4:
            guess = left + up - corner
            distances = (
                (abs(guess - left), 0, left),
                (abs(guess - up), 1, up),
                (abs(guess - corner), 2, corner),
            )
            row[i] = (row[i] + min(distances)[2]) & 255
        else:
            row[i] = (row[i] + (0, left, up, (left + up) // 2)[kind]) & 255
    return bytes(row)


def pixels(path: Path) -> NDArray[np.uint8]:
    """An 8-bit PNG file that is not interlaced: [height][width][channels]."""
    data, at, packed = path.read_bytes(), 8, b""
    width, height, depth, colours = (
        int.from_bytes(data[16:20], "big"),
        int.from_bytes(data[20:24], "big"),
        data[24],
        data[25],
    )
    channels = {0: 1, 2: 3, 6: 4}[colours]
    if data[:8] != b"\x89PNG\r\n\x1a\n" or depth != 8 or data[28] != 0:
        raise ValueError(f"'{path}' is not such a PNG file")
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        packed += data[at + 8 : at + 8 + length] if data[at + 4 : at + 8] == b"IDAT" else b""
        at += length + 12
    stream, size, before, rows = zlib.decompress(packed), width * channels, bytes(width * channels), []
    for y in range(height):
        start = y * (size + 1)
        before = unfiltered(stream[start], stream[start + 1 : start + 1 + size], before, channels)
        rows.append(before)
    return np.frombuffer(b"".join(rows), np.uint8).reshape(height, width, channels)


def ball(radius: float, slope: float = 1.0) -> list[NDArray[np.float64]]:
    """A SIREN 3-3-1 that is slope * (|x| - radius) near its surface, and nearly 0 there only, by
    sum 1 - cos(0.2 x_i) = 0.02 |x|^2."""
    factor = slope / (0.04 * radius)
    first = 0.2 / W0 * np.eye(3)
    quarter = np.full(3, np.pi / 2 / W0)
    return [first, quarter, np.full((1, 3), -factor), np.array([factor * (3 - 0.02 * radius**2)])]


def write_store(path: Path, inr: list[NDArray[np.float64]], signal: dict) -> Path:
    """A store of one fitted INR, given by its tensors."""
    dims = [inr[0].shape[1], *(weight.shape[0] for weight in inr[0::2])]
    row = np.concatenate([tensor.ravel() for tensor in inr]).astype("f4")
    kind = np.dtype([("name", "S24"), ("offset", "i4"), ("rows", "i4"), ("cols", "i4")])
    layout, offset = [], 0
    for number, tensor in enumerate(inr):
        name = f"seq.{number // 2}.{'bias' if number % 2 else 'weight'}".encode()
        layout.append((name, offset, tensor.shape[0], tensor.shape[1] if tensor.ndim == 2 else 1))
        offset += tensor.size
    with h5py.File(path, "w") as file:
        file.attrs["polyview_kind"] = "store"
        file.attrs["polyview_version"] = 1
        file.attrs["arch"] = json.dumps({"dims": dims, "w0": W0, "offset": 0.0})
        file.attrs["signal"] = json.dumps(signal)
        file.attrs["config"] = "signal: {source: idx, path: /nowhere}\n"
        file["params"] = row[None, None]
        file["layout"] = np.array(layout, kind)
        for name, value, dtype in (
            ("status", 1, "u1"),
            ("checksum", 0, "u8"),
            ("psnr", 30, "f4"),
            ("steps", 1, "u4"),
        ):
            file[f"view/{name}"] = np.full((1, 1), value, dtype)
        for name, dtype in (("label", "i4"), ("split", "u1"), ("source", "u8")):
            file[f"object/{name}"] = np.zeros(1, dtype)
    return path


def write_box(path: Path, sides: tuple[float, float, float]) -> None:
    """A box from the origin as an OFF file, whose counts stand in the first line as ModelNet40 has it."""
    corners = [(x * sides[0], y * sides[1], z * sides[2]) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    lines = [f"OFF8 {len(quads)} 0", *(f"{x} {y} {z}" for x, y, z in corners)]
    lines += [f"4 {a} {b} {c} {d}" for a, b, c, d in quads]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
