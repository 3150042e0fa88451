"""Converts between a store and a directory of files, one INR each, and makes stores of others' INRs.

    polyview-tools convert export STORE DIRECTORY [--views K] [--format pth|npz]
    polyview-tools convert import DIRECTORY STORE [--splits FILE] [--image H W]
        [--split-points VAL TEST] [--objects N] [--w0 W0] [--first-w0 W0] [--bias-outside] [--phase P] [--offset C]
        [--mean M...] [--std S...] [--yx]

The last line of stdout is a JSON object.  Exit status: 0 done, 1 failed, 2 usage error, 3 bad or corrupt data.
"""

import argparse
import json
import sys
from pathlib import Path

from .conventions import Conventions
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
    foreign_arguments(command)
    args = parser.parse_args(words)
    if args.command == "import":
        if problem := problem_of(args):
            parser.error(problem)
    return args


def foreign_arguments(command: argparse.ArgumentParser) -> None:
    foreign = command.add_argument_group("INRs that were not exported from a store")
    add = foreign.add_argument
    add("--image", type=int, nargs=2, metavar=("H", "W"), help="height and width of the images")
    add(
        "--split-points",
        type=int,
        nargs=2,
        metavar=("VAL", "TEST"),
        help="no list: the first objects of val, test",
    )
    add(
        "--objects", type=int, metavar="N", help="of chunks: rows from N on are more views (default one view)"
    )
    how = command.add_argument_group(
        "their conventions, whose numbers go into the weights: a layer is sin(W0 (W h + b) + PHASE)"
    )
    add = how.add_argument
    add("--w0", type=float, help="frequency (default omega_0 of a nef.json beside chunks, else 30)")
    add("--first-w0", type=float, metavar="W0", help="frequency of the first layer (default the others')")
    add("--bias-outside", action="store_true", help="a layer is sin(W0 W h + b + PHASE)")
    add("--phase", type=float, default=0.0, help="added in every sine (default 0)")
    add("--offset", type=float, help="added to the output (default 0.5 with a list of splits, else 0)")
    add(
        "--mean",
        type=float,
        nargs="+",
        default=[],
        metavar="M",
        help="value = output * STD + MEAN, as data that were",
    )
    add(
        "--std",
        type=float,
        nargs="+",
        default=[],
        metavar="S",
        help="normalised so; one number or one a channel",
    )
    add("--yx", action="store_true", help="their coordinates are (row, column), not (x, y)")


def conventions_of(args: argparse.Namespace) -> Conventions:
    return Conventions(
        w0=args.w0,
        offset=args.offset,
        first_w0=args.first_w0,
        bias_outside=args.bias_outside,
        phase=args.phase,
        mean=tuple(args.mean),
        std=tuple(args.std),
        yx=args.yx,
    )


def problem_of(args: argparse.Namespace) -> str:
    """What the words of an import cannot mean, "" if all is well."""
    if args.image and min(args.image) < 1:
        return "--image must be two numbers from 1 upwards"
    if args.split_points and not 0 <= args.split_points[0] <= args.split_points[1]:
        return "--split-points must be two numbers from 0 upwards, the first not the larger"
    if args.objects is not None and args.objects < 1:
        return "--objects must be from 1 upwards"
    return conventions_of(args).problem()


def main(program: str, words: list[str]) -> int:
    args = arguments(program, words)
    try:
        if args.command == "export":
            result = export(args.store, args.directory, args.views, args.format)
        else:
            image, points = (tuple(pair) if pair else None for pair in (args.image, args.split_points))
            recipe = Recipe(conventions_of(args), image, args.splits, points, args.objects)
            result = load(args.directory, args.store, recipe)
    except ValueError as error:
        print(f"{program} {args.command}: {error}", file=sys.stderr)
        return 3
    print(json.dumps({"command": args.command, "status": "done"} | result))
    return 0
