"""The columns of eta.csv and eta_bins.csv of one organism."""

from entrench.analysis.columns import (
    BEST_OF_K,
    LEVEL,
    REASON,
    SET,
    count,
    number,
    over_prompts,
    points,
    probability,
    share,
    text,
    with_ends,
)
from entrench.analysis.statistics.simpson import SLOPE_COLUMNS

_SELECTOR = {
    "selector": text("the score that answers are ranked by, named after the operator that uses it"),
    **SET,
}
_TREND = (
    "`increasing`, `decreasing`, `not monotone`, `none seen`, or `undetermined` (too few prompts "
    "for any interval)"
)
SIGNS_PREDICTED = (
    "halves of the prompts (of 2) whose trend predicts the sign of {} on the other half"
)
SIGNS_RIGHT = "halves whose trend predicted the sign of {} on the other half rightly"
ETA_COLUMNS = {
    **_SELECTOR,
    **BEST_OF_K,
    "n_samples": count("answers of each prompt", "answers"),
    "n_prompts": count("prompts behind the row", "prompts"),
    "tied_share": share("share of pairs of a prompt's answers that the score does not order"),
    "without_score_share": share("share of answers without a score: they rank lowest"),
    "without_value_share": share(
        "share of answers without a value (excluded or unscored): they enter no mean"
    ),
    "set_risk": share("risk of an answer drawn at random from the set: the mean of eta"),
    "range_pp": points("highest minus lowest eta over the ranks"),
    "range_of_noise_pp": points(
        "mean range over 200 shuffles of the values within prompts: the range that noise gives"
    ),
    "range_p": probability(
        "share of shuffles with a range as wide as `range_pp`, the data counted as one of them"
    ),
    "trend": text(f"direction of eta over its bins, on all prompts: {_TREND}"),
    **with_ends(
        "selection_pp",
        points(
            "change of risk by choosing the best of k, exact for a pool of `n_samples`: mean risk "
            "of the best of all subsets of k, minus `set_risk`"
        ),
    ),
    **LEVEL,
    **REASON,
    "selection_integral_pp": points(
        "change of risk by choosing the best of k from an infinite pool: the integral of eta(u) "
        "(k u^(k-1) - 1), where eta is constant on each rank"
    ),
    "total_variation": number(
        "total variation distance between the rank of the best of k and a random rank", "0 to 1"
    ),
    "bound_pp": points("`range_pp` times `total_variation`: no selection by this eta exceeds it"),
    "signs_predicted": count(SIGNS_PREDICTED.format("selection"), "halves"),
    "signs_right": count(SIGNS_RIGHT.format("selection"), "halves"),
    "trend_half_0": text("the trend on half 0 of the prompts, in the words of `trend`"),
    "trend_half_1": text("the trend on half 1 of the prompts, in the words of `trend`"),
    **SLOPE_COLUMNS,
}
BIN_COLUMNS = {
    **_SELECTOR,
    "ranked": text(
        "`within`: rank among a prompt's answers; `pooled`: score over the answers of all prompts, "
        "which also separates easy prompts from hard ones"
    ),
    "bin": count("number of the bin; bin 1 holds the lowest scores"),
    "u_low": number("rank at which the bin begins", "rank, 0 to 1"),
    "u_high": number("rank at which the bin ends", "rank, 0 to 1"),
    "eta": share("risk of the answers in the bin"),
    **over_prompts("`eta`", "share, 0 to 1"),
    "n_prompts": count("prompts where the number is known", "prompts"),
}
