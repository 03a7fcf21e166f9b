"""delta-risk = selection + shift + transfer + abstention + unmeasured, on common random numbers.

Every term is a difference of mean risks over the same prompts, so the terms add up exactly:

    label risk = mean misbehaviour of the labels the method would choose on the evaluation prompts
    read risk  = mean misbehaviour of the candidates that the method chooses from
    selection  = label risk - read risk
    shift      = read risk - Risk(organism) under the evaluation's decoding
    transfer   = delta-risk - (label risk - Risk(organism)): effect of training beyond the labels
    abstention = delta-risk on all prompts - delta-risk on the prompts with a label
    unmeasured = delta-risk on the prompts with a label - delta-risk on the kept prompts

Kept prompts have a label, and every risk above is known for them. All terms up to transfer are on
kept prompts.

No model was trained on the labels of a probe. They say what the method chooses on the prompts that
delta-risk is measured on. So delta-risk cannot depend on which k answers a best-of-k method drew
there. Its label risk and read risk are means over all subsets of k of the probe's answers, as in
eta.csv. They have the expectation of one draw, without its luck. That luck would enter selection
and transfer with opposite signs. `selection_drawn` is of the one draw. All other methods have one
label.

Columns ending in _pp are percentage points.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from entrench.analysis.columns import LEVEL, REASON, count, number, points, share, with_ends
from entrench.analysis.mechanism.probes import Judged, Key, row_means
from entrench.analysis.mechanism.selection import kl_bound
from entrench.analysis.mechanism.stability import PART, PARTS
from entrench.analysis.risk.risk import prompt_risks, risk_rows
from entrench.analysis.statistics.bootstrap import reasons, resample
from entrench.analysis.tables import table
from entrench.errors import EntrenchError
from entrench.methods.shared.catalogue import LABEL_METHODS
from entrench.records import Record

TERMS = {  # term -> weights of the mean risks that it sums
    "label_shift": {"label": 1, "organism": -1},
    "label_shift_before": {"label_before": 1, "organism_before": -1},
    "selection": {"label": 1, "read": -1},
    "selection_drawn": {"label_drawn": 1, "read_drawn": -1},
    "shift": {"read": 1, "organism": -1},
    "shift_decoding": {"draft": 1, "organism": -1},
    "shift_view": {"read": 1, "draft": -1},
    "transfer": {"trained": 1, "label": -1},
    "delta_kept": {"trained": 1, "organism": -1},
    "abstention": {
        **{"trained_all": 1, "organism_all": -1},
        **{"trained_labelled": -1, "organism_labelled": 1},
    },
    "unmeasured": {"trained_labelled": 1, "organism_labelled": -1, "trained": -1, "organism": 1},
    "delta": {"trained_all": 1, "organism_all": -1},
}
RISKS = (
    *("organism", "draft", "read", "label", "trained"),  # on the kept prompts
    *("read_drawn", "label_drawn"),
    *("organism_before", "label_before"),  # where all but the trained model's risk is known
    *("organism_labelled", "trained_labelled"),  # where the method gave a label
    *("organism_all", "trained_all"),
)
SURPRISAL = ("label_nats", "label_tokens", "raw_nats", "raw_tokens")
CHOICE = "kl_best_of_k"
_MEANINGS = {  # term -> meaning of its column
    "label_shift": "label risk minus organism risk: selection and shift together",
    "label_shift_before": "label risk minus organism risk, also on prompts where the trained "
    "model's risk is not known: this needs no training",
    "selection": "risk of the labels that the method would choose, minus the risk of the "
    "candidates that it chooses from; for a best-of-k method over all subsets of k",
    "selection_drawn": "selection of the one label that the method drew: a best-of-k method chose "
    "it from the first k answers",
    "shift": "risk of the candidates that the method chooses from, minus the organism's risk",
    "shift_decoding": "the part of shift that comes from sampling differently from the evaluation",
    "shift_view": "the part of shift that comes from refining",
    "transfer": "effect of training beyond the labels: delta-risk minus (label risk minus organism "
    "risk)",
    "delta_kept": "delta-risk on the kept prompts: label shift and transfer together",
    "abstention": "delta-risk on all prompts minus delta-risk on the prompts with a label",
    "unmeasured": "delta-risk on the prompts with a label minus delta-risk on the kept prompts",
    "delta": "delta-risk on the probe's prompts: the sum of selection, shift, transfer, abstention "
    "and unmeasured",
}
DECOMPOSITION_COLUMNS = {
    **PART,
    "n_prompts": count("prompts of the row: `n_kept` + `n_abstained` + `n_unmeasured`", "prompts"),
    "n_kept": count(
        "kept prompts: they have a label, and every risk is known; selection, shift and transfer "
        "are measured on these",
        "prompts",
    ),
    "n_abstained": count("prompts that the method gave no label", "prompts"),
    "n_unmeasured": count(
        "prompts with a label where a risk is not known: an answer was excluded or unscored",
        "prompts",
    ),
    "organism_risk": share("risk of the organism under the evaluation, on the kept prompts"),
    "read_risk": share("risk of the candidates that the method chooses from, on the kept prompts"),
    "label_risk": share(
        "risk of the labels that the method would choose, on the kept prompts; for a best-of-k "
        "method over all subsets of k answers"
    ),
    **{
        name: column
        for term in TERMS
        for name, column in with_ends(f"{term}_pp", points(_MEANINGS[term])).items()
    },
    **LEVEL,
    **REASON,
    "n_labels": count("prompts with a label", "prompts"),
    "n_reasoned": count(
        "prompts left out of surprisal: an answer came behind reasoning, so its log probability "
        "holds the reasoning and the label does not",
        "prompts",
    ),
    **with_ends(
        "surprisal_per_token",
        number(
            "how much less likely the labels are under the organism than its own samples, per "
            "token; negative for likely labels; empty where all prompts are in `n_reasoned`",
            "nats per token",
        ),
    ),
    **with_ends(
        "surprisal_per_answer",
        number("the same as `surprisal_per_token`, per answer", "nats per answer"),
    ),
    **with_ends(
        CHOICE,
        number(
            "KL divergence of the best of k from its sampler, estimated; mean over prompts with a "
            "label",
            "nats",
        ),
    ),
    "kl_bound": number("upper bound of `kl_best_of_k`: log k - (k - 1)/k", "nats"),
}


def candidates_read(
    operator: str, settings: Mapping[str, Any], sizes: Mapping[str, int]
) -> dict[str, int]:
    """Sample set -> how many of its first answers the operator chooses a label from.

    `sizes`: sample set -> answers per prompt.
    """
    method = LABEL_METHODS[operator]
    read = method.read(method.parse(settings))
    return {name: sizes[name] if k is None else k for name, k in read.items()}


def decompose(
    judged: Judged,
    labels: Sequence[Record],
    read: Mapping[str, int],
    organism_scores: Sequence[Record],
    trained_scores: Sequence[Record] | None,
    *,
    headline: str,
    nats: Mapping[Key, tuple[float, int]],
    k: int | None,
    chances: Mapping[str, np.ndarray] | None = None,
    choice_kl: Mapping[str, float] | None = None,
    bootstrap: int,
    level: float,
    seed: int,
) -> pl.DataFrame:
    """Columns `DECOMPOSITION_COLUMNS`: a row for all prompts of the probe, and one for each half.

    `labels` are the labels that the method's operator chose on the probe (kind "labels"). `read`:
    sample set -> number of answers that it chooses from. `nats`: candidate -> its -log P under the
    organism after the plain prompt, and its tokens. For a best-of-k choice `k` bounds the KL from
    its sampler. By prompt, `choice_kl` estimates this KL, and `chances` holds each answer's chance
    to be the label (`label_chances`), for all answers of the set. Without `trained_scores` (before
    training) columns that need the trained model are null. Intervals resample prompts, with all
    terms in one resample; `ci_reason` says why a known term has no interval.

    n_*                 n_prompts = n_kept + n_abstained (no label) + n_unmeasured (a label, but the
                        risk of the label, of the candidates or of a model is not known)
    label_shift_before  label risk - Risk(organism), on prompts that do not depend on the trained
                        model, as in label_risk.csv
    surprisal_per_*     E_labels[-log P] - E_raw samples[-log P] in nats, on the prompts with a
                        label: a proxy of the distance between the labels and the organism's own
                        answers, negative for likely labels such as greedy ones. Prompts with an
                        answer sampled behind reasoning (NaN in `nats`) are left out; n_reasoned
                        counts them
    kl_best_of_k        mean of `choice_kl` over the prompts with a label

    Raises EntrenchError where a prompt of the probe has no label row or no score.
    """
    organism = _risks(organism_scores, headline, judged)
    trained = _risks(trained_scores, headline, judged) if trained_scores is not None else None
    numbers, abstained, reasoned = _prompt_numbers(
        judged, labels, read, organism, trained, nats, chances
    )
    given = choice_kl or {}
    choice = np.array([given.get(prompt, np.nan) for prompt in judged.ids])
    numbers = np.column_stack([numbers, np.where(abstained, np.nan, choice)])
    halves = judged.halves()
    strata, items = (np.asarray(of, dtype=str) for of in (judged.strata, judged.items))
    rows = []
    for part in PARTS:
        chosen = np.ones(len(halves), bool) if part == "all" else halves == int(part[-1])
        mine = numbers[chosen]
        kept = int((~np.isnan(mine[:, RISKS.index("label")])).sum())
        no_label = int(abstained[chosen].sum())
        row: dict[str, Any] = {
            "part": part,
            "n_prompts": int(chosen.sum()),
            "n_kept": kept,
            "n_abstained": no_label,
            "n_unmeasured": int(chosen.sum()) - kept - no_label,
            "n_labels": int(chosen.sum()) - no_label,
            "n_reasoned": int(reasoned[chosen].sum()),
            "ci_level": level,
            "kl_bound": None if k is None else kl_bound(k),
        }
        if chosen.any():
            resampled = resample(
                mine, strata[chosen], items=items[chosen], bootstrap=bootstrap, seed=seed
            )
            risks = dict(zip(RISKS, resampled.means, strict=False))
            for name in ("organism", "read", "label"):
                row[f"{name}_risk"] = _known(risks[name])
            intervals = []
            for name, term in _terms().items():
                value = _known(term.of(resampled.means[None])[0])
                found = resampled.interval(
                    term.of, term.columns, level=level, least=term.least, most=term.most
                )
                row |= dict(zip(_bounds(name), (value, found.low, found.high), strict=True))
                intervals += [] if value is None else [found]
            row["ci_reason"] = reasons(intervals)
        rows.append(row)
    return table(rows, DECOMPOSITION_COLUMNS)


@dataclass(frozen=True)
class _Term:
    """A function of mean risks and surprisals [draws, columns], and the columns it reads."""

    of: Callable[[np.ndarray], np.ndarray]
    columns: Sequence[int]
    least: float = -np.inf  # lowest and highest possible value
    most: float = np.inf


def _terms() -> dict[str, _Term]:
    """Column name -> its term."""
    place = {name: i for i, name in enumerate((*RISKS, *SURPRISAL, CHOICE))}

    def difference(weights: Mapping[str, int]) -> _Term:
        most = 100.0 * sum(w for w in weights.values() if w > 0)

        def of(means: np.ndarray) -> np.ndarray:
            parts = (w * means[:, place[name]] for name, w in weights.items())
            return 100 * sum(parts, np.zeros(len(means)))

        return _Term(of, [place[name] for name in weights], -most, most)

    def column(m: np.ndarray, name: str) -> np.ndarray:
        return m[:, place[name]]

    terms = {f"{term}_pp": difference(weights) for term, weights in TERMS.items()}
    return terms | {
        "surprisal_per_answer": _Term(
            lambda m: column(m, "label_nats") - column(m, "raw_nats"),
            [place["label_nats"], place["raw_nats"]],
        ),
        "surprisal_per_token": _Term(
            lambda m: (
                column(m, "label_nats") / column(m, "label_tokens")
                - column(m, "raw_nats") / column(m, "raw_tokens")
            ),
            [place[name] for name in SURPRISAL],
        ),
        CHOICE: _Term(lambda m: column(m, CHOICE), [place[CHOICE]], least=0.0),
    }


def _bounds(name: str) -> tuple[str, str, str]:
    if name.endswith("_pp"):
        stem = name.removesuffix("_pp")
        return name, f"{stem}_low_pp", f"{stem}_high_pp"
    return name, f"{name}_low", f"{name}_high"


def _prompt_numbers(
    judged: Judged,
    labels: Sequence[Record],
    read: Mapping[str, int],
    organism: np.ndarray,
    trained: np.ndarray | None,
    nats: Mapping[Key, tuple[float, int]],
    chances: Mapping[str, np.ndarray] | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers [prompts, RISKS and SURPRISAL], NaN where a prompt is left out of a term.

    With them, for each prompt: whether the method abstained, and whether an answer held reasoning.
    """
    label_of = {row["id"]: row for row in labels}
    if missing := [i for i in judged.ids if i not in label_of]:
        raise EntrenchError(f"prompt {missing[0]!r} of the probe has no label row: judge it anew")
    chosen = [
        None if label_of[i]["label"] is None else (i, label_of[i]["set"], label_of[i]["index"])
        for i in judged.ids
    ]
    label = np.array([np.nan if c is None else judged.value.get(c, np.nan) for c in chosen])
    among = row_means(np.hstack([judged.of_set(name, size) for name, size in read.items()]))
    # A refined answer differs from the evaluation's answer by its draft's decoding and by the view.
    draft = judged.of_set("greedy", 1)[:, 0] if "refinement" in read else among
    before = {"organism": organism, "draft": draft, "read": among, "label": label}
    measured = ~np.isnan(np.stack(list(before.values()))).any(axis=0)
    kept = measured if trained is None else measured & ~np.isnan(trained)
    given = np.array([c is not None for c in chosen])

    def where(these: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.where(these, values, np.nan)

    drawn = {"label_drawn": where(kept, label), "read_drawn": where(kept, among)}
    if chances is not None:
        # The drawn label still decides which prompts are kept.
        before["label"], before["read"] = _over_subsets(judged, next(iter(read)), chances)
        before["draft"] = before["read"]
    columns = drawn | {name: where(kept, values) for name, values in before.items()}
    columns |= {f"{name}_before": where(measured, before[name]) for name in ("organism", "label")}
    if trained is not None:
        both = ~np.isnan(organism) & ~np.isnan(trained)
        for end, these in (("", kept), ("_labelled", both & given), ("_all", both)):
            columns[f"organism{end}"] = where(these, organism)
            columns[f"trained{end}"] = where(these, trained)
    nothing = np.full(len(judged.ids), np.nan)
    raw = [[nats[key] for key in nats_keys] for nats_keys in _raw_keys(judged, nats)]
    said = [None if c is None else nats[c] for c in chosen]
    columns |= {
        "label_nats": np.array([np.nan if s is None else s[0] for s in said]),
        "label_tokens": np.array([np.nan if s is None else s[1] for s in said], dtype=float),
    }
    for place, name in enumerate(("raw_nats", "raw_tokens")):
        mean = [np.mean([one[place] for one in r]) if r else np.nan for r in raw]
        columns[name] = where(given, np.array(mean))  # on the same prompts as the labels
    reasoned = np.array(
        [
            any(np.isnan(one[0]) for one in (*r, *([] if s is None else [s])))
            for r, s in zip(raw, said, strict=True)
        ]
    )
    columns |= {name: np.where(reasoned, np.nan, columns[name]) for name in SURPRISAL}
    numbers = np.stack([columns.get(name, nothing) for name in (*RISKS, *SURPRISAL)], axis=1)
    return numbers, ~given, reasoned


def _over_subsets(
    judged: Judged, name: str, chances: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Label risk and read risk of each prompt, over all subsets of k of a set: both [prompts].

    An answer without a value is left out of both. NaN where no possible label has a value.
    """
    weights = np.array([chances[prompt] for prompt in judged.ids])
    values = judged.of_set(name, weights.shape[1])
    weights = np.where(np.isnan(values), 0.0, weights)
    total = weights.sum(axis=1)
    sums = (weights * np.nan_to_num(values)).sum(axis=1)
    label = np.divide(sums, total, out=np.full(len(total), np.nan), where=total > 0)
    return label, row_means(values)


def _raw_keys(judged: Judged, nats: Mapping[Key, Any]) -> list[list[Key]]:
    size = 1 + max((index for _, name, index in nats if name == "raw"), default=-1)
    return [[(i, "raw", k) for k in range(size)] for i in judged.ids]


def _risks(scores: Sequence[Record], headline: str, judged: Judged) -> np.ndarray:
    """Mean risk of each prompt under the evaluation [prompts]; NaN where nothing is scored."""
    wanted = set(judged.ids)
    rows = [row for row in risk_rows(scores, headline) if row["id"] in wanted]
    risks = prompt_risks(rows, grouped=False)
    of = dict(zip(risks.ids, risks.value, strict=True))
    if missing := [i for i in judged.ids if i not in of]:
        raise EntrenchError(
            f"prompt {missing[0]!r} of the probe has no score under evaluation {headline!r}: "
            "delete the scores file and run the same command again"
        )
    return np.array([of[i] for i in judged.ids])


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
