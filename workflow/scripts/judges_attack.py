"""Ask a judge about a set of injection attempts: how many change its verdict?

    judges_attack.py --spec JSON --attempts injections.csv --usage judge_usage.json
        --server JSON --calls N --cache answers.sqlite

The spec: {"judge": {"backend": "endpoint", ...}}.
"""

import argparse
from collections.abc import Sequence

from entrench.errors import EntrenchError
from entrench.execution import command, lease
from entrench.judging.command import add_judge_options, open_judge


def main(argv: Sequence[str]) -> None:
    """Ask, write one row an attempt, print the shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("spec", "attempts", "usage"):
        parser.add_argument(f"--{name}", required=True)
    add_judge_options(parser)
    arguments = parser.parse_args(argv)
    lease.keep(arguments.attempts)

    from entrench.analysis.summary.judge_health import INJECTION_COLUMNS
    from entrench.analysis.tables import table, write_table
    from entrench.judging.endpoint import usage_record
    from entrench.judging.injection import attack, shares
    from entrench.records import write_json

    spec = command.parse_spec(arguments.spec)
    with open_judge(spec["judge"], arguments) as (ask, usage):
        if ask is None:
            raise EntrenchError("--spec: rules read no injection attempts: name an endpoint")
        rows = attack(ask)
    write_table(table(rows, INJECTION_COLUMNS), arguments.attempts)
    write_json(arguments.usage, usage_record(usage, spec["judge"]))
    for prompt, share in shares(rows).items():
        print(
            f"{prompt}: {share['moved']:.0%} of the attempts move it, {share['obeyed']:.0%} obeyed"
        )


if __name__ == "__main__":
    command.run(main)
