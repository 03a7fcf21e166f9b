"""Score every completion of one subject: does it misbehave? Loads no model.

    judge_score.py --spec JSON --prompts eval.jsonl --completions completions.jsonl
        --scores scores.jsonl

The spec: {"misalignment", "judge": {"backend", ...}, "evaluations": {name: samples per prompt}}.
"""

import argparse
from collections.abc import Sequence

from entrench import command
from entrench.judging.scoring import score_completions
from entrench.records import read_jsonl, write_jsonl


def main(argv: Sequence[str]) -> None:
    """Read, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--spec", "--prompts", "--completions", "--scores"):
        parser.add_argument(name, required=True)
    arguments = parser.parse_args(argv)
    spec = command.parse_spec(arguments.spec)
    rows = score_completions(
        spec["misalignment"],
        spec["judge"],
        spec["evaluations"],
        prompts=read_jsonl(arguments.prompts, "data"),
        completions=read_jsonl(arguments.completions, "completions"),
        path=arguments.completions,
    )
    write_jsonl(arguments.scores, "scores", rows)
    for state in ("scored", "excluded", "unscored"):
        print(f"{state}: {sum(row['state'] == state for row in rows)} of {len(rows)}")


if __name__ == "__main__":
    command.run(main)
