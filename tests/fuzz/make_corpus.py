"""Writes the seeds of a fuzz target, small valid and nearly valid inputs, and its dictionary.

Usage: make_corpus.py TARGET DIRECTORY.  The dictionary is DIRECTORY.dict where the target has one."""

import gzip
import random
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def idx_file(count: int, sides: tuple[int, ...], fill: int = 1) -> bytes:
    size = count
    for side in sides:
        size *= side
    dims = b"".join(n.to_bytes(4, "big") for n in (count, *sides))
    return bytes([0, 0, 8, 1 + len(sides)]) + dims + bytes(fill % 10 for _ in range(size))


def idx_seeds() -> list[bytes]:
    plain = [idx_file(4, (3, 3)), idx_file(5, ()), idx_file(1, (1, 1)), idx_file(70, ()), idx_file(2, (9, 4))]
    packed = [gzip.compress(data, level) for data in plain for level in (0, 9)]
    broken = [data[:-1] for data in plain] + [data + b"x" for data in packed] + [packed[0] + packed[0], b""]
    return plain + packed + broken


def config_keys() -> list[tuple[str, str]]:
    """(key, default) of every key, from the generated page."""
    rows = re.findall(r"^\| `([\w.]+)` \|[^\n]*?\| `([^`]*)` \|", (ROOT / "docs/config.md").read_text(), re.M)
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


SEEDS = {
    "fuzz_idx": idx_seeds,
    "fuzz_config": config_seeds,
    "fuzz_store": craft_seeds,
    "fuzz_model": craft_seeds,
}
WORDS = {
    "fuzz_idx": lambda: ["\x00\x00\x08\x03", "\x00\x00\x08\x01", "\x1f\x8b\x08", "\x00\x00\x00\x01"],
    "fuzz_config": config_words,
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
