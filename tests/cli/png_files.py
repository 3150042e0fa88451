"""PNG files of every kind, written without libpng."""

import struct
import zlib

import numpy as np

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}
# Of each pass of an interlaced picture: first row, first column, step of rows, step of columns.
PASSES = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def packed(row: np.ndarray, depth: int) -> bytes:
    """The bytes of one row's numbers."""
    if depth == 16:
        return row.astype(">u2").tobytes()
    if depth == 8:
        return row.astype("u1").tobytes()
    bits = (row.reshape(-1, 1) >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.reshape(-1).astype("u1")).tobytes()


def predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        distances = [(abs(up - corner), 0, left), (abs(left - corner), 1, up)]
        return min([*distances, (abs(left + up - 2 * corner), 2, corner)])[2]
    return (0, left, up, (left + up) // 2)[kind]


def filtered(rows: list[bytes], width: int) -> bytes:
    """Every row by another filter; width is that of a pixel in bytes."""
    out, before = bytearray(), bytes(len(rows[0]))
    for number, row in enumerate(rows):
        kind = number % 5
        out.append(kind)
        for i, byte in enumerate(row):
            left, corner = (row[i - width], before[i - width]) if i >= width else (0, 0)
            out.append((byte - predicted(kind, left, before[i], corner)) % 256)
        before = row
    return bytes(out)


def png(
    numbers: np.ndarray,
    kind: int,
    depth: int,
    interlaced: bool = False,
    palette: np.ndarray | None = None,
    transparent: bytes = b"",
) -> bytes:
    """numbers [height][width][channels of the kind], below 2^depth; transparent: the data of a tRNS chunk."""
    height, width, channels = numbers.shape
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)
    data, pixel = b"", max(1, channels * depth // 8)
    for row, column, down, along in PASSES if interlaced else ((0, 0, 1, 1),):
        part = numbers[row::down, column::along]
        if part.size:
            data += filtered([packed(line, depth) for line in part], pixel)
    chunks = [chunk(b"IHDR", head)]
    if palette is not None:
        chunks.append(chunk(b"PLTE", palette.astype("u1").tobytes()))
    if transparent:
        chunks.append(chunk(b"tRNS", transparent))
    stream = zlib.compress(data)
    halves = [chunk(b"IDAT", stream[:20]), chunk(b"IDAT", stream[20:])]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*chunks, *halves, chunk(b"IEND", b"")])
