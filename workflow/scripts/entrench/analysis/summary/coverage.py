"""How often printed intervals hold the truth that they are about, and how far values are off."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from entrench.analysis.statistics.clusters import clustered_share_interval, share_interval

MONTE_CARLO = 0.95  # level of the intervals of simulated rates
ROUNDING = 1e-12
COVERAGE = "coverage"


@dataclass(frozen=True)
class Printed:
    """A value with its interval, and the truth that it is about; all are fractions."""

    quantity: str
    about: str
    value: float
    low: float
    high: float
    true: float


@dataclass
class Coverage:
    """What simulated tables showed, table by table, of each (quantity, about)."""

    held: dict[tuple[str, str], list[list[bool]]] = field(default_factory=lambda: defaultdict(list))
    widths: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, printed: Iterable[Printed]) -> None:
        """One more table."""
        groups: dict[tuple[str, str], list[Printed]] = defaultdict(list)
        for own in printed:
            groups[own.quantity, own.about].append(own)
        for group, rows in groups.items():
            held = [own.low - ROUNDING <= own.true <= own.high + ROUNDING for own in rows]
            self.held[group].append(held)
            self.widths[group].append(float(np.median([(own.high - own.low) / 2 for own in rows])))
            self.errors[group].append(float(np.mean([own.value - own.true for own in rows])))

    def rows(self, level: float, abouts: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The rows of error_rates.csv, by quantity in the order seen, then as in `abouts`."""
        quantities = dict.fromkeys(quantity for quantity, _ in self.held)
        for quantity in quantities:
            for about in abouts:
                if (quantity, about) in self.held:
                    yield self._row(quantity, about, level)

    def _row(self, quantity: str, about: str, level: float) -> dict[str, Any]:
        widths = 100 * np.sort(self.widths[quantity, about])
        errors = 100 * np.array(self.errors[quantity, about])
        low, high = _median_interval(widths)
        row = {
            "measure": COVERAGE,
            "quantity": quantity,
            "about": about,
            "nominal": level,
            **rate(self.held[quantity, about]),
            "half_width_pp": float(np.median(widths)),
            "half_width_low_pp": low,
            "half_width_high_pp": high,
            "bias_pp": float(errors.mean()),
        }
        if len(errors) > 1:
            error = float(errors.std(ddof=1)) / len(errors) ** 0.5
            half = error * float(stats.t.ppf((1 + MONTE_CARLO) / 2, len(errors) - 1))
            row |= {"bias_low_pp": row["bias_pp"] - half, "bias_high_pp": row["bias_pp"] + half}
        return row


def rate(tables: Sequence[Sequence[bool]]) -> dict[str, Any]:
    """The share of true entries; its interval takes tables as independent, and not their rows."""
    hits, sizes = (np.array([kind(own) for own in tables], dtype=float) for kind in (sum, len))
    if len(tables) > 1:
        low, high = clustered_share_interval(hits, sizes, MONTE_CARLO)
    else:
        low, high = share_interval(int(hits[0] > 0), 1, MONTE_CARLO)
    return {
        "n_rows": int(np.median(sizes)),
        "rate": float(hits.sum() / sizes.sum()),
        "rate_low": low,
        "rate_high": high,
        "replicates": len(tables),
    }


def _median_interval(ordered: np.ndarray) -> tuple[float, float]:
    """Exact interval of the median of which `ordered` [n] is a sorted sample, by its ranks."""
    below = int(stats.binom.ppf((1 - MONTE_CARLO) / 2, len(ordered), 0.5))
    rank = max(below - 1, 0)
    return float(ordered[rank]), float(ordered[-1 - rank])
