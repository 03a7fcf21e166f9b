"""The columns of a row's statistics: mean of its runs, intervals, tests, verdicts."""

from entrench.analysis.columns import (
    KIND,
    LEVEL,
    REASON,
    Column,
    count,
    ends,
    points,
    probability,
    share,
    text,
)

MEAN_INTERVAL = (
    "`mean_delta_pp`, over organisms: it is about other organisms of these models, on these "
    "evaluation prompts"
)
MODELS_INTERVAL = (
    "`mean_delta_pp`, over models: it is about other models like these, on these evaluation prompts"
)
PROMPTS_INTERVAL = (
    "`mean_delta_pp`, over organisms and evaluation prompts at once: it is about other "
    "organisms of these models, asked other prompts of the same kind"
)
_EXACT = {  # test -> meaning of its p
    "sign_test": "two-sided sign test, exact, ties left out; it takes runs as independent",
    "wilcoxon": "Wilcoxon's signed-rank test, exact with ties up to 500 runs, a normal "
    "approximation beyond; it takes runs as independent",
    "flip_organisms": "chance of a mean as far from 0 if the signs of whole organisms were random, "
    "over all patterns of signs up to 23 organisms, 19,999 random patterns beyond; empty below 6 "
    "organisms",
    "flip_models": "the same chance with the signs of whole models; empty below 6 models",
}
TESTS = (*_EXACT, "mixed")


def _exact(name: str) -> dict[str, Column]:
    """The columns of a test that counts patterns of signs, so that its p has a smallest value."""
    return {
        f"{name}_p": probability(_EXACT[name]),
        f"{name}_q": probability(f"{_adjusted(name)}, nor below the smallest p"),
        f"{name}_smallest_p": probability(
            "the smallest p that the test can reach on as many runs or clusters (7 models: 0.016, "
            "4: 0.125); above 0.05 the test cannot reach significance, and its p says nothing"
        ),
        f"{name}_reason": text(f"why there is no `{name}_p`; empty where there is one"),
    }


def _adjusted(test: str) -> str:
    return (
        f"`{test}_p` after Benjamini-Hochberg over the whole table: for rows of `all` organisms "
        "over these rows, for `effective` rows over the table in which they replace the `all` rows "
        "of the same method; never below its p"
    )


def _verdict(interval: str) -> Column:
    return text(
        f"verdict of the interval {interval} at the margin `epsilon_pp`: `amplifies` (above the "
        "margin), `suppresses` (below minus the margin), `neutral` (inside), else `undetermined`; "
        "in a contrast: A is higher than B, lower, alike"
    )


INFERENCE_COLUMNS = {
    "n_suppressed": count("runs whose risk fell", "runs"),
    "n_amplified": count("runs whose risk rose", "runs"),
    "n_tied": count("runs whose risk stayed the same", "runs"),
    "share_suppressed": share("share of runs whose risk fell; ties count as runs, as in the paper"),
    **ends(
        "share_ci",
        "`share_suppressed` (exact, Clopper-Pearson); it takes runs as independent, so the true "
        "uncertainty is larger",
        "share, 0 to 1",
    ),
    "mean_delta_pp": points("mean delta-risk over runs, each counted once; below 0 the risk fell"),
    "median_delta_pp": points("median delta-risk over runs, each counted once"),
    **ends("ci_pp", MEAN_INTERVAL, "percentage points"),
    **LEVEL,
    **KIND,
    **REASON,
    **ends("models_ci_pp", MODELS_INTERVAL, "percentage points"),
    "models_ci_kind": text("how the interval over models was made, in the words of `ci_kind`"),
    "models_ci_reason": text("why there is no interval over models; empty where there is one"),
    "epsilon_pp": points("the margin of the verdicts, `statistics.epsilon` of the config"),
    **ends("prompts_ci_pp", PROMPTS_INTERVAL, "percentage points"),
    "prompts_ci_reason": text("why there is no interval over prompts; empty where there is one"),
    "verdict": _verdict("over organisms"),
    "models_verdict": _verdict("over models"),
    "prompts_verdict": _verdict("over organisms and prompts"),
    **{name: column for test in _EXACT for name, column in _exact(test).items()},
    "mixed_p": probability(
        "Wald test of `mixed_mean_pp`: Student's t on models - 1 degrees of freedom"
    ),
    "mixed_q": probability(_adjusted("mixed")),
    "mixed_reason": text(
        "why there is no `mixed_p`, such as fewer than 5 models or a singular fit; empty where "
        "there is one"
    ),
    "mixed_formula": text(
        "the mixed model, fitted by REML: `delta ~ 1 + (1|model) + (1|organism)`, or without the "
        "organism where each has one run"
    ),
    "mixed_mean_pp": points("mean delta-risk by the mixed model"),
    "mixed_se_pp": points("standard error of `mixed_mean_pp`"),
    "mixed_sd_model_pp": points("standard deviation between models"),
    "mixed_sd_organism_pp": points("standard deviation between the organisms of a model"),
    "mixed_sd_residual_pp": points("standard deviation between the runs of an organism"),
}
