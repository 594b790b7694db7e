# SPDX-License-Identifier: BSD-3-Clause
"""What the checks say: one line each, as it is done."""
import time


class Table:
    """One line a check: what was looked at, and what was seen."""

    def __init__(self):
        self.passed = self.failed = 0
        self.began = time.monotonic()

    def part(self, title):
        print(f"\n  {title:<64} {'seen':<50} at s\n  {'-' * 128}", flush=True)

    def row(self, check, good, seen=""):
        self.passed += bool(good)
        self.failed += not good
        print(f"  {check:<64} {' '.join(str(seen).split())[:50]:<50} {time.monotonic() - self.began:4.0f}  {'ok' if good else 'FAILED'}", flush=True)
        if not good and len(str(seen)) > 50:
            print("\n".join(f"    | {line}" for line in str(seen).splitlines()), flush=True)


def wait_for(condition, seconds, pause=0.2):
    """The condition's first true value; its last when the time is over."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(pause)
    return value
