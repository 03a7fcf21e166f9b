"""How often intervals of the summary hold the known effects, over further simulated sweeps."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy import stats
from simulated_sweep import Truth, draw_scores, draw_truth, effect, mean_of_prompts

from entrench.study.config import Config
from entrench.study.specs.parts import used_methods
from entrench.study.sweep import Run, Sweep

TARGETS = {
    "ci": "the interval over organisms",
    "models_ci": "the interval over models",
    "prompts_ci": "the interval over organisms and prompts",
}
MARGIN = 0.03  # allowed between a coverage and its nominal level, beyond chance
FEW_PROMPTS = 40  # prompts of each misalignment in further sweeps
BOOTSTRAP = 500


def coverage(config: Config, sweep: Sweep, replicates: int) -> bool:
    """Print how often the intervals of rows hold the known effects, over further simulated sweeps.

    Scores go through risk, delta-risk and the intervals of the summary, with at most `FEW_PROMPTS`
    prompts of each misalignment. Coverage is printed by interval and planned number of clusters,
    with a 95% interval over sweeps: the rows of one sweep are not independent. The result is False
    where a coverage lies more than `MARGIN` below the nominal level. A coverage far above it is
    called wide and is no fault: intervals over organisms count differences between models as
    chance.
    """
    held: dict[tuple[str, str], list[float]] = {}
    for replicate in range(replicates):
        found: dict[tuple[str, str], list[bool]] = {}
        for key, inside in simulated_rows(config, sweep, 1000 + replicate):
            found.setdefault(key, []).append(inside)
        for key, inside in found.items():
            held.setdefault(key, []).append(float(np.mean(inside)))
    nominal = config.statistics.level
    fine = True
    for (name, clusters), shares in sorted(held.items()):
        low, high = monte_carlo(shares)
        good = bool(high >= nominal - MARGIN)
        fine &= good
        remark = ": wide" if low > nominal + MARGIN else ""
        print(
            f"{TARGETS[name]}, {clusters}: holds the known effect in {np.mean(shares):.1%} "
            f"({low:.1%}-{high:.1%}; {len(shares)} sweeps), nominal {nominal:.0%} +- {MARGIN:.0%}"
            + (remark if good else ": WRONG")
        )
    return fine


def monte_carlo(shares: Sequence[float]) -> tuple[float, float]:
    """95% interval of the mean of `shares`, one share for each sweep, within [0, 1].

    Where every share is 1, or every share is 0, the interval is exact with one case a sweep.
    """
    from entrench.analysis.statistics.clusters import share_interval

    if len(shares) < 2:
        return 0.0, 1.0
    if set(shares) in ({0.0}, {1.0}):
        return share_interval(int(sum(shares)), len(shares), 0.95)
    half = stats.t.ppf(0.975, len(shares) - 1) * np.std(shares, ddof=1) / np.sqrt(len(shares))
    mean = float(np.mean(shares))
    return max(0.0, mean - half), min(1.0, mean + half)


def simulated_rows(
    config: Config, sweep: Sweep, seed: int
) -> Iterator[tuple[tuple[str, str], bool]]:
    """((interval, its clusters), whether it holds the known effect) of each row of one sweep."""
    from entrench.analysis.statistics.inference import (
        Settings,
        mean_interval,
        models_interval,
        prompts_interval,
    )
    from entrench.analysis.statistics.shared_prompts import run_shares
    from entrench.analysis.summary.summary import run_name, units_of

    truth = draw_truth(sweep, seed)
    rows, prompts = simulated_deltas(config, sweep, truth, seed)
    settings = Settings(BOOTSTRAP, config.statistics.level, config.statistics.epsilon, seed)
    for about in sweep.misalignments:
        valid = [run for run in rows if run.organism.misalignment == about and rows[run]["valid"]]
        shares = run_shares({run_name(rows[run]): prompts[run] for run in valid})
        for planned in rows_of_sweep(config, sweep, about).values():
            own = [run for run in planned if run in set(valid)]
            units = units_of([rows[run] | {"shares": shares[run_name(rows[run])]} for run in own])
            known = known_effects(own, truth, FEW_PROMPTS)
            n_models = f"{len({run.organism.model for run in planned})} models"
            n_organisms = f"{len({run.organism for run in planned})} organisms"
            for name, clusters, interval in (
                ("ci", n_organisms, mean_interval(units, settings)[1]),
                ("models_ci", n_models, models_interval(units, settings)[1]),
                ("prompts_ci", n_organisms, prompts_interval(units, settings)),
            ):
                if interval.low is not None and interval.high is not None:
                    yield (name, clusters), interval.low <= known[name] <= interval.high


def simulated_deltas(
    config: Config, sweep: Sweep, truth: Truth, seed: int
) -> tuple[dict[Run, dict[str, Any]], dict[Run, pl.DataFrame]]:
    """A row of runs.csv for each run, with the columns that units need, and deltas by prompt."""
    from entrench.analysis.risk.delta import delta_prompts, delta_risk
    from entrench.analysis.risk.risk import risk_record
    from entrench.misalignments import by_name

    told = {"bootstrap": 100, "level": config.statistics.level, "seed": seed}
    rows, prompts = {}, {}
    for organism in sweep.organisms:
        grouped = by_name()[organism.misalignment].grouped
        asked = {"grouped": grouped, "evaluations": ["greedy"], "headline": "greedy"}
        asked["max_unscored"] = config.statistics.max_unscored
        runs = [run for run in sweep.runs if run.organism == organism]
        before, trained = draw_scores(organism, runs, truth, FEW_PROMPTS, seed)
        risk = risk_record(before, **asked, **told)
        for run, after in trained.items():
            (delta,) = delta_risk(
                before, after, risk, risk_record(after, **asked, **told), **told
            ).to_dicts()
            identity = {"model": organism.model, "misalignment": organism.misalignment}
            identity |= {"seed": organism.seed, "method": run.method, "repeat": run.repeat}
            rows[run] = delta | identity
            prompts[run] = delta_prompts(before, after, risk)
    return rows, prompts


def rows_of_sweep(
    config: Config, sweep: Sweep, misalignment: str | None = None
) -> dict[tuple[str, str], list[Run]]:
    """The runs of each row of the summary about methods, by (misalignment, method)."""
    from entrench.analysis.summary.contrasts import pooled
    from entrench.analysis.summary.summary import ALL_METHODS

    facts = used_methods(config, sweep)
    rows: dict[tuple[str, str], list[Run]] = {}
    for run in sweep.runs:
        about = run.organism.misalignment
        if misalignment in (None, about):
            rows.setdefault((about, run.method), []).append(run)
            if pooled(facts[run.method]):
                rows.setdefault((about, ALL_METHODS), []).append(run)
    return rows


def known_effects(runs: Sequence[Run], truth: Truth, prompts: int = 10**9) -> dict[str, float]:
    """The known mean delta-risk that each interval of a row is about, by its columns."""
    from entrench.misalignments import by_name

    about = runs[0].organism.misalignment
    these_prompts = mean_of_prompts(truth, about, by_name()[about].grouped, prompts)
    all_models = float(np.mean([effect(run) for run in runs]))
    these_models = all_models + float(np.mean([truth.of_model[run] for run in runs]))
    return {
        "ci": these_models + these_prompts,
        "models_ci": all_models + these_prompts,
        "prompts_ci": these_models,
    }
