"""Variances of few numbers, moderated: what each row shows of its spread, and what all rows show.

A row of three organisms knows little about how far organisms differ. Rows of the same misalignment
differ alike, though not equally. So their variances are drawn towards a common one, as much as the
rows themselves say (Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3:3, sec. 6.2; limma). A row without
a spread of its own gets the common one: it is *carried* to this row.

One thing differs from genes: here rows share their units. Methods are trained on the same
organisms, and with the same training seeds. So the errors of their variances are alike, and
together they know less than their number says. The degrees of freedom allow for this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

# A variance below this share of the rows' mean counts as none: its logarithm would decide alone.
SMALLEST = 1e-5
# Logarithms of true variances that vary by less than this are equal: the rest is rounding.
ALIKE = 1e-6

Values = Mapping[tuple[str, str], float]  # (cluster, unit) -> value


@dataclass(frozen=True)
class Variance:
    """A variance, and the degrees of freedom that it is known with; `carried` from other rows."""

    value: float
    free: float
    carried: bool = False


@dataclass(frozen=True)
class Common:
    """The variance that rows have in common: `free` says how alike their variances are.

    It is 0 where nothing shows this. `most` are the degrees of freedom that all rows have together.
    """

    value: float
    free: float
    most: float

    def moderated(self, own: Variance | None) -> Variance:
        """A row's variance, drawn towards the common one; without its own, the common one."""
        if own is None or own.free == 0:
            free = min(self.free, self.most) if self.free else self.most
            return Variance(self.value, free, carried=True)
        if np.isinf(self.free):
            return Variance(self.value, self.most)
        free = self.free + own.free
        value = (self.free * self.value + own.free * own.value) / free
        return Variance(value, min(free, self.most))


def within(values: Values) -> Variance:
    """The variance of the values of one cluster, pooled over clusters; `free` is 0 without any."""
    residuals = _residuals(values)
    free = len(values) - len({cluster for cluster, _ in values})
    if free == 0:
        return Variance(0.0, 0)
    return Variance(float(sum(one**2 for one in residuals.values())) / free, free)


def commons(rows: Mapping[str, Sequence[Values]]) -> dict[str, Common]:
    """The common variance within clusters of each group of rows, by the group's name.

    A group is a misalignment, and its rows are methods. Each row maps (cluster, unit) to a value,
    such as (model, organism) to a change in risk. A group in which no row has a cluster of two
    units has no entry. Groups have variances of their own. How alike the variances of a group's
    rows are is estimated over all groups, since one group has few rows; and cautiously: by one
    standard error less alike than they look. A row that does not vary says nothing about this.
    """
    known = {
        name: found
        for name, own in rows.items()
        if (found := [(spread, row) for row in own if (spread := within(row)).free > 0])
    }
    means, most, logs = {}, {}, {}
    chance, scatter, free = 0.0, 0.0, 0
    for name, found in known.items():
        variances = np.array([spread.value for spread, _ in found])
        frees = np.array([spread.free for spread, _ in found], dtype=float)
        alike = _likeness([row for _, row in found])
        most[name] = float(frees.sum() / (1 + (len(found) - 1) * alike))
        means[name] = float((frees * variances).sum() / frees.sum())
        varying = variances > SMALLEST * means[name]
        if varying.sum() > 1:
            variances, frees = variances[varying], frees[varying]
            own = np.log(variances) - digamma(frees / 2) + np.log(frees / 2)
            logs[name] = float(own.mean())
            scatter += float(((own - own.mean()) ** 2).sum())
            # Errors that rows share do not show in the spread of their variances.
            chance += (len(own) - 1) * float(polygamma(1, frees / 2).mean()) * (1 - alike)
            free += len(own) - 1
    if not free:  # nothing shows how alike rows are: each keeps its own
        return {name: Common(means[name], 0.0, most[name]) for name in known}
    excess = (scatter * (1 + (2 / free) ** 0.5) - chance) / free
    if excess < ALIKE:
        return {name: Common(means[name], np.inf, most[name]) for name in known}
    alike_by = 2 * inverse_trigamma(excess)
    shift = digamma(alike_by / 2) - np.log(alike_by / 2)
    return {
        name: Common(
            float(np.exp(logs[name] + shift)) if name in logs else means[name],
            alike_by,
            most[name],
        )
        for name in known
    }


def _likeness(rows: Sequence[Values]) -> float:
    """How alike the errors of the rows' variances are, 0 to 1: the mean squared correlation.

    The correlation of two normal rows' variances is the square of the correlation of their values
    within clusters. A square is above 0 by chance, so its mean by chance is taken off. Two rows
    count by their shared degrees of freedom; one degree shows nothing, so it counts as alike. Rows
    that share none, or do not vary, are left out.
    """
    residuals = [_residuals(row) for row in rows]
    keys = sorted({key for own in residuals for key in own})
    known = np.array([[key in own for key in keys] for own in residuals], dtype=float)
    values = np.array([[own.get(key, 0.0) for key in keys] for own in residuals])
    clusters = np.array([cluster for cluster, _ in keys])
    pairs = np.triu_indices(len(rows), 1)  # of rows; below, of units and clusters that both have
    free = (known @ known.T)[pairs]
    for cluster in np.unique(clusters):
        mine = known[:, clusters == cluster]
        free -= (mine @ mine.T)[pairs] > 0
    squares = values**2 @ known.T
    scale = (squares * squares.T)[pairs]
    use = (free >= 1) & (scale > 0)
    if not use.any():
        return 0.0
    square, free = (values @ values.T)[pairs][use] ** 2 / scale[use], free[use]
    # One degree of freedom: any two rows correlate by 1 or -1.
    by_chance = np.where(free > 1, 1 / free, 0.0)
    alike = np.where(free > 1, (square - by_chance) / (1 - by_chance), 1.0)
    return float(np.clip(np.average(alike, weights=free), 0, 1))


def _residuals(values: Values) -> dict[tuple[str, str], float]:
    """Each value minus the mean of its cluster; a unit alone in its cluster has none."""
    clusters: dict[str, list[float]] = {}
    for (cluster, _), value in values.items():
        clusters.setdefault(cluster, []).append(value)
    # Sums of differences from one value: equal values have residuals of 0, without rounding.
    means = {
        cluster: own[0] + sum(value - own[0] for value in own) / len(own)
        for cluster, own in clusters.items()
    }
    return {
        (cluster, unit): value - means[cluster]
        for (cluster, unit), value in values.items()
        if len(clusters[cluster]) > 1
    }


def inverse_trigamma(value: float) -> float:
    """x with trigamma(x) = value, for a value above 0."""
    return float(brentq(lambda x: polygamma(1, x) - value, 1e-8, 1e8))
