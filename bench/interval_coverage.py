"""How often intervals of the summary hold the known effects, over further simulated sweeps."""

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy import stats
from simulated_sweep import Truth, draw_scores, draw_truth, effect

from entrench.analysis.statistics.effect import MODELS, NEW
from entrench.study.config import Config
from entrench.study.specs.parts import used_methods
from entrench.study.sweep import Run, Sweep

# What an interval of the tables is about. All of them are about other prompts too.
TARGETS = (NEW, MODELS)
MARGIN = 0.03  # allowed between a coverage and its nominal level, beyond chance
FEW_PROMPTS = 40  # prompts of each misalignment in further sweeps


def coverage(config: Config, sweep: Sweep, replicates: int) -> bool:
    """Print how often the intervals of rows hold the known effects, over further simulated sweeps.

    Scores go through risk, delta-risk and the summary, with at most `FEW_PROMPTS` prompts of each
    misalignment. Coverage is printed by what the interval is about and by the row's number of
    models and organisms, with a 95% interval over sweeps: the rows of one sweep are not
    independent. The result is False where a coverage lies more than `MARGIN` below the nominal
    level. A coverage far above it is called wide and is no fault.
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
    for (about, clusters), shares in sorted(held.items()):
        low, high = monte_carlo(shares)
        good = bool(high >= nominal - MARGIN)
        fine &= good
        remark = ": wide" if low > nominal + MARGIN else ""
        print(
            f"about {about}, {clusters}: holds the known effect in {np.mean(shares):.1%} "
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
    """((what it is about, clusters), whether it holds the known effect) of each interval."""
    from entrench.analysis.risk.collect import ORGANISM_COLUMNS, RUN_DETAIL_COLUMNS
    from entrench.analysis.summary.names import run_name
    from entrench.analysis.summary.summary import summarise
    from entrench.analysis.tables import table
    from entrench.study.specs.tables import summary_spec

    truth = draw_truth(sweep, seed)
    rows, by_run = simulated_deltas(config, sweep, truth, seed)
    prompts = {run_name(rows[run]): own for run, own in by_run.items()}
    organisms = [
        {"model": one.model, "misalignment": one.misalignment, "seed": one.seed}
        | {"valid": True, "effective": True, "base_risk": 0.0}
        for one in sweep.organisms
    ]
    told = summary_spec(config, sweep)
    _, detail = summarise(
        table(rows.values(), RUN_DETAIL_COLUMNS),
        table(organisms, ORGANISM_COLUMNS),
        prompts,
        **{name: told[name] for name in ("methods", "models", "level", "epsilon")},
    )
    valid = {run for run, row in rows.items() if row["valid"]}
    yield from held_rows(detail, rows_of_sweep(config, sweep), valid, truth)


def held_rows(
    detail: pl.DataFrame,
    planned: Mapping[tuple[str, str], Sequence[Run]],
    valid: Container[Run],
    truth: Truth,
) -> Iterator[tuple[tuple[str, str], bool]]:
    """((what it is about, clusters), whether it holds the known effect) of intervals in detail.csv.

    Those of a mean change: of new models, and of these models. `planned`: (misalignment, row) ->
    its runs.
    """
    means = detail.filter(pl.col("quantity").is_in(["change_pp", "change_of_these_models_pp"]))
    for row in means.drop_nulls("low").iter_rows(named=True):
        own = [run for run in planned[row["misalignment"], row["row"]] if run in valid]
        known = known_effects(own, truth)
        if row["about"] not in known:
            continue
        models = {run.organism.model for run in own}
        clusters = f"{len(models)} models, {len({run.organism for run in own})} organisms"
        yield (row["about"], clusters), row["low"] <= 100 * known[row["about"]] <= row["high"]


def simulated_deltas(
    config: Config, sweep: Sweep, truth: Truth, seed: int
) -> tuple[dict[Run, dict[str, Any]], dict[Run, pl.DataFrame]]:
    """A row of runs_detail.csv for each run, with what units need, and deltas by prompt."""
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
    from entrench.analysis.summary.names import ALL_METHODS, pooled

    facts = used_methods(config, sweep)
    rows: dict[tuple[str, str], list[Run]] = {}
    for run in sweep.runs:
        about = run.organism.misalignment
        if misalignment in (None, about):
            rows.setdefault((about, run.method), []).append(run)
            if pooled(facts[run.method]):
                rows.setdefault((about, ALL_METHODS), []).append(run)
    return rows


def known_effects(runs: Sequence[Run], truth: Truth) -> dict[str, float]:
    """The known mean delta-risk that the intervals of a row are about, on other prompts alike.

    An organism counts once. On these models, what the models add is part of it.
    """
    organisms = {
        run.organism: [own for own in runs if own.organism == run.organism] for run in runs
    }
    new = float(np.mean([np.mean([effect(run) for run in own]) for own in organisms.values()]))
    added = [np.mean([truth.of_model[run] for run in own]) for own in organisms.values()]
    return {NEW: new, MODELS: new + float(np.mean(added))}
