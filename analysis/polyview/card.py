"""The card of a store: what was fitted, how, how well, how to load it; in Markdown with a head in YAML.

    polyview-tools card STORE                                    (to stdout)
    polyview-tools card STORE -o README.md [--title TEXT] [--licence mit] [--cite references.bib]

Hubs of data sets show README.md beside a file and read its head.  With -o, pictures of the PSNRs and of some INRs
lie beside the card where matplotlib is there and the signals can be drawn.  Nobody but you knows what licence the data
has: without --licence the card says that it is not stated.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ._paths import path_of, replaced
from .store import FITTED, MISSING, REFUSED, SPLITS, Store

SIZES = [(1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M")]
MANY_CLASSES = 100
RECIPE = ("signal", "inr", "fit")  # sections of the config
CITATION = """@inproceedings{shamsian2024improved,
  title     = {Improved Generalization of Weight Space Networks via Augmentations},
  author    = {Shamsian, Aviv and Navon, Aviv and Zhang, David W. and Zhang, Yan and Fetaya, Ethan and
               Chechik, Gal and Maron, Haggai},
  booktitle = {International Conference on Machine Learning},
  year      = {2024}
}"""
LOADING = """```python
from polyview.store import Store                 # pip install polyview[torch], from a checkout of Polyview
with Store("{name}") as store:
    rows = store[0, store.status[0] == 1]        # float32 [rows][{params}]: the weights of view 0, layer by layer
    tensors = store.split_row(rows[0])           # by their PyTorch names: seq.0.weight {first}, ...

from polyview.torch import ViewDataset           # what DWSNets, neural-graphs and scalegmn take
train = ViewDataset("{name}", "train", views={views}, normalize=True)
```

Any HDF5 reader opens it as well: `/params` is [view][object][parameter], `/object/label` and `/object/split` (0 train,
1 val, 2 test) tell of the objects, `/view/status` is 1 where a row is fitted."""


def table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


def head_of(store: Store, title: str, licence: str) -> str:
    """YAML; a JSON string is one of YAML's, too."""
    rows = int((store.status == FITTED).sum())
    size = next((name for limit, name in SIZES if rows < limit), "n>10M")
    tags = [
        "implicit-neural-representations",
        "weight-space-learning",
        "siren" if store.is_siren else "inr",
        "hdf5",
    ]
    lines = [
        f"license: {licence}",
        f"pretty_name: {json.dumps(title)}",
        "tags:",
        *(f"- {tag}" for tag in tags),
    ]
    return "\n".join(["---", *lines, "size_categories:", f"- {size}", "---"])


def what_it_is(store: Store) -> str:
    signal = store.signal
    sides = [signal[key] for key in ("depth", "height", "width", "channels") if signal.get(key)]
    low, high = store.range
    network = f"SIREN, w0 {store.arch.get('w0', 0):g}" if store.is_siren else store.activation
    if store.frequencies is not None:
        network += f" of {len(store.frequencies)} Fourier features"
    rows = [
        ["source", f"{signal.get('source', '?')}: `{signal.get('path', '')}`"],
        ["signal", " x ".join(map(str, sides)) or f"over {store.inputs} coordinates"],
        [
            "numbers",
            "as in the data" if (low, high) == (0, 1) else f"0 to 1 for {low:g} to {high:g} of the data",
        ],
        ["coordinates", signal.get("coordinates", "?")],
        ["INR", f"{network}, widths {'-'.join(map(str, store.dims))}, {store.params} parameters"],
        ["views", f"{store.views} of each of {store.objects} objects: so many fits of the same object"],
    ]
    return table(["what", "value"], rows)


def splits_of(store: Store) -> str:
    """Objects of every split, and of every class in it."""
    head, names = ["split", "objects"], store.class_names
    labels = [int(label) for label in np.unique(store.label)]
    labels = labels if 1 < len(labels) <= MANY_CLASSES else []
    head += ["no class" if n < 0 else names[n] if n < len(names) else f"class {n}" for n in labels]
    rows = []
    for split, number in SPLITS.items():
        of_split = store.label[store.split == number]
        rows.append([split, len(of_split), *(int((of_split == label).sum()) for label in labels)])
    return table(head, rows)


def quality_of(store: Store) -> str:
    status = store.status
    rows: list[list[Any]] = [
        [what, int((status == code).sum())]
        for what, code in (("fitted", FITTED), ("not fitted", MISSING), ("refused, not finite", REFUSED))
        if code == FITTED or (status == code).any()
    ]
    psnr = store.psnr[status == FITTED].astype(np.float64)
    psnr = psnr[np.isfinite(psnr)]
    if len(psnr):
        low, median, high = np.percentile(psnr, (5, 50, 95))
        rows.append(["PSNR, mean", f"{psnr.mean():.2f} dB"])
        rows.append(["PSNR, 5 %, median, 95 %", f"{low:.2f}, {median:.2f}, {high:.2f} dB"])
    if store.judgements is not None:
        iou = store.judgements[0][status == FITTED]
        rows.append(["IoU, mean", f"{iou[np.isfinite(iou)].mean():.4f}"])
    return table(["rows", "value"], rows)


def recipe_of(config: str) -> str:
    """Of a config what says how INRs were fitted."""
    sections = re.split(r"^(?=\w)", config, flags=re.M)
    return "".join(part for part in sections if part.split(":")[0] in RECIPE).strip() or config.strip()


def pictures_of(store: Path, output: Path) -> list[str]:
    """Markdown of the pictures that could be drawn, beside the card."""
    try:
        from matplotlib import pyplot as plt

        from .figures import STYLE
        from .gallery import gallery
        from .plots import psnr_histogram
    except ImportError as error:
        print(f"no pictures: {error}", file=sys.stderr)
        return []
    found = []
    draws: list[tuple[str, str, Any]] = [
        ("psnr", "PSNR of all INRs", lambda to: psnr_histogram(store, to)),
        ("gallery", "some INRs", lambda to: gallery(store, to, 8, None)),
    ]
    for name, what, draw in draws:
        picture = output.with_name(f"{output.stem}-{name}.png")
        try:
            with plt.rc_context(STYLE):
                draw(picture)
            found.append(f"![{what}]({picture.name})")
        except (ValueError, OSError) as error:
            print(f"no picture of {what}: {error}", file=sys.stderr)
    return found


def card(store: Store, title: str, licence: str, citation: str, pictures: list[str]) -> str:
    loading = LOADING.format(
        name=store.path.name, params=store.params, views=store.views, first=(store.dims[1], store.dims[0])
    )
    made = f"Fitted by Polyview {store.attributes.get('code_version', '?')}; the recipe, with which any row can be made again:"
    of = f"the data in `{store.signal.get('path', '?')}`"
    licensed = (
        f"Licence: {licence}."
        if licence != "unknown"
        else f"Licence: not stated; the weights derive from {of}."
    )
    parts = [
        head_of(store, title, licence),
        f"# {title}",
        "Implicit neural representations (INRs): every row holds the weights of one small network that draws one object.",
        what_it_is(store),
        "## Quality",
        quality_of(store),
        *pictures,
        "## Splits",
        splits_of(store),
        "## Recipe",
        made,
        f"```yaml\n{recipe_of(store.config)}\n```",
        "## Loading",
        loading,
        "## Licence",
        licensed,
        "## Citing",
        f"Please cite where {of} come from, and",
        f"```bibtex\n{citation.strip()}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def main(program: str, words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=path_of)
    parser.add_argument(
        "-o", "--output", type=path_of, help="README.md, say; pictures beside it (default stdout)"
    )
    parser.add_argument("--title", help="default: the file's name")
    parser.add_argument("--licence", default="unknown", help="as hubs abbreviate it: mit, cc-by-4.0, ...")
    parser.add_argument(
        "--cite", type=path_of, help="a BibTeX file to cite instead of the paper behind Polyview"
    )
    args = parser.parse_args(words)
    citation = args.cite.read_text(encoding="utf-8") if args.cite else CITATION
    with Store(args.store) as store:
        pictures = pictures_of(args.store, args.output) if args.output else []
        text = card(store, args.title or store.path.stem, args.licence, citation, pictures)
    if args.output is None:
        print(text, end="")
    else:
        with replaced(args.output, args.store) as to:
            to.write_text(text, encoding="utf-8", errors="backslashreplace")
    return 0
