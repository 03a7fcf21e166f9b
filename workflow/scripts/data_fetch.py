"""Fetch one file of the release and verify it.

    data_fetch.py --spec JSON --url BASE --mirror FOLDER --file FILE

The spec: {"path": path of the file within the release, "sha256"}. The file comes from the folder
`--mirror`; where that is empty, from the address `--url` with the path appended.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from entrench.execution import command


def main(argv: Sequence[str]) -> None:
    """Download or copy the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--url", required=True, help="address of the release's data folder")
    parser.add_argument("--mirror", required=True, help="folder with the release, or empty")
    parser.add_argument("--file", required=True, type=Path, help="file to write")
    arguments = parser.parse_args(argv)

    from entrench.data import download

    spec = command.spec_fields(command.parse_spec(arguments.spec), "path", "sha256")
    if arguments.mirror:
        download.take(Path(arguments.mirror) / spec["path"], arguments.file, spec["sha256"])
    else:
        url = f"{arguments.url.rstrip('/')}/{spec['path']}"
        download.fetch(url, arguments.file, spec["sha256"])
    print(f"{arguments.file}: {arguments.file.stat().st_size} bytes, verified")


if __name__ == "__main__":
    command.run(main)
