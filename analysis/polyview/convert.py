"""Converts between a store and a directory of files, one INR each, as the published DWS trainers read it.

    polyview-tools convert export STORE DIRECTORY [--views K] [--format pth|npz]
    polyview-tools convert import DIRECTORY STORE [--splits FILE] [--w0 30] [--offset 0.5] [--image H W]

The last line of stdout is a JSON object.  Exit status: 0 done, 1 failed, 2 usage error, 3 bad or corrupt data.
"""

import argparse
import json
import math
import sys
from pathlib import Path

from .export import WRITERS, export
from .imports import Recipe, load
from ._paths import path_of


def arguments(program: str, words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(program, description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("export", help="store -> directory of .pth or .npz files and splits.json")
    command.add_argument("store", type=path_of)
    command.add_argument("directory", type=path_of, help="must not exist")
    command.add_argument("--views", type=int, help="only the first K views (default all)", metavar="K")
    command.add_argument(
        "--format", choices=list(WRITERS), default="pth", help="default pth, which needs PyTorch"
    )
    command = commands.add_parser("import", help="directory -> store")
    command.add_argument("directory", type=path_of)
    command.add_argument("store", type=path_of, help="must not exist")
    command.add_argument("--splits", type=path_of, help="list of files (default DIRECTORY/splits.json)")
    foreign = command.add_argument_group("INRs that were not exported from a store")
    foreign.add_argument("--w0", type=float, default=Recipe.w0, help=f"frequency (default {Recipe.w0:g})")
    foreign.add_argument(
        "--offset", type=float, default=Recipe.offset, help=f"added to the output (default {Recipe.offset:g})"
    )
    foreign.add_argument(
        "--image", type=int, nargs=2, metavar=("H", "W"), help="height and width of the images"
    )
    args = parser.parse_args(words)
    if args.command == "import":
        if not (0 < args.w0 < math.inf and math.isfinite(args.offset)):
            parser.error("--w0 must be positive, --offset finite")
        if args.image and min(args.image) < 1:
            parser.error("--image must be two numbers from 1 upwards")
    return args


def main(program: str, words: list[str]) -> int:
    args = arguments(program, words)
    try:
        if args.command == "export":
            result = export(args.store, args.directory, args.views, args.format)
        else:
            recipe = Recipe(args.w0, args.offset, tuple(args.image) if args.image else None)
            result = load(args.directory, args.store, args.splits, recipe)
    except ValueError as error:
        print(f"{program} {args.command}: {error}", file=sys.stderr)
        return 3
    print(json.dumps({"command": args.command, "status": "done"} | result))
    return 0
