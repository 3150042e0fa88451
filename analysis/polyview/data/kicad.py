"""Real shapes to try the source `shapes` with: models of electronic parts, from Debian's kicad-packages3d.

    polyview-tools data kicad --download OUT          (379 MB, through apt-get)
    polyview-tools data kicad --package kicad-packages3d_6.0.10-1_all.deb OUT

Writes a tree as ModelNet has it, OUT/CLASS/{train,val,test}/NAME.off.  The package's directories are merged into the
classes below; of each at most --most parts are taken.  Parts that are almost the same when they are centred and scaled
(the same part with another spacing of its pins, say) go into the same split.  Only the VRML files of those
directories are unpacked, one after the other, and none is kept.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Class: what the paths of its parts begin with, below packages3d/.
CLASSES = {
    "bga": ("Package_BGA", "Package_LGA"),
    "capacitor_axial": ("Capacitor_THT.3dshapes/C_Axial", "Capacitor_THT.3dshapes/CP_Axial"),
    "capacitor_box": ("Capacitor_THT.3dshapes/C_Rect",),
    "capacitor_radial": ("Capacitor_THT.3dshapes/C_Radial", "Capacitor_THT.3dshapes/CP_Radial"),
    "crystal": ("Crystal",),
    "dip": ("Package_DIP",),
    "dsub": ("Connector_Dsub",),
    "inductor": ("Inductor_THT",),
    "jst": ("Connector_JST",),
    "led": ("LED_THT",),
    "mounting": ("Mounting_Wuerth",),
    "pin_header": ("Connector_PinHeader",),
    "pin_socket": ("Connector_PinSocket",),
    "plug": ("Connector_Phoenix_M", "Connector_Phoenix_G"),
    "qfn": ("Package_DFN_QFN", "Package_SON"),
    "qfp": ("Package_QFP",),
    "resistor": ("Resistor_THT",),
    "so": ("Package_SO.",),
    "switch": ("Button_Switch_SMD",),
    "to": ("Package_TO_SOT_THT",),
}
SPLITS = ("train", "val", "test")
COORDINATES = re.compile(rb"coordIndex\s*\[([^\]]*)\][^\[]*?point\s*\[([^\]]*)\]")

Reals = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass
class Part:
    kind: str
    name: str
    vertices: Reals  # [n][3]
    triangles: Integers  # [m][3]
    form: Reals  # numbers that are almost equal for parts that are almost the same
    split: str = ""


def read_vrml(text: bytes) -> tuple[Reals, Integers] | None:
    """The triangles of all its IndexedFaceSets; None where there is more to it."""
    if b"Transform" in text or b"Switch" in text:
        return None
    vertices, triangles, count = [], [], 0
    for match in COORDINATES.finditer(text):
        index = np.array(match[1].replace(b",", b" ").split(), dtype=np.int64)
        points = np.array(match[2].replace(b",", b" ").split(), dtype=np.float64).reshape(-1, 3)
        if index.size % 4 != 0 or np.any(index[3::4] != -1):
            return None
        vertices.append(points)
        triangles.append(index.reshape(-1, 4)[:, :3] + count)
        count += len(points)
    return (np.concatenate(vertices), np.concatenate(triangles)) if vertices else None


def form_of(vertices: Reals, triangles: Integers) -> Reals:
    """Size of the box, surface and second moments of the surface, of the part in the unit ball."""
    used = vertices[triangles]
    low, high = used.min((0, 1)), used.max((0, 1))
    used = used - (low + high) / 2
    used = used / np.sqrt((used**2).sum(2).max())
    areas = np.linalg.norm(np.cross(used[:, 1] - used[:, 0], used[:, 2] - used[:, 0]), axis=1) / 2
    middles = used.mean(1)
    moments = (areas[:, None] * np.abs(middles)).sum(0), (areas[:, None] * middles**2).sum(0)
    return np.concatenate([used.max((0, 1)), [areas.sum()], *moments])


def order_of(name: str) -> str:
    """Mixes names, always in the same way."""
    return hashlib.sha256(name.encode()).hexdigest()


def class_of(path: str) -> str | None:
    return next((kind for kind, starts in CLASSES.items() if path.startswith(starts)), None)


def parts_of(package: Path) -> Iterator[Part]:
    """Unpacks what is wanted."""
    packed = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE)
    assert packed.stdout is not None
    with tarfile.open(fileobj=packed.stdout, mode="r|") as tar:
        for member in tar:
            path = member.name.partition("/packages3d/")[2] or member.name.partition("/3dmodels/")[2]
            kind = class_of(path)
            file = tar.extractfile(member) if kind and path.endswith(".wrl") else None
            read = read_vrml(file.read()) if file else None
            if kind and read:
                yield Part(kind, Path(path).stem, *read, form_of(*read))
    if packed.wait() != 0:
        raise RuntimeError(f"dpkg-deb cannot unpack {package}")


def groups_of(parts: list[Part], tolerance: float) -> list[list[Part]]:
    """Parts whose forms differ by less than the tolerance are in one group, and so are the parts like those."""
    forms = np.stack([part.form for part in parts])
    group = np.arange(len(parts))
    for i in range(len(parts)):
        alike = np.abs(forms - forms[i]).max(1) < tolerance
        group[np.isin(group, group[alike])] = group[i]
    return [[part for part, own in zip(parts, group) if own == number] for number in np.unique(group)]


def divide(parts: list[Part], most: int, tolerance: float) -> list[Part]:
    """Chooses at most `most` parts of a class, and gives each a split: about 7 to 1 to 2."""
    chosen = sorted(parts, key=lambda part: order_of(part.name))[:most]
    groups = sorted(groups_of(chosen, tolerance), key=lambda group: order_of(group[0].name))
    counts = dict.fromkeys(SPLITS, 0)
    wanted = {"train": 0.7, "val": 0.1, "test": 0.2}
    for group in sorted(groups, key=len, reverse=True):  # the largest first, where most is still wanted
        split = max(SPLITS, key=lambda name: wanted[name] * len(chosen) - counts[name])
        counts[split] += len(group)
        for part in group:
            part.split = split
    return chosen


def write_off(part: Part, out: Path) -> None:
    path = out / part.kind / part.split / f"{part.name}.off"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        file.write(f"OFF\n{len(part.vertices)} {len(part.triangles)} 0\n")
        np.savetxt(file, part.vertices, "%.7g")
        np.savetxt(file, np.insert(part.triangles, 0, 3, axis=1), "%d")


def download(folder: str) -> Path:
    subprocess.run(["apt-get", "download", "kicad-packages3d"], cwd=folder, check=True)
    return next(Path(folder).glob("kicad-packages3d_*.deb"))


def main(program: str, words: list[str]) -> int:
    parser = argparse.ArgumentParser(program, description=__doc__.splitlines()[0] if __doc__ else "")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--download", action="store_true", help="get the package, 379 MB, by apt-get")
    source.add_argument("--package", type=Path, help="the package, if it is there already")
    parser.add_argument("--most", type=int, default=100, help="parts of a class")
    parser.add_argument(
        "--tolerance", type=float, default=0.004, help="up to which two parts are almost the same"
    )
    parser.add_argument("out", type=Path)
    args = parser.parse_args(words)
    by_class: dict[str, list[Part]] = {kind: [] for kind in CLASSES}
    with tempfile.TemporaryDirectory() as folder:
        for part in parts_of(download(folder) if args.download else args.package):
            by_class[part.kind].append(part)
    for kind, parts in by_class.items():
        if not parts:
            raise RuntimeError(f"the package holds no part of the class {kind}")
        chosen = divide(parts, args.most, args.tolerance)
        for part in chosen:
            write_off(part, args.out)
        numbers = ", ".join(f"{sum(part.split == name for part in chosen)} {name}" for name in SPLITS)
        groups = len(groups_of(chosen, args.tolerance))
        print(
            f"{kind}: {len(chosen)} of {len(parts)} parts, {groups} that differ: {numbers}", file=sys.stderr
        )
    return 0
