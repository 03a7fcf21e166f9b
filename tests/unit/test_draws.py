"""Which parts of a pool are drawn, and in which draw a run finds what it reads."""

import json
from pathlib import Path

import pytest
import yaml
from workspace import MICRO, ROOT

from entrench.errors import EntrenchError
from entrench.generation.parts import split
from entrench.planning.jobs import sweep_jobs
from entrench.study.config.check import load_config
from entrench.study.draws import Draw, Pools, drawn_for, giving, on_disk, parts_read, pool_parts
from entrench.study.sweep import Organism, Run, expand

ORGANISM = Organism("tiny", "spurious_correlation", 0)
VIEWS = ("chain_of_thought", "json")
FURTHER = {
    "self_rewarding": {"operator": "self_rewarding", "kind": "consistency", "set": "samples"}
    | {"k": 2},
    "diverse_decoding": {"operator": "diverse_decoding", "kind": "consistency", "set": "samples"}
    | {"k": 2},
    "self_refinement": {"operator": "self_refinement", "kind": "consistency"},
}


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def raw(*methods):
    """The micro config with these methods in its sweep."""
    config = yaml.safe_load((ROOT / MICRO).read_text())
    config["methods"] |= FURTHER
    config["sweep"][0]["methods"] = list(methods)
    return config


def pools(*methods):
    config = load_config(raw(*methods))
    return Pools(config, expand(config))


def texts(found):
    return [(draw.folder, sorted(draw.parts) if draw.parts is not None else None) for draw in found]


def draw_first(*parts):
    folder = Path("results/micro", ORGANISM.path)
    folder.mkdir(parents=True)
    (folder / "candidates.jsonl").write_text("")
    record = {"engine": "transformers"} | ({"parts": parts} if parts else {})
    (folder / "pool_engine.json").write_text(json.dumps(record))
    return folder


def draw_further(folder, name):
    (folder / "pool" / name).mkdir(parents=True)
    for file in ("candidates.jsonl", "pool_engine.json"):
        (folder / "pool" / name / file).write_text("{}")


@pytest.mark.parametrize(
    ("method", "parts"),
    [
        ({"operator": "greedy_self_training"}, {"greedy"}),
        ({"operator": "random", "set": "nucleus"}, {"greedy", "nucleus"}),
        ({"operator": "self_confidence", "set": "samples", "k": 2}, {"greedy", "samples"}),
        (
            {"operator": "self_rewarding", "set": "samples", "k": 2},
            {"greedy", "samples", "self_score@samples"},
        ),
        ({"operator": "diverse_decoding", "set": "nucleus", "k": 1}, {"greedy", "nucleus", "beam"}),
        ({"operator": "multi_view"}, {"greedy", *VIEWS}),
        ({"operator": "self_refinement"}, {"greedy", "refinement"}),
        ({"operator": "act", "weight": 1.0}, {"responses@pairs_clean"}),
        ({"operator": "act", "weight": 1.0, "response": "released"}, set()),
    ],
)
def test_a_method_reads_these_parts(method, parts):
    assert parts_read(method, VIEWS) == parts


def test_a_pool_holds_what_the_planned_methods_read():
    found = pools("multi_view", "rejection_sampling")
    assert texts(found.draws(ORGANISM)) == [
        ("", ["chain_of_thought", "greedy", "json", "samples"]),
    ]
    assert found.text(found.draws(ORGANISM)[0]) == "greedy+samples+chain_of_thought+json"


def test_a_pool_whose_methods_read_everything_holds_every_part():
    names = ("multi_view", "rejection_sampling", "bct", *FURTHER)
    config = load_config(raw(*names))
    [first] = pools(*names).draws(ORGANISM)
    assert first.parts == set(pool_parts(config))
    assert pool_parts(config) == (
        *("greedy", "samples", "beam", *VIEWS, "refinement"),
        *("self_score@samples", "responses@pairs_clean"),
    )


def test_a_first_draw_without_a_list_of_parts_holds_every_part():
    draw_first()
    names = ("multi_view", *FURTHER)
    assert pools(*names).draws(ORGANISM) == [Draw("", None)]


def test_a_method_added_later_draws_what_is_missing_at_once():
    folder = draw_first("greedy", "samples")
    found = pools("rejection_sampling", *FURTHER)
    name = "beam+refinement+self_score@samples"
    further = f"pool/{name}/"
    first = ("", ["greedy", "samples"])
    later = (further, sorted(name.split("+")))
    assert texts(found.draws(ORGANISM)) == [first, later]
    assert texts(found.of_run(Run(ORGANISM, "rejection_sampling"))) == [first]
    assert texts(found.of_run(Run(ORGANISM, "self_rewarding"))) == [first, later]
    # The set that is rated, and the drafts, lie in the first draw.
    assert texts(found.rated_from(ORGANISM, split(name))) == [first]
    # Once it exists nothing more is missing, and every run reads the same files as before.
    draw_further(folder, name)
    after = pools("rejection_sampling", *FURTHER)
    for run in ("rejection_sampling", *FURTHER):
        assert after.of_run(Run(ORGANISM, run)) == found.of_run(Run(ORGANISM, run))


def test_a_removed_method_changes_no_draw():
    draw_first("greedy", "samples", "beam")
    found = pools("rejection_sampling")
    assert texts(found.draws(ORGANISM)) == [("", ["beam", "greedy", "samples"])]


def test_a_set_drawn_later_is_rated_from_its_own_draw():
    folder = draw_first("greedy", *VIEWS)
    draw_further(folder, "samples")
    found = pools("multi_view", "self_rewarding")
    assert [draw.folder for draw in found.draws(ORGANISM)] == [
        *("", "pool/samples/", "pool/self_score@samples/"),
    ]
    rated = found.rated_from(ORGANISM, ["self_score@samples"])
    assert [draw.folder for draw in rated] == ["", "pool/samples/"]


def test_a_run_outside_the_sweep_has_a_draw_of_its_own():
    draw_first("greedy")
    found = pools("rejection_sampling")
    of = found.of_run(Run(ORGANISM, "self_refinement"))
    assert [draw.folder for draw in of] == ["", "pool/refinement/"]


@pytest.mark.parametrize("left", ["candidates.jsonl", "pool_engine.json"])
def test_a_draw_that_was_killed_halfway_is_none(left):
    folder = draw_first("greedy", "samples")
    draw_further(folder, "beam")
    other = {"candidates.jsonl": "pool_engine.json", "pool_engine.json": "candidates.jsonl"}[left]
    (folder / "pool" / "beam" / other).unlink()
    assert texts(on_disk(folder)) == [("", ["greedy", "samples"])]
    (folder / other).unlink()
    assert on_disk(folder) == []
    [first] = pools("multi_view").draws(ORGANISM)
    assert first.parts == {"greedy", *VIEWS}


def test_what_a_run_reads_is_found_without_the_config():
    folder = draw_first("greedy", "samples")
    draw_further(folder, "beam+refinement")
    draw_further(folder, "chain_of_thought+json")
    assert [d.folder for d in drawn_for(str(folder), {"greedy", "beam"})] == [
        *("", "pool/beam+refinement/"),
    ]
    assert drawn_for("nowhere", {"beam"}) == [Draw("", None)]


def test_the_first_draw_comes_before_others_that_hold_the_same():
    draws = [Draw("", frozenset({"greedy", "beam"})), Draw("pool/beam/", frozenset({"beam"}))]
    assert giving({"greedy", "beam"}, draws) == draws[:1]


def test_the_plan_has_a_job_for_each_draw_and_its_rewards():
    draw_first("greedy", "samples")
    config = load_config(raw("rejection_sampling", "diverse_decoding"))
    found = [
        (job.stage, job.parts)
        for job in sweep_jobs(config, expand(config))
        if job.stage.startswith(("pool_", "reward_s", "reward_e"))
    ]
    assert found == [
        ("pool_sample", ("greedy", "samples")),
        ("pool_extend", ("beam",)),
        ("reward_score", ("greedy", "samples")),
        ("reward_extend", ("beam",)),
    ]


@pytest.mark.parametrize(
    ("part", "method"), [("beam", "diverse_decoding"), ("refinement", "self_refinement")]
)
def test_a_part_that_no_method_reads_may_be_left_out(part, method):
    config = raw("rejection_sampling")
    for name in FURTHER:
        del config["methods"][name]
    del config["methods"]["multi_view"]
    for name in ("beam", "views", "refinement", "self_score"):
        del config["sampling"][name]
    assert pool_parts(load_config(config)) == ("greedy", "samples", "responses@pairs_clean")
    config["methods"][method] = FURTHER[method]
    message = f"sampling.{part}: this key is missing: methods.{method} reads it: add it, or leave"
    with pytest.raises(EntrenchError, match=message):
        load_config(config)


def test_self_scores_that_a_method_reads_may_not_be_left_out():
    config = raw("self_rewarding")
    del config["sampling"]["self_score"]
    message = r"methods.self_rewarding.set: 'samples' is not self-scored, allowed: none \(sampling"
    with pytest.raises(EntrenchError, match=message):
        load_config(config)
