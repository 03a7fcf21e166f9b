"""Write the five slots of one misalignment.

    data_prepare.py --spec JSON --release FOLDER --slots FILE...

`--slots` names the files to write: a file's name without `.jsonl` is its slot. `--release` is the
folder of the fetched release. Synthetic data reads no release.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from entrench.execution import command
from entrench.records import write_jsonl


def main(argv: Sequence[str]) -> None:
    """Make or read all slots, then write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spec", required=True)
    parser.add_argument("--release", required=True)
    parser.add_argument("--slots", nargs="+", required=True, type=Path)
    arguments = parser.parse_args(argv)
    spec = command.parse_spec(arguments.spec)
    if spec["source"] == "synthetic":
        from entrench.data.synthetic.slots import make_slots
        from entrench.misalignments import world_of

        about = spec["misalignment"]
        slots = make_slots(about, world_of(about), spec["seed"], spec["rows"])
    else:
        from entrench.data.released import read_slots

        slots = read_slots(spec["misalignment"], arguments.release, spec["limit_rows"])
    for path in arguments.slots:
        write_jsonl(path, "data", slots[path.stem])
        print(f"{path.stem}: {len(slots[path.stem])} rows")


if __name__ == "__main__":
    command.run(main)
