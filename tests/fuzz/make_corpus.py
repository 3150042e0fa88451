"""Writes the seeds of a fuzz target, small valid and nearly valid inputs, and its dictionary.

Usage: make_corpus.py TARGET DIRECTORY.  The dictionary is DIRECTORY.dict where the target has one."""

import gzip
import io
import json
import random
import re
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent

sys.path.insert(0, str(ROOT / "tests" / "cli"))
from png_files import DEPTHS, CHANNELS, PALETTE, png  # noqa: E402


def idx_file(count: int, sides: tuple[int, ...], fill: int = 1, kind: int = 8, width: int = 1) -> bytes:
    size = count * width
    for side in sides:
        size *= side
    dims = b"".join(n.to_bytes(4, "big") for n in (count, *sides))
    return bytes([0, 0, kind, 1 + len(sides)]) + dims + bytes(fill % 10 for _ in range(size))


def idx_seeds() -> list[bytes]:
    plain = [idx_file(4, (3, 3)), idx_file(5, ()), idx_file(1, (1, 1)), idx_file(70, ()), idx_file(2, (9, 4))]
    for kind, width in ((0x09, 1), (0x0B, 2), (0x0C, 4), (0x0D, 4), (0x0E, 8)):
        plain += [idx_file(3, sides, 2, kind, width) for sides in ((), (8,), (2, 3))]
    packed = [gzip.compress(data, level) for data in plain for level in (0, 9)]
    broken = (
        [data[:-1] for data in plain]
        + [data + b"x" for data in packed]
        + [packed[0] + packed[0], packed[0] + bytes(99), b""]
    )
    return plain + packed + broken


def image_seeds() -> list[bytes]:
    rng, made = np.random.default_rng(1), []
    for kind, depths in DEPTHS.items():
        for depth in depths:
            for interlaced in (False, True):
                palette = rng.integers(0, 256, (2**depth, 3))[:16] if kind == PALETTE else None
                numbers = rng.integers(0, min(2**depth, 16), (3, 5, CHANNELS[kind]))
                made.append(png(numbers, kind, depth, interlaced, palette, b"\x00\x01" * (kind == PALETTE)))
    try:
        from PIL import Image
    except ImportError:
        return made  # without JPEGs
    for mode in ("L", "RGB", "CMYK"):
        for options in ({}, {"progressive": True, "quality": 30}, {"restart_marker_blocks": 1}):
            file = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (9, 17, 4)).astype("u1")).convert(mode).save(file, "jpeg", **options)
            made.append(file.getvalue())
    return made + [b"", made[0][:-5], made[-1][:-5]]


def cifar_seeds() -> list[bytes]:
    """What fuzz_cifar reads: the form of the set, that of every file, labels, names."""
    seeds = []
    for how in range(256):
        format_, names = how & 1, (10, 20 if how & 2 else 100)[how & 1]
        for records in (1, 2, 3 | 4 | 24, 2 | 32):
            labels = bytes(i % names for i in range(4))
            files = b"".join(bytes([records]) + labels for _ in range(2 if format_ else 6))
            seeds.append(bytes([how]) + files + b"".join(b"%d\n" % i for i in range(names)))
    return seeds


def tree_seeds() -> list[bytes]:
    trees = ("a.png b.png", "a/1 a/2 b/1", "train/a/1 test/a/1 val/b/1", "a/train/1 a/test/1 b/val/2", "train/1 test/2")
    broken = ("a/1 2", "train/a/1 b/1", "a/train/1 a/1", "/ // a// //1", "train test", f"{'x' * 40}/1 {'x' * 41}/1")
    return [tree.replace(" ", "\n").encode() for tree in trees + broken] + ["\u00e9".encode("latin-1") + b"/1"]


def config_keys() -> list[tuple[str, str]]:
    """(key, default) of every key, from the generated page."""
    rows = re.findall(
        r"^\| `([\w.]+)` \|[^\n]*?\| (?:`([^`]*)`|required) \|", (ROOT / "docs/config.md").read_text(), re.M
    )
    return [(key, value) for key, value in rows]


def config_seeds() -> list[bytes]:
    keys = config_keys()
    seeds = [path.read_bytes() for path in sorted((ROOT / "configs").glob("*.yaml"))]
    seeds += [b"", b"=", b"fit: {views: 2, steps: 100}\n", b"inr:\n  hidden:\n  - 64\n  - 64\n"]
    for section in sorted({key.split(".")[0] for key, _ in keys if "." in key}):
        own = [(key.split(".", 1)[1], value) for key, value in keys if key.startswith(section + ".")]
        plain = [(key, value) for key, value in own if "." not in key]
        seeds.append((f"{section}:\n" + "".join(f"  {key}: {value}\n" for key, value in plain)).encode())
    for start in range(0, len(keys), 4):
        seeds.append(("=" + "\n".join(f"{key}={value}" for key, value in keys[start : start + 4])).encode())
    return seeds


def config_words() -> list[str]:
    words = {part for key, value in config_keys() for part in (*key.split("."), value) if part}
    return sorted(
        words | {"=", ": ", "- ", "[", "]", "{", "}", "null", "~", "1e308", "-1", "0x7f", "|\n", '"'}
    )


def craft_seeds() -> list[bytes]:
    """Every edit of craft.c on every name once, on every kind of file, with contents drawn at random."""
    rng = random.Random(5)
    seeds = [bytes([how, 0]) for how in range(8)] + [
        bytes([how | 8, cut]) for how in range(4) for cut in (0, 9, 99)
    ]
    for edit in range(8):
        for name in range(40):
            head = bytes([rng.randrange(8), 0, edit, name, name])
            seeds.append(head + bytes(rng.choice((0, 1, 2, 3, 4, 5, 8, 130, 255)) for _ in range(24)))
    return seeds


FIGURES = (
    """measured_nodes measured_ranks_per_node spread fit_step_s view_s view_io_s fit_start_s fit_start_io_s
    fit_start_mpi_s train_step_s train_sample_s train_mpi_step_s gradient_bytes small_reductions small_bytes eval_sample_s
    epoch_s train_start_s train_start_io_s train_start_mpi_s row_load_s row_io_s counter_s open_rank_s rank_mib model_mib
    latency_inside_s byte_inside_s latency_between_s byte_between_s""".split()
)


def json_texts() -> list[list[str]]:
    """Of every kind that fuzz_json tells apart: texts that are read, and some that are not."""
    arch = {"dims": [2, 5, 4, 1], "w0": 30.0, "offset": 0.5}
    run = {"command": "fit", "exit_status": 0, "ranks": 2, "nodes": 1, "time": {"wall_s": 1.5, "io_s": 0.1}}
    fill = {"fitted": 80, "steps": 8000, "seconds": 1.25}
    lock = {"host": "a", "place": "b c", "pid": 7, "started": 8, "job": "", "since": "2026-01-01T00:00:00Z"}
    figures = dict.fromkeys(FIGURES, 1.5)
    kinds: list[list[object]] = [
        [arch, arch | {"activation": "sine"}, arch | {"activation": "other"}, arch | {"dims": [2, 1 << 40]}],
        [{"height": 28, "width": 28, "channels": 1, "classes": 10}, {"height": -1, "width": 1e300}],
        [figures, {"figures": figures}, figures | {"measured_nodes": 1e300}, figures | {"spread": -1}],
        [run | {"result": fill}, run | {"command": "verify", "result": {"repair": fill}}, {"ranks": 1e300}],
        [lock, lock | {"pid": -1, "job": "7"}, {}],
    ]
    made = [[json.dumps(value) for value in kind] for kind in kinds]
    return [
        [*texts, "\n".join(texts), texts[0][:-1], "", "[]", "[" * 60, '{"a": 1, "a": 2}'] for texts in made
    ]


def json_seeds() -> list[bytes]:
    return [bytes([kind]) + text.encode() for kind, texts in enumerate(json_texts()) for text in texts]


def json_words() -> list[str]:
    words = {word for texts in json_texts() for word in re.findall(r'"[a-z0-9_]+"', " ".join(texts))}
    return sorted(words | {": ", ", ", "null", "1e308", "-1", "9223372036854775807", "\\u0000"})


def command_options() -> list[str]:
    rooms = [path for room in ("cmd", "bench", "probe") for path in sorted((ROOT / "src" / room).glob("*.c"))]
    names = {name for path in rooms for name in re.findall(r"PV_KEY\(\w+, (\w+)\)", path.read_text())}
    return sorted(
        "--" + name.replace("_", "-") for name in names | {"config", "set", "json", "dir", "lambda"}
    )


def words_seeds() -> list[bytes]:
    values = ("3", "0-9", "1e-3,1e-2", "krr", "a.h5", "fit.views=3", "-1", "")
    seeds = [bytes([command]) for command in range(20)]
    seeds += [bytes([command]) + b"s.h5\n-o\nx.png\n--view\n2" for command in range(20)]
    for number, option in enumerate(command_options()):
        for value in values:
            seeds.append(bytes([number % 20]) + f"{option}\n{value}\n{option}={value}".encode())
    for method in ("ridge", "krr", "knn", "pca", "cka"):
        seeds.append(
            bytes([8]) + f"--store\ns.h5\n--method\n{method}\n--features\nraw\n--lambda\n1e-3".encode()
        )
    return seeds


def path_seeds() -> list[bytes]:
    words = "/|~|~/a|~x|$HOME/a|${HOME}b|$$|a$|${HOME|$NOT_SET|$-|a/../b|./a|/tmp//./a|/dev/stdin|a b/\u00e9"
    return [b"", b"x" * 300, *words.encode().split(b"|")]


def mesh_seeds() -> list[bytes]:
    """A pyramid in all that OFF files are, and what is wrong with them; heads of other formats."""
    body = "0 0 0\n2 0 0\n0 2 0\n0 0 2\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
    square = "OFF 5 2 0 0 0 0 1 0 0 1 1 0 0 1 0 .5 .5 1e-3\n5 0 1 4 2 3\n4 3 2 1 0 9 9\n"
    texts = [f"OFF\n4 4 0\n{body}", f"OFF4 4 0\n{body}", f"# a\nOFF\n# b\n4 4 6\n{body}", square]
    texts += [texts[0].replace("3 1 2 3", "4 0 1 2 3"), texts[0].replace("2 0 0", "nan 0 0"), texts[0][:-9]]
    texts += ["COFF\n3 1 0\n0 0 0 1 1 1 1\n1 0 0 1\n0 1 0\n3 0 1 2 .5 .5\n", "OFF BINARY\n", ""]
    texts += ["solid a\nfacet normal 0 0 1\n", "ply\nelement vertex 3\nelement face 1\nend_header\n", "v 0 0 0\nf 1"]
    return [text.encode() for text in texts]


def npy_file(kind: str, shape: str, size: int, fortran: bool = False, version: int = 1) -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + bytes(65 + i % 9 for i in range(size))


def npy_seeds() -> list[bytes]:
    kinds = [o + k for o in "<>" for k in ("i2", "u2", "f2", "i4", "u4", "f4", "i8", "u8", "f8", "U2")]
    kinds += ["|b1", "|i1", "|u1", "|S3"]
    width = {kind: int(kind[2:]) * (4 if kind[1] == "U" else 1) for kind in kinds}
    plain = [npy_file(kind, "(3,)", 3 * width[kind]) for kind in kinds]
    plain += [npy_file(kind, "(2, 3, 2)", 12 * width[kind], True, 2 + k % 2) for k, kind in enumerate(kinds)]
    other = [npy_file(kind, shape, 8) for kind in ("|O", "<c8", "<f16") for shape in ("(1,)", "()", "(0, 2)")]
    return plain + [data[:-1] for data in plain] + [plain[0] + b"x", b"", *other]


SEEDS = {
    "fuzz_npy": npy_seeds,
    "fuzz_json": json_seeds,
    "fuzz_words": words_seeds,
    "fuzz_idx": idx_seeds,
    "fuzz_image": image_seeds,
    "fuzz_cifar": cifar_seeds,
    "fuzz_tree": tree_seeds,
    "fuzz_config": config_seeds,
    "fuzz_mesh": mesh_seeds,
    "fuzz_path": path_seeds,
    "fuzz_store": craft_seeds,
    "fuzz_model": craft_seeds,
    "fuzz_arrays": lambda: [seed[2:] for seed in craft_seeds()],
}
WORDS = {
    "fuzz_npy": lambda: ["'descr': ", "'fortran_order': ", "'shape': ", "True", "False", "<f4", "|u1", ">U1", "(1,)"],
    "fuzz_idx": lambda: ["\x00\x00\x08\x03", "\x00\x00\x08\x01", "\x00\x00\x0c\x02", "\x00\x00\x0e\x03", "\x1f\x8b\x08", "\x00\x00\x00\x01"],
    "fuzz_image": lambda: ["IHDR", "PLTE", "tRNS", "IDAT", "IEND", "\xff\xc0", "\xff\xc2", "\xff\xc4", "\xff\xda", "\xff\xdb", "\xff\xd9"],
    "fuzz_tree": lambda: ["train/", "test/", "val/", "\x0a", "/"],
    "fuzz_config": config_words,
    "fuzz_json": json_words,
    "fuzz_mesh": lambda: ["OFF", "COFF", "BINARY", "\n3 ", " 0", "1e-30", "1e300", "nan", "-1", "#"],
    "fuzz_words": lambda: [*command_options(), "--", "=", ",", "1e308", "-1", "0-9"],
}


def quoted(word: str) -> str:
    return (
        '"' + "".join(c if " " <= c < "\x7f" and c not in '"\\' else f"\\x{ord(c):02x}" for c in word) + '"'
    )


def main() -> int:
    target, directory = sys.argv[1], Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[target]()):
        (directory / f"seed-{number:03d}").write_bytes(seed)
    if target in WORDS:
        dictionary = "".join(f"{quoted(word)}\n" for word in WORDS[target]())
        directory.with_name(directory.name + ".dict").write_text(dictionary, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
