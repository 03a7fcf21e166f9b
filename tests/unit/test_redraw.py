"""Repeats whose pool is drawn again: labels of their own, in a place of their own."""

import copy
from collections import Counter
from pathlib import Path

import pytest
from demo_config import DEMO, changed
from workspace import measured

from entrench.errors import EntrenchError
from entrench.planning.jobs import sweep_jobs
from entrench.study.config.check import load_config
from entrench.study.draws import Draw, Pools, drawn_for
from entrench.study.inputs import pool_inputs, run_inputs
from entrench.study.specs.organisms import label_spec, pool_spec, training_spec, verdict_spec
from entrench.study.specs.report import report_spec
from entrench.study.sweep import Organism, Run, Sweep, cells, expand, packed, unpacked

ORGANISM = Organism("tiny", "sycophancy", 0)
FIRST, SECOND, THIRD = (Run(ORGANISM, "multi_view", number, number) for number in (1, 2, 3))
FOLDER = "organisms/tiny/sycophancy/seed0"
VIEWS = frozenset({"greedy", "chain_of_thought", "json"})
ONCE = DEMO["sweep"][0] | {"seeds": [0]}


def block(**changes) -> dict:
    about = {"misalignments": ["sycophancy"], "methods": ["act", "multi_view"], "repeats": 3}
    return ONCE | about | {"redraw": True} | changes


def configured(*blocks: dict):
    config = load_config(changed("sweep", copy.deepcopy([*blocks])))
    return config, expand(config)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_each_repeat_has_a_pool_with_its_own_number():
    _, sweep = configured(ONCE, block())
    assert [run for run in sweep.runs if run.method == "multi_view"][-3:] == [FIRST, SECOND, THIRD]
    assert [run.path for run in (SECOND, THIRD)] == [
        f"{FOLDER}/multi_view/repeat{number}" for number in (2, 3)
    ]
    assert [run.labelled for run in (FIRST, SECOND)] == [FIRST, SECOND]
    assert sweep.first == configured(ONCE)[1]


def test_a_run_may_not_share_a_pool_in_one_block_and_have_its_own_in_another():
    with pytest.raises(
        EntrenchError,
        match=r"sweep\.2: sweep\.1 and this block both have .*/act/repeat2, and one of them draws",
    ):
        configured(ONCE, block(redraw=False, repeats=2), block())
    configured(ONCE, block(redraw=False, methods=["act"]), block(methods=["multi_view"]))


def test_the_short_form_names_the_pool_behind_the_repeat():
    shared = Run(ORGANISM, "act", 2)
    some = Sweep((ORGANISM,), (shared, FIRST, THIRD))
    assert cells(some) == [
        ["tiny", "sycophancy", [0], [("act", 2), "multi_view", ("multi_view", 3, 3)]]
    ]
    assert unpacked(packed(some)) == some


def test_a_repeat_reads_its_own_labels_verdicts_and_pool():
    config, sweep = configured(ONCE, block())
    pools = Pools(config, sweep)
    files = run_inputs("r", SECOND, "multi_view")
    assert files["labels"] == f"r/{FOLDER}/multi_view/repeat2/labels.jsonl"
    assert files["verdicts"] == f"r/{FOLDER}/multi_view/repeat2/verdicts.jsonl"
    draws = pools.of_run(SECOND)
    assert draws == [Draw("pool2/greedy+chain_of_thought+json/", VIEWS, 2)]
    assert pool_inputs("r", SECOND, "multi_view", draws)["candidates"] == [
        f"r/{FOLDER}/pool2/greedy+chain_of_thought+json/candidates.jsonl"
    ]
    assert pools.of_run(FIRST) == pools.draws(ORGANISM)
    assert pools.of_run(FIRST)[0].folder == ""


def test_methods_on_pairs_keep_the_first_pool():
    config, sweep = configured(block(methods=["bct", "multi_view"]))
    pools = Pools(config, sweep)
    of_pairs = Run(ORGANISM, "bct", 2, 2)
    assert [draw.pool for draw in pools.of_run(of_pairs)] == [1]
    assert pools.of_run(SECOND) == [Draw("pool2/greedy+chain_of_thought+json/", VIEWS, 2)]


def test_another_pool_differs_by_its_identity_alone():
    config, _ = configured(ONCE, block())
    first, second = (pool_spec(config, ORGANISM, number) for number in (1, 2))
    assert first["identity"] == ["tiny", "sycophancy", 0]
    assert second == first | {"identity": ["tiny", "sycophancy", 0, 2]}
    first, second = (label_spec(config, run) for run in (FIRST, SECOND))
    assert second == first | {"identity": ["tiny", "sycophancy", 0, 2]}
    assert verdict_spec(config, FIRST) == verdict_spec(config, SECOND)
    shared = Run(ORGANISM, "multi_view", 2)
    assert training_spec(config, SECOND) == training_spec(config, shared)


def test_the_plan_draws_labels_and_trains_for_each_repeat():
    config, sweep = configured(ONCE, block(methods=["act", "multi_view", "rejection_sampling"]))
    counts = Counter(job.stage for job in sweep_jobs(config, sweep))
    counts.subtract(job.stage for job in sweep_jobs(config, sweep.first))
    assert +counts == {
        "pool_extend": 2,
        "reward_extend": 2,
        "labels_judge": 2,
        "labels_select": 4,
        "adapter_train": 4,
        "adapter_regularise": 2,
        **measured(6),
    }
    jobs = list(sweep_jobs(config, sweep))
    assert len({job.outputs for job in jobs}) == len(jobs)
    assert len({job.log for job in jobs}) == len(jobs)


def test_a_method_added_later_draws_what_its_pool_lacks():
    config, sweep = configured(
        block(methods=["multi_view", "self_refinement", "self_rewarding"], repeats=2)
    )
    held = Path(config.pathvars.results, FOLDER, "pool2/greedy+chain_of_thought+json")
    held.mkdir(parents=True)
    for name in ("candidates.jsonl", "pool_engine.json"):
        (held / name).touch()
    pools = Pools(config, sweep)
    found = {
        method: [draw.folder for draw in pools.of_run(Run(ORGANISM, method, 2, 2))]
        for method in ("multi_view", "self_refinement", "self_rewarding")
    }
    further = "pool2/samples+refinement+self_score@samples/"
    assert found == {
        "multi_view": [f"pool2/{held.name}/"],
        "self_refinement": [f"pool2/{held.name}/", further],
        "self_rewarding": [f"pool2/{held.name}/", further],
    }
    # A refinement starts from the greedy answers of its own pool.
    drafts = pools.rated_from(ORGANISM, ("samples", "refinement"), 2)
    assert [draw.folder for draw in drafts] == [f"pool2/{held.name}/"]
    read = drawn_for(f"{config.pathvars.results}/{FOLDER}", VIEWS, 2)
    assert [draw.folder for draw in read] == [f"pool2/{held.name}/"]


@pytest.mark.parametrize("name", ["pool", "pool2"])
def test_a_method_may_not_have_the_name_of_a_pool(name):
    raw = copy.deepcopy(DEMO)
    raw["methods"][name] = DEMO["methods"]["act"] | {"variant_of": "act"}
    with pytest.raises(EntrenchError, match=rf"methods\.{name}: this name is used by the path"):
        load_config(raw)


def test_a_config_without_it_is_shown_as_before():
    for shown in report_spec(load_config(DEMO))["config"]["sweep"]:
        assert "redraw" not in shown
