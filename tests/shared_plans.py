"""A checkout that plans each config once, for all tests and all their workers."""

import fcntl
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import yaml
from dry_run import DryRun
from planned_specs import PLANS
from workspace import MICRO, Workspace

DEMO = "config/demo.yaml"
STUDY = "config/config.yaml"
FAMILY = "results/demo/organisms/tiny/sycophancy/seed0"
TOGETHER = dict(PLANS.values())  # config -> targets
TOGETHER[DEMO] += (
    f"{FAMILY}/self_rewarding/label_risk.csv",
    f"{FAMILY}/act/eta.csv",
    "results/demo/figures/realised_kl.pdf",
    "results/demo/parts/tiny/sycophancy/seed0/summary.csv",
    *("results/demo/report.html", "organisms"),
)
TOGETHER[STUDY] += (
    "results/organisms/llama-3.1-8b/sycophancy/seed40/scored_by/llama-3.1-70b/label_kl.csv",
    "results/parts/llama-3.1-8b/sycophancy/seed40/summary.csv",
    "results/parts/llama-3.1-8b/sycophancy/summary.csv",
    "results/parts/sycophancy/summary.csv",
    "results/parts/llama-3.1-70b/summary.csv",
    "results/parts/llama-3.1-70b/figures/selection_vs_shift.pdf",
    "results/parts/gpt-oss-20b/figures/delta_by_method.pdf",
    "results/partial/summary.csv",
    "results/plan.csv",
)


class Checkout(Workspace):
    """A workspace without results. Any target of a config is looked up in one dry run of many.

    A target that is not among them is planned by itself.
    """

    def __init__(self, folder: Path, shared: Path) -> None:
        super().__init__(folder)
        self.shared = shared
        self.known: dict[str, DryRun] = {}

    def plan(self, *targets: str, config: str = MICRO) -> dict[str, int]:
        targets = targets or ("all",)
        return dict(Counter(job.rule for job in self.dry_run(targets, config).needed(targets)))

    def dry_run(self, targets: Sequence[str], config: str) -> DryRun:
        together = self.of_config(config)
        return together if together.has(targets) else super().dry_run(targets, config)

    def of_config(self, config: str) -> DryRun:
        """The dry run of a config, by whichever worker comes first."""
        settings = hashlib.sha256((self.folder / config).read_bytes()).hexdigest()
        path = self.shared / f"dry-run-{settings}.txt"
        if settings not in self.known:
            with path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not path.exists():
                    text = self.dry_run_text(TOGETHER.get(config, self.of_others(config)), config)
                    path.write_text(text, encoding="utf-8")
            self.known[settings] = DryRun(path.read_text(encoding="utf-8"))
        return self.known[settings]

    def of_others(self, config: str) -> tuple[str, ...]:
        """What is planned together of a config that a test derives."""
        results = yaml.safe_load((self.folder / config).read_text())["pathvars"]["results"]
        return ("all", "mechanism", "report", f"{results}/report.html")
