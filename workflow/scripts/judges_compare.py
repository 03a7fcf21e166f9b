"""Let a second judge score a sample of the scored completions: how far do the judges agree?

    judges_compare.py --spec JSON --prompts eval.jsonl --completions FILE... --scores FILE...
        --agreement agreement.csv --confusion confusion.csv --usage judge_usage.json
        --server JSON --calls N --cache answers.sqlite

The spec: {"misalignment", "second": {"backend", ...}, "sample", "headline", "bootstrap", "level",
"seed"}. `--completions` and `--scores` name one file of each organism, in the same order.
"""

import argparse
from collections.abc import Sequence

from entrench.execution import command, lease
from entrench.judging.command import add_judge_options, open_judge


def main(argv: Sequence[str]) -> None:
    """Read, draw the sample, judge it again, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("spec", "prompts", "agreement", "confusion", "usage"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("completions", "scores"):
        parser.add_argument(f"--{name}", required=True, nargs="+")
    add_judge_options(parser)
    arguments = parser.parse_args(argv)
    lease.keep(arguments.agreement)

    from entrench.analysis.statistics.agreement import agreement_record, confusion_rows, opinion
    from entrench.analysis.summary.judge_health import AGREEMENT_COLUMNS, CONFUSION_COLUMNS
    from entrench.analysis.tables import table, write_table
    from entrench.judging.endpoint import usage_record
    from entrench.judging.scoring import draw_judged, score_some
    from entrench.records import item_of, read_jsonl, write_json

    spec = command.parse_spec(arguments.spec)
    settings = command.spec_fields(spec, "bootstrap", "level", "seed")
    drawn = draw_judged(
        spec["misalignment"],
        spec["headline"],
        read_jsonl(arguments.prompts, "data"),
        [read_jsonl(path, "completions") for path in arguments.completions],
        [read_jsonl(path, "scores") for path in arguments.scores],
        sample=spec["sample"],
        seed=spec["seed"],
    )
    with open_judge(spec["second"], arguments) as (ask, usage):
        scores, _ = score_some(
            spec["misalignment"], spec["second"], [(one.prompt, one.row) for one in drawn], ask=ask
        )
    first = [opinion(one.score) for one in drawn]
    second = [opinion(score) for score in scores]
    prompts, items = [one.prompt["id"] for one in drawn], [item_of(one.score) for one in drawn]
    record = agreement_record(prompts, items, first, second, **settings)
    write_table(table([record], AGREEMENT_COLUMNS), arguments.agreement)
    write_table(table(confusion_rows(first, second), CONFUSION_COLUMNS), arguments.confusion)
    write_json(arguments.usage, usage_record(usage, spec["second"]))
    told = record["kappa_reason"] or f"kappa {record['kappa']}"
    print(f"{told}, on {record['n_both']} of {record['n_completions']} completions")


if __name__ == "__main__":
    command.run(main)
