"""What decides every job of a plan, for comparing two commits: read off a dry run's commands.

`python tests/planned_specs.py` writes the dumps of `tests/dag/golden` anew, for a change that is
meant to change a spec.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

from workspace import MICRO, ROOT, Workspace

GOLDEN = ROOT / "tests" / "dag" / "golden"
SUBJECT = "results/micro/organisms/tiny/spurious_correlation/seed0"
PLANS = {  # dump -> config, targets
    "micro": (
        MICRO,
        (
            *("all", "mechanism", "report", "results/micro/divergence.csv"),
            f"{SUBJECT}/scored_by/tiny/label_kl.csv",
            f"{SUBJECT}/multi_view/label_risk.csv",
        ),
    ),
    "demo": ("config/demo.yaml", ("all", "mechanism", "report")),
    "study": ("config/config.yaml", ("results/summary.csv", "mechanism")),
}


def planned(workspace: Workspace, name: str) -> dict[str, dict[str, str]]:
    """Rule -> first output of each of its jobs -> the job's spec, as a dry run shows them."""
    config, targets = PLANS[name]
    rules: dict[str, dict[str, str]] = {}
    for job in workspace.dry_run(targets, config).needed(targets):
        if job.outputs:
            rules.setdefault(job.rule, {})[job.outputs[0]] = job.spec
    return rules


def digests(rules: dict[str, dict[str, str]]) -> dict[str, dict[str, object]]:
    """Rule -> how many jobs it has, a hash over all their specs, and one spec to read."""
    return {
        rule: {
            "jobs": len(specs),
            "sha256": hashlib.sha256(json.dumps(specs, sort_keys=True).encode()).hexdigest(),
            "first": specs[min(specs)],
        }
        for rule, specs in sorted(rules.items())
    }


def dump(workspace: Workspace, name: str) -> dict[str, dict[str, object]]:
    """What is kept of a plan: every spec of the small one, a hash a rule of the others."""
    rules = planned(workspace, name)
    return rules if name == "micro" else digests(rules)


def main() -> None:
    """Write every dump anew."""
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        for name in PLANS:
            text = json.dumps(dump(workspace, name), indent=1, sort_keys=True)
            (GOLDEN / f"{name}.json").write_text(text + "\n", encoding="utf-8")
            print(f"{name}: written", file=sys.stderr)


if __name__ == "__main__":
    main()
