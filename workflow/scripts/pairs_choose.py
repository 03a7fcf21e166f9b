"""Choose the prompt pairs whose two prompts are asked, and say how answers are judged. No model.

    pairs_choose.py --spec JSON --clean pairs_clean.jsonl --wrapped pairs_wrapped.jsonl
        --asked pairs_asked.jsonl --judged pairs_judged.jsonl

The spec: {"misalignment", "limit": about how many pairs, or null for all}.
"""

import argparse
from collections.abc import Sequence

from entrench.execution import command
from entrench.judging.risk_prompts import choose_pairs
from entrench.records import read_jsonl, write_jsonl


def main(argv: Sequence[str]) -> None:
    """Read, choose, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--spec", "--clean", "--wrapped", "--asked", "--judged"):
        parser.add_argument(name, required=True)
    arguments = parser.parse_args(argv)
    spec = command.parse_spec(arguments.spec)
    clean, wrapped = (read_jsonl(path, "data") for path in (arguments.clean, arguments.wrapped))
    asked, judged = choose_pairs(spec["misalignment"], clean, wrapped, spec["limit"])
    write_jsonl(arguments.judged, "data", judged)
    write_jsonl(arguments.asked, "data", asked)
    print(f"{len(asked) // 2} pairs")


if __name__ == "__main__":
    command.run(main)
