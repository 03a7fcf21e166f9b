"""Can the sign of delta-risk be told before training? From labels, surprisal and stability.

Predictors come from one half of the prompts and delta-risk from the other, since Risk(organism)
stands on both sides and its noise alone would look like skill; then the halves are swapped. A
logistic model is fitted on all models but one and asked about that one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from entrench.analysis.bootstrap import percentiles
from entrench.analysis.tables import COUNT, NUMBER, TEXT, table
from entrench.seeds import derive_seed

BASELINE = "majority sign"
RULE = "sign of label shift"
PREDICTORS: dict[str, tuple[str, ...]] = {
    "label shift": ("label_shift_pp",),
    "surprisal": ("surprisal_per_token",),
    "stability": ("agreement",),
    "all three": ("label_shift_pp", "surprisal_per_token", "agreement"),
}
MODELS_NEEDED = 2
RIDGE = 1.0  # prior precision of standardised slopes: keeps separable data finite
EDGES = np.linspace(0, 1, 6)  # of the calibration bins

PREDICTION_COLUMNS = {
    "what": TEXT,
    "predictor": TEXT,
    "status": TEXT,
    "misalignment": TEXT,
    "model": TEXT,
    "seed": COUNT,
    "method": TEXT,
    "n_runs": COUNT,
    "n_models": COUNT,
    "accuracy": NUMBER,
    "accuracy_low": NUMBER,
    "accuracy_high": NUMBER,
    "gain_over_majority": NUMBER,
    "gain_low": NUMBER,
    "gain_high": NUMBER,
    "ci_level": NUMBER,
    "brier": NUMBER,
    "predicted": NUMBER,
    "observed": NUMBER,
    "delta_pp": NUMBER,
    "label_shift_pp": NUMBER,
}
_RUN = ("model", "misalignment", "seed", "method")
Rows = list[dict[str, Any]]


def predict(
    decomposition: pl.DataFrame,
    stability: pl.DataFrame,
    *,
    bootstrap: int,
    level: float,
    seed: int,
) -> pl.DataFrame:
    """Columns `PREDICTION_COLUMNS`; `what` says of what a row is.

    "skill": one predictor over all runs: accuracy of the sign, its gain over `BASELINE` (the more
    frequent sign among the other models' runs), Brier score of the probability of amplification;
    intervals resample models. "calibration": of the model on all three, a bin of predicted
    probability with the share observed. "run": one run's predicted probability, mean over the two
    swaps, and its sign (observed: 1 amplified). Where there is one model only, what needs fitting
    is "not assessable", and only `RULE`, which is not fitted, has a figure.
    """
    cases = _cases(decomposition, stability)
    models = sorted({case["model"] for case in cases})
    assessable = len(models) >= MODELS_NEEDED
    have = f"{len(models)} model{'' if len(models) == 1 else 's'}"
    status = "assessed" if assessable else f"not assessable: {have}, {MODELS_NEEDED} are needed"
    predicted: dict[str, np.ndarray] = {}
    if cases:
        predicted[RULE] = np.array([_step(case["label_shift_pp"]) for case in cases])
    if assessable:
        predicted[BASELINE] = _leaving_one_out(cases, models, _majority)
        for name, columns in PREDICTORS.items():
            predicted[name] = _leaving_one_out(cases, models, _logistic(columns))
    rows: Rows = []
    for name in (BASELINE, RULE, *PREDICTORS):
        row = {"what": "skill", "predictor": name, "status": status, "n_models": len(models)}
        row |= {"n_runs": len({_run(case) for case in cases}), "ci_level": level}
        if name == RULE:
            row["status"] = "assessed" if cases else "not assessable: no run with a sign"
        if name in predicted:
            draws = derive_seed(seed, name)
            row |= _skill(cases, predicted[name], predicted.get(BASELINE), bootstrap, level, draws)
        rows.append(row)
    if assessable:
        rows += _runs(cases, predicted["all three"]) + _calibration(cases, predicted["all three"])
    return table(rows, PREDICTION_COLUMNS)


def readable(prediction: pl.DataFrame) -> str:
    """The skill rows as plain text."""
    lines = []
    for row in prediction.filter(pl.col("what") == "skill").iter_rows(named=True):
        if row["accuracy"] is None:
            lines.append(f"{row['predictor']:<22}{row['status']}")
            continue
        share = f"{row['accuracy']:.0%} of the signs of {row['n_runs']} runs"
        if row["gain_over_majority"] is not None and row["predictor"] != BASELINE:
            share += f", {row['gain_over_majority']:+.0%} over the majority sign"
        lines.append(f"{row['predictor']:<22}{share}")
    return "\n".join(lines)


def _cases(decomposition: pl.DataFrame, stability: pl.DataFrame) -> Rows:
    """A case per run and swap: predictors of one half, delta-risk of the other; no ties."""
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
            features = {column: row[column] for column in PREDICTORS["all three"]}
            if delta and None not in features.values():
                cases.append(
                    {**dict(zip(_RUN, name, strict=True)), **features}
                    | {"delta_pp": delta, "amplified": float(delta > 0)}
                )
    return cases


def _leaving_one_out(
    cases: Rows, models: Sequence[str], fit: Callable[[Rows], Callable[[Rows], np.ndarray]]
) -> np.ndarray:
    """Probability of amplification of each case, fitted without its model."""
    found = np.empty(len(cases))
    for model in models:
        inside = np.array([case["model"] == model for case in cases])
        ask = fit([case for case in cases if case["model"] != model])
        found[inside] = ask([case for case in cases if case["model"] == model])
    return found


def _majority(cases: Rows) -> Callable[[Rows], np.ndarray]:
    share = float(np.mean([case["amplified"] for case in cases]))
    return lambda asked: np.full(len(asked), share)


def _logistic(columns: Sequence[str]) -> Callable[[Rows], Callable[[Rows], np.ndarray]]:
    """Ridge logistic regression on standardised columns; the intercept is not penalised."""

    def fit(cases: Rows) -> Callable[[Rows], np.ndarray]:
        import statsmodels.api as sm

        outcome = np.array([case["amplified"] for case in cases])
        if len(np.unique(outcome)) < 2:
            return _majority(cases)
        numbers = _numbers(cases, columns)
        mean, scale = numbers.mean(axis=0), numbers.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        design = sm.add_constant((numbers - mean) / scale, has_constant="add")
        # statsmodels' penalty is per case, on half the squared slopes.
        penalty = np.r_[0.0, np.full(len(columns), RIDGE / len(cases))]
        model = sm.GLM(outcome, design, family=sm.families.Binomial())
        slopes = model.fit_regularized(alpha=penalty, L1_wt=0.0).params

        def ask(asked: Rows) -> np.ndarray:
            design = np.column_stack(
                [np.ones(len(asked)), (_numbers(asked, columns) - mean) / scale]
            )
            return 1 / (1 + np.exp(-design @ slopes))

        return ask

    return fit


def _numbers(cases: Rows, columns: Sequence[str]) -> np.ndarray:
    return np.array([[case[column] for column in columns] for case in cases], dtype=float)


def _skill(
    cases: Rows,
    predicted: np.ndarray,
    baseline: np.ndarray | None,
    bootstrap: int,
    level: float,
    seed: int,
) -> dict[str, Any]:
    outcome = np.array([case["amplified"] for case in cases])
    right = _right(predicted, outcome)
    found: dict[str, Any] = {
        "accuracy": float(right.mean()),
        "brier": float(((predicted - outcome) ** 2).mean()),
    }
    models = sorted({case["model"] for case in cases})
    if baseline is None:
        return found
    gain = right - _right(baseline, outcome)
    found["gain_over_majority"] = float(gain.mean())
    member = np.array([[case["model"] == model for case in cases] for model in models], float)
    sizes, rights, gains = member.sum(axis=1), member @ right, member @ gain
    drawn = np.random.default_rng(seed).integers(len(models), size=(bootstrap, len(models)))
    total = sizes[drawn].sum(axis=1)
    low, high = percentiles(rights[drawn].sum(axis=1) / total, level)
    found |= {"accuracy_low": low, "accuracy_high": high}
    low, high = percentiles(gains[drawn].sum(axis=1) / total, level)
    return found | {"gain_low": low, "gain_high": high}


def _right(predicted: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """1 where the sign is right, 1/2 where the prediction is undecided."""
    return np.where(predicted == 0.5, 0.5, (predicted > 0.5) == (outcome > 0.5))


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
                "status": "assessed",
                **dict(zip(_RUN, name, strict=True)),
                "predicted": float(np.mean([probability for _, probability in found])),
                "observed": float(delta > 0),
                "delta_pp": delta,
                "label_shift_pp": float(np.mean([case["label_shift_pp"] for case, _ in found])),
            }
        )
    return rows


def _calibration(cases: Rows, predicted: np.ndarray) -> Rows:
    outcome = np.array([case["amplified"] for case in cases])
    place = np.clip(np.digitize(predicted, EDGES) - 1, 0, len(EDGES) - 2)
    return [
        {
            "what": "calibration",
            "predictor": "all three",
            "status": "assessed",
            "n_runs": int((place == b).sum()),
            "predicted": float(predicted[place == b].mean()),
            "observed": float(outcome[place == b].mean()),
        }
        for b in range(len(EDGES) - 1)
        if (place == b).any()
    ]


def _step(number: float) -> float:
    """Certain amplification above 0, certain suppression below, undecided at 0."""
    return (np.sign(number) + 1) / 2


def _run(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _RUN)
