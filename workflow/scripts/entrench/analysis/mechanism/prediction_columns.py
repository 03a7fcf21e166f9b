"""The columns of prediction.csv; the column `what` of a row decides which columns are empty."""

from entrench.analysis.columns import (
    EFFECTIVE,
    KIND,
    LEVEL,
    ORGANISM,
    REASON,
    RUN,
    change,
    count,
    number,
    points,
    share,
    text,
    with_ends,
)

PREDICTION_COLUMNS = {
    "trained_on": text(
        "what the runs behind the row were trained on: `labels`, or prompt `pairs` (consistency "
        "methods on pairs, on-policy methods included)"
    ),
    "what": text(
        "what the row is: `skill` of a predictor, its accuracy by `size` of delta-risk, a bin of "
        "`calibration`, or a `run` and its probability of amplification"
    ),
    "predictor": text(
        "the basis of the prediction. Baselines, all among other models: `majority sign` (of the "
        "same misalignment), `majority sign by method` (of the same method on other "
        "misalignments), `majority sign by organism risk` (of organisms in the same third of risk)"
    ),
    "status": text("`assessed`, or why the predictor is not assessed"),
    "misalignment": text("the misalignment of the runs behind the row, or `all`"),
    "model": ORGANISM["model"],
    "seed": ORGANISM["seed"],
    "method": RUN["method"],
    **EFFECTIVE,
    "size_from_pp": points("least |delta-risk| of a case in a bin by size"),
    "size_below_pp": points("|delta-risk| below which a case is in the bin; empty: no limit"),
    "n_runs": count("runs behind the row", "runs"),
    "n_models": count("models behind the row", "models"),
    "n_cases": count("cases behind the row: a run on labels has two, one for each half", "cases"),
    "n_undecided": count(
        "cases of which the predictor says neither sign: its probability is 1/2", "cases"
    ),
    "n_tied": count("further cases whose delta-risk is 0: there is no sign to predict", "cases"),
    "n_unknown": count(
        "other cases left out, since delta-risk or a number that the predictor needs is not known",
        "cases",
    ),
    "n_invalid": count("invalid runs left out", "runs"),
    **with_ends(
        "accuracy",
        share("share of cases whose sign is predicted rightly; a probability of 1/2 is half right"),
    ),
    **with_ends(
        "gain_over_majority",
        change("`accuracy` minus the accuracy of `majority sign` on the same cases"),
        stem="gain",
    ),
    **LEVEL,
    **KIND,
    **REASON,
    "brier": number(
        "mean squared error of the probability of amplification (Brier score)", "0 to 1"
    ),
    "predicted": share("predicted probability of amplification"),
    "observed": share("share amplified in a calibration bin; 1 where a run amplified, else 0"),
    "delta_pp": points("delta-risk of a run, mean over its cases"),
    "label_shift_before_pp": points("label risk minus organism risk of a run, mean over its cases"),
}
