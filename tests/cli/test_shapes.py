"""The source `shapes`: meshes in every layout and format become stores of the same bytes on any ranks, judged by samples
that no fit saw; bad files are named; and a network tells boxes, spheres and tori apart by their INRs."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np

from harness import (
    AT_ONCE,
    BUILD,
    Process,
    check,
    current_python,
    launch,
    one_error,
    polyview,
    run_tests,
    skip,
    write_config,
)

CLASSES = ("box", "sphere", "torus")
TRIMESH = """
import json, sys
import numpy as np, trimesh
mesh = trimesh.load(sys.argv[1], process=True)
x = np.loadtxt(sys.stdin)
points, signed = x[:, :3], x[:, 3]
distance = trimesh.proximity.closest_point_naive(mesh, points)[1]
inside = mesh.contains(points)
far = distance > 1e-6
print(json.dumps({"points": len(x), "closed": bool(mesh.is_watertight),
                  "error": float(np.max(np.abs(np.abs(signed) - distance)[far] / distance[far])),
                  "signs": int(np.sum((signed < 0)[far] != inside[far]))}))
"""


# ---- meshes


def grid(across: int, along: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(u, v) of a grid whose ends meet, and its quadrangles."""
    i, j = np.mgrid[0:across, 0:along]
    corners = [((i + a) % across) * along + (j + b) % along for a, b in ((0, 0), (1, 0), (1, 1), (0, 1))]
    turn = 2 * np.pi
    return turn * i.ravel() / across, turn * j.ravel() / along, np.stack(corners, -1).reshape(-1, 4)


def torus(width: float) -> tuple[np.ndarray, np.ndarray]:
    u, v, faces = grid(24, 12)
    far = 1 + width * np.cos(v)
    return np.stack([far * np.cos(u), far * np.sin(u), width * np.sin(v)], -1), faces


def box(sides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    at = np.array([[(n >> k & 1) * 2 - 1 for k in range(3)] for n in range(8)]) * sides
    faces = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]
    return at, np.array(faces)


def sphere(sides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of cubes within a box around the middle, put on an ellipsoid: six grids, quadrangles all."""
    n, points, faces = 6, [], []
    a, b = np.meshgrid(np.linspace(-1, 1, n + 1), np.linspace(-1, 1, n + 1), indexing="ij")
    for k in range(3):
        for side in (-1, 1):
            at = np.empty((n + 1, n + 1, 3))
            at[..., k], at[..., (k + 1) % 3], at[..., (k + 2) % 3] = side, a, b
            first = len(points) * (n + 1) ** 2
            i, j = (m.ravel() for m in np.mgrid[0:n, 0:n])
            corner = first + np.stack([i, i + 1, i + 1, i], -1) * (n + 1) + np.stack([j, j, j + 1, j + 1], -1)
            faces.append(corner if side > 0 else corner[:, ::-1])
            points.append(at.reshape(-1, 3))
    at = np.concatenate(points)
    return at / np.linalg.norm(at, axis=1, keepdims=True) * sides, np.concatenate(faces)


def off(vertices: np.ndarray, faces: np.ndarray, fault: bool = False) -> str:
    """As ModelNet40 has it; with its well-known fault, the counts right behind the word OFF."""
    lines = [f"OFF{'' if fault else chr(10)}{len(vertices)} {len(faces)} 0"]
    lines += [" ".join(f"{x:.9g}" for x in vertex) for vertex in vertices]
    lines += [" ".join(map(str, [len(face), *face])) for face in faces.tolist()]
    return "\n".join(lines) + "\n"


def write_shapes(tree: Path, train: int = 4, test: int = 2, seed: int = 5) -> Path:
    """PATH/CLASS/{train,test}/CLASS_0001.off: boxes, ellipsoids and tori of random proportions."""
    rng = np.random.default_rng(seed)
    for kind in CLASSES:
        for n in range(train + test):
            sides = rng.uniform({"box": 0.4, "sphere": 0.85, "torus": 0.5}[kind], 1.0, 3)
            made = {"box": box, "sphere": sphere}.get(kind, lambda s: torus(0.4 * float(s[0])))(sides)
            path = tree / kind / ("train" if n < train else "test") / f"{kind}_{n:04}.off"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(off(*made, fault=n % 2 == 1))
    return tree


def shapes_config(work: Path, **sections: dict | str) -> Path:
    """All the shapes of work/tree, a fifth of those for training put apart for val."""
    own = {"source": "shapes", "path": str(work / "tree"), "val": 0.2, "samples": 256, "heldout": 256}
    own |= sections.pop("signal", {})
    config = write_config(work, **({"inr": {"hidden": [8, 8], "offset": 0.0}} | sections))
    config.write_text(json.dumps(json.loads(config.read_text()) | {"signal": own}))
    return config


def contents(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def statuses(store: Path) -> bytes:
    """Of the rows of a store that is being written."""
    try:
        with h5py.File(store, locking=False) as file:
            return file["view/status"][()].tobytes()
    except (OSError, KeyError):
        return b""


# ---- stores


def same_bytes_on_any_ranks(work: Path) -> None:
    write_shapes(work / "tree")
    config, made = shapes_config(work), []
    for ranks, nodes in ((1, 0), (2, 0), (3, 0), (3, 1)):
        store = work / f"{ranks}-{nodes}.h5"
        run = polyview("fit", "--config", config, "--store", store, ranks=ranks, POLYVIEW_NODE_RANKS=nodes)
        check(run.status == 0 and run.json["fitted"] == 2 * 18, f"{ranks} ranks fit all shapes twice", run)
        made.append(contents(store))
    check(all(one == made[0] for one in made), "and get the same bytes")
    with h5py.File(work / "1-0.h5") as file:
        names = [name.decode() for name in file["object/class_names"][()]]
        iou, error, frame = (file[name][()] for name in ("view/iou", "view/surface_error", "object/frame"))
        split, label = file["object/split"][()], file["object/label"][()]
    check(
        names == list(CLASSES) and sorted(label.tolist()) == sorted([0, 1, 2] * 6),
        "classes are directories",
        names,
    )
    check(np.sum(split == 2) == 6 and np.sum(split == 1) > 0, "and splits are those of directories", split)
    check(
        iou.shape == error.shape == (2, 18) and np.all((iou >= 0) & (iou <= 1)) and np.all(error > 0),
        "every row has its IoU and its error near the surface",
        iou,
    )
    check(
        frame.shape == (18, 4) and np.all(frame[:, 3] > 0.5), "and every object its centre and scale", frame
    )
    info = polyview("info", work / "1-0.h5", "--json")
    check(
        abs(info.json["mean_iou"] - iou.mean()) < 1e-5
        and abs(info.json["mean_surface_error"] - error.mean()) < 1e-5
        and abs(run.json["mean_iou"] - iou.mean()) < 1e-5,
        "info and fit tell the means",
        info,
    )


def killed_and_repaired_and_grown(work: Path) -> None:
    write_shapes(work / "tree")
    config = shapes_config(work, fit={"views": 2, "steps": 300, "lr": 5e-3})
    whole, store = work / "whole.h5", work / "store.h5"
    run = polyview("fit", "--config", config, "--store", whole)
    process = Process(launch(["fit", "--config", config, "--store", store], 2), **AT_ONCE)
    while process.process.poll() is None and not any(statuses(store)):
        time.sleep(0.02)
    process.signal(signal.SIGKILL)
    process.finish(30)
    resumed = polyview("fit", "--config", config, "--store", store, ranks=3)
    check(
        resumed.status == 0 and contents(store) == contents(whole),
        "a fit that was killed and resumed makes the bytes of one that was not",
        resumed,
        run,
    )
    with h5py.File(store, "r+") as file:
        file["params"][1, 3, 5] += 1
    bad = polyview("verify", store)
    mended = polyview("verify", store, "--repair", ranks=2)
    check(bad.status == 3 and bad.json["bad_rows"] == [[1, 3]], "a damaged row is found", bad)
    check(
        mended.status == 0 and mended.json["same_checksum"] == 1 and contents(store) == contents(whole),
        "and fitted again from its mesh to the bytes that it had",
        mended,
    )
    grown = polyview("extend", store, "--views", 3, ranks=2)
    filled = polyview("fit", "--store", store, ranks=2)
    more = shapes_config(work, fit={"views": 3, "steps": 300, "lr": 5e-3})
    wide = polyview("fit", "--config", more, "--store", work / "wide.h5")
    names = ("params", "view/iou", "view/surface_error", "object/frame")
    with h5py.File(store) as a, h5py.File(work / "wide.h5") as b:
        same = all(np.array_equal(a[name][()], b[name][()]) for name in names)
    check(
        grown.status == filled.status == 0 and same,
        "a store that grew is that with all views at once",
        grown,
        filled,
        wide,
    )


# ---- what is in them


def every_format_and_layout_is_read(work: Path) -> None:
    vertices, faces = box(np.array([1.0, 0.7, 0.4]))
    triangles = np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]])
    facets = "".join(
        "facet normal 0 0 0\nouter loop\n"
        + "".join("vertex {} {} {}\n".format(*vertices[corner]) for corner in face)
        + "endloop\nendfacet\n"
        for face in triangles
    )
    binary = np.zeros(len(triangles), [("normal", "<f4", 3), ("at", "<f4", (3, 3)), ("more", "<u2")])
    binary["at"] = vertices[triangles]
    ply = (
        f"ply\nformat ascii 1.0\nelement vertex 8\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face 6\nproperty list uchar int vertex_indices\nend_header\n"
        + off(vertices, faces).split("\n", 2)[2]
    )
    obj = "".join(f"v {x} {y} {z}\n" for x, y, z in vertices)
    obj += "".join("f " + " ".join(str(corner + 1) for corner in face) + "\n" for face in faces)
    files = {
        "a.off": off(vertices, faces).encode(),
        "b.off": off(vertices, faces, fault=True).encode(),
        "c.OBJ": obj.encode(),
        "d.stl": f"solid box\n{facets}endsolid box\n".encode(),
        "e.stl": bytes(80) + len(triangles).to_bytes(4, "little") + binary.tobytes(),
        "f.ply": ply.encode(),
    }
    for layout in ("tree/{}", "tree/train/{}"):
        for name, data in files.items():
            path = work / layout.format("one") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        run = polyview(
            "fit", "--config", shapes_config(work, signal={"val": 0, "test": 0}), "--store", work / "store.h5"
        )
        with h5py.File(work / "store.h5") as file:
            frame = file["object/frame"][()]
        check(
            run.status == 0 and run.json["rows"] == 12 and np.ptp(frame, axis=0).max() < 1e-6,
            f"the same box in all formats, in {layout.format('CLASS')}, is the same box",
            run,
            frame,
        )
        (work / "store.h5").unlink()
        shutil.rmtree(work / "tree")


def fields_are_fitted(work: Path) -> None:
    """A sphere: a small net comes near it, and its zero set is where it should be."""
    path = work / "tree" / "ball" / "ball.off"
    path.parent.mkdir(parents=True)
    path.write_text(off(*sphere(np.array([2.0, 2.0, 2.0]))))
    for field in ("sdf", "occupancy"):
        config = shapes_config(
            work,
            signal={"val": 0, "test": 0, "field": field, "samples": 2048, "heldout": 1024},
            inr={"hidden": [16, 16], "w0": 10.0, "offset": 0.0, "variant": "standard"},
            fit={"views": 1, "steps": 400, "lr": 5e-3},
        )
        run = polyview("fit", "--config", config, "--store", work / f"{field}.h5")
        check(
            run.status == 0 and run.json["mean_iou"] > 0.9,
            f"the {field} of a ball is fitted to an IoU above 0.9",
            run,
        )
        if field == "sdf":
            check(run.json["mean_surface_error"] < 0.03, "and to small errors near the surface", run.json)


def a_network_tells_shapes_apart(work: Path) -> None:
    write_shapes(work / "tree", train=40, test=15)
    config = shapes_config(
        work,
        signal={"val": 0.1, "samples": 512, "heldout": 64},
        inr={"hidden": [8], "w0": 5.0, "offset": 0.0, "variant": "standard"},
        fit={"views": 2, "steps": 300, "lr": 1e-2},
        model={"kind": "dws", "hidden": 16, "layers": 2},
        train={"epochs": 30, "batch": 16, "lr": 5e-3, "views": 2},
    )
    fitted = polyview("fit", "--config", config, ranks=2)
    trained = polyview("train", "--config", config)
    judged = polyview("eval", "--model", work / "model.h5", "--store", work / "store.h5", "--split", "test")
    check(
        fitted.status == 0 and trained.status == 0 and judged.status == 0 and judged.json["accuracy"] > 0.5,
        "a network tells boxes, spheres and tori apart far above chance, 1/3",
        fitted,
        trained,
        judged,
    )


# ---- what is refused


def bad_files_are_named(work: Path) -> None:
    write_shapes(work / "tree", train=2, test=1)
    good, store = (work / "tree/box/train/box_0000.off").read_text(), work / "store.h5"
    folder = work / "tree/box/train"
    heads = {
        "empty.off": "",
        "text.off": "hello, this is no mesh\n",
        "noface.off": "OFF\n8 0 0\n",
        "cut.stl": "solid\n",
        "text.ply": "hello\n",
    }
    config = shapes_config(work)
    for name, text in heads.items():
        (folder / name).write_text(text)
    (folder / "missing.off").symlink_to(work / "nowhere.off")
    run = polyview("fit", "--config", config, "--store", store)
    check(
        one_error(run, 3, "6 of 15 files", "skip_bad", "missing.off", *heads),
        "all bad files are in one message",
        run,
    )
    (folder / "nan.off").write_text(good.replace("8 6 0\n", "8 6 0\nnan ", 1))
    (folder / "range.off").write_text(good.replace("4 0 2 3 1", "4 0 2 3 8"))
    run = polyview(
        "fit", "--config", shapes_config(work, signal={"skip_bad": True}), "--store", store, ranks=2
    )
    check(
        run.status == 0
        and run.json["rows"] == 2 * 9
        and "8 of 17 files" in run.stderr
        and "nan.off" in run.stderr,
        "signal.skip_bad leaves them out, and those that are bad inside, and names them",
        run,
    )
    for name in (*heads, "missing.off", "nan.off"):
        (folder / name).unlink()
    config = shapes_config(work)
    for ranks in (1, 3):
        run = polyview("fit", "--config", config, "--store", work / f"late-{ranks}.h5", ranks=ranks)
        check(
            one_error(run, 3, "range.off", "corner 8"),
            f"a mesh that is bad inside ends a fit on {ranks} ranks",
            run,
        )
    (folder / "range.off").unlink()
    (folder / "box_0000.off").write_text(off(*box(np.array([1.0, 0.2, 0.2]))))
    polyview("extend", store, "--views", 3)
    run = polyview("fit", "--store", store)
    check(one_error(run, 3, "not those that"), "a mesh that has changed since is seen", run)
    run = polyview("fit", "--config", shapes_config(work, signal={"path": "/no/such/place"}))
    check(one_error(run, (1, 2, 3), "/no/such/place"), "a missing directory is named", run)


# ---- an independent witness


def trimesh_gives_the_same_distances(work: Path) -> None:
    """Of closed meshes; the test program of the room prints what it finds at random points."""
    python, why = current_python("trimesh", "scipy", "rtree")
    if not python:
        return skip("trimesh gives the same distances, to 1e-5, and signs", why)
    write_shapes(work / "tree", train=1, test=1)
    for path in sorted((work / "tree").rglob("*_0000.off")):
        printed = subprocess.run(
            [BUILD / "tests/unit/test_mesh", path], capture_output=True, text=True, timeout=60
        )
        witness = subprocess.run(
            [python, "-c", TRIMESH, path], input=printed.stdout, capture_output=True, text=True, timeout=120
        )
        told = json.loads(witness.stdout or "null")
        check(
            told and told["closed"] and told["points"] > 500 and told["error"] < 1e-5 and told["signs"] == 0,
            f"trimesh gives the same distances, to 1e-5, and signs: {path.name}",
            told,
            witness.stderr,
        )


if __name__ == "__main__":
    sys.exit(
        run_tests(
            same_bytes_on_any_ranks,
            killed_and_repaired_and_grown,
            every_format_and_layout_is_read,
            fields_are_fitted,
            a_network_tells_shapes_apart,
            bad_files_are_named,
            trimesh_gives_the_same_distances,
        )
    )
