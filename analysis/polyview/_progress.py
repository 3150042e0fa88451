"""A line on stderr now and then: how much of a long job is done, its rate, the time left."""

import sys
import time

SECONDS = 10.0


class Progress:
    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done = what, total, 0
        self.start = self.last = time.monotonic()

    def step(self, count: int = 1) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.last < SECONDS:
            return
        self.last = now
        rate = self.done / (now - self.start)
        left = (self.total - self.done) / rate
        print(
            f"{self.what} {self.done} of {self.total}, {rate:.0f}/s, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )
