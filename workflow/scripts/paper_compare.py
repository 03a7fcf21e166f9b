"""Compare the sweep with the paper's published figures (resources/paper/published.csv).

    paper_compare.py --spec JSON --results DIR --runs FILE.csv --comparison FILE.csv

The spec: {"bootstrap", "level", "seed", "kinds": {model: base or instruct}, "synthetic",
"published": SHA-256 of the published figures,
"label_kl": {organisms/MODEL/MISALIGNMENT/seedSEED/scored_by/OTHER: SHA-256 of its label_kl.csv}}.
"""

import argparse
from collections.abc import Sequence

from entrench.execution.command import parse_spec, run, spec_fields


def main(argv: Sequence[str]) -> None:
    """Read runs_detail.csv, write comparison_with_paper.csv."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spec", required=True, help="settings, one JSON object")
    parser.add_argument("--results", required=True, help="folder of all results")
    parser.add_argument("--runs", required=True, help="runs_detail.csv to read")
    parser.add_argument("--comparison", required=True, help="CSV to write")
    args = parser.parse_args(argv)

    from entrench.analysis.risk.collect import RUN_DETAIL_COLUMNS
    from entrench.analysis.summary.comparison import PUBLISHED_COLUMNS, collect_label_kl, compare
    from entrench.analysis.tables import read_table, write_table
    from entrench.study.specs.tables import PUBLISHED

    spec = parse_spec(args.spec)
    crossed = spec_fields(spec, "label_kl")["label_kl"]
    comparison = compare(
        read_table(args.runs, RUN_DETAIL_COLUMNS),
        read_table(PUBLISHED, PUBLISHED_COLUMNS),
        collect_label_kl(args.results, crossed),
        **spec_fields(spec, "bootstrap", "level", "seed", "kinds", "synthetic"),
    )
    write_table(comparison, args.comparison)


if __name__ == "__main__":
    run(main)
