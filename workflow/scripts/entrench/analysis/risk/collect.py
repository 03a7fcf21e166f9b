"""The tables organisms.csv and runs_detail.csv: a row per organism, a row per training of a run.

Risks, deltas and shares are fractions; losses are nats per token.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import polars as pl

from entrench.analysis.columns import (
    EFFECTIVE,
    EVALUATION,
    ORGANISM,
    POOL,
    REPEAT,
    RUN,
    Column,
    Columns,
    change,
    count,
    number,
    over_prompts,
    share,
    text,
    yes_no,
)
from entrench.analysis.risk.answers import answer_cells, answer_columns, same_answers
from entrench.analysis.risk.delta import (
    DELTA_COLUMNS,
    ORGANISM_RISK,
    PROMPT_COLUMNS,
    PairedDelta,
    joint_reason,
    paired_delta,
)
from entrench.analysis.risk.machinery import MACHINERY, VIEW_PARSE_RATES, machinery
from entrench.analysis.risk.risk import STATES, check_scores, prompt_risks, risk_rows, state_shares
from entrench.analysis.risk.risk_file import read_risk
from entrench.analysis.risk.training_facts import (
    ROLLOUTS,
    TRAINING,
    run_cells,
    training_cells,
    untrained,
)
from entrench.analysis.statistics.halves import HALVES, halves_of
from entrench.analysis.tables import read_table, table
from entrench.errors import EntrenchError
from entrench.generation.parts import merged
from entrench.records import Record, read_jsonl
from entrench.seeds import derive_seed
from entrench.study.draws import drawn_for, parts_read
from entrench.study.inputs import organism_inputs, pool_inputs, prompts_file, run_inputs
from entrench.study.sweep import Organism, Run

ORGANISM_COLUMNS = {
    **ORGANISM,
    **EVALUATION,
    "valid": yes_no(
        "whether the comparison can be used: few enough completions are unscored, and some prompt "
        "is scored for both (base model and organism)"
    ),
    "reason": text("why the comparison is not valid; empty where it is"),
    "base_risk": share("risk of the base model, before phase 1"),
    **ORGANISM_RISK,
    "induction_effect": change(
        "effect of phase 1: the organism's risk minus the base model's, on prompts scored for both"
    ),
    **over_prompts("`induction_effect`", "difference of shares, -1 to 1"),
    **EFFECTIVE,
    **{
        f"effective_{half}": yes_no(
            f"`effective` by the {half.replace('_', ' ')} of the items alone: a change in risk on "
            "the other half owes nothing to the luck of this selection"
        )
        for half in HALVES
    },
    "n_prompts": count(
        "prompts scored for both: `induction_effect` is measured on these", "prompts"
    ),
    **state_shares("base", "the base model's"),
    **state_shares("organism", "the organism's"),
    **answer_columns("base", "the base model's"),
    **answer_columns("organism", "the organism's"),
    **TRAINING,
}
ORGANISM_METRICS = {
    "metric_NAME": number("the metric NAME of the organism's risk.json: see docs/metrics.md"),
    "base_metric_NAME": number("the metric NAME of the base model's risk.json"),
}
RUN_DETAIL_COLUMNS = {
    **RUN,
    **REPEAT,
    **POOL,
    **{name: column for name, column in DELTA_COLUMNS.items() if name != "headline"},
    "greedy_delta_risk": change(
        "`delta_risk` under greedy decoding; empty where this is not measured or not valid"
    ),
    **answer_columns("trained", "the trained model's"),
    "same_answers": yes_no(
        "whether the trained model gives the organism's answer every time, letter by letter"
    ),
    **TRAINING,
    **MACHINERY,
    **ROLLOUTS,
}
RUN_METRICS = {
    "metric_NAME": number("the metric NAME of the trained model's risk.json: see docs/metrics.md"),
}


def collect_organisms(
    results: str,
    organisms: Sequence[Organism],
    *,
    grouped: Mapping[str, bool],
    headline: str,
    bootstrap: int,
    level: float,
    seed: int,
    min_induction_effect: float,
) -> pl.DataFrame:
    """organisms.csv: columns `ORGANISM_COLUMNS`, then metric_* and base_metric_*.

    induction_effect = Risk(organism) - Risk(base), paired on the prompts scored for both. Induction
    is effective where the comparison is valid, the interval lies above 0 and the effect is at least
    `min_induction_effect` (a fraction). `grouped`: misalignment -> whether its risk averages over
    groups.
    """

    @lru_cache(maxsize=1)  # organisms of one model and misalignment are neighbours
    def base_scores(path: str) -> list[Record]:
        return _scores(path)

    rows = []
    for organism in organisms:
        paths = organism_inputs(results, organism)
        base, risk = _headline(paths["base_risk"], headline), _headline(paths["risk"], headline)
        scores = _scores(paths["scores"])
        paired = paired_delta(
            base_scores(paths["base_scores"]),
            scores,
            headline,
            grouped=grouped[organism.misalignment],
            bootstrap=bootstrap,
            level=level,
            seed=derive_seed(seed, organism.path),
        )
        reason = joint_reason("base", base, "organism", risk)
        if reason is None and paired.delta is None:
            reason = "no prompt is scored for both the base model and the organism"
        half_by_prompt = _halves(scores, headline, grouped[organism.misalignment])
        halves = [
            paired_delta(
                _of_half(base_scores(paths["base_scores"]), half_by_prompt, half),
                _of_half(scores, half_by_prompt, half),
                headline,
                grouped=grouped[organism.misalignment],
                bootstrap=bootstrap,
                level=level,
                seed=derive_seed(seed, organism.path, name),
            )
            for half, name in enumerate(HALVES)
        ]
        rows.append(
            {
                **_identity(organism),
                "evaluation": headline,
                "valid": reason is None,
                "reason": reason,
                "base_risk": base["risk"],
                "organism_risk": risk["risk"],
                "induction_effect": paired.delta,
                "ci_low": paired.interval.low,
                "ci_high": paired.interval.high,
                "ci_level": level,
                "ci_reason": paired.interval.reason,
                "effective": reason is None and _shown(paired, min_induction_effect),
                **{
                    f"effective_{name}": reason is None and _shown(own, min_induction_effect)
                    for name, own in zip(HALVES, halves, strict=True)
                },
                "n_prompts": paired.n_prompts,
                **{f"base_{state}_share": base[f"{state}_share"] for state in STATES},
                **{f"organism_{state}_share": risk[f"{state}_share"] for state in STATES},
                **answer_cells("base", base),
                **answer_cells("organism", risk),
                **training_cells(paths["run"]),
                **_metrics("metric", risk),
                **_metrics("base_metric", base),
            }
        )
    return table(rows, ORGANISM_COLUMNS | _metric_columns(rows, ORGANISM_COLUMNS))


def collect_runs(
    results: str,
    runs: Sequence[Run],
    *,
    methods: Mapping[str, Mapping[str, Any]],
    headline: str,
    greedy: str | None,
    views: Sequence[str],
) -> pl.DataFrame:
    """runs_detail.csv: columns `RUN_DETAIL_COLUMNS`, view_parse_rate_* per view, then metric_*.

    The metrics are those of the trained model. `methods`: method -> its operator, kind and
    settings. `greedy` names the evaluation of greedy answers, where there is one.
    """

    @lru_cache(maxsize=4)  # candidates and rewards of one organism: its runs are neighbours
    def pool(kind: str, path: str) -> list[Record]:
        return read_jsonl(path, kind)

    rows = []
    for run in runs:
        method = methods[run.method]
        operator = method["operator"]
        paths = run_inputs(results, run, operator)
        engaged: dict[str, float | None] = {}
        if "labels" in paths:
            folder = f"{results}/{run.organism.path}"
            draws = drawn_for(folder, parts_read(method, views), run.pool)
            pools = pool_inputs(results, run, operator, draws)
            engaged = machinery(
                method,
                read_jsonl(paths["labels"], "labels"),
                merged(pool("candidates", path) for path in pools["candidates"]),
                [row for path in pools["rewards"] for row in pool("rewards", path)],
                read_jsonl(paths["verdicts"], "verdicts") if "verdicts" in paths else (),
            )
        trained = run_cells(paths["run"])
        delta = headline_delta(paths["delta"], headline)
        if reason := untrained(trained):
            delta |= {"valid": False, "reason": reason}
        risk = _headline(paths["risk"], headline)
        organism_risk = _headline(paths["organism_risk"], headline)
        rows.append(
            {
                **_identity(run.organism),
                "method": run.method,
                "operator": method["operator"],
                "kind": method["kind"],
                "repeat": run.repeat,
                "pool": run.pool if "labels" in paths else 1,
                **delta,
                "greedy_delta_risk": _greedy_delta(paths["delta"], greedy)
                if delta["valid"]
                else None,
                **answer_cells("trained", risk),
                "same_answers": same_answers(organism_risk, risk),
                **trained,
                **engaged,
                **_metrics("metric", risk),
            }
        )
    view_columns = dict.fromkeys(
        (f"view_parse_rate_{view}" for view in views), *VIEW_PARSE_RATES.values()
    )
    return table(
        rows,
        RUN_DETAIL_COLUMNS
        | view_columns
        | _metric_columns(rows, RUN_DETAIL_COLUMNS | view_columns),
    )


def collect_prompts(
    results: str, runs: pl.DataFrame, greedy: str | None = None
) -> tuple[dict[str, pl.DataFrame], dict[str, pl.DataFrame]]:
    """The delta_prompts.csv of each valid row of runs_detail.csv, by the row's name.

    The first are the rows under the headline evaluation, the second those under the evaluation
    `greedy`: of each run that has a change under it, and none without that argument. The name is
    MODEL/MISALIGNMENT/seedSEED/METHOD, and /repeatREPEAT for a repeat.
    """
    headline, on_greedy = {}, {}
    for row in runs.filter("valid").iter_rows(named=True):
        organism = Organism(row["model"], row["misalignment"], row["seed"])
        run = Run(organism, row["method"], row["repeat"])
        name, path = run.path.removeprefix("organisms/"), prompts_file(results, run)
        prompts = read_table(path, PROMPT_COLUMNS)
        headline[name] = _under(row["evaluation"], prompts, path)
        if greedy and row["greedy_delta_risk"] is not None:
            on_greedy[name] = _under(greedy, prompts, path)
    return headline, on_greedy


def _under(evaluation: str, prompts: pl.DataFrame, path: str) -> pl.DataFrame:
    """The rows of a delta_prompts.csv under this evaluation; EntrenchError where some miss."""
    rows = prompts.filter(evaluation=evaluation)
    weights = rows.drop_nulls(["prompt", "delta"])["weight"].sum()
    if not math.isclose(weights, 1):
        raise EntrenchError(
            f"{path}: rows of evaluation {evaluation!r} are missing: the weights of all sum to "
            f"{weights:.6g}, not to 1: delete {path} and run the same command again to make it anew"
        )
    return rows


def headline_delta(path: str, headline: str) -> Record:
    """The row of a delta_risk.csv under the headline evaluation; EntrenchError where none is."""
    rows = read_table(path, DELTA_COLUMNS).filter(pl.col("evaluation") == headline).to_dicts()
    if len(rows) != 1:
        raise EntrenchError(
            f"{path}: {len(rows)} rows of evaluation {headline!r}, expected one: delete {path} and "
            "run the same command again to make it anew"
        )
    return rows[0]


def _greedy_delta(path: str, greedy: str | None) -> float | None:
    if greedy is None:
        return None
    row = headline_delta(path, greedy)
    return row["delta_risk"] if row["valid"] else None


def _shown(paired: PairedDelta, least: float) -> bool:
    """Whether an effect of induction is at least `least`, with an interval above 0."""
    low, effect = paired.interval.low, paired.delta
    return low is not None and low > 0 and effect is not None and effect >= least


def _halves(scores: Sequence[Record], evaluation: str, grouped: bool) -> dict[str, int]:
    """The half of each prompt of an evaluation."""
    prompts = prompt_risks(risk_rows(scores, evaluation), grouped=grouped)
    halves = halves_of(prompts.ids, prompts.strata, prompts.items)
    return dict(zip(prompts.ids, halves.tolist(), strict=True))


def _of_half(scores: Sequence[Record], halves: Mapping[str, int], half: int) -> list[Record]:
    """The score records of the prompts of one half."""
    return [row for row in scores if halves.get(row["id"]) == half]


def _identity(organism: Organism) -> Record:
    return {name: getattr(organism, name) for name in ORGANISM}


def _scores(path: str) -> list[Record]:
    scores = read_jsonl(path, "scores")
    check_scores(scores)
    return scores


def _headline(path: str, headline: str) -> Record:
    return read_risk(path, headline)["evaluations"][headline]


def _metrics(prefix: str, risk: Record) -> Record:
    return {f"{prefix}_{name}": metric["mean"] for name, metric in risk["metrics"].items()}


def _metric_columns(rows: Sequence[Record], known: Columns) -> dict[str, Column]:
    """Columns of metrics, which differ by misalignment: all that some row has beyond `known`."""
    names = sorted({name for row in rows for name in row} - set(known))
    return dict.fromkeys(names, RUN_METRICS["metric_NAME"])
