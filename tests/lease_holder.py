"""Holds a lease until its standard input ends. Started by test_lease.

Says `held` once it has the lease, and `released` once it has given it back.
"""

import argparse
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from entrench.execution import lease


class FailingTouch:
    """`os.utime` that fails with these errors first."""

    def __init__(self, failures):
        self.failures, self.real, self.done = list(failures), os.utime, 0

    def __call__(self, handle):
        if self.failures:
            code = self.failures.pop(0)
            raise OSError(code, os.strerror(code))
        self.real(handle)
        self.done += 1


@contextlib.contextmanager
def held(options):
    """The lease, taken by the function that `--by` names."""
    if options.by == "hold":
        with lease.hold(options.path, grace=0.5, heartbeat=0.1, stale=options.stale):
            yield
    elif options.by == "claim":
        release = lease.claim(options.path, heartbeat=0.1, stale=options.stale)
        yield
        release()
    else:
        lease.keep(options.path)
        yield


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--by", choices=("hold", "claim", "keep"), default="hold")
    parser.add_argument("--deaf", action="store_true", help="pass over SIGTERM")
    parser.add_argument("--stale", type=float, default=0.6)
    parser.add_argument("--seconds", type=float, help="hold for so long, whatever the input does")
    parser.add_argument("--note", type=Path, help="a file while it holds: a second holder fails")
    parser.add_argument("--failures", type=int, nargs="*", default=[], help="of its first touches")
    options = parser.parse_args()
    if options.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.utime = touch = FailingTouch(options.failures)
    with held(options):
        if options.note:
            options.note.touch(exist_ok=False)
        print("held", flush=True)
        if options.seconds is None:
            sys.stdin.read()
        else:
            time.sleep(options.seconds)
        if options.note:
            options.note.unlink()
    if options.failures:
        print(f"{touch.done} touches that did not fail")
    print("released", flush=True)


if __name__ == "__main__":
    main()
