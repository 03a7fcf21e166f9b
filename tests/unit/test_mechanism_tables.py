"""Report tables of the mechanism: means, intervals and numbers of values worked out by hand."""

import polars as pl

from entrench.reporting.mechanism_tables import (
    decomposition_table,
    eta_table,
    stability_table,
)


def run(selection, transfer=None, model="m", seed=0, valid=True):
    identity = {"misalignment": "sycophancy", "model": model, "seed": seed}
    row = identity | {"method": "bct", "kind": "consistency", "part": "all", "ci_level": 0.95}
    row["valid"] = valid
    terms = {"selection": selection, "transfer": transfer}
    for term in ("selection", "shift", "transfer", "abstention", "unmeasured", "delta"):
        value = terms.get(term)
        row |= {f"{term}_pp": value}
        row |= {
            f"{term}{bound}_pp": None if value is None else value + by
            for bound, by in (("_low", -3.0), ("_high", 3.0))
        }
    return row


def shown(table):
    heads = [head for head, *_ in table.heads]
    (row,) = table.rows
    return dict(zip(heads, row, strict=True))


def decomposed(*runs):
    return shown(
        decomposition_table({"decomposition": pl.DataFrame(runs, infer_schema_length=None)})
    )


def test_a_term_has_its_interval_over_organisms_and_its_number_of_values():
    runs = [run(1.0, 5.0, seed=1), run(3.0, None, seed=2), run(5.0, None, seed=3)]
    row = decomposed(*runs, run(90.0, 90.0, seed=4, valid=False))
    # Mean 3, standard error 2 / sqrt(3), t(2 df) = 4.30265: half width 4.968.
    assert row["selection, points"] == "+3.0 [−2.0, +8.0] n 3"
    # One value: its own interval, over prompts. None at all: nothing.
    assert row["transfer, points"] == "+5.0 [+2.0, +8.0] n 1"
    assert row["shift, points"] == "–"
    assert (row["runs"], row["invalid, left out"]) == ("3", "1")
    assert "selection, over models" not in row


def test_six_models_have_an_interval_of_their_own():
    runs = [run(float(number), model=f"m{number}", seed=s) for number in range(6) for s in (1, 2)]
    row = decomposed(*runs)
    assert row["selection, points"].startswith("+2.5 [")
    assert row["selection, points"].endswith(" n 12")
    low, high = (float(x.replace("−", "-")) for x in row["selection, over models"][1:-1].split(","))
    assert low < 1.2 < 3.8 < high
    assert "transfer, over models" not in row


def test_eta_counts_organisms_and_not_rows():
    rows = [
        {
            "misalignment": "sycophancy",
            "model": "m",
            "seed": seed,
            "selector": "s",
            "set": "samples",
        }
        | {"k": k, "ci_level": 0.95, "range_pp": width, "range_p": width / 250}
        | {"selection_pp": gain if k > 1 else 0.0, "selection_low_pp": None}
        | {"selection_high_pp": None, "range_of_noise_pp": 4.0, "tied_share": 0.5}
        | {"trend": "increasing", "slopes": "agree"}
        | {f"observed_signs_{name}": 1 if k > 1 else None for name in ("right", "predicted")}
        for seed, width, gain in ((1, 10.0, 2.0), (2, 12.0, 2.0), (3, 14.0, None))
        for k in (1, 2)
    ]
    table = eta_table({"eta": pl.DataFrame(rows, infer_schema_length=None)})
    row, glossary = shown(table), dict(table.glossary)
    assert row["organisms"] == "3"
    # Standard error 2 / sqrt(3), t(2 df) = 4.30265.
    assert row["range of eta, points"] == "+12.0 [+7.0, +17.0] n 3"
    assert row["best of 2, points"] == "+2.0 [+2.0, +2.0] n 2"
    assert (row["wider than noise"], row["signs predicted rightly"]) == ("2", "3 of 3")
    assert (row["increasing"], row["Simpson's paradox"], row["ties"]) == ("3", "0", "50.0%")
    assert "pairs" in glossary["ties"]
    assert "halves" in glossary["signs predicted rightly"]


def test_stability_is_a_line_for_each_set_and_view():
    rows = [
        {"misalignment": "sycophancy", "model": "m", "seed": seed, "part": part}
        | {"against": against, "same": same, "agreement": share, "ci_level": 0.95}
        | {"ci_low": None if share is None else share - 0.1}
        | {"ci_high": None if share is None else share + 0.1}
        for seed, shares in ((1, (0.5, None, 0.95)), (2, (0.7, 0.8, 1.0)), (3, (0.6, None, 0.9)))
        for (against, same), share in zip(
            (("samples", "behaviour"), ("samples", "text"), ("json", "verdict")),
            shares,
            strict=True,
        )
        for part in ("all", "half 0")
    ]
    table = stability_table({"stability": pl.DataFrame(rows, infer_schema_length=None)})
    # Mean .6, standard error .1 / sqrt(3), t(2 df) = 4.30265: half width .248. One value: its own
    # interval, over prompts. Half widths .124 about .95 would reach beyond 1.
    assert table.rows == [
        ["sycophancy", "json", "verdict", "3", "95.0% [82.6%, 100.0%] n 3"],
        ["sycophancy", "samples", "behaviour", "3", "60.0% [35.2%, 84.8%] n 3"],
        ["sycophancy", "samples", "text", "3", "80.0% [70.0%, 90.0%] n 1"],
    ]
    many = pl.DataFrame(
        [row | {"model": f"m{number}"} for number in range(6) for row in rows],
        infer_schema_length=None,
    )
    over_models = stability_table({"stability": many})
    assert over_models.heads[-1] == ("agreement, over models", True, True)
    assert over_models.rows[1][-1] == "[60.0%, 60.0%]"
