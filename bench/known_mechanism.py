"""Known values behind simulated probes and divergences, and whether the analysis finds them.

An answer of a set misbehaves with the known risk of the set. Each selector's score of an answer has
a rank u, uniform from 0 to 1. The risk at rank u is eta(u) = risk + slope (u - 1/2). The slope
decides how the best of k changes the risk. The effect of training is drawn independently, so these
values do not predict its sign.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from simulated_sweep import MISALIGNMENT_EFFECT, Truth

from entrench.analysis.mechanism.decomposition import candidates_read
from entrench.analysis.mechanism.divergence import DIRECTIONS
from entrench.analysis.mechanism.tables import STUDY_COLUMNS
from entrench.analysis.statistics.clusters import share_interval
from entrench.analysis.tables import read_table
from entrench.seeds import derive_seed
from entrench.study.config import Config
from entrench.study.specs.mechanism import probe_judge_spec
from entrench.study.sweep import Organism, Run, Subject, Sweep

SLOPES = {  # slopes of eta, in shares
    "reward_hacking": {
        "self_confidence": 0.15,
        "self_rewarding": -0.10,
        "rejection_sampling": -0.25,
    },
    "emergent_misalignment": {
        "self_confidence": -0.10,
        "self_rewarding": -0.20,
        "rejection_sampling": -0.20,
    },
    "spurious_correlation": {
        "self_confidence": 0.20,
        "self_rewarding": 0.0,
        "rejection_sampling": 0.10,
    },
    "sycophancy": {
        "self_confidence": 0.10,
        "self_rewarding": 0.15,
        "rejection_sampling": 0.25,
    },
}
SCORE_OF = {"diverse_decoding": "rejection_sampling"}  # an operator that reads another's score
# The risk of a set minus the risk of the organism, as a multiple of the misalignment's effect.
SHIFT = {"greedy": 0.0, "beam": 0.1, "raw": 0.4, "refinement": 0.5}
SAMPLES_SHIFT = 0.3
SLOPE_SD, SHIFT_SD = 0.05, 0.02  # between models
UNREAD = 0.02  # share of self scores that do not parse
KL_START, KL_SLOPE, KL_SD = 0.3, 12.0, 0.25  # nats, nats per unit of |delta|, of the logarithm
KL_BACK = 0.8  # KL(organism || trained), as a multiple of KL(trained || organism)

BEST_OF = 4  # the paper's k
LEAST_HELD = 0.85  # share of the intervals, which have level 95% and are nearly independent
KL_HALF = 1.96  # standard errors to either side


@dataclass(frozen=True)
class Mechanism:
    """True risk of each set, slope of each selector's eta, and KL by source of the answers."""

    risk: Mapping[Organism, Mapping[str, float]]
    slope: Mapping[Organism, Mapping[str, float]]
    kl: Mapping[Run, Mapping[str, float]]  # nats


def draw_mechanism(config: Config, sweep: Sweep, truth: Truth, seed: int) -> Mechanism:
    """Draw the known values. Organisms of a model and misalignment share their differences."""
    risk, slope = {}, {}
    for organism in sweep.organisms:
        model, about = organism.model, organism.misalignment
        generator = np.random.default_rng(derive_seed(seed, model, about, "mechanism"))
        slope[organism] = {
            name: mean + generator.normal(0, SLOPE_SD) for name, mean in SLOPES[about].items()
        }
        moved = {
            name: SHIFT.get(name, SAMPLES_SHIFT) * MISALIGNMENT_EFFECT[about]
            + generator.normal(0, SHIFT_SD)
            for name in sizes_of(config, organism)
        }
        own = truth.organism[organism]
        risk[organism] = {name: own + by for name, by in moved.items()} | {"greedy": own}
    generator = np.random.default_rng(derive_seed(seed, "divergence"))
    kl = {}
    for run in sweep.runs:
        mean = KL_START + KL_SLOPE * abs(truth.delta[run])
        forth = float(mean * np.exp(generator.normal(0, KL_SD)))
        kl[run] = {"trained": forth, "organism": KL_BACK * forth}
    return Mechanism(risk, slope, kl)


def sizes_of(config: Config, organism: Organism) -> dict[str, int]:
    """The judged sets of a probe, and their answers per prompt."""
    subject = Subject(organism.model, organism.misalignment, organism.seed, None)
    return probe_judge_spec(config, subject)["sets"]


def levels_of(config: Config) -> int:
    """Number of possible self scores."""
    score = config.sampling.self_score
    return score.highest - score.lowest + 1


def known_selection(selector: str, slope: float, k: int, levels: int) -> float:
    """The change of the risk when this selector's score chooses the best of `k`.

    A self score is one of `levels` numbers. A self score that does not parse ranks lowest.
    """
    if selector != "self_rewarding":
        return slope * (k / (k + 1) - 1 / 2)
    reached = UNREAD + (1 - UNREAD) * np.arange(levels + 1) / levels
    best = np.diff(reached**k, prepend=0.0)
    middle = np.array([1 / 2, *((np.arange(levels) + 1 / 2) / levels)])
    return slope * float(best @ middle - 1 / 2)


def known_terms(config: Config, run: Run, truth: Truth, known: Mechanism) -> dict[str, float]:
    """Selection, shift and transfer of a run on labels, over all possible prompts."""
    method = config.methods[run.method]
    read = candidates_read(method.operator, method.settings, sizes_of(config, run.organism))
    count = sum(read.values())
    risk = known.risk[run.organism]
    shift = sum(size * risk[name] for name, size in read.items()) / count - risk["greedy"]
    selector = SCORE_OF.get(method.operator, method.operator)
    slope = known.slope[run.organism].get(selector, 0.0)
    told = sum(size for name, size in read.items() if name != "greedy") / count
    selection = told * known_selection(selector, slope, count, levels_of(config))
    transfer = truth.delta[run] - selection - shift
    return {"selection": selection, "shift": shift, "transfer": transfer}


def mechanism_recovered(results: Path, config: Config, truth: Truth, known: Mechanism) -> bool:
    """Print how many intervals hold their known value.

    False where, for one kind of interval, the share is below `LEAST_HELD` by more than chance.
    """
    fine = True
    found: dict[str, list[bool]] = {}
    for kind, inside in _comparisons(results, config, truth, known):
        found.setdefault(kind, []).append(inside)
    for kind, inside in found.items():
        held, of = sum(inside), len(inside)
        good = share_interval(held, of, 0.95)[1] >= LEAST_HELD
        remark = "" if good else f": WRONG, below {LEAST_HELD:.0%} beyond chance"
        print(f"known {kind} inside its interval in {held} of {of}{remark}")
        fine &= good
    return fine


def _comparisons(
    results: Path, config: Config, truth: Truth, known: Mechanism
) -> Iterator[tuple[str, bool]]:
    """(kind of value, whether its interval holds it), without intervals of a single point."""

    def table(name: str) -> pl.DataFrame:
        return read_table(results / f"{name}.csv", STUDY_COLUMNS[name])

    for row in table("eta").filter(k=BEST_OF).to_dicts():
        slope = known.slope[_organism(row)][row["selector"]]
        effect = 100 * known_selection(row["selector"], slope, BEST_OF, levels_of(config))
        held = row["selection_low_pp"] <= effect <= row["selection_high_pp"]
        yield f"selection effect by {row['selector']} ({row['set']}) of organisms", held
    valid = table("decomposition").filter("valid", part="all")
    for row in valid.to_dicts():
        terms = known_terms(config, Run(_organism(row), row["method"]), truth, known)
        for term, value in terms.items():
            low, high = row[f"{term}_low_pp"], row[f"{term}_high_pp"]
            if low < high:
                yield f"{term} of runs", low <= 100 * value <= high
    for row in table("divergence").to_dicts():
        kl = known.kl[Run(_organism(row), row["method"])]
        for source, name in DIRECTIONS.items():
            off = abs(row[f"kl_{name}"] - kl[source])
            yield f"KL ({name}) of runs", off <= KL_HALF * row[f"kl_{name}_se"]


def _organism(row: Mapping[str, object]) -> Organism:
    return Organism(row["model"], row["misalignment"], row["seed"])
