"""Repeats of a run: phase 3 again, on the same labels, with another training seed."""

import copy
import json
from collections import Counter
from pathlib import Path

import pytest
from demo_config import DEMO, changed
from workspace import measured

from entrench.errors import EntrenchError
from entrench.planning.complete import progress
from entrench.planning.jobs import organism_jobs, pool_jobs, run_jobs, sweep_jobs
from entrench.planning.report import as_markdown
from entrench.seeds import derive_seed
from entrench.study.config.check import load_config
from entrench.study.draws import Pools
from entrench.study.inputs import divergence_inputs, run_inputs
from entrench.study.other_settings import foreign_files
from entrench.study.specs.measurement import completion_spec, delta_spec, judge_spec
from entrench.study.specs.organisms import regularisation_spec, training_spec
from entrench.study.specs.report import report_spec
from entrench.study.sweep import (
    Organism,
    Run,
    Sweep,
    cells,
    expand,
    labelled_part,
    packed,
    parse_subject,
    part_of,
    unpacked,
)

ORGANISM = Organism("tiny", "sycophancy", 0)
FIRST, SECOND, THIRD = (Run(ORGANISM, "multi_view", number) for number in (1, 2, 3))
FOLDER = "organisms/tiny/sycophancy/seed0/multi_view"
BLOCK = DEMO["sweep"][0] | {"seeds": [0]}


def block(**changes) -> dict:
    """A block over runs that `BLOCK` has already."""
    about = {"misalignments": ["sycophancy"], "methods": ["act", "multi_view"]}
    return BLOCK | about | changes


def swept(*blocks: dict) -> Sweep:
    return expand(load_config(changed("sweep", copy.deepcopy([*blocks]))))


@pytest.fixture(scope="module")
def config():
    """One seed of the demo, with two runs on sycophancy trained three times."""
    return load_config(changed("sweep", [BLOCK, block(repeats=3)]))


@pytest.fixture(scope="module")
def sweep(config):
    return expand(config)


def test_a_repeat_has_a_folder_in_that_of_its_method():
    assert [run.path for run in (FIRST, SECOND)] == [FOLDER, f"{FOLDER}/repeat2"]
    assert SECOND.labelled == FIRST
    subject = parse_subject(f"{FOLDER}/repeat12")
    assert (subject.method, subject.repeat) == ("multi_view", 12)
    for run in (FIRST, SECOND):
        assert parse_subject(run.path) == run.subject
        assert run.subject.path == run.path


@pytest.mark.parametrize("name", ["repeat1", "repeat0", "repeat02", "repeat", "repeat-2"])
def test_a_number_that_no_repeat_has_is_no_subject(name):
    with pytest.raises(EntrenchError, match="no subject of measurement"):
        parse_subject(f"{FOLDER}/{name}")


@pytest.mark.parametrize("section", ["methods", "models"])
def test_a_name_that_looks_like_a_repeat_is_refused(section):
    raw = copy.deepcopy(DEMO)
    raw[section]["repeat2"] = next(iter(raw[section].values()))
    with pytest.raises(EntrenchError, match=rf"{section}\.repeat2: this name is used by the path"):
        load_config(raw)


def test_a_name_that_only_begins_like_a_repeat_is_free():
    load_config(
        changed("methods.repeat2b", DEMO["methods"]["multi_view"] | {"variant_of": "multi_view"})
    )


def test_a_block_of_its_own_repeats_some_runs_of_another(sweep):
    assert len(sweep.organisms) == 4
    assert Counter(run.repeat for run in sweep.runs) == {1: 36, 2: 2, 3: 2}
    assert [run for run in sweep.runs if run.method == "multi_view"][-3:] == [FIRST, SECOND, THIRD]
    assert sweep.most_repeats == 3
    assert sweep.first == swept(BLOCK)
    assert swept(block(repeats=3), BLOCK) == sweep


def test_of_several_blocks_the_largest_number_counts():
    whole = swept(BLOCK, block(repeats=2), block(repeats=3, methods=["act"]))
    assert Counter((run.method, run.repeat) for run in whole.runs if run.repeat > 1) == {
        ("act", 2): 1,
        ("act", 3): 1,
        ("multi_view", 2): 1,
    }


def test_the_same_number_twice_and_a_smaller_number_later_are_refused():
    with pytest.raises(
        EntrenchError, match=r"sweep\.1: .*/act/repeat3 stands in sweep\.0 already: take it out"
    ):
        swept(block(repeats=3), block(repeats=3, enabled=False))
    with pytest.raises(EntrenchError, match=r"sweep\.1: this block adds nothing to the sweep"):
        swept(block(repeats=3), block(repeats=2))


def test_an_exclusion_leaves_out_the_repeats_too():
    runs = swept(block(repeats=2, exclude=[{"method": "act"}])).runs
    assert runs == (FIRST, SECOND)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"repeats": 0}, "sweep.0.repeats: 0: Input should be greater than or equal to 1"),
        ({"repeats": 101}, "sweep.0.repeats: 101: Input should be less than or equal to 100"),
        ({"repeats": 2, "methods": []}, "`repeats` needs methods: without runs there is nothing"),
        ({"redraw": True}, "`redraw` needs `repeats` of 2 or more: the first training keeps its"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(changes, fault):
    with pytest.raises(EntrenchError) as caught:
        swept(block(**changes))
    assert fault in str(caught.value)


def test_the_short_form_names_a_repeat_by_method_and_number(sweep):
    runs = (FIRST, THIRD, Run(ORGANISM, "act"))
    some = Sweep((ORGANISM,), tuple(sorted(runs)))
    assert json.loads(json.dumps(cells(some))) == [
        ["tiny", "sycophancy", [0], ["act", "multi_view", ["multi_view", 3]]]
    ]
    for one in (some, sweep, part_of(sweep, "parts/sycophancy/")):
        assert unpacked(packed(one)) == one


def test_a_repeat_differs_from_the_first_training_by_its_seed_alone(config):
    first, second = (training_spec(config, run) for run in (FIRST, SECOND))
    identity = "tiny", "sycophancy", 0, "labels", "training"
    assert first["training"].pop("seed") == derive_seed(*identity)
    assert second["training"].pop("seed") == derive_seed(*identity, 2)
    assert first == second
    pairs = regularisation_spec(config, Run(ORGANISM, "act", 2))
    assert pairs["training"]["seed"] == derive_seed("tiny", "sycophancy", 0, "pairs", "training", 2)


def test_repeats_answer_with_the_draws_of_the_first_training_and_are_resampled_anew(config):
    for spec in (completion_spec, judge_spec):
        assert spec(config, FIRST.subject) == spec(config, SECOND.subject)
    assert delta_spec(config, SECOND)["seed"] == derive_seed(f"{FOLDER}/repeat2", "delta")


def test_a_repeat_shares_labels_and_verdicts():
    files = run_inputs("r", SECOND, "multi_view")
    assert files == {
        "delta": f"r/{FOLDER}/repeat2/delta_risk.csv",
        "prompts": f"r/{FOLDER}/repeat2/delta_prompts.csv",
        "risk": f"r/{FOLDER}/repeat2/risk.json",
        "organism_risk": "r/organisms/tiny/sycophancy/seed0/risk.json",
        "run": f"r/{FOLDER}/repeat2/run.json",
        "labels": f"r/{FOLDER}/labels.jsonl",
        "verdicts": f"r/{FOLDER}/verdicts.jsonl",
    }


def test_mechanism_and_realised_kl_know_the_first_training_alone(config, sweep):
    once = sweep.first
    assert labelled_part(config, sweep) == labelled_part(config, once)
    assert divergence_inputs("r", sweep) == divergence_inputs("r", once)


def test_a_config_without_repeats_is_shown_as_before():
    once, repeated, on_pairs = report_spec(load_config(DEMO))["config"]["sweep"]
    assert "repeats" not in once | on_pairs
    assert repeated["repeats"] == 3


def test_the_plan_counts_the_trainings_and_makes_labels_once(config, sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = Counter(job.stage for job in sweep_jobs(config, sweep))
    counts.subtract(job.stage for job in sweep_jobs(config, sweep.first))
    assert +counts == {
        "adapter_train": 2,
        "adapter_regularise": 2,
        **measured(4),
    }
    jobs = list(sweep_jobs(config, sweep))
    assert len({job.outputs for job in jobs}) == len(jobs)
    logs = {job.log for job in jobs if job.method == "multi_view" and job.stage == "adapter_train"}
    assert "adapter_train/tiny/sycophancy/seed0/multi_view/repeat3.log" in logs
    page = as_markdown(config, sweep, [])
    assert "4 organisms, 36 runs and 4 repeats of them, results in" in page
    lines = [[cell.strip() for cell in line.split("|")] for line in page.splitlines()]
    assert ["", "sweep.1", "on", "1", "2", "3", ""] in lines


def test_a_repeat_is_complete_with_the_labels_that_it_shares(config, sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pools = Pools(config, sweep)
    jobs = [*organism_jobs(ORGANISM), *pool_jobs(config, SECOND, pools), *run_jobs(config, SECOND)]
    files = [Path("results/demo", name) for job in jobs for name in job.outputs]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert progress(config, sweep).complete.runs == (SECOND,)
    Path("results/demo", FOLDER, "labels.jsonl").unlink()
    assert progress(config, sweep).complete.runs == ()


def test_an_adapter_of_another_repeat_is_foreign(config, sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for run in (SECOND, THIRD):
        folder = Path("results/demo", run.path)
        folder.mkdir(parents=True)
        record = {"spec": training_spec(config, SECOND)}
        (folder / "run.json").write_text(json.dumps(record))
    assert foreign_files(config, sweep) == [
        f"results/demo/{FOLDER}/repeat3/adapter/adapter_model.safetensors"
    ]
