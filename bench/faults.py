"""Play every fault of a cluster on a real Slurm and print the outcome: `make bench-faults`.

    faults.py [NAME ...]     names of faults as in the table, or parts of the names

Needs root on a machine with Debian's Slurm (see tests/slurm/README.md). Takes about half an hour.
"""

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("workflow/scripts", "tests", "tests/slurm")]

from faults import FAULTS, Outcome, play, sweep_undisturbed  # noqa: E402
from pretend_site import Cluster, missing  # noqa: E402
from workspace import Workspace  # noqa: E402


def main(wanted: list[str]) -> int:
    if reason := missing():
        print(f"error: {reason}", file=sys.stderr)
        return 1
    names = [name for name in FAULTS if not wanted or any(part in name for part in wanted)]
    with tempfile.TemporaryDirectory(prefix="entrench-faults-") as folder:
        reference = Workspace(Path(folder) / "reference")
        sweep_undisturbed(reference)
        outcomes = []
        print(f"{'fault':<40}{'head':>6}{'again':>7}{'seconds':>9}{'survived':>10}{'lost':>6}")
        with Cluster(Path(folder) / "cluster") as cluster:
            for number, name in enumerate(names):
                outcome = try_play(name, cluster, reference, Path(folder) / f"fault{number}")
                outcomes.append(outcome)
                survived = "yes" if outcome.survived else "NO"
                print(
                    f"{name:<40}{outcome.head:>6}{outcome.again:>7}{outcome.seconds:>9.0f}"
                    f"{survived:>10}{len(outcome.lost):>6}",
                    flush=True,
                )
                for problem in filter(None, (*outcome.lost, *outcome.doubled, outcome.amiss)):
                    print(f"    {problem}", flush=True)
    survived = sum(outcome.survived for outcome in outcomes)
    lost = sum(len(outcome.lost) for outcome in outcomes)
    print(f"{len(outcomes)} faults tried, {survived} survived, {lost} results lost")
    return 0 if survived == len(names) else 1


def try_play(name: str, cluster: Cluster, reference: Workspace, folder: Path) -> Outcome:
    """As `play`. A fault that cannot be played to its end gives an outcome too."""
    began = time.monotonic()
    try:
        return play([name], cluster, reference, folder)
    except Exception as error:
        amiss = f"{type(error).__name__}: {error}"
        return Outcome(name, -1, -1, time.monotonic() - began, [], [], [], amiss)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
