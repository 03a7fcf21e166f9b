"""A reader's order: one misalignment through to its table, one seed after the other."""

import pytest
import yaml
from workspace import ROOT

from entrench.study.config.check import load_config
from entrench.study.reading_order import ReadingOrder, done_first, reading_order
from entrench.study.sweep import Organism, expand


@pytest.fixture(scope="module")
def config():
    demo = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))
    block = {"misalignments": ["sycophancy", "reward_hacking"], "seeds": [2, 0]}
    demo["sweep"] = [demo["sweep"][0] | block]
    return load_config(demo)


@pytest.fixture(scope="module")
def order(config):
    return ReadingOrder(config, expand(config))


def subject(misalignment, seed, method=""):
    return {"subject": f"organisms/tiny/{misalignment}/seed{seed}{method and '/' + method}"}


def test_organisms_come_by_misalignment_and_seed_as_the_config_has_them(config):
    assert reading_order(config, expand(config)) == [
        Organism("tiny", "sycophancy", 2),
        Organism("tiny", "sycophancy", 0),
        Organism("tiny", "reward_hacking", 2),
        Organism("tiny", "reward_hacking", 0),
    ]


def test_the_first_parts_are_an_organism_and_its_misalignment(config):
    organisms = reading_order(config, expand(config))
    assert done_first(organisms) == ["parts/tiny/sycophancy/seed2/", "parts/sycophancy/"]
    assert done_first(organisms[:2]) == ["parts/tiny/sycophancy/seed2/"]
    assert done_first(organisms[1:]) == ["parts/sycophancy/"]
    assert done_first(organisms[:1]) == []


@pytest.mark.parametrize(
    ("rule", "wildcards", "priority"),
    [
        ("model_make", {"model": "tiny"}, 9),
        ("reward_make", {}, 9),
        ("data_prepare", {"misalignment": "sycophancy"}, 8),
        ("completions_sample", {"subject": "base/tiny/sycophancy"}, 8),
        ("adapter_induce", {"model": "tiny", "misalignment": "sycophancy", "seed": "2"}, 8),
        ("completions_sample", subject("sycophancy", 2, "bct"), 8),
        ("completions_sample", subject("sycophancy", 2, "bct/repeat2"), 8),
        ("summary_make", {"part": "parts/tiny/sycophancy/seed2/"}, 8),
        ("summary_make", {"part": "parts/sycophancy/"}, 8),
        ("judge_score", subject("sycophancy", 0), 6),
        ("probe_sample", subject("sycophancy", 2), 5),
        ("probe_choose", {"misalignment": "sycophancy"}, 5),
        ("data_prepare", {"misalignment": "reward_hacking"}, 4),
        ("figures_draw", {"part": "parts/reward_hacking/", "figure": "delta_by_method"}, 4),
        ("judge_score", subject("reward_hacking", 0), 2),
        ("probe_sample", subject("reward_hacking", 0), 1),
        ("power_estimate", {"part": ""}, 0),
        ("figures_draw", {"part": "", "figure": "eta_curves"}, 0),
        ("partial_make", {"part": "partial/"}, 0),
    ],
)
def test_a_job_has_the_priority_of_its_place(order, rule, wildcards, priority):
    assert order.priority(rule, wildcards) == priority
