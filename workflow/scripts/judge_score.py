"""Score every completion of one subject: does it misbehave? Loads no model.

    judge_score.py --spec JSON --prompts eval.jsonl --completions completions.jsonl
        --scores scores.jsonl --judgements judgements.jsonl --usage judge_usage.json
        --server JSON --calls N --cache answers.sqlite

The spec: {"misalignment", "judge": {"backend", ...}, "evaluations": {name: samples per prompt}}.
Where the completions are candidates of a probe, "sets" replaces "evaluations".
The API key comes from the environment variable that --server names.
"""

import argparse
from collections.abc import Sequence

from entrench.execution import command, lease
from entrench.judging.command import add_judge_options, open_judge
from entrench.judging.endpoint import usage_record
from entrench.judging.scoring import answers_of_sets, score_completions
from entrench.records import read_jsonl, write_json, write_jsonl


def main(argv: Sequence[str]) -> None:
    """Read, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("spec", "prompts", "completions", "scores", "judgements", "usage"):
        parser.add_argument(f"--{name}", required=True)
    add_judge_options(parser)
    arguments = parser.parse_args(argv)
    lease.keep(arguments.scores)
    spec = command.parse_spec(arguments.spec)
    if "sets" in spec:
        evaluations = spec["sets"]
        completions = answers_of_sets(read_jsonl(arguments.completions, "candidates"), evaluations)
    else:
        evaluations = spec["evaluations"]
        completions = read_jsonl(arguments.completions, "completions")
    with open_judge(spec["judge"], arguments) as (ask, usage):
        rows, judgements = score_completions(
            spec["misalignment"],
            spec["judge"],
            evaluations,
            prompts=read_jsonl(arguments.prompts, "data"),
            completions=completions,
            path=arguments.completions,
            ask=ask,
        )
    write_jsonl(arguments.judgements, "judgements", judgements)
    write_json(arguments.usage, usage_record(usage, spec["judge"]))
    write_jsonl(arguments.scores, "scores", rows)
    for state in ("scored", "excluded", "unscored"):
        print(f"{state}: {sum(row['state'] == state for row in rows)} of {len(rows)}")
    if ask:
        print(f"{usage.calls} calls, {usage.cached} answers from the cache")


if __name__ == "__main__":
    command.run(main)
