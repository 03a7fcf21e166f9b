"""The paper's sweep in numbers, its blocks, parts and short form."""

import collections
import copy
import random
import shlex
from pathlib import Path

import pytest
import yaml

from entrench.errors import EntrenchError
from entrench.planning.report import short_trainings
from entrench.study.config.check import load_config
from entrench.study.specs.parts import spec_text
from entrench.study.specs.tables import partial_spec, runs_spec
from entrench.study.sweep import (
    Organism,
    Run,
    Sweep,
    cells,
    expand,
    from_cells,
    packed,
    parse_subject,
    part_of,
    unpacked,
)

ROOT = Path(__file__).parents[2]
STUDY = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())


def switched(*names: str, on: bool = True) -> dict:
    raw = copy.deepcopy(STUDY)
    for block in raw["sweep"]:
        if block["name"] in names or not names:
            block["enabled"] = on
    return raw


def test_108_organisms_and_602_runs():
    sweep = expand(load_config(STUDY))
    assert len(sweep.organisms) == 108
    assert len(sweep.runs) == 602
    assert collections.Counter(run.organism.misalignment for run in sweep.runs) == {
        "reward_hacking": 155,
        "emergent_misalignment": 140,
        "spurious_correlation": 153,
        "sycophancy": 154,
    }
    by_method = collections.Counter((run.method, run.organism.misalignment) for run in sweep.runs)
    assert {by_method[name, about] for name in ("act", "bct") for about in sweep.misalignments} == {
        20
    }


def test_published_controls_are_20_runs_each_per_misalignment():
    sweep = expand(load_config(switched("controls")))
    assert len(sweep.runs) == 602 + 2 * 4 * 20
    assert collections.Counter(run.organism.misalignment for run in sweep.runs) == {
        "reward_hacking": 155 + 40,
        "emergent_misalignment": 140 + 40,
        "spurious_correlation": 153 + 40,
        "sycophancy": 154 + 40,
    }
    assert len(sweep.organisms) == 108


def test_with_all_blocks_on_no_argument_outgrows_a_command_line():
    config = load_config(switched())
    sweep = expand(config)
    assert len(sweep.runs) == 602 + 160 + 160 + 880 + 640 + 320
    assert len(spec_text(runs_spec(config, sweep))) < 10_000  # the kernel's limit is 131,071


def test_tables_of_a_large_irregular_sweep_fit_a_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = copy.deepcopy(STUDY)
    del raw["planning"]
    draw = random.Random(1)
    raw["models"] |= {
        f"{name}-{copied}": model for name, model in raw["models"].items() for copied in range(1, 8)
    }
    whole = expand(load_config(STUDY))
    organisms, runs = [], []
    for copied in range(8):  # eight times the sweep, every organism with methods of its own
        for organism in whole.organisms:
            name = organism.model + (f"-{copied}" if copied else "")
            one = Organism(name, organism.misalignment, organism.seed)
            organisms.append(one)
            runs += [Run(one, method) for method in raw["methods"] if draw.random() < 0.4]
    sweep = Sweep(tuple(sorted(organisms)), tuple(sorted(runs)))
    assert len(sweep.runs) > 8 * 602
    complete = Sweep(sweep.organisms, tuple(run for run in sweep.runs if draw.random() < 0.5))
    assert unpacked(packed(complete)) == complete
    config = load_config(raw)
    for spec in (partial_spec(config, sweep, complete), runs_spec(config, sweep)):
        assert len(shlex.quote(spec_text(spec))) < 60_000


def test_all_blocks_off_is_refused():
    with pytest.raises(EntrenchError, match="sweep: every block is switched off"):
        expand(load_config(switched(on=False)))


def test_a_block_switched_off_is_checked_like_any_other():
    raw = copy.deepcopy(STUDY)
    raw["sweep"][-1]["methods"] = ["act"]
    with pytest.raises(EntrenchError, match=r"sweep\.8: .*/act stands in sweep\.2 already"):
        expand(load_config(raw))
    raw["sweep"][-1]["methods"] = ["acct"]
    with pytest.raises(EntrenchError, match=r"sweep\.8\.methods: 'acct' is unknown, allowed: act"):
        expand(load_config(raw))


def test_a_block_that_excludes_everything_and_a_repeated_exclusion_are_refused():
    raw = copy.deepcopy(STUDY)
    raw["sweep"][3]["exclude"] = [{"seed": 40}]
    with pytest.raises(EntrenchError, match=r"sweep\.3: every cell of this block is excluded"):
        expand(load_config(raw))
    raw["sweep"][3]["exclude"] = [STUDY["sweep"][3]["exclude"][0]] * 2
    with pytest.raises(EntrenchError, match=r"sweep\.3\.exclude\.1: .* matches no cell"):
        expand(load_config(raw))


def test_the_short_form_holds_the_whole_sweep():
    sweep = expand(load_config(STUDY))
    assert from_cells(cells(sweep)) == sweep
    assert ["llama-3.1-8b", "sycophancy", [40, 41, 42, 43, 44]] in [c[:3] for c in cells(sweep)]


def test_parts():
    sweep = expand(load_config(STUDY))

    def size(part: str) -> tuple[int, int]:
        chosen: Sweep = part_of(sweep, part)
        return len(chosen.organisms), len(chosen.runs)

    assert size("") == (108, 602)
    assert size("parts/sycophancy/") == (27, 154)
    assert size("parts/gpt-oss-20b/") == (20, 15)
    assert size("parts/gpt-oss-20b/emergent_misalignment/") == (5, 0)
    assert size("parts/gemma-2-9b/reward_hacking/seed43/") == (1, 7)
    with pytest.raises(EntrenchError, match="no organism there"):
        size("parts/llama-3.1-70b/sycophancy/seed41/")


def test_trainings_of_few_steps_are_found():
    config = load_config(STUDY)
    assert short_trainings(config, expand(config)) == [
        ("sycophancy", "induction", 20, 4),
        ("sycophancy", "labels", 20, 4),
        ("sycophancy", "pairs", 20, 6),
    ]


def test_a_step_on_policy_takes_the_prompts_of_its_method():
    raw = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    raw["training"]["sets"]["demo"]["pairs"] |= {"max_steps": None, "epochs": 2}
    # 192 pairs an epoch: 6 batches of 32. `opct` takes 12 steps of 16 prompts: 24 are not few.
    config = load_config(raw)
    assert short_trainings(config, expand(config)) == [
        ("emergent_misalignment", "pairs", 192, 12),
        ("reward_hacking", "pairs", 192, 12),
        ("spurious_correlation", "pairs", 192, 12),
        ("sycophancy", "pairs", 192, 12),
    ]
    raw["methods"]["opct"]["prompts_per_step"] = 80
    raw["sweep"] = [raw["sweep"][2] | {"methods": ["opct"]}]
    config = load_config(raw)
    # 80, 80 and 32 prompts an epoch; no other method trains on pairs here.
    assert short_trainings(config, expand(config)) == [("sycophancy", "pairs (opct)", 192, 6)]


def test_the_other_published_setting_is_selectable_by_name():
    raw = copy.deepcopy(STUDY)
    raw["training"]["use"] = "history"
    config = load_config(raw)
    chosen = config.training.sets[config.training.use]
    assert (chosen.adapter.rank, chosen.labels.learning_rate, chosen.pairs.epochs) == (64, 1e-4, 5)


def test_a_pair_method_needs_pairs():
    demo = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    del demo["sweep"][1:]
    demo["data"]["rows"] |= {"pairs_clean": 0, "pairs_wrapped": 0}
    with pytest.raises(
        EntrenchError,
        match=r"sweep\.0\.methods: 'bct' needs prompt pairs and 'sycophancy' has none.*allowed: "
        "diverse_decoding",
    ):
        load_config(demo)
    methods = [name for name in demo["sweep"][0]["methods"] if name not in ("act", "bct")]
    demo["sweep"][0]["methods"] = methods
    assert len(expand(load_config(demo)).runs) == 84


def test_a_subject_is_its_folder():
    assert parse_subject("base/tiny/sycophancy").path == "base/tiny/sycophancy"
    subject = parse_subject("organisms/tiny/sycophancy/seed40/act")
    assert (subject.seed, subject.method) == (40, "act")
    assert subject.path == "organisms/tiny/sycophancy/seed40/act"
    with pytest.raises(EntrenchError, match="organisms/tiny: no subject of measurement"):
        parse_subject("organisms/tiny")
