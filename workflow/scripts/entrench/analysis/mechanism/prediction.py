"""Can the sign of delta-risk be predicted before training?

For runs on labels: from their labels, surprisal and stability. Predictors come from one half of the
prompts, delta-risk from the other half; then the halves are swapped. On the same prompts the noise
of Risk(organism), which enters both, would look like skill. For runs on pairs: from the teacher
flip, which comes from prompts of its own, so nothing is halved.

A logistic regression is fitted on the runs of all models but one, and predicts the runs of the
left-out model. It starts from the majority sign of the other models on the misalignment. Its
predictors are differences from their mean on the misalignment. So it gains nothing from knowing
which misalignment a run is on, which is known without any prediction.

Three baselines need neither labels nor a probe. They are majorities among the runs of the other
models: on the run's misalignment, of its method on other misalignments, and on organisms of about
the same risk.

A case is one run, and for runs on labels one swap of the halves.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit, logit

from entrench.analysis.mechanism.baselines import (
    MODELS_NEEDED,
    Rows,
    amplified_of,
    by_method,
    by_misalignment,
    by_risk,
    leaving_one_out,
    majority,
    misalignment_means,
    models_of,
    numbers_of,
    signs_right,
    with_known,
)
from entrench.analysis.mechanism.prediction_columns import PREDICTION_COLUMNS
from entrench.analysis.statistics.clusters import (
    cluster_interval,
    cluster_totals,
    clustered_share_interval,
)
from entrench.analysis.statistics.significance import ROUNDING
from entrench.analysis.tables import table
from entrench.seeds import derive_seed

BASELINE = "majority sign"
BY_METHOD = "majority sign by method"
BY_RISK = "majority sign by organism risk"
BASELINES = {BASELINE: "baseline", BY_METHOD: "by_method", BY_RISK: "by_risk"}  # -> its column
RULE = "sign of label shift"
FLIP = "sign of teacher flip"
LABELS, PAIRS = "labels", "pairs"  # what the runs behind a row were trained on
PREDICTORS: dict[str, tuple[str, ...]] = {  # fitted predictor -> the columns that it needs
    "label shift": ("label_shift_before_pp",),
    "surprisal": ("surprisal_per_token",),
    "stability": ("agreement",),
    "all three": ("label_shift_before_pp", "surprisal_per_token", "agreement"),
}
STEPS = {RULE: "label_shift_before_pp", FLIP: "flip_pp"}  # rule that needs no fit -> its column
_OF_BASELINES = {BASELINE: (), BY_METHOD: ("by_method",), BY_RISK: ("by_risk",)}
NEEDS = {
    LABELS: {**_OF_BASELINES, RULE: (STEPS[RULE],), **PREDICTORS},
    PAIRS: {**_OF_BASELINES, FLIP: (STEPS[FLIP],)},
}
MODELS_OF_AN_INTERVAL = 3
RIDGE = 1.0  # prior precision of standardised slopes: keeps slopes finite on separable data
SUREST = 0.98  # a fit starts from a share within [1 - SUREST, SUREST]: with few runs it can be 1
SIZES = (0.0, 5.0)  # points: from where each bin of the size of delta-risk begins
ALL = "all"
ASSESSED = "assessed"
EDGES = np.linspace(0, 1, 6)  # of the calibration bins

_RUN = ("model", "misalignment", "seed", "method")


def predict(
    decomposition: pl.DataFrame,
    stability: pl.DataFrame,
    paired: pl.DataFrame | None = None,
    *,
    bootstrap: int,
    level: float,
    seed: int,
) -> pl.DataFrame:
    """The table prediction.csv: columns `PREDICTION_COLUMNS`. Invalid runs are left out.

    `paired` has a row for each run on pairs: the columns `PAIRED` of
    `entrench.analysis.mechanism.tables`. Their rows come last, and only where there are such runs.

    The column `what` says what a row is:

    skill        one predictor, over all runs (misalignment "all") and over each misalignment:
                 accuracy of the sign, its gain over `BASELINE` on the same cases, Brier score of
                 the probability of amplification; intervals over models. n_tied counts cases whose
                 delta-risk is 0. n_unknown counts further cases left out, since delta-risk or a
                 column that the predictor needs is not known. n_undecided counts cases of which
                 the predictor says neither sign (probability 1/2); each is half right
    size         one predictor, on the cases of all runs whose |delta-risk| lies in a bin of
                 `SIZES`: accuracy, and its interval, exact over models. Noise decides the sign of a
                 delta-risk near 0, so judge a predictor by the larger ones
    calibration  a bin of the probability predicted from all three, and the share that amplified
    run          the probability predicted for a run, mean over its cases; observed is 1 where the
                 run amplified

    With one model nothing can be fitted. Then only the rules of `STEPS`, which need no fit, are
    assessed, and beside them `BY_METHOD`, which needs other misalignments alone.
    """
    settings = bootstrap, level, seed
    cases = _cases(decomposition.filter("valid"), stability)
    rows = _assessed(LABELS, cases, decomposition, *settings)
    if paired is not None and paired.height:
        rows += _assessed(PAIRS, _paired_cases(paired.filter("valid")), paired, *settings)
    return table(rows, PREDICTION_COLUMNS)


def _assessed(
    trained_on: str, every: Rows, runs: pl.DataFrame, bootstrap: int, level: float, seed: int
) -> Rows:
    """The rows about runs on labels or on pairs; `runs` holds the invalid ones too."""
    signed = [case for case in every if not _tied(case) and case["delta_pp"] is not None]
    shares = by_misalignment(signed), by_method(signed), by_risk(signed)
    for case, *own in zip(signed, *shares, strict=True):
        case |= dict(zip(BASELINES.values(), own, strict=True))
    asked = {name: with_known(signed, columns) for name, columns in NEEDS[trained_on].items()}
    predicted = {name: _predicted(name, signed, cases) for name, cases in asked.items()}
    rows: Rows = []
    for scope in (ALL, *sorted({case["misalignment"] for case in signed})):
        known = [case for case in every if scope in (ALL, case["misalignment"])]
        left_out = runs.filter(
            ~pl.col("valid"), (pl.col("misalignment") == scope) | pl.lit(scope == ALL)
        )
        shared = {"what": "skill", "misalignment": scope, "ci_level": level}
        shared["n_tied"] = sum(map(_tied, known))
        shared["n_invalid"] = left_out.select(_RUN).n_unique()
        for name, cases in asked.items():
            inside = np.array([scope in (ALL, case["misalignment"]) for case in cases], bool)
            mine = [case for case, taken in zip(cases, inside, strict=True) if taken]
            row = shared | {"predictor": name, "status": _status(name, signed, cases, mine)}
            row |= _counts(mine)
            row["n_unknown"] = len(known) - shared["n_tied"] - len(mine)
            if row["status"] == ASSESSED:
                draws = derive_seed(seed, name, scope)
                row |= _skill(mine, predicted[name][inside], bootstrap, level, draws)
            rows.append(row)
    for name, cases in asked.items():
        rows += _by_size(name, every, signed, cases, predicted[name], level)
    whole = asked.get("all three", [])
    if whole and _status("all three", signed, whole, whole) == ASSESSED:
        rows += _runs(whole, predicted["all three"]) + _calibration(whole, predicted["all three"])
    return [{"trained_on": trained_on, **row} for row in rows]


def readable(prediction: pl.DataFrame) -> str:
    """The skill over all misalignments as plain text, a line per predictor."""
    lines = []
    whole = prediction.filter(pl.col("what") == "skill", pl.col("misalignment") == ALL)
    for row in whole.iter_rows(named=True):
        named = f"{row['trained_on']}: {row['predictor']}"
        if row["accuracy"] is None:
            lines.append(f"{named:<40}{row['status']}")
            continue
        share = f"{row['accuracy']:.0%} of the signs of {row['n_runs']} runs"
        if row["gain_over_majority"] is not None and row["predictor"] != BASELINE:
            share += f", {row['gain_over_majority']:+.0%} over the majority sign"
        lines.append(f"{named:<40}{share}")
    return "\n".join(lines)


def _cases(decomposition: pl.DataFrame, stability: pl.DataFrame) -> Rows:
    """A case per run and swap: predictors of one half, delta-risk of the other, None: not known."""
    agreement = (
        stability.filter(pl.col("same") == "behaviour")
        .group_by("model", "misalignment", "seed", "part")
        .agg(pl.col("agreement").mean())
    )
    joined = decomposition.join(agreement, on=["model", "misalignment", "seed", "part"], how="left")
    by_part = {
        part: {_run(row): row for row in joined.filter(pl.col("part") == part).to_dicts()}
        for part in ("half 0", "half 1")
    }
    cases = []
    for known, asked in (("half 0", "half 1"), ("half 1", "half 0")):
        for name, row in sorted(by_part[known].items()):
            delta = by_part[asked].get(name, {}).get("delta_pp")
            cases.append(
                {**dict(zip(_RUN, name, strict=True)), "effective": row["effective"]}
                | {column: row[column] for column in (*PREDICTORS["all three"], "organism_risk")}
                | {"delta_pp": delta, "amplified": None if delta is None else float(delta > 0)}
            )
    return cases


def _paired_cases(paired: pl.DataFrame) -> Rows:
    """A case per run on pairs."""
    return [
        row | {"amplified": None if row["delta_pp"] is None else float(row["delta_pp"] > 0)}
        for row in paired.sort(_RUN).to_dicts()
    ]


def _tied(case: Mapping[str, Any]) -> bool:
    return case["delta_pp"] is not None and abs(case["delta_pp"]) <= 100 * ROUNDING


def _counts(cases: Rows) -> dict[str, int]:
    runs = len({_run(case) for case in cases})
    return {"n_runs": runs, "n_models": len(models_of(cases)), "n_cases": len(cases)}


def _status(name: str, signed: Rows, cases: Rows, inside: Rows) -> str:
    """`ASSESSED`, or why a predictor with these `cases` cannot be assessed on those `inside`.

    Baselines learn from all cases with a sign, `signed`; a fit from the cases where it is known.
    """
    have = len(models_of(signed if name in BASELINES else cases))
    if name not in (*STEPS, BY_METHOD) and have < MODELS_NEEDED:
        found = f"{have} model{'' if have == 1 else 's'}, {MODELS_NEEDED} are needed"
        return f"not assessable: {found}"
    return ASSESSED if inside else "not assessable: no run with a sign and this predictor"


def _predicted(name: str, signed: Rows, cases: Rows) -> np.ndarray:
    """Predicted probability of amplification [cases]; empty where it cannot be assessed."""
    if _status(name, signed, cases, cases) != ASSESSED:
        return np.empty(0)
    if name in STEPS:
        return np.array([_step(case[STEPS[name]]) for case in cases])
    if name in BASELINES:
        return np.array([case[BASELINES[name]] for case in cases])
    return leaving_one_out(cases, _logistic(PREDICTORS[name]))


def _logistic(columns: Sequence[str]) -> Callable[[Rows], Callable[[Rows], np.ndarray]]:
    """Ridge logistic regression on columns standardised within misalignments.

    In place of an intercept it has the log-odds of `majority`, with a weight near 1. So its gain
    over the majority comes from the columns. It learns from the fitted cases only, never from the
    cases asked about.
    """

    def fit(cases: Rows) -> Callable[[Rows], np.ndarray]:
        import statsmodels.api as sm

        outcome, numbers = amplified_of(cases), numbers_of(cases, columns)
        start_of, mean = majority(cases), misalignment_means(cases, numbers)
        scale = (numbers - mean(cases)).std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)

        def design(asked: Rows, start: np.ndarray) -> np.ndarray:
            return np.column_stack([start, (numbers_of(asked, columns) - mean(asked)) / scale])

        # The penalty of statsmodels is per case, on half the squared slopes.
        penalty = np.full(1 + len(columns), RIDGE / len(cases))
        known, family = _log_odds(start_of(cases)), sm.families.Binomial()
        model = sm.GLM(outcome, design(cases, known), family=family, offset=known)
        slopes = model.fit_regularized(alpha=penalty, L1_wt=0.0).params

        def ask(asked: Rows) -> np.ndarray:
            start = _log_odds(start_of(asked))
            return expit(start + design(asked, start) @ slopes)

        return ask

    return fit


def _log_odds(share: np.ndarray) -> np.ndarray:
    return logit(np.clip(share, 1 - SUREST, SUREST))


def _skill(
    cases: Rows,
    predicted: np.ndarray,
    bootstrap: int,
    level: float,
    seed: int,
) -> dict[str, Any]:
    outcome = amplified_of(cases)
    right = signs_right(predicted, outcome)
    found: dict[str, Any] = {
        "n_undecided": int((right == 0.5).sum()),
        "accuracy": float(right.mean()),
        "brier": float(((predicted - outcome) ** 2).mean()),
    }
    numbers = {"accuracy": right}
    baseline = [case["baseline"] for case in cases]
    if None not in baseline:
        numbers["gain"] = right - signs_right(np.array(baseline), outcome)
        found["gain_over_majority"] = float(numbers["gain"].mean())
    models = [case["model"] for case in cases]
    if reason := _too_few(models):
        return found | {"ci_reason": reason}
    for name, values in numbers.items():
        totals = cluster_totals(values, models)
        how, ends = cluster_interval(*totals, bootstrap=bootstrap, level=level, seed=seed)
        least = 0.0 if name == "accuracy" else -1.0
        low, high = np.clip([ends.low, ends.high], least, 1.0)
        found |= {f"{name}_low": float(low), f"{name}_high": float(high)}
        found["ci_kind"] = f"{how} over models"
    return found


def _by_size(
    name: str, every: Rows, signed: Rows, cases: Rows, predicted: np.ndarray, level: float
) -> Rows:
    """The rows `size` of one predictor, which knows `cases` and says `predicted` of them."""
    rows = []
    for start, end in zip(SIZES, (*SIZES[1:], None), strict=True):
        inside = _sized(cases, start, end)
        mine = [case for case, taken in zip(cases, inside, strict=True) if taken]
        row: dict[str, Any] = {"what": "size", "misalignment": ALL, "predictor": name}
        row |= {"status": _status(name, signed, cases, mine), **_counts(mine)}
        row |= {"size_from_pp": start, "size_below_pp": end, "ci_level": level}
        row["n_unknown"] = int(_sized(signed, start, end).sum()) - len(mine)
        row["n_tied"] = int(_sized([case for case in every if _tied(case)], start, end).sum())
        if row["status"] == ASSESSED:
            right = signs_right(predicted[inside], amplified_of(mine))
            row["n_undecided"] = int((right == 0.5).sum())
            row["accuracy"] = float(right.mean())
            models = [case["model"] for case in mine]
            row["ci_reason"] = _too_few(models)
            if row["ci_reason"] is None:
                low, high = clustered_share_interval(*cluster_totals(right, models), level)
                row |= {"accuracy_low": low, "accuracy_high": high, "ci_kind": "exact over models"}
        rows.append(row)
    return rows


def _sized(cases: Rows, start: float, end: float | None) -> np.ndarray:
    """Whether |delta-risk| of each case is at least `start` and below `end`, in points: [cases]."""
    sizes = np.abs([case["delta_pp"] for case in cases])
    return (sizes >= start) & (sizes < (np.inf if end is None else end))


def _too_few(models: Sequence[str]) -> str | None:
    """Why there is no interval over these models; None where there is one."""
    if (count := len(set(models))) >= MODELS_OF_AN_INTERVAL:
        return None
    have = f"{count} model{'' if count == 1 else 's'}"
    return f"{have}, {MODELS_OF_AN_INTERVAL} are needed"


def _runs(cases: Rows, predicted: np.ndarray) -> Rows:
    by_run: dict[tuple[Any, ...], list[tuple[dict[str, Any], float]]] = {}
    for case, probability in zip(cases, predicted, strict=True):
        by_run.setdefault(_run(case), []).append((case, float(probability)))
    rows = []
    for name, found in sorted(by_run.items()):
        delta = float(np.mean([case["delta_pp"] for case, _ in found]))
        rows.append(
            {
                "what": "run",
                "predictor": "all three",
                "status": ASSESSED,
                **dict(zip(_RUN, name, strict=True)),
                "effective": found[0][0]["effective"],
                "predicted": float(np.mean([probability for _, probability in found])),
                "observed": float(delta > 0),
                "delta_pp": delta,
                "label_shift_before_pp": float(
                    np.mean([case["label_shift_before_pp"] for case, _ in found])
                ),
            }
        )
    return rows


def _calibration(cases: Rows, predicted: np.ndarray) -> Rows:
    outcome = amplified_of(cases)
    place = np.clip(np.digitize(predicted, EDGES) - 1, 0, len(EDGES) - 2)
    return [
        {
            "what": "calibration",
            "predictor": "all three",
            "status": ASSESSED,
            **_counts([case for case, own in zip(cases, place, strict=True) if own == b]),
            "predicted": float(predicted[place == b].mean()),
            "observed": float(outcome[place == b].mean()),
        }
        for b in range(len(EDGES) - 1)
        if (place == b).any()
    ]


def _step(number: float) -> float:
    """Probability of amplification: 1 above 0, 0 below 0, 1/2 at 0."""
    return (np.sign(number) + 1) / 2


def _run(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _RUN)
