"""The short form of kills.py: a few random kills of every kind."""

import sys
from pathlib import Path

from kills import kills
from harness import run_tests  # noqa: E402

TRIALS, STEPS, SEED = 6, 300, 2


def some_random_kills(work: Path) -> None:
    kills(work, TRIALS, STEPS, SEED)


if __name__ == "__main__":
    sys.exit(run_tests(some_random_kills))
