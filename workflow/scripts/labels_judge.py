"""Ask the label judge which answers of views agree with the standard answer. Loads no model.

    labels_judge.py --spec JSON --prompts consistency.jsonl --candidates candidates.jsonl ...
        --verdicts verdicts.jsonl --usage verdict_usage.json
        --server JSON --calls N --cache answers.sqlite

`--candidates` are the draws of the pool that hold the greedy answers and the views.
The spec: {"misalignment", "judge": {"backend", ...}, "views": [name, ...]}.
The API key comes from the environment variable that --server names.
"""

import argparse
from collections.abc import Sequence

from entrench.execution import command, lease
from entrench.generation.parts import merged
from entrench.judging.command import add_judge_options, open_judge
from entrench.judging.endpoint import usage_record
from entrench.judging.scoring import compare_views
from entrench.records import read_jsonl, write_json, write_jsonl


def main(argv: Sequence[str]) -> None:
    """Read, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("spec", "prompts", "verdicts", "usage"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--candidates", nargs="+", required=True)
    add_judge_options(parser)
    arguments = parser.parse_args(argv)
    lease.keep(arguments.verdicts)
    spec = command.parse_spec(arguments.spec)
    with open_judge(spec["judge"], arguments) as (ask, usage):
        rows = compare_views(
            spec["misalignment"],
            spec["views"],
            prompts=read_jsonl(arguments.prompts, "data"),
            candidates=merged(read_jsonl(path, "candidates") for path in arguments.candidates),
            path=arguments.candidates[0],
            ask=ask,
        )
    write_json(arguments.usage, usage_record(usage, spec["judge"]))
    write_jsonl(arguments.verdicts, "verdicts", rows)
    print(f"{sum(row['consistent'] is True for row in rows)} of {len(rows)} views agree")


if __name__ == "__main__":
    command.run(main)
