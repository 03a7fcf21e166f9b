"""summary.csv: what each method did to each misalignment, over the runs that count.

Columns ending in _pp are percentage points; risks and shares are fractions in [0, 1].
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from entrench.analysis.bootstrap import Interval
from entrench.analysis.risk import STATES
from entrench.analysis.tables import COUNT, NUMBER, TEXT, table
from entrench.errors import EntrenchError
from entrench.seeds import derive_seed

ALL_METHODS = "all consistency methods"
# Below this a delta-risk is a difference of rounding, not of answers.
ROUNDING = 1e-9
# A percentile bootstrap of fewer units is too narrow; Student's t takes its place there.
FEWEST_TO_RESAMPLE = 6

SUMMARY_COLUMNS = {
    "misalignment": TEXT,
    "method": TEXT,
    "kind": TEXT,
    "evaluation": TEXT,
    "n_runs": COUNT,
    "n_organisms": COUNT,
    "n_models": COUNT,
    "n_invalid": COUNT,
    "invalid_runs": TEXT,
    "n_ineffective": COUNT,
    "mean_delta_pp": NUMBER,
    "ci_low_pp": NUMBER,
    "ci_high_pp": NUMBER,
    "ci_level": NUMBER,
    "ci_kind": TEXT,
    "ci_reason": TEXT,
    "share_suppressed": NUMBER,
    "n_suppressed": COUNT,
    "n_amplified": COUNT,
    "n_tied": COUNT,
    "sign_test_p": NUMBER,
    "sign_test_reason": TEXT,
    "mean_organism_risk": NUMBER,
    "mean_trained_risk": NUMBER,
    **{f"mean_{state}_share": NUMBER for state in STATES},
}


def summarise(
    runs: pl.DataFrame, organisms: pl.DataFrame, *, bootstrap: int, level: float, seed: int
) -> pl.DataFrame:
    """One row per misalignment x method, then one over its methods of kind consistency.

    Only valid runs count; the others are named in invalid_runs. n_ineffective counts the organisms
    of the counted runs whose induction was not shown to be effective. The scored, excluded and
    unscored shares are those of the trained models. share_suppressed is of all counted runs; the
    sign test (exact, two-sided) leaves ties out and takes runs as independent, which runs of one
    organism are not.

    The interval's ci_kind names what it speaks about:
    - "prompts of one run": that run alone, nothing about other organisms;
    - "bootstrap over organisms", "t over organisms": organisms resampled whole, or, for fewer than
      `FEWEST_TO_RESAMPLE`, Student's t with a cluster-robust standard error;
    - "... over runs of one organism": methods differ, nothing about other organisms.
    """
    effective = {
        (row["model"], row["misalignment"], row["seed"]): row["effective"]
        for row in organisms.iter_rows(named=True)
    }
    ordered = runs.sort("model", "misalignment", "seed", "method")
    rows = []
    for misalignment in ordered["misalignment"].unique().sort():
        mine = ordered.filter(pl.col("misalignment") == misalignment)
        parts = [
            (method, mine.filter(pl.col("method") == method))
            for method in mine["method"].unique().sort()
        ]
        consistency = mine.filter(pl.col("kind") == "consistency")
        if consistency.height:
            parts.append((ALL_METHODS, consistency))
        for method, part in parts:
            rows.append(
                {
                    "misalignment": misalignment,
                    "method": method,
                    "kind": part["kind"][0],
                    "evaluation": part["evaluation"][0],
                    "ci_level": level,
                    **_row(part.to_dicts(), effective, bootstrap, level, seed),
                }
            )
    return table(rows, SUMMARY_COLUMNS)


def mean_interval(
    runs: Sequence[dict[str, Any]], *, bootstrap: int, level: float, seed: int
) -> tuple[str, Interval]:
    """ci_kind and interval (a fraction) of the mean delta-risk of `runs`, see `summarise`."""
    if len(runs) == 1:
        only = runs[0]
        return "prompts of one run", Interval(only["ci_low"], only["ci_high"], only["ci_reason"])
    clusters: dict[tuple[Any, ...], list[float]] = {}
    for run in runs:
        clusters.setdefault(_organism(run), []).append(run["delta_risk"])
    units, name = list(clusters.values()), "organisms"
    if len(units) == 1:
        units, name = [[delta] for delta in units[0]], "runs of one organism"
    sums, sizes = np.array([sum(u) for u in units]), np.array([len(u) for u in units])
    if len(units) < FEWEST_TO_RESAMPLE:
        return f"t over {name}", _t_interval(sums, sizes, level)
    drawn = np.random.default_rng(seed).integers(len(units), size=(bootstrap, len(units)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return f"bootstrap over {name}", Interval(float(low), float(high))


def sign_test(suppressed: int, amplified: int) -> tuple[float | None, str | None]:
    """Exact two-sided p of equally likely signs, ties left out; or None and the reason."""
    count = suppressed + amplified
    if count < 2:
        return None, f"{count} runs with a sign, 2 are needed"
    return float(stats.binomtest(suppressed, count).pvalue), None


def readable(summary: pl.DataFrame) -> str:
    """The summary as plain text, at most 110 columns wide."""
    lines = [
        f"{'misalignment':<23}{'method':<25}{'runs':>4}  {'risk before > after':<21}"
        f"{'delta-risk, points':<25}suppressed"
    ]
    previous = None
    for row in summary.iter_rows(named=True):
        new = row["misalignment"] != previous
        previous = row["misalignment"]
        if row["n_runs"]:
            risk = f"{row['mean_organism_risk']:6.1%} > {row['mean_trained_risk']:6.1%}"
            share = f"{row['n_suppressed']} of {row['n_runs']}"
        else:
            risk = share = "-"
        lines += [""] if new else []
        lines.append(
            f"{_cut(previous if new else '', 22):<23}{_cut(row['method'], 24):<25}"
            f"{row['n_runs']:>4}  {risk:<21}{_delta(row):<25}{share}"
        )
    return "\n".join([*lines, "", *_notes(summary)])


def _notes(summary: pl.DataFrame) -> list[str]:
    """What a reader of the table must know; the last line says how to read it."""
    notes = []
    if invalid := summary.filter(pl.col("method") != ALL_METHODS)["n_invalid"].sum():
        notes.append(f"Invalid runs, left out: {invalid}; summary.csv names them (invalid_runs).")
    weak = summary.group_by("misalignment").agg(pl.col("n_ineffective").max())
    if count := weak["n_ineffective"].sum():
        notes.append(f"Organisms in it whose induction was not shown to be effective: {count}.")
    level = f"{summary['ci_level'][0]:.0%}" if summary.height else ""
    reading = f"delta-risk < 0: suppressed, > 0: amplified; [{level} interval, over prompts where "
    return [*notes, reading + "runs = 1, else over runs]."]


def _row(
    runs: list[dict[str, Any]],
    effective: dict[tuple[Any, ...], bool],
    bootstrap: int,
    level: float,
    seed: int,
) -> dict[str, Any]:
    valid = [run for run in runs if run["valid"]]
    invalid = [run for run in runs if not run["valid"]]
    organisms = {_organism(run) for run in valid}
    row: dict[str, Any] = {
        "n_runs": len(valid),
        "n_organisms": len(organisms),
        "n_models": len({run["model"] for run in valid}),
        "n_invalid": len(invalid),
        "invalid_runs": "; ".join(_name(run) for run in invalid) or None,
        "n_ineffective": sum(not _effective(organism, effective) for organism in organisms),
    }
    if not valid:
        reason = "no valid run"
        return row | {"ci_reason": reason, "sign_test_reason": reason}
    deltas = [run["delta_risk"] for run in valid]
    suppressed = sum(delta < -ROUNDING for delta in deltas)
    amplified = sum(delta > ROUNDING for delta in deltas)
    p, p_reason = sign_test(suppressed, amplified)
    kind, interval = mean_interval(
        valid, bootstrap=bootstrap, level=level, seed=derive_seed(seed, *map(_name, valid))
    )
    return row | {
        "mean_delta_pp": 100 * _mean(deltas),
        "ci_low_pp": None if interval.low is None else 100 * interval.low,
        "ci_high_pp": None if interval.high is None else 100 * interval.high,
        "ci_kind": kind,
        "ci_reason": interval.reason,
        "share_suppressed": suppressed / len(deltas),
        "n_suppressed": suppressed,
        "n_amplified": amplified,
        "n_tied": len(deltas) - suppressed - amplified,
        "sign_test_p": p,
        "sign_test_reason": p_reason,
        "mean_organism_risk": _mean([run["organism_risk"] for run in valid]),
        "mean_trained_risk": _mean([run["trained_risk"] for run in valid]),
        **{
            f"mean_{state}_share": _mean([run[f"trained_{state}_share"] for run in valid])
            for state in STATES
        },
    }


def _effective(organism: tuple[Any, ...], effective: dict[tuple[Any, ...], bool]) -> bool:
    if organism not in effective:
        raise EntrenchError(
            f"{organism} has a run but no row in the table of organisms: delete both tables and "
            "run the same command again"
        )
    return effective[organism]


def _t_interval(sums: np.ndarray, sizes: np.ndarray, level: float) -> Interval:
    """Student's t on C - 1 degrees of freedom, C clusters of `sizes` runs with sums `sums`.

    The standard error is the cluster-robust one of a ratio of totals (Cochran 1977, eq. 2.39).
    """
    count = len(sums)
    mean = sums.sum() / sizes.sum()
    residuals = sums - sizes * mean
    error = np.sqrt(count / (count - 1) * (residuals**2).sum()) / sizes.sum()
    half = stats.t.ppf((1 + level) / 2, count - 1) * error
    return Interval(float(mean - half), float(mean + half))


def _organism(run: dict[str, Any]) -> tuple[Any, ...]:
    return run["model"], run["misalignment"], run["seed"]


def _name(run: dict[str, Any]) -> str:
    return f"{run['model']}/{run['misalignment']}/seed{run['seed']}/{run['method']}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _delta(row: dict[str, Any]) -> str:
    if row["mean_delta_pp"] is None:
        return "-"
    mean = f"{row['mean_delta_pp']:+6.1f}"
    if row["ci_low_pp"] is None:
        return f"{mean} [no interval]"
    return f"{mean} [{row['ci_low_pp']:+.1f}, {row['ci_high_pp']:+.1f}]"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
