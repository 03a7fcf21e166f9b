"""A simulated study's mechanism tables, with effects that are known by construction."""

import numpy as np
import polars as pl
from unit.simulated import METHODS

from entrench.analysis.mechanism.k_scaling import k_scaling
from entrench.analysis.mechanism.prediction import predict
from entrench.analysis.mechanism.selection import integral_weights, pool_weights, total_variation
from entrench.analysis.mechanism.tables import PAIRED, STUDY_COLUMNS
from entrench.analysis.tables import table

MISALIGNMENTS = ("emergent_misalignment", "reward_hacking", "spurious_correlation", "sycophancy")
SELECTORS = {  # operator -> slope of eta over the rank, in shares
    "self_confidence": 0.3,
    "self_rewarding": -0.4,
    "rejection_sampling": -0.1,
}
LABELLING = [name for name in METHODS if name not in ("act", "bct")]


def study(models: int, seeds: int, noise: float = 6.0, seed: int = 0) -> dict[str, pl.DataFrame]:
    """All tables by name. On each half, delta = 0.8 x label shift + noise, in points.

    For act and bct, delta = 0.8 x teacher flip + noise.
    """
    draw, pairs = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    rows: dict[str, list] = {name: [] for name in ("decomposition", "eta", "eta_bins", "stability")}
    divergence, runs, flips, paired = [], [], [], []
    for model in range(models):
        for misalignment in MISALIGNMENTS:
            for number in range(seeds):
                who = {"model": f"model-{model}", "misalignment": misalignment, "seed": number}
                rows["eta"] += [who | row for row in _eta(draw)]
                rows["eta_bins"] += [who | row for row in _bins(draw)]
                for part in ("all", "half 0", "half 1"):
                    rows["stability"].append(
                        who
                        | {"against": "samples", "same": "behaviour", "part": part}
                        | {"agreement": draw.uniform(0.5, 1)}
                    )
                flip = pairs.normal(-20, 20)
                wrapped = {"wrapped_risk": 0.5, "clean_risk": 0.5 + flip / 100, "flip_pp": flip}
                flips.append(who | {"n_pairs": 80, "n_pairs_all": 80, "ci_level": 0.95} | wrapped)
                for method in ("act", "bct"):
                    run = who | {"method": method, "operator": method, "kind": METHODS[method]}
                    change = {"flip_pp": flip, "delta_pp": 0.8 * flip + pairs.normal(0, noise)}
                    paired.append(run | change | {"valid": True, "organism_risk": 0.5})
                for method in LABELLING:
                    run = who | {"method": method, "operator": method, "kind": METHODS[method]}
                    run |= {"valid": True, "effective": True}
                    parts, kl, delta = _run(draw, noise)
                    rows["decomposition"] += [run | row for row in parts]
                    divergence.append(run | {"delta_pp": delta} | kl)
                    runs.append(run | {"repeat": 1, "delta_risk": delta / 100})
    tables = {name: table(found, STUDY_COLUMNS[name]) for name, found in rows.items()}
    tables["teacher_flips"] = table(flips, STUDY_COLUMNS["teacher_flips"])
    tables["divergence"] = table(divergence, STUDY_COLUMNS["divergence"])
    methods = {name: {"operator": name, "set": "samples", "k": 4} for name in SELECTORS}
    methods["diverse_decoding"] = {"operator": "diverse_decoding", "set": "nucleus", "k": 4}
    draws = {"bootstrap": 200, "level": 0.95, "seed": 1}
    tables["k_scaling"] = k_scaling(
        tables["eta"], tables["decomposition"], pl.DataFrame(runs), methods, **draws
    )
    tables["prediction"] = predict(
        tables["decomposition"], tables["stability"], table(paired, PAIRED), **draws
    )
    return tables


def _run(draw: np.random.Generator, noise: float):
    selection, shift = draw.normal(0, 8), draw.normal(-4, 10)
    halves = []
    for _ in range(2):
        label_shift = selection + shift + draw.normal(0, noise / 2)
        halves.append((label_shift, 0.8 * label_shift + draw.normal(0, noise)))
    whole = tuple(np.mean(halves, axis=0))
    found = []
    for part, (label_shift, delta) in zip(
        ("all", "half 0", "half 1"), (whole, *halves), strict=True
    ):
        terms = {"label_shift": label_shift, "selection": selection}
        terms |= {"shift": label_shift - selection, "transfer": delta - label_shift}
        terms |= {"abstention": 0.0, "unmeasured": 0.0, "delta": delta}
        terms["label_shift_before"] = label_shift
        row = {"part": part, "ci_level": 0.95, "surprisal_per_token": draw.normal(0.2, 0.3)}
        row |= {"read_risk": 0.5, "label_risk": 0.5 + selection / 100}
        row["organism_risk"] = 0.5 + (selection - label_shift) / 100
        for term, value in terms.items():
            row |= {f"{term}_pp": value, f"{term}_low_pp": value - 3, f"{term}_high_pp": value + 3}
        found.append(row)
    kl = {"cut_share": draw.uniform(0, 0.3)}
    for name in ("trained_from_organism", "organism_from_trained"):
        kl[f"kl_{name}"] = float(np.exp(draw.normal(0, 1)))
        kl[f"kl_{name}_se"] = 0.1 * kl[f"kl_{name}"]
    return found, kl, whole[1]


def _eta(draw: np.random.Generator):
    for operator, slope in SELECTORS.items():
        eta = 0.5 + (slope + draw.normal(0, 0.1)) * (np.arange(8) / 7 - 0.5)
        for k in range(1, 9):
            yield {
                "selector": operator,
                "set": "samples",
                "k": k,
                "set_risk": float(eta.mean()),
                "range_pp": 100 * float(np.ptp(eta)),
                "range_of_noise_pp": 6.0,
                "range_p": 0.01,
                "ci_level": 0.95,
                "selection_pp": 100 * float(eta @ (pool_weights(8, k) - 1 / 8)),
                "selection_integral_pp": 100 * float(eta @ (integral_weights(8, k) - 1 / 8)),
                "bound_pp": 100 * float(np.ptp(eta)) * total_variation(pool_weights(8, k)),
            }


def _bins(draw: np.random.Generator):
    for operator, slope in SELECTORS.items():
        tilt = slope + draw.normal(0, 0.1)
        for place in range(4):
            for ranked, steeper in (("within", 1), ("pooled", 1.5)):
                eta = 0.5 + steeper * tilt * (place / 3 - 0.5)
                yield {
                    "selector": operator,
                    "set": "samples",
                    "ranked": ranked,
                    "bin": place + 1,
                    "u_low": place / 4,
                    "u_high": (place + 1) / 4,
                    "eta": eta,
                    "ci_low": eta - 0.05,
                    "ci_high": eta + 0.05,
                    "ci_level": 0.95,
                    "n_prompts": 160,
                }
