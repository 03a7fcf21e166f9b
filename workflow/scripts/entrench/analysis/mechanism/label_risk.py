"""The labels that a method would choose on the evaluation prompts of a probe."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from entrench.analysis.mechanism.decomposition import candidates_read
from entrench.analysis.mechanism.eta import selector_scores
from entrench.analysis.mechanism.probes import Key, key
from entrench.analysis.mechanism.selection import best_of_k_kl, label_chances
from entrench.methods.shared.catalogue import SELECTORS
from entrench.methods.shared.select import LabelSettings, Table, select_labels
from entrench.records import Record, require_same_keys


@dataclass(frozen=True)
class Probe:
    """The records of one probe; messages name `path`, the file of the candidates."""

    prompts: Sequence[Record]
    candidates: Sequence[Record]
    refined: Sequence[Record]  # refined answers, scored after the plain prompt
    rewards: Sequence[Record]
    verdicts: Sequence[Record]
    path: str


def labels_of_probe(settings: LabelSettings, probe: Probe) -> dict[str, Any]:
    """The arguments of `decompose` that depend on a method.

    They are labels, read, nats, and of a best-of-k choice: k, chances, choice_kl.

    Raises `EntrenchError` where the probe lacks what the method reads.
    """
    sizes: dict[str, int] = {}
    for row in probe.candidates:
        sizes[row["set"]] = max(sizes.get(row["set"], 0), row["index"] + 1)
    operator = settings.operator
    labels = select_labels(
        settings,
        Table(probe.path, probe.prompts),
        Table(probe.path, probe.candidates),
        Table(probe.path, probe.rewards),
        Table(probe.path, probe.verdicts),
    )
    k = choice_kl = chances = None
    if operator in SELECTORS:
        name, k = settings.settings["set"], settings.settings["k"]
        scores = selector_scores(operator, probe.candidates, probe.rewards)
        ids = [row["id"] for row in probe.prompts]
        pools = [[scores.get((i, name, s), np.nan) for s in range(sizes[name])] for i in ids]
        choice_kl = dict(zip(ids, best_of_k_kl(np.array(pools), k).tolist(), strict=True))
        blank = {
            (row["id"], row["index"])
            for row in probe.candidates
            if row["set"] == name and not (row["text"] or "").strip()
        }
        labels_of = np.ones((len(ids), sizes[name]), bool)
        if blank:
            labels_of[:] = [[(i, s) not in blank for s in range(sizes[name])] for i in ids]
        chances = dict(zip(ids, label_chances(np.array(pools), k, labels_of), strict=True))
    return {
        "labels": labels,
        "read": candidates_read(operator, settings.settings, sizes),
        "nats": nats_of_probe(probe),
        "k": k,
        "chances": chances,
        "choice_kl": choice_kl,
    }


def nats_of_probe(probe: Probe) -> dict[Key, tuple[float, int]]:
    """Answer -> its -log P after the plain prompt, in nats, and its number of tokens.

    A refined answer was sampled after another prompt, so `probe.refined` has its -log P after the
    plain prompt. A refined answer that could not be read is no label, and is left out. -log P is
    NaN for an answer sampled behind reasoning: the recorded value covers the reasoning too.

    Raises EntrenchError where `probe.refined` lacks an answer.
    """
    refined = {row["id"]: row for row in probe.refined}
    unread = {r["id"] for r in probe.candidates if r["set"] == "refinement" and r["text"] is None}
    counted = [r for r in probe.candidates if r["set"] != "refinement" or r["id"] not in unread]
    asked = [row["id"] for row in counted if row["set"] == "refinement"]
    require_same_keys(refined, asked, probe.path)
    found = {}
    for row in counted:
        scored = refined[row["id"]] if row["set"] == "refinement" else row
        nats = math.nan if scored.get("reasoned") else -scored["logprob"]
        found[key(row)] = (nats, scored["tokens"])
    return found
