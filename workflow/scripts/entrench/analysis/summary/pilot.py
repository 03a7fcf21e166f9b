"""The variances of a pilot, for planning: what its variance.csv says of runs to come.

A pilot is a smaller sweep that has been run. Its `draws` are a part of how trainings differ here:
each training has draws of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from entrench.analysis.statistics import effect

# What must be known for an interval, by what it is about.
NEEDED = {
    effect.NEW: ("models", "organisms"),
    effect.MODELS: ("organisms",),
    effect.ORGANISM: ("trainings",),
    effect.WEIGHTS: (),
}


@dataclass(frozen=True)
class Pilot:
    """The variances of one misalignment, as fractions squared.

    `sd` is the standard deviation between runs, `parts` the shares of its square as in
    `simulation.variances`, `items` the variance that items add to every mean. `known` are the
    components that the pilot could show.
    """

    sd: float
    parts: Mapping[str, float]
    items: float
    known: frozenset[str]

    def lacks(self, about: str) -> str | None:
        """Why nothing can be said of an interval about this; None where all is known."""
        missing = [name for name in NEEDED[about] if name not in self.known]
        return f"the pilot does not show how {' and '.join(missing)} differ" if missing else None


def pilots(variances: pl.DataFrame) -> dict[str, Pilot]:
    """Misalignment -> its variances, from a variance.csv.

    As in simulated studies, half of what models differ by, and half of what organisms differ by, is
    alike for all methods.
    """
    found = {}
    for (misalignment,), rows in variances.group_by("misalignment", maintain_order=True):
        sds = rows.drop_nulls("sd_pp")
        number = dict(rows.select("component", "n").iter_rows())
        variance = {
            name: (sd / 100) ** 2 for name, sd in sds.select("component", "sd_pp").iter_rows()
        }
        draws = variance.get("draws", 0.0) / (number.get("draws") or 1)
        models, organisms = (variance.get(name, 0.0) / 2 for name in ("models", "organisms"))
        parts = {
            "model": models,
            "model x method": models,
            "organism": organisms,
            "organism x method": organisms,
            "training": variance.get("trainings", 0.0) + draws,
        }
        whole = sum(parts.values())
        found[str(misalignment)] = Pilot(
            sd=whole**0.5,
            parts={name: part / whole if whole else 0.0 for name, part in parts.items()},
            items=variance.get("items", 0.0) / (number.get("items") or 1),
            known=frozenset(variance),
        )
    return found
