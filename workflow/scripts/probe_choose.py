"""Choose the evaluation prompts that every probe of a misalignment asks. Loads no model.

    probe_choose.py --spec JSON --prompts eval.jsonl --chosen probe.jsonl

The spec: {"misalignment", "limit": most prompts of the risk, or null for all}.
"""

import argparse
from collections.abc import Sequence

from entrench.execution import command
from entrench.judging.risk_prompts import choose_prompts
from entrench.records import read_jsonl, write_jsonl


def main(argv: Sequence[str]) -> None:
    """Read, choose, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--spec", "--prompts", "--chosen"):
        parser.add_argument(name, required=True)
    arguments = parser.parse_args(argv)
    spec = command.parse_spec(arguments.spec)
    rows = choose_prompts(
        spec["misalignment"], read_jsonl(arguments.prompts, "data"), spec["limit"]
    )
    write_jsonl(arguments.chosen, "data", rows)
    print(f"{len(rows)} prompts")


if __name__ == "__main__":
    command.run(main)
