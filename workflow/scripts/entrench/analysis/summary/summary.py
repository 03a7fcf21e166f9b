"""summary.csv: the effect of each method on each misalignment, and contrasts.

Columns ending in _pp are percentage points; risks, shares, p and q are fractions in [0, 1].
docs/columns.md explains every column.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from entrench.analysis.columns import EVALUATION, count, share, text
from entrench.analysis.risk.repeats import mean_over_repeats
from entrench.analysis.risk.risk import STATES, state_shares
from entrench.analysis.statistics.bootstrap import Interval
from entrench.analysis.statistics.inference import Settings, Unit, infer
from entrench.analysis.statistics.inference_columns import INFERENCE_COLUMNS, TESTS
from entrench.analysis.statistics.shared_prompts import mean_shares, run_shares
from entrench.analysis.statistics.significance import benjamini_hochberg
from entrench.analysis.summary.contrasts import (
    Difference,
    Facts,
    contrasts,
    organism_name,
    pooled,
    run_name,
)
from entrench.analysis.tables import table
from entrench.errors import EntrenchError
from entrench.seeds import derive_seed

# The keyword arguments of `summarise`; the job's spec has entries of the same names.
SETTINGS = ("methods", "models", "bootstrap", "level", "epsilon", "seed")
ALL_METHODS = "all consistency methods"
CONTRAST = "contrast"  # the kind of a row about differences of delta-risk
ALL_ORGANISMS, EFFECTIVE = "all", "effective"

SUMMARY_COLUMNS = {
    "misalignment": text("the misalignment that phase 1 induced"),
    "method": text(
        "a method, `all consistency methods` (each method once, no variants), or a contrast A - B"
    ),
    "kind": text(
        "`consistency`; `control`: trained without any selection for consistency; `contrast`: the "
        "row is about differences of delta-risk, A minus B"
    ),
    "variant_of": text(
        "the method that this one varies (another k, another loss). A variant has its own rows and "
        "contrasts with its controls; it enters no mean over methods, no contrast of groups or "
        "models, no power"
    ),
    "organisms": text(
        "`all`, or `effective`: the row leaves out organisms whose induction was not shown to work"
    ),
    **EVALUATION,
    "n_runs": count(
        "valid runs, each once: the mean over its repeats; in a contrast, differences", "runs"
    ),
    "n_organisms": count("organisms of these runs; in a contrast, pairs of them", "organisms"),
    "n_models": count("models of these runs; in a contrast, pairs or families", "models"),
    "n_invalid": count(
        "runs left out: too many completions are unscored, or nothing was trained. Each repeat of "
        "a run counts here. A contrast counts none: the rows of its methods do",
        "runs",
    ),
    "invalid_runs": text("the runs left out, by name"),
    "n_ineffective": count(
        "organisms in the row whose induction was not shown to work", "organisms"
    ),
    **INFERENCE_COLUMNS,
    "mean_organism_risk": share("mean risk of the organisms, before phase 3; contrasts have none"),
    "mean_trained_risk": share("mean risk after phase 3; contrasts have none"),
    **state_shares(
        "mean",
        "the trained models'",
        "mean over the row's runs (in a contrast those on both sides, each once): ",
    ),
}


def summarise(
    runs: pl.DataFrame,
    organisms: pl.DataFrame,
    prompts: Mapping[str, pl.DataFrame] | None = None,
    *,
    methods: Facts,
    models: Facts,
    bootstrap: int,
    level: float,
    epsilon: float,
    seed: int,
) -> pl.DataFrame:
    """For each misalignment: a row per method, a row over its `pooled` methods, then contrasts.

    Only valid runs count; invalid_runs names the others. A run counts once: as the mean over its
    valid repeats. Where a row includes ineffective organisms
    (induction not shown to work), a second row without them follows: organisms = "effective". q is
    over the whole table. For "effective" rows the table has these rows, and the row of all
    organisms where no organism was left out. A row of kind "contrast" is about differences of
    delta-risks, and its n_runs counts differences; `contrasts` says what it needs of `methods` and
    `models`. `epsilon` is a fraction. `prompts`: run -> its deltas by prompt
    (`collect.collect_prompts`); a row with a run that is missing there has no prompts_ci.

    Raises EntrenchError where `organisms` has no row for the organism of a run.
    """
    weak = frozenset(
        organism_name(row) for row in organisms.iter_rows(named=True) if not row["effective"]
    )
    known = {organism_name(row) for row in organisms.iter_rows(named=True)}
    settings = Settings(bootstrap, level, epsilon, seed)
    rows: list[dict[str, Any]] = []
    ordered = runs.sort("model", "misalignment", "seed", "method", "repeat")
    for (misalignment,), mine in ordered.group_by("misalignment", maintain_order=True):
        parts = _parts(_with_shares(mine, prompts or {}), weak, known, methods, models)
        for (method, kind), part in parts:
            for chosen in _with_and_without_ineffective(part, weak):
                own = replace(settings, seed=derive_seed(seed, str(misalignment), method))
                rows.append(
                    {
                        "misalignment": misalignment,
                        "method": method,
                        "kind": kind,
                        "variant_of": methods.get(method, {}).get("variant_of"),
                        "evaluation": mine["evaluation"][0],
                        **chosen,
                        **infer(chosen.pop("units"), own),
                    }
                )
    return table(_with_q(sorted(rows, key=lambda row: row["misalignment"])), SUMMARY_COLUMNS)


def main_rows(summary: pl.DataFrame) -> pl.DataFrame:
    """The rows of the summary about methods on all organisms: no contrast, nothing left out."""
    return summary.filter((pl.col("kind") != CONTRAST) & (pl.col("organisms") == ALL_ORGANISMS))


def units_of(runs: Sequence[Mapping[str, Any]], weak: frozenset[str] = frozenset()) -> list[Unit]:
    """The valid runs among these rows of runs.csv, as units; `weak` names ineffective organisms."""
    return [
        Unit(
            value=run["delta_risk"],
            organism=organism_name(run),
            model=run["model"],
            name=run_name(run),
            ineffective=tuple({organism_name(run)} & weak),
            over_prompts=Interval(run["ci_low"], run["ci_high"], run["ci_reason"]),
            shares=run.get("shares"),
        )
        for run in runs
        if run["valid"]
    ]


def readable(summary: pl.DataFrame) -> str:
    """The summary's `main_rows` as plain text, at most 110 columns wide."""
    lines = [
        f"{'misalignment':<23}{'method':<25}{'runs':>4}  {'risk before > after':<21}"
        f"{'delta-risk, points':<25}suppressed"
    ]
    previous = None
    for row in main_rows(summary).iter_rows(named=True):
        new = row["misalignment"] != previous
        previous = row["misalignment"]
        if row["n_runs"]:
            risk = f"{row['mean_organism_risk']:6.1%} > {row['mean_trained_risk']:6.1%}"
            suppressed = f"{row['n_suppressed']} of {row['n_runs']}"
        else:
            risk = suppressed = "-"
        lines += [""] if new else []
        lines.append(
            f"{_shortened(previous if new else '', 22):<23}{_shortened(row['method'], 24):<25}"
            f"{row['n_runs']:>4}  {risk:<21}{_delta(row):<25}{suppressed}"
        )
    return "\n".join([*lines, "", *_notes(summary)])


def _notes(summary: pl.DataFrame) -> list[str]:
    """Lines below the table: what is left out or weak, and how to read it."""
    notes = []
    shown = main_rows(summary)
    if invalid := shown.filter(pl.col("method") != ALL_METHODS)["n_invalid"].sum():
        notes.append(f"Invalid runs, left out: {invalid}; summary.csv names them (invalid_runs).")
    weak = shown.group_by("misalignment").agg(pl.col("n_ineffective").max())
    if ineffective := weak["n_ineffective"].sum():
        notes.append(
            f"Organisms in it whose induction was not shown to be effective: {ineffective}."
        )
    level = f"{summary['ci_level'][0]:.0%}" if summary.height else ""
    return [
        *notes,
        "delta-risk < 0: suppressed, > 0: amplified.",
        f"[{level} interval: over organisms; of one organism over its runs; of a run over prompts]",
    ]


def _with_shares(
    trainings: pl.DataFrame, prompts: Mapping[str, pl.DataFrame]
) -> list[dict[str, Any]]:
    """`mean_over_repeats` of one misalignment, each with its `Shares` by prompt.

    They are None where they are not known of one of its repeats.
    """
    behind: dict[str, list[str]] = {}  # run -> its valid trainings
    for row in trainings.filter("valid").iter_rows(named=True):
        behind.setdefault(run_name(row | {"repeat": 1}), []).append(run_name(row))
    names = [name for own in behind.values() for name in own if name in prompts]
    shares = run_shares({name: prompts[name] for name in names})
    means = {run: mean_shares([shares.get(name) for name in own]) for run, own in behind.items()}
    rows = mean_over_repeats(trainings).to_dicts()
    return [run | {"shares": means.get(run_name(run)) if run["valid"] else None} for run in rows]


def _parts(
    runs: Sequence[dict[str, Any]],
    weak: frozenset[str],
    known: set[str],
    methods: Facts,
    models: Facts,
) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """(method, kind), and the units and runs that the row is made from, for each row."""
    for run in runs:
        if organism_name(run) not in known:
            raise EntrenchError(
                f"{organism_name(run)} has a run but no row in the table of organisms: delete both "
                "tables and run the same command again"
            )
    groups = {
        (name, run["kind"]): [own for own in runs if own["method"] == name]
        for name, run in sorted({run["method"]: run for run in runs}.items())
    }
    if consistency := [run for run in runs if pooled(methods[run["method"]])]:
        groups[ALL_METHODS, "consistency"] = consistency
    for key, own in groups.items():
        yield key, {"units": units_of(own, weak), "runs": own}
    valid = [run for run in runs if run["valid"]]
    for name, units in contrasts(valid, methods, models, weak):
        yield (name, CONTRAST), {"units": units, "runs": valid}


def _with_and_without_ineffective(
    part: dict[str, Any], weak: frozenset[str]
) -> Iterator[dict[str, Any]]:
    yield _counted(ALL_ORGANISMS, part["units"], part["runs"])
    kept = [unit for unit in part["units"] if not unit.ineffective]
    if len(kept) < len(part["units"]):
        runs = [run for run in part["runs"] if organism_name(run) not in weak]
        yield _counted(EFFECTIVE, kept, runs)


def _counted(organisms: str, units: list[Unit], runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The counts and means of a row; `runs` are the runs behind its units and the invalid runs."""
    names = {name for unit in units for name in _runs_behind(unit)}
    valid = [run for run in runs if run["valid"] and run_name(run) in names]
    invalid = [run for run in runs if not run["valid"]]
    row = {
        "units": units,
        "organisms": organisms,
        "n_runs": len(units),
        "n_organisms": len({unit.organism for unit in units}),
        "n_models": len({unit.model for unit in units}),
        "n_invalid": len(invalid),
        "invalid_runs": "; ".join(map(run_name, invalid)) or None,
        "n_ineffective": len({name for unit in units for name in unit.ineffective}),
    }
    if not valid:
        return row
    row |= {
        f"mean_{state}_share": _mean([run[f"trained_{state}_share"] for run in valid])
        for state in STATES
    }
    if isinstance(units[0], Difference):  # its two sides have risks of different runs
        return row
    return row | {
        "mean_organism_risk": _mean([run["organism_risk"] for run in valid]),
        "mean_trained_risk": _mean([run["trained_risk"] for run in valid]),
    }


def _runs_behind(unit: Unit) -> tuple[str, ...]:
    return unit.runs if isinstance(unit, Difference) else (unit.name,)


def _with_q(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their q, over a table with one row for each method and contrast.

    There are two such tables: of all organisms, and of effective organisms. The second has the row
    of all organisms where no organism was left out.
    """
    families: list[dict[tuple[str, str], dict[str, Any]]] = [{}, {}]
    for row in rows:
        key = row["misalignment"], row["method"]
        if row["organisms"] == ALL_ORGANISMS:
            families[0][key] = row
        families[1][key] = row  # the row of effective organisms comes later
    for family, organisms in zip(families, (ALL_ORGANISMS, EFFECTIVE), strict=True):
        for test in TESTS:
            adjusted = benjamini_hochberg([row.get(f"{test}_p") for row in family.values()])
            for row, q in zip(family.values(), adjusted, strict=True):
                if row["organisms"] == organisms:
                    row[f"{test}_q"] = q
    return rows


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _delta(row: dict[str, Any]) -> str:
    if row["mean_delta_pp"] is None:
        return "-"
    mean = f"{row['mean_delta_pp']:+6.1f}"
    if row["ci_low_pp"] is None:
        return f"{mean} [no interval]"
    return f"{mean} [{row['ci_low_pp']:+.1f}, {row['ci_high_pp']:+.1f}]"


def _shortened(words: str, width: int) -> str:
    return words if len(words) <= width else words[: width - 1] + "…"
