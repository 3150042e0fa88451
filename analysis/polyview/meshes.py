"""Extracts the surface of a shape's INR by marching cubes, as a PLY file.

polyview-tools mesh STORE --object I [--view V] [--resolution 128] [--unit] -o X.ply

The surface is where the INR says 0, between what is inside and negative and the rest.  It lies where the source mesh lies, by the
centre and the scale that the store keeps of it (/object/frame); with --unit it stays in the unit ball.  Needs scikit-image
(Debian: python3-skimage).
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ._paths import path_of, replaced
from .store import Store

POINTS = 1 << 17  # that are evaluated at once


def is_shape(store: Store) -> bool:
    """Whether the INRs are fields over space, without a grid of their own."""
    return store.inputs == 3 and not store.signal.get("height")


def field(store: Store, view: int, object: int, resolution: int) -> NDArray[np.float32]:
    """The INR's first channel at [x][y][z], each linspace(-1, 1, resolution)."""
    axis = np.linspace(-1, 1, resolution)
    values = np.empty(resolution**3, np.float32)
    for first in range(0, len(values), POINTS):
        places = np.unravel_index(np.arange(first, min(first + POINTS, len(values))), (resolution,) * 3)
        coords = np.stack([axis[place] for place in places], axis=1)
        values[first : first + POINTS] = store.evaluate(view, object, coords)[:, 0]
    return values.reshape((resolution,) * 3)


def turned(values: NDArray[np.float32], vertices: NDArray[np.float32], triangles: NDArray[np.int32]) -> bool:
    """Whether triangles look to where the values fall: what marching cubes says of that differs by its version."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    x, y, z = np.rint(a).astype(int).T
    slope = np.stack([np.asarray(part)[x, y, z] for part in np.gradient(values)], axis=1)
    return float((np.cross(b - a, c - a) * slope).sum()) < 0


def surface(
    store: Store, view: int, object: int, resolution: int
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Vertices [n][3] in the cube [-1, 1]^3 and triangles [m][3] that turn counter-clockwise, seen from outside.

    ValueError where the INR has no surface there, or scikit-image is not installed.
    """
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        raise ValueError(
            f"meshes need scikit-image (Debian: python3-skimage; pip: polyview[meshes]): {error}"
        ) from error
    if not is_shape(store):
        raise ValueError(f"'{store.path}' holds no shapes")
    values = field(store, view, object, resolution)
    if not values.min() < 0 < values.max():
        raise ValueError(f"view {view} of object {object} of '{store.path}' has no surface in [-1, 1]^3")
    vertices, triangles, _, _ = marching_cubes(values, 0.0)
    if turned(values, vertices, triangles):
        triangles = triangles[:, ::-1]
    return 2.0 * vertices / (resolution - 1) - 1, triangles.astype(np.int32)


def put_back(store: Store, object: int, vertices: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the unit ball to where the source mesh lies, as far as the store keeps that."""
    frame = store.other_columns.get("frame")
    if frame is None or frame[object, 3] == 0:
        return vertices
    return np.asarray(frame[object, :3] + frame[object, 3] * vertices, np.float64)


def write_ply(
    path: Path, vertices: NDArray[np.float64], triangles: NDArray[np.int32], *sources: Path
) -> None:
    """A binary PLY file, made whole."""
    head = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        f"element face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    faces = np.empty(len(triangles), [("corners", "u1"), ("vertices", "<i4", (3,))])
    faces["corners"], faces["vertices"] = 3, triangles
    with replaced(path, *sources) as to:
        to.write_bytes(head.encode() + vertices.astype("<f4").tobytes() + faces.tobytes())


def main(program: str, words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        program, description="Extracts the surface of a shape's INR as a PLY file."
    )
    parser.add_argument("store", type=path_of)
    parser.add_argument("--object", type=int, required=True)
    parser.add_argument("--view", type=int, default=0)
    parser.add_argument("--resolution", type=int, default=128, help="points a side of the cube (default 128)")
    parser.add_argument("--unit", action="store_true", help="leave it in the unit ball")
    parser.add_argument("-o", "--output", type=path_of, required=True)
    args = parser.parse_args(words)
    if args.resolution < 2:
        parser.error("--resolution must be 2 or more")
    with Store(args.store) as store:
        vertices, triangles = surface(store, args.view, args.object, args.resolution)
        if not args.unit:
            vertices = put_back(store, args.object, vertices)
    write_ply(args.output, vertices, triangles, args.store)
    print(f"{len(vertices)} vertices, {len(triangles)} triangles: {args.output}", file=sys.stderr)
    return 0
