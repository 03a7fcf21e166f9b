"""Simulated tables of a study, for looking at figures and for tests of what is drawn from them."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from entrench.analysis.risk.collect import ORGANISM_COLUMNS, RUN_DETAIL_COLUMNS
from entrench.analysis.risk.delta import PROMPT_COLUMNS
from entrench.analysis.summary.summary import summarise
from entrench.analysis.tables import table
from entrench.study.sweep import Organism, Run

EFFECTS = {
    "emergent_misalignment": -0.10,
    "reward_hacking": -0.25,
    "spurious_correlation": 0.0,
    "sycophancy": 0.08,
}
METHODS = {
    "act": "consistency",
    "bct": "consistency",
    "diverse_decoding": "consistency",
    "greedy_self_training": "control",
    "multi_view": "consistency",
    "rejection_sampling": "control",
    "self_confidence": "consistency",
    "self_refinement": "consistency",
    "self_rewarding": "consistency",
}


def study(
    models: int, seeds: int, runs: int | None = None, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """(runs, organisms, summary, detail) of models x 4 misalignments x seeds x 9 methods.

    With `runs`, of as many of them. About one run in fifty is invalid where there are more than a
    hundred.
    """
    generator = np.random.default_rng(seed)
    organism_rows, run_rows = [], []
    for model in range(models):
        for misalignment, effect in EFFECTS.items():
            for number in range(40, 40 + seeds):
                identity = {
                    "model": f"model{model}",
                    "misalignment": misalignment,
                    "seed": number,
                }
                base = generator.uniform(0, 0.15)
                risk = generator.uniform(0.3, 0.8)
                organism_rows.append(
                    identity
                    | {
                        "evaluation": "greedy",
                        "valid": True,
                        "base_risk": base,
                        "organism_risk": risk,
                        "induction_effect": risk - base,
                        "ci_low": risk - base - 0.05,
                        "ci_high": risk - base + 0.05,
                        "ci_level": 0.95,
                        "effective": True,
                        "effective_first_half": True,
                        "effective_second_half": True,
                        "n_prompts": 300,
                    }
                )
                for method, kind in METHODS.items():
                    trained = float(np.clip(risk + generator.normal(effect, 0.12), 0, 1))
                    run_rows.append(identity | _run(method, kind, risk, trained))
    if runs is not None:
        keep = sorted(generator.choice(len(run_rows), runs, replace=False))
        run_rows = [run_rows[i] for i in keep]
    if len(run_rows) > 100:
        for row in run_rows[::50]:
            row |= {"valid": False, "reason": "trained: 12.0% of the completions are unscored"}
    run_frame = table(run_rows, RUN_DETAIL_COLUMNS)
    organism_frame = table(organism_rows, ORGANISM_COLUMNS)
    told = settings(run_frame)
    prompts = prompt_deltas(run_frame)
    summary, detail = summarise(run_frame, organism_frame, prompts, prompts, **told)
    return run_frame, organism_frame, summary, detail


def prompt_deltas(runs: pl.DataFrame, prompts: int = 40) -> dict[str, pl.DataFrame]:
    """Deltas of each prompt behind simulated runs, by name; prompts move all runs alike, and more.

    Their mean is the run's delta-risk, whatever its prompts.
    """
    generator = np.random.default_rng(7)
    shared = {about: generator.normal(0, 0.3, prompts) for about in EFFECTS}
    found = {}
    for row in runs.sort("model", "misalignment", "seed", "method").iter_rows(named=True):
        moved = shared[row["misalignment"]] + generator.normal(0, 0.2, prompts)
        found[f"{row['model']}/{row['misalignment']}/seed{row['seed']}/{row['method']}"] = table(
            [
                {
                    "evaluation": "greedy",
                    "prompt": f"p{number:02}",
                    "item": f"p{number:02}",
                    "half": number % 2,
                    "delta": delta,
                }
                | {"weight": 1 / prompts}
                for number, delta in enumerate(moved - moved.mean() + row["delta_risk"])
            ],
            PROMPT_COLUMNS,
        )
    return found


def settings(runs: pl.DataFrame) -> dict[str, object]:
    """What `summarise` is told about simulated runs: model0 is the base of the instruct model1."""
    facts = runs.select("method", "operator", "kind").unique("method").iter_rows(named=True)
    return {
        "level": 0.95,
        "epsilon": 0.02,
        "methods": {row["method"]: row for row in facts},
        "models": {
            name: {
                "kind": "instruct" if name == "model1" else "base",
                "family": "one" if name in ("model0", "model1") else None,
                "size_billion": 8.0,
            }
            for name in runs["model"].unique().sort()
        },
    }


def _run(method: str, kind: str, organism: float, trained: float) -> dict[str, object]:
    delta = trained - organism
    return {
        "method": method,
        "operator": method,
        "kind": kind,
        "repeat": 1,
        "evaluation": "greedy",
        "valid": True,
        "organism_risk": organism,
        "trained_risk": trained,
        "delta_risk": delta,
        "greedy_delta_risk": delta / 2,
        "ci_low": delta - 0.06,
        "ci_high": delta + 0.06,
        "ci_level": 0.95,
        "n_prompts": 300,
        "n_prompts_all": 300,
        "delta_risk_all": delta,
        "delta_risk_lower": delta,
        "delta_risk_upper": delta,
        "trained_scored_share": 1.0,
        "trained_excluded_share": 0.0,
        "trained_unscored_share": 0.0,
    }


def planned_runs(models: int, seeds: int, methods: Sequence[str], repeats: int = 1) -> list[Run]:
    """Runs of sycophancy; the first organism has each of its runs `repeats` times."""
    return [
        Run(Organism(f"m{model}", "sycophancy", seed), method, repeat)
        for model in range(models)
        for seed in range(seeds)
        for method in methods
        for repeat in range(1, 1 + (repeats if (model, seed) == (0, 0) else 1))
    ]
