"""Snakemake without its imports, which take half of a dry run: forked from a process that has them.

What is imported is Snakemake alone: the Snakefile and all that it imports are a child's own.
"""

import gc
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


class ForkedSnakemake:
    """A server that runs `python -m snakemake` with the given arguments, one call at a time.

    It ends with the process that started it.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self.server = subprocess.Popen(
            [sys.executable, __file__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, arguments: Sequence[str], folder: Path, environment: dict[str, str], timeout: int
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run` in `folder`, with the output captured."""
        with tempfile.TemporaryDirectory() as place:
            files = [str(Path(place, name)) for name in ("output", "errors")]
            print(
                json.dumps([arguments, str(folder), environment, files]),
                file=self.server.stdin,
                flush=True,
            )
            if not select.select([self.server.stdout], [], [], timeout)[0]:
                self.server.kill()
                raise subprocess.TimeoutExpired(arguments, timeout)
            status = int(self.server.stdout.readline())
            output, errors = (Path(name).read_text() for name in files)
        return subprocess.CompletedProcess(arguments, status, output, errors)


def serve() -> None:
    """Read calls, a JSON line each, and answer each with its status; in a child, run Snakemake."""
    import snakemake.cli

    gc.freeze()  # what is loaded stays: a child's collector need not look at it
    for line in sys.stdin:
        if os.fork() == 0:
            become(*json.loads(line))
            snakemake.cli.main()
        _, status = os.wait()
        print(os.waitstatus_to_exitcode(status), flush=True)


def become(
    arguments: list[str], folder: str, environment: dict[str, str], files: list[str]
) -> None:
    """Make of this process one that was started with these."""
    for number, name in zip((0, 1, 2), (os.devnull, *files), strict=True):
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = [snakemake_main(), *arguments]
    sys.path[0] = folder


def snakemake_main() -> str:
    """The file that `python -m snakemake` runs."""
    return str(Path(sys.modules["snakemake"].__file__).with_name("__main__.py"))


if __name__ == "__main__":
    serve()
