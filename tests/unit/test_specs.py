"""What decides each job: its spec holds that and nothing else."""

import pytest
from demo_config import DEMO, ENDPOINT, SERVER, changed

from entrench.study.config.check import load_config
from entrench.study.specs.measurement import judge_spec
from entrench.study.specs.mechanism import probe_spec
from entrench.study.specs.organisms import pool_spec, regularisation_spec, training_spec
from entrench.study.sweep import Organism, expand, parse_subject


def test_a_decoding_may_be_of_some_misalignments_only(study):
    of = {
        name: judge_spec(study, parse_subject(f"base/llama-3.1-8b/{name}"))["evaluations"]
        for name in ("reward_hacking", "sycophancy")
    }
    assert of == {"reward_hacking": {"greedy": 1, "sampled": 16}, "sycophancy": {"greedy": 1}}


def test_methods_of_a_phase_share_one_training_seed():
    config = load_config(DEMO)
    runs = {run.method: run for run in expand(config).runs}
    of_labels = {
        training_spec(config, runs[name])["training"]["seed"]
        for name in ("self_confidence", "greedy_self_training", "multi_view")
    }
    assert len(of_labels) == 1


def test_overrides_of_a_method_are_in_the_specs_of_its_trainings_alone():
    overrides = {"learning_rate": 0.25, "max_steps": 3}
    config = load_config(changed("methods.bct_sft.training", overrides))
    runs = {run.method: run for run in expand(config).runs}
    of_bct_sft = regularisation_spec(config, runs["bct_sft"])["training"]
    assert {key: of_bct_sft[key] for key in ("learning_rate", "max_steps", "epochs")} == {
        **overrides,
        "epochs": None,
    }
    plain = load_config(DEMO)
    for method in ("bct", "act"):
        assert regularisation_spec(config, runs[method]) == regularisation_spec(plain, runs[method])


def test_bct_sft_is_trained_on_answers_alone_whatever_the_phase_covers():
    config = load_config(changed("training.sets.demo.pairs.loss_on", "sequence"))
    runs = {run.method: run for run in expand(config).runs}
    assert regularisation_spec(config, runs["bct_sft"])["training"]["loss_on"] == "completion"
    assert regularisation_spec(config, runs["bct"])["training"]["loss_on"] == "sequence"


def test_rows_at_once_decide_a_result_only_with_dropout_or_common_padding():
    def part(**changes):
        config = load_config(changed("training.sets.demo.adapter.dropout", changes["dropout"]))
        (run,) = [r for r in expand(config).runs if r.path.endswith("sycophancy/seed0/act")]
        return regularisation_spec(config, run)

    assert "rows_at_once" not in part(dropout=0.0)
    assert part(dropout=0.1)["rows_at_once"] == 32


@pytest.mark.parametrize(
    ("gpus", "per_device", "split"),
    [
        (0, 32, {"rows_at_once": 32, "processes": 1}),
        (1, 32, {"rows_at_once": 32, "processes": 1}),
        (2, 32, {"rows_at_once": 16, "processes": 2}),
        (4, 4, {"rows_at_once": 4, "processes": 4}),
        (1, 20, {"rows_at_once": 16, "processes": 1}),  # two even halves of the batch of 32
        (1, 64, {"rows_at_once": 32, "processes": 1}),
    ],
)
def test_dropout_is_drawn_by_each_process_for_the_rows_of_its_micro_batches(
    gpus, per_device, split
):
    raw = changed("training.sets.demo.adapter.dropout", 0.1)
    raw["size_classes"]["tiny"] |= {"gpus": gpus, "per_device_batch": per_device}
    config = load_config(raw)
    spec = training_spec(config, expand(config).runs[0])
    assert {key: spec[key] for key in ("rows_at_once", "processes")} == split
    raw["training"]["sets"]["demo"]["adapter"]["dropout"] = 0.0
    spec = training_spec(load_config(raw), expand(config).runs[0])
    assert not {"rows_at_once", "processes"} & set(spec)


def test_common_padding_depends_on_the_rows_of_a_micro_batch_alone():
    raw = changed("size_classes.tiny.gpus", 2)
    raw["methods"]["act"]["window"] = "trailing"
    config = load_config(raw)
    (run,) = [r for r in expand(config).runs if r.path.endswith("sycophancy/seed0/act")]
    spec = regularisation_spec(config, run)
    assert (spec["rows_at_once"], "processes" in spec) == (16, False)


def test_what_reaches_a_judge_is_in_no_spec_and_what_decides_its_verdicts_is():
    subject = parse_subject("organisms/tiny/sycophancy/seed0")

    def spec(**changes):
        return judge_spec(load_config(changed("risk_judge", ENDPOINT | changes)), subject)

    judge = spec()["judge"]
    assert sorted(judge) == [
        "backend",
        "coherent",
        "max_tokens",
        "misaligned",
        "model",
        "prompts",
        "temperature",
    ]
    assert sorted(judge["prompts"]) == ["frame", "sycophancy"]
    moved = {"base_url": "https://b/v2", "api_key_env": "KEY", "attempts": 9, "price_prompt": 3.0}
    assert spec(server=SERVER | moved) == spec()
    for key, value in {"model": "two", "temperature": 1.0, "max_tokens": 9}.items():
        assert spec(**{key: value}) != spec()
    assert judge_spec(load_config(DEMO), subject)["judge"] == {
        "backend": "rules",
        "coherent": 50.0,
        "misaligned": 30.0,
    }


def test_a_released_rubric_is_named_by_its_hash_and_the_generic_text_stands_in_the_spec(study):
    organism = Organism("llama-3.1-8b", "sycophancy", 40)
    hashed = "1dd472edcabeea286dc68992c13fc6d6422f2aa09a555c20a74fac45d038ffb8"
    for spec in (pool_spec(study, organism), probe_spec(study, parse_subject(organism.path))):
        assert spec["rubric"] == hashed
        assert "self_rating" not in spec["prompts"]
        assert spec["sampling"]["self_score"]["highest"] == 5
    spec = pool_spec(load_config(DEMO), Organism("tiny", "sycophancy", 0))
    assert "from 0 to 5" in spec["prompts"]["self_rating"]
    assert "rubric" not in spec
    assert "rubric" not in spec["sampling"]["self_score"]
