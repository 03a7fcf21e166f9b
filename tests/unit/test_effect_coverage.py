"""How often the intervals of a table's rows hold the truth, in small simulated studies.

Rows are methods on the same organisms and items. A change is the sum of what model, organism and
training add, alone and together with the method, and of what items add to all and to one organism.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from entrench.analysis.statistics.effect import MODELS, NEW, ORGANISM, Unit, effect
from entrench.analysis.statistics.moderation import Variance, commons, within
from entrench.analysis.statistics.shared_prompts import Shares

TABLES = 300
STRATA = np.repeat([0, 1, 2], [6, 5, 1])
WEIGHTS = 1 / (3 * np.bincount(STRATA)[STRATA])
OF_STRATUM = np.eye(3)[STRATA] / np.bincount(STRATA)


@dataclass(frozen=True)
class Study:
    """Standard deviations of what each adds to a change; the mean change is 0."""

    model: float = 0.0
    organism: float = 0.1
    training: float = 0.0
    item: float = 0.3


def draw(generator, study, models, organisms, methods, repeats=1):
    """For each method: trained changes [models, organisms, repeats], truths and shares.

    Half the variance of models and organisms is common to all methods. Methods differ in scale.
    """
    scale = np.exp(generator.normal(0, 0.3, methods))
    half = 0.5**0.5
    shared = half * generator.normal(0, study.model, (models, 1))
    organism = half * generator.normal(0, study.organism, (models, organisms))
    items = generator.normal(0, study.item, len(STRATA))
    for own in scale:
        of_model = own * (shared + half * generator.normal(0, study.model, (models, 1)))
        truth = of_model + own * (
            organism + half * generator.normal(0, study.organism, (models, organisms))
        )
        by_item = items + generator.normal(0, study.item, (models, organisms, len(STRATA)))
        trainings = own * generator.normal(0, study.training, (models, organisms, repeats))
        seen = (truth + by_item @ WEIGHTS)[..., None] + trainings
        shares = WEIGHTS * (by_item - (by_item @ OF_STRATUM)[..., STRATA])
        yield seen, of_model[:, 0], truth, shares


def table(generator, study, **size):
    """(units, variance within models, truth of each model) of each method of one table."""
    drawn = list(draw(generator, study, **size))
    rows = []
    for seen, *_ in drawn:
        changes = seen.mean(axis=-1)
        rows.append({(str(m), f"{m}/{o}"): value for (m, o), value in np.ndenumerate(changes)})
    common = commons({"": rows}).get("")
    for row, (_, of_model, _, shares) in zip(rows, drawn, strict=True):
        units = [
            Unit(value, organism=name, model=model, shares=Shares(own, STRATA))
            for ((model, name), value), own in zip(
                row.items(), shares.reshape(-1, len(STRATA)), strict=True
            )
        ]
        yield units, common and common.moderated(within(row)), of_model


def held(found, truth):
    interval = found.interval(0.95)
    return interval.low <= truth <= interval.high


@pytest.mark.parametrize(
    ("study", "models", "organisms"),
    [
        (Study(model=0.15, item=0.0), 4, 2),
        (Study(model=0.15, item=0.0), 3, 1),
        (Study(model=0.15, item=0.1), 4, 2),
        (Study(item=0.3), 3, 1),
    ],
)
def test_new_models_and_prompts(study, models, organisms):
    generator = np.random.default_rng(1)
    found = []
    for _ in range(TABLES):
        size = {"models": models, "organisms": organisms, "methods": 3}
        for units, known, _ in table(generator, study, **size):
            one = effect(units, known)
            assert one.about == NEW
            found.append(held(one, 0))
    assert 0.92 <= np.mean(found) <= 0.99


@pytest.mark.parametrize(
    ("study", "models", "organisms"),
    [(Study(model=0.15, item=0.0), 4, 2), (Study(item=0.3), 1, 3)],
)
def test_these_models(study, models, organisms):
    """The truth is the mean of the models that were drawn."""
    generator = np.random.default_rng(2)
    found = []
    for _ in range(TABLES):
        size = {"models": models, "organisms": organisms, "methods": 4}
        for units, known, of_model in table(generator, study, **size):
            one = effect(units, known, widest=MODELS)
            assert one.about == MODELS
            found.append(held(one, of_model.mean()))
    assert 0.92 <= np.mean(found) <= 0.99


@pytest.mark.parametrize("item", [0.0, 0.3])
def test_this_organism(item):
    """Three trainings of one organism by each of six methods, and one training of another.

    The variance of trainings is carried to the other. The truth is each organism's own change.
    """
    generator = np.random.default_rng(3)
    study = Study(training=0.1, item=item)
    found = {"own": [], "carried": []}
    for _ in range(TABLES):
        drawn = list(draw(generator, study, models=2, organisms=1, methods=6, repeats=3))
        rows = [{("0", str(k)): value for k, value in enumerate(seen[0, 0])} for seen, *_ in drawn]
        common = commons({"": rows})[""]
        for row, (seen, _, truth, shares) in zip(rows, drawn, strict=True):
            own, carried = common.moderated(within(row)), common.moderated(None)
            assert not own.carried
            for place, name, value, known in (
                (0, "own", seen[0, 0].mean(), Variance(own.value / 3, own.free)),
                (1, "carried", seen[1, 0, 0], carried),
            ):
                trained = Unit(
                    value, name, name, training=known, shares=Shares(shares[place, 0], STRATA)
                )
                one = effect([trained], None)
                assert (one.about, one.carried) == (ORGANISM, name == "carried")
                found[name].append(held(one, truth[place, 0]))
    assert 0.92 <= np.mean(found["own"]) <= 0.99
    assert 0.92 <= np.mean(found["carried"]) <= 0.99
