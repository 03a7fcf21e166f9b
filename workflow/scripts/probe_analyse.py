"""Analyse a probe: risk by a selector's score, and stability of answers. Loads no model.

    probe_analyse.py --spec JSON --probe probe.jsonl --rewards FILE --scores FILE --verdicts FILE
        --eta eta.csv --bins eta_bins.csv --stability stability.csv

The spec: {"misalignment", "sets": {name: samples}, "self_scored": [set], "views": [name],
"bootstrap", "level", "seed"}. It may hold "selectors": [method]: further methods to rank answers
by, since some methods rank the answers of every probe.
"""

import argparse
from collections.abc import Sequence

from entrench.execution import command


def main(argv: Sequence[str]) -> None:
    """Read the probe, write its three tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("spec", "probe", "rewards", "scores", "verdicts", "eta", "bins", "stability"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args(argv)
    spec = command.parse_spec(arguments.spec)

    from entrench.analysis.mechanism.eta import eta_tables, selectors
    from entrench.analysis.mechanism.probes import judged, require_verdicts, require_whole
    from entrench.analysis.mechanism.stability import stability_table
    from entrench.analysis.tables import write_table
    from entrench.misalignments import by_name
    from entrench.records import read_jsonl

    settings = command.spec_fields(spec, "bootstrap", "level", "seed")
    probe = read_jsonl(arguments.probe, "candidates")
    scores = read_jsonl(arguments.scores, "scores")
    rewards = read_jsonl(arguments.rewards, "rewards")
    require_whole(
        probe, scores, rewards, {"scores": arguments.scores, "rewards": arguments.rewards}
    )
    verdicts = read_jsonl(arguments.verdicts, "verdicts")
    answers = judged(scores, grouped=by_name()[spec["misalignment"]].grouped)
    require_verdicts(verdicts, answers.ids, spec["views"], arguments.verdicts)
    scored = selectors(
        answers,
        probe,
        rewards,
        spec["sets"],
        spec["self_scored"],
        spec.get("selectors", ()),
    )
    eta, bins = eta_tables(answers, scored, **settings)
    write_table(bins, arguments.bins)
    write_table(
        stability_table(answers, probe, verdicts, spec["sets"], **settings), arguments.stability
    )
    write_table(eta, arguments.eta)


if __name__ == "__main__":
    command.run(main)
