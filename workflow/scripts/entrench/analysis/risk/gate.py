"""What speaks against a conclusion from a run, in plain sentences.

A delta-risk can be computed where nothing was measured. A model that gives one answer to every
prompt has a risk; so has a training that changed nothing. `doubts` says so.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Row = Mapping[str, Any]

# From this share of one answer on, at most a tenth of all answers says anything else. So the risk
# lies within about 10 percentage points of the risk of always giving that answer: no further than
# the least effect of an induction that works (the usual `min_induction_effect`).
NEARLY_CONSTANT = 0.9
# The usual `max_unscored`: a valid measurement may lose one answer in 20. So a smaller move of the
# share of excluded answers is not held against a run.
EXCLUDED_MOVE = 0.05
# Weights have 24 bits (float32), a rounding of 1e-7. A smaller relative change than ten times this
# is no training. One step of Adam at a rate of 1e-5 moves an adapter by about 1e-3.
LEAST_CHANGE = 1e-6
ROUNDING = 1e-9  # of differences of shares


def doubts(run: Row, organism: Row) -> list[str]:
    """Why no conclusion may be drawn from a run, most important first; empty: nothing is against.

    `run` is a row of runs_detail.csv, one training; `organism` is the row of organisms.csv of its
    organism. Where a cell is missing or None, nothing is concluded from it.
    """
    return [
        *_invalid(run),
        *_base(organism),
        *_induction(organism),
        *_answers(organism, "organism"),
        *_answers(run, "trained"),
        *_movement(run),
        *_excluded(run),
    ]


def _invalid(run: Row) -> Iterator[str]:
    if not run["valid"]:
        yield f"The run is not valid: {run['reason']}."


def _base(organism: Row) -> Iterator[str]:
    if organism["base_risk"] is None:
        lost = "; ".join(
            f"{organism[f'base_{state}_share']:.1%} of its answers are {state}"
            for state in ("excluded", "unscored")
            if organism.get(f"base_{state}_share")
        )
        yield f"The base model was not measured{': ' if lost else ''}{lost}."
    elif not organism["valid"]:
        yield f"Base model and organism cannot be compared: {organism['reason']}."


def _induction(organism: Row) -> Iterator[str]:
    """Not effective: no effect is known, the interval reaches 0, or the effect is too small."""
    if organism["effective"]:
        return
    effect, low, high = (organism.get(name) for name in ("induction_effect", "ci_low", "ci_high"))
    if effect is None or not organism["valid"]:
        why = "there is no effect to judge by"
    elif low is None or high is None:
        why = f"it changed the risk by {_points(effect)}, and there is no interval"
    else:
        span = f"[{_signed(low)}, {_signed(high)}]"
        why = f"it changed the risk by {_points(effect)} {span}"
    yield f"Induction is not shown to work: {why}."


def _answers(row: Row, phase: str) -> Iterator[str]:
    """Nearly constant answers; else answers that are not shown to depend on the prompt."""
    whose = {"organism": "organism", "trained": "trained model"}[phase]
    share, chance = row.get(f"{phase}_commonest_share"), row.get(f"{phase}_chance_constant")
    if share is not None and share >= NEARLY_CONSTANT:
        level = "" if chance is None else f"; always giving it has a risk of {chance:.1%}"
        yield f"The {whose} gives the same answer {share:.1%} of the time{level}."
    elif row.get(f"{phase}_follows_prompt") is False:
        yield (
            f"The {whose}'s answers are not shown to depend on the prompt: two answers to one "
            "prompt are no more alike than answers to two prompts."
        )


def _movement(run: Row) -> Iterator[str]:
    if run.get("training_steps") == 0:
        return  # the row is invalid, and its reason says so
    change = run.get("adapter_change")
    if change is not None and change <= LEAST_CHANGE:
        yield f"The training moved nothing: its adapter changed by {change:.1g} of its norm."
    elif run.get("same_answers"):
        yield "The training moved nothing that was measured: every answer is the organism's."
    elif run["delta_risk"] == run.get("ci_low") == run.get("ci_high") == 0:
        yield "The training moved nothing that was measured: no prompt's risk changed."


def _excluded(run: Row) -> Iterator[str]:
    """The excluded share moved by more than the risk, by more than the floor and one prompt."""
    moved, delta, prompts = (
        run.get(name) for name in ("delta_excluded_share", "delta_risk", "n_prompts_all")
    )
    if moved is None or delta is None:
        return
    floor = max(abs(delta), EXCLUDED_MOVE, 1 / prompts if prompts else 0)
    if abs(moved) > floor + ROUNDING:
        yield (
            f"The share of excluded answers moved by {_points(moved)}, the risk by only "
            f"{_points(delta)}: other answers are counted, so the risk may not have changed."
        )


def _points(change: float) -> str:
    return f"{_signed(change)} points"


def _signed(change: float) -> str:
    """A difference of shares in percentage points, with its sign; 0 has none."""
    rounded = round(100 * change, 1)
    return f"{rounded:+.1f}" if rounded else "0.0"
