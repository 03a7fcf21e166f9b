"""A run counts once in every table and mean, however often it was trained."""

import pytest
from demo_config import DEMO
from unit.simulated import settings, study
from unit.test_collect import METHODS, ORGANISM, results, runs_of  # noqa: F401
from unit.test_comparison import compared, published
from unit.test_judge_health import organisms  # noqa: F401
from unit.test_k_scaling import METHODS as METHODS_OF_K
from unit.test_k_scaling import NO_ETA, NO_LABELS
from unit.test_k_scaling import SETTINGS as SETTINGS_OF_K
from unit.test_summary import by_prompt, run, told

from entrench.analysis.mechanism.k_scaling import k_scaling
from entrench.analysis.risk.collect import (
    ORGANISM_COLUMNS,
    RUN_DETAIL_COLUMNS,
    collect_prompts,
    collect_runs,
)
from entrench.analysis.risk.delta import PROMPT_COLUMNS
from entrench.analysis.risk.repeats import mean_over_repeats
from entrench.analysis.summary.contrasts import contrast_table
from entrench.analysis.summary.judge_health import judge_health
from entrench.analysis.summary.summary import summarise
from entrench.analysis.tables import table
from entrench.figures import delta_by_method, risk_trajectories, suppressed_share
from entrench.records import write_json
from entrench.reporting.page import partial
from entrench.reporting.provenance import provenance
from entrench.study.config.check import load_config
from entrench.study.specs.report import report_spec
from entrench.study.sweep import Run

TRAININGS = [
    run(-0.3, 1),
    run(-0.1, 1, repeat=2),
    run(None, 1, repeat=3),
    run(-0.5, 2),
]


def test_a_run_is_the_mean_over_its_valid_trainings():
    rows = mean_over_repeats(table(TRAININGS, RUN_DETAIL_COLUMNS)).to_dicts()
    names = ("seed", "repeat", "valid", "delta_risk", "trained_risk", "ci_low", "ci_high")
    found = [tuple(row[name] for name in names) for row in rows]
    assert found == [
        (1, 1, True, pytest.approx(-0.2), pytest.approx(0.3), *map(pytest.approx, (-0.3, -0.1))),
        (2, 1, True, -0.5, 0.0, pytest.approx(-0.6), pytest.approx(-0.4)),
        (1, 3, False, None, None, None, None),
    ]
    assert rows[0]["reason"] is None


def test_without_repeats_nothing_changes():
    runs, *_ = study(1, 2)
    assert mean_over_repeats(runs).equals(runs)
    assert mean_over_repeats(runs.clear()).equals(runs.clear())


def test_repeats_are_no_further_organisms_of_a_summary():
    summary, detail = told(TRAININGS)
    row = summary["bct"]
    assert (row["n_organisms"], row["n_trainings"]) == (2, 3)
    assert row["change_pp"] == pytest.approx(-35)
    # Organisms -.2 and -.5: their mean has the standard error .15; t(1 df, 97.5%) = 12.7062.
    assert row["low_pp"] == -100  # -35 - 12.7 * 15, but a risk cannot fall by more
    assert detail["bct", "share_fell"]["note"] == "2 fell, 0 rose, 0 stayed"
    assert detail["bct", "risk_after"]["value"] == pytest.approx(0.15)
    assert detail["bct", "invalid_trainings"]["note"] == "tiny/sycophancy/seed1/bct/repeat3"
    summary, detail = told(TRAININGS[:2], prompts=by_prompt((0.0,) * 4))
    one = summary["bct"]
    assert (one["n_organisms"], one["n_trainings"]) == (1, 2)
    assert detail["bct", "change_pp"]["about"] == "this organism"
    # Trainings -.3 and -.1: the standard error .1 of their mean.
    note = "standard errors (degrees of freedom): training 10 (1)"
    assert detail["bct", "change_pp"]["note"] == note


def test_a_run_whose_first_training_is_invalid_stands_on_its_repeat():
    summary, detail = told([run(None), run(-0.2, repeat=2)])
    row = summary["bct"]
    assert (row["n_trainings"], row["change_pp"]) == (1, pytest.approx(-20))
    assert detail["bct", "risk_after"]["value"] == pytest.approx(0.3)
    invalid = detail["bct", "invalid_trainings"]
    assert (invalid["value"], invalid["note"]) == (1, "tiny/sycophancy/seed40/bct")


def test_prompts_move_a_run_by_their_mean_over_repeats():
    frame = table([run(-0.3, 1), run(-0.3, 1, repeat=2), run(0.6, 2)], RUN_DETAIL_COLUMNS)
    rows = [{"model": "tiny", "misalignment": "sycophancy", "seed": s} for s in (1, 2)]
    about = table([row | {"effective": True} for row in rows], ORGANISM_COLUMNS)
    deltas = {
        "seed1/bct": (-0.8, -0.3, 0.2),
        "seed1/bct/repeat2": (-0.4, -0.3, -0.2),
        "seed2/bct": (0.4, 0.4, 1.0),
    }
    prompts = {
        f"tiny/sycophancy/{name}": table(
            [
                {
                    "evaluation": "greedy",
                    "prompt": prompt,
                    "item": prompt,
                    "half": "abc".index(prompt) % 2,
                }
                | {"delta": delta, "weight": 1 / 3}
                for prompt, delta in zip("abc", values, strict=True)
            ],
            PROMPT_COLUMNS,
        )
        for name, values in deltas.items()
    }

    def found():
        summary, detail = summarise(frame, about, prompts, **settings(frame) | {"level": 0.5})
        (note,) = detail.filter(row="bct", quantity="change_pp")["note"]
        return summary.row(0, named=True), note

    # The means over repeats are -.6, -.3, 0, so a run moves by (-.3, 0, .3) / 3 about its mean, and
    # the other by (-.2, -.2, .4) / 3. Their mean has 3/2 * (.25^2 + .1^2 + .35^2) / 9 = .0325. Half
    # the variance of an organism's own, 3/2 * (.1^2 + .2^2 + .1^2) / 9 / 2 / 2 = .0025, is in the
    # variance between organisms: .9^2 / 2 / 2 = .2025. 75% quantiles of t(1) and t(2), by variance.
    row, note = found()
    half = 100 * (1.0 * 0.2025 + 0.816497 * 0.03) / (0.2025 + 0.03) ** 0.5
    assert row["low_pp"] == pytest.approx(15 - half, abs=1e-2)
    assert note == "standard errors (degrees of freedom): organisms 45 (1), items 17 (2)"
    del prompts["tiny/sycophancy/seed1/bct/repeat2"]
    row, note = found()
    assert row["low_pp"] == pytest.approx(15 - 45, abs=1e-2)
    assert note == "standard errors (degrees of freedom): organisms 45 (1)"


def test_contrasts_k_and_the_paper_take_the_mean_too():
    greedy = {"method": "greedy", "operator": "greedy_self_training", "kind": "control"}
    runs = [*TRAININGS[:2], run(0.1, 1, **greedy), run(0.3, 1, repeat=2, **greedy)]
    frame = table(runs, RUN_DETAIL_COLUMNS)
    facts = settings(frame)
    found = contrast_table(frame, facts["methods"], facts["models"]).to_dicts()
    one = next(row for row in found if row["contrast"] == "bct - greedy")
    assert [one[f"{name}_pp"] for name in ("first", "second", "difference")] == pytest.approx(
        [-20, 20, -40]
    )
    ours = compared(published(methods="bct", value=-25.0), *TRAININGS)
    assert (ours["ours"], ours["n_runs"]) == (pytest.approx(-35), 2)
    one, alike = ({"method": f"diverse_decoding{end}"} for end in ("", "_again"))
    methods = METHODS_OF_K | {alike["method"]: METHODS_OF_K[one["method"]]}
    of_k = table(
        [run(-0.3, 1, **one), run(-0.1, 1, repeat=2, **one), run(0.4, 1, **alike)],
        RUN_DETAIL_COLUMNS,
    )
    (row,) = k_scaling(NO_ETA, NO_LABELS, of_k, methods, **SETTINGS_OF_K).to_dicts()
    assert (row["n_runs"], row["delta_pp"]) == (1, pytest.approx((-20 + 40) / 2))


def test_each_training_is_a_model_that_judges_met_and_reads_the_same_self_scores(organisms):  # noqa: F811
    runs = [row | {"self_score_parse_rate": 0.5} for row in TRAININGS]
    frame = judge_health(table(runs, RUN_DETAIL_COLUMNS), organisms, {})
    counts = {row[1:3]: row[3] for row in frame.iter_rows()}
    assert counts["unscored", "trained models"] == 4
    assert counts["parse rate", "self-scores"] == 2


def test_a_figure_counts_organisms_and_its_means_count_a_run_once():
    rows = [{"model": "tiny", "misalignment": "sycophancy", "seed": s} for s in (1, 2)]
    about = [row | {"effective": True, "base_risk": 0.0} for row in rows]
    frames = table(TRAININGS, RUN_DETAIL_COLUMNS), table(about, ORGANISM_COLUMNS)
    summary, detail = summarise(*frames, **settings(frames[0]))
    drawn = delta_by_method.data(*frames, summary).filter(method="bct")
    dots = drawn.filter(what="training")
    assert dots["change_pp"].to_list() == pytest.approx([-30, -10, -50])
    assert dots["repeat"].to_list() == [1, 2, 1]
    mean = drawn.filter(what="mean").row(0, named=True)
    assert (mean["change_pp"], mean["n_organisms"]) == (pytest.approx(-35), 2)
    shares = suppressed_share.data(frames[0], detail).filter(method="bct")
    assert shares["counts"].to_list() == ["2 fell, 0 rose, 0 stayed"]
    shown = risk_trajectories.data(*frames)
    assert shown.filter(what="run")["trained_percent"].to_list() == pytest.approx([30, 0])
    assert shown.filter(what="method")["n"].to_list() == [2]


def test_a_row_of_the_table_of_runs_reads_the_labels_that_repeats_share(results):  # noqa: F811
    first, second = (Run(ORGANISM, "multi_view", number) for number in (1, 2))
    whole = results / first.path
    (whole / "repeat2").mkdir()
    for name in ("delta_risk.csv", "delta_prompts.csv", "risk.json"):
        (whole / "repeat2" / name).write_bytes((whole / name).read_bytes())
    write_json(whole / "repeat2" / "run.json", {"training": {"steps": 7}})
    asked = {"methods": METHODS, "headline": "greedy", "greedy": "greedy"}
    asked["views"] = ["chain_of_thought", "json"]
    frame = collect_runs(str(results), [first, second], **asked)
    known = runs_of(results)["multi_view"]
    read = ("delta_risk", "labels_share", "label_mean_tokens", "view_parse_rate_json")
    for row in frame.to_dicts():
        assert {name: row[name] for name in read} == {name: known[name] for name in read}
    assert frame.select("repeat", "training_steps").rows() == [(1, 4), (2, 7)]
    names = ["tiny/sycophancy/seed40/multi_view", "tiny/sycophancy/seed40/multi_view/repeat2"]
    assert list(collect_prompts(str(results), frame)[0]) == names


def test_the_report_names_a_repeat_and_counts_its_run_once(tmp_path):
    config = report_spec(load_config(DEMO))["config"]
    about = [{"model": "tiny", "misalignment": "sycophancy", "seed": s} for s in (1, 2)]
    frames = {
        "runs_detail": table(TRAININGS, RUN_DETAIL_COLUMNS),
        "organisms": table([row | {"effective": True} for row in about], ORGANISM_COLUMNS),
    }
    told_of = settings(frames["runs_detail"])
    frames["summary"], _ = summarise(frames["runs_detail"], frames["organisms"], **told_of)
    said = partial(frames, config)
    assert said[0] == "1 invalid run is left out: tiny/sycophancy/1/bct/repeat3."
    assert said[1].startswith("2 runs with unscored completions")
    folder = tmp_path / "organisms/tiny/sycophancy/seed1/bct/repeat2"
    write_json(folder / "run.json", {"simulated": "SIMULATED: x", "training": {}})
    shown = dict(provenance(tmp_path, frames["runs_detail"], frames["organisms"], config).facts)
    assert shown["Training"] == "SIMULATED: x"
