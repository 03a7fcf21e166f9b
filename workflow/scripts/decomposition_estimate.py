"""Split delta-risk of one run into selection, shift and transfer; before training no transfer.

    decomposition_estimate.py --spec JSON --prompts probe.jsonl --probe probe.jsonl
        --refined probe_refined.jsonl --probe-scores FILE --rewards FILE --verdicts FILE
        --organism-scores scores.jsonl --trained-scores [scores.jsonl] --table FILE.csv

`--trained-scores` is empty before training. The spec: {"identity", "method", "operator",
"settings"} as in `labels_select`, "headline", "bootstrap", "level", "seed".
"""

import argparse
from collections.abc import Sequence

from entrench.execution import command


def main(argv: Sequence[str]) -> None:
    """Apply the method's operator to the probe, decompose, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("spec", "prompts", "probe", "refined", "probe-scores", "rewards", "verdicts"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("organism-scores", "table"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--trained-scores", default="")
    arguments = parser.parse_args(argv)
    spec = command.parse_spec(arguments.spec)

    from entrench.analysis.mechanism.decomposition import decompose
    from entrench.analysis.mechanism.label_risk import Probe, labels_of_probe
    from entrench.analysis.mechanism.probes import judged, require_whole
    from entrench.analysis.tables import write_table
    from entrench.methods.shared.select import LabelSettings
    from entrench.misalignments import by_name
    from entrench.records import read_jsonl

    settings = LabelSettings(
        **command.spec_fields(spec, "identity", "method", "operator", "settings")
    )
    probe = Probe(
        prompts=read_jsonl(arguments.prompts, "data"),
        candidates=read_jsonl(arguments.probe, "candidates"),
        refined=read_jsonl(arguments.refined, "responses"),
        rewards=read_jsonl(arguments.rewards, "rewards"),
        verdicts=read_jsonl(arguments.verdicts, "verdicts"),
        path=arguments.probe,
    )
    scores = read_jsonl(arguments.probe_scores, "scores")
    paths = {"scores": arguments.probe_scores, "rewards": arguments.rewards}
    require_whole(probe.candidates, scores, probe.rewards, paths)
    trained = arguments.trained_scores
    frame = decompose(
        judged(scores, grouped=by_name()[spec["identity"][1]].grouped),
        **labels_of_probe(settings, probe),
        organism_scores=read_jsonl(arguments.organism_scores, "scores"),
        trained_scores=read_jsonl(trained, "scores") if trained else None,
        **command.spec_fields(spec, "headline", "bootstrap", "level", "seed"),
    )
    write_table(frame, arguments.table)


if __name__ == "__main__":
    command.run(main)
