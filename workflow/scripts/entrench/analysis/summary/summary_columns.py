"""The columns of summary.csv, and of detail.csv with its quantities."""

from entrench.analysis.columns import count, number, points, probability, share, text
from entrench.analysis.summary.names import ALL_METHODS

SUMMARY_COLUMNS = {
    "misalignment": text("the misalignment that phase 1 induced"),
    "method": text(f"a method, or `{ALL_METHODS}`: each of them once, no variants"),
    "n_models": count("models of the row's valid runs", "models"),
    "n_organisms": count("organisms of these runs", "organisms"),
    "n_trainings": count("trainings of phase 3 behind the row, repeats counted", "trainings"),
    "risk_before": share("mean risk of these organisms, before phase 3"),
    "change_pp": points(
        "mean change in risk (delta-risk), each organism once; below 0 the risk fell. From three "
        "models on a random-effects mean over models"
    ),
    "low_pp": points(
        "lower end of the interval of `change_pp`, for the mean over other trainings, organisms or "
        "models: `about` in detail.csv says which"
    ),
    "high_pp": points("upper end; `conclusion` says what the interval is about"),
    "conclusion": text(
        "`rises`, `falls` or `within the margin` (`statistics.epsilon`), and about what: `new "
        "models and prompts`, `these models` or `this organism`, always with other prompts of the "
        "same kind; or `cannot tell`, and why. The interval is widened for the number of rows "
        "(false coverage rate), so an interval in this table that just leaves the margin may not do"
    ),
    "beyond_self_training_pp": points(
        "`change_pp` minus the change by greedy self-training of the same organisms: what the "
        "method does beyond training on the model's own greedy answers"
    ),
    "greedy_change_pp": points(
        "the same change where risk is measured on greedy answers: sampled risk falls or rises "
        "also where a method only sharpens what a model says most often"
    ),
}
QUANTITIES = {
    "change_pp": "as in summary.csv; the note names the summands of its variance",
    "change_of_these_models_pp": "the same mean, with an interval that is about these models alone",
    "adjusted_change_pp": "the interval that the conclusion is drawn from",
    "beyond_self_training_pp": "as in summary.csv",
    "greedy_change_pp": "as in summary.csv",
    "effective_change_pp": (
        "the change on organisms whose induction is shown to work: shown on one half of the items, "
        "measured on the other"
    ),
    "partly_pooled_change_pp": (
        "the change on one model, drawn towards the method's mean over models (docs/statistics.md)"
    ),
    "risk_after": "mean risk of the trained models",
    **{
        f"risk_{when}_by_{answerer}": f"chance level of the risk {when} phase 3: the mean risk if "
        f"each prompt got {answer} of the same model"
        for when in ("before", "after")
        for answerer, answer in (
            ("constant", "the commonest answer"),
            ("uniform", "one of the different answers"),
            ("base_rate", "one of all answers, at random,"),
        )
    },
    "median_change_pp": "median over runs",
    "share_fell": "share of runs whose risk fell, with an exact interval, on these prompts: over "
    "models from six on, else over organisms; `about` says which",
    "excluded_share": "mean share of completions that the definition of the risk leaves out",
    "unscored_share": "mean share of completions without a value by a fault",
    "invalid_trainings": "trainings left out; the note names them",
    "doubted_organisms": "organisms about which nothing can be concluded; the note says why",
    "difference_pp": "a contrast, A - B: mean difference of two changes in risk",
}
DETAIL_COLUMNS = {
    "misalignment": SUMMARY_COLUMNS["misalignment"],
    "row": text(f"a method, `{ALL_METHODS}`, or a contrast A - B"),
    "about": text("what value and interval are about"),
    "quantity": text("; ".join(f"`{name}`: {what}" for name, what in QUANTITIES.items())),
    "value": number("the value", "percentage points where `quantity` ends in _pp, else 0 to 1"),
    "low": number("lower end of its interval"),
    "high": number("upper end of its interval"),
    "p": probability("two-sided p of no change, by Student's t"),
    "adjusted_p": probability("p after Benjamini-Hochberg over the rows of this `quantity`"),
    "note": text("what else there is to say, such as why there is no interval"),
}
