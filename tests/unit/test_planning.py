"""The plan: costs worked out by hand, what counts as done, and estimates corrected by logs."""

import copy
import csv
import io
from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import yaml

from entrench.errors import EntrenchError
from entrench.planning.complete import Progress, progress
from entrench.planning.constants import require_constants
from entrench.planning.cost import job_cost
from entrench.planning.jobs import ORGANISM, Job, organism_jobs, pool_jobs, run_jobs, sweep_jobs
from entrench.planning.lengths import phase_steps
from entrench.planning.machine import Machine
from entrench.planning.plan import as_csv, measured_seconds, plan_rows, state
from entrench.planning.report import as_markdown
from entrench.study.config.check import load_config
from entrench.study.draws import Pools, pool_parts
from entrench.study.specs.tables import partial_spec
from entrench.study.stages import FLIP_STAGES
from entrench.study.sweep import Sweep, expand
from entrench.study.unpinned import unpinned

ROOT = Path(__file__).parents[2]
STUDY = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
DEMO = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())


def touch(folder: Path, jobs) -> None:
    for job in jobs:
        for name in job.outputs:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def test_optimizer_steps_are_epochs_times_batches(study):
    assert phase_steps(study, "sycophancy", "induction") == (20, 4)  # 2 epochs of 16 + 4 rows
    assert phase_steps(study, "sycophancy", "pairs") == (20, 6)
    assert phase_steps(study, "emergent_misalignment", "labels") == (3000, 376)  # 2 x 188
    assert phase_steps(study, "sycophancy", "pairs", "mlpct_published") == (20, 3)  # 1 of 8s
    # 3 epochs of 8 + 8 + 4 prompts
    assert phase_steps(study, "sycophancy", "pairs", "opct_published") == (20, 9)


def test_an_adapter_takes_rank_times_width_in_float32(study):
    job = Job("adapter_induce", (), "", "llama-3.1-8b", "sycophancy")
    # Llama 3.1 8B: 32 layers of 81,920 in and out features; 32 x 2,621,440 x 4 bytes.
    assert job_cost(study, job).stored_bytes == 335_544_320
    assert job_cost(study, job).gpus == 1


def test_an_on_policy_training_keeps_its_answers_too():
    demo = load_config(DEMO)
    of_bct, of_opct = (
        job_cost(demo, Job(stage, (), "", "tiny", "sycophancy", method))
        for stage, method in (("adapter_regularise", "bct"), ("adapter_on_policy", "opct"))
    )
    # 24 steps of 16 answers of 1.5 x 6 tokens; a token has 5 characters.
    assert of_opct.stored_bytes - of_bct.stored_bytes == 384 * (150 + 9 * (28 + 5))


def test_seconds_by_hand(study):
    machine = Machine(study, study.planning.models["llama-3.1-8b"], "bfloat16", "8b")
    assert machine.start() == pytest.approx(60 + 16.06 / 2)
    # 1,000 tokens x 4 FLOPs x 8.03e9 over a quarter of 989 TFLOP/s
    assert machine.training(1000) == pytest.approx(1000 * 4 * 8.03e9 / (989e12 * 0.25))
    # 64 sequences at once: each token of all reads 16.06 GB at half of 3.35 TB/s, and 5 ms
    assert machine.writing(6400) == pytest.approx(100 * (16.06e9 / (3.35e12 * 0.5) + 0.005))


def test_four_gpus_share_the_work(study):
    sizes = study.planning.models["llama-3.1-70b"]
    one = Machine(study, sizes, "bfloat16", "8b").training(1000)
    assert Machine(study, sizes, "bfloat16", "70b").training(1000) == pytest.approx(one / 4)


def test_a_mixture_of_experts_computes_with_what_is_active(study):
    sizes = study.planning.models["gpt-oss-20b"]
    machine = Machine(study, sizes, "bfloat16", "20b")
    assert machine.training(1000) == pytest.approx(1000 * 4 * 3.6e9 / (989e12 * 0.25))
    assert machine.weight_bytes == pytest.approx(41.8e9)


def test_adapters_that_reach_experts_take_their_width_too(study):
    job = Job("adapter_induce", (), "", "gpt-oss-20b", "sycophancy")
    # 24 layers: query and output 2880 and 64 x 64, key and value 2880 and 8 x 64; rank 32, 4 bytes
    attention = 24 * (2 * (2880 + 4096) + 2 * (2880 + 512))
    assert job_cost(study, job).stored_bytes == 32 * 4 * attention
    settings = study.training.sets["released"]
    adapter = settings.adapter.model_copy(update={"target_modules": "all-linear-and-experts"})
    sets = {"released": settings.model_copy(update={"adapter": adapter})}
    training = study.training.model_copy(update={"sets": sets})
    reaching = study.model_copy(update={"training": training})
    # 32 experts a layer: 2880 -> 5760 and 2880 -> 2880
    experts = 24 * 32 * (2880 + 5760 + 2880 + 2880)
    assert job_cost(reaching, job).stored_bytes == 32 * 4 * (attention + experts)


def test_seconds_of_a_realised_kl_by_hand(study):
    job = Job("divergence_measure", (), "", "llama-3.1-8b", "emergent_misalignment", "act")
    machine = Machine(study, study.planning.models["llama-3.1-8b"], "bfloat16", "8b")
    prompt, answer = 136 / 4.2, 2 * 206 / 4.2  # tokens; both models write 4 answers to 56 prompts
    sampling = machine.reading(56 * prompt) + machine.writing(224 * answer)
    reading = machine.reading(224 * (prompt + answer))  # of each model's answers, by both
    cost = job_cost(study, job)
    assert cost.seconds == pytest.approx(machine.start() + 2 * sampling + 4 * reading, rel=0.01)
    assert cost.gpus == 1


def test_a_reward_of_a_probe_is_a_job_of_the_reward_model(study):
    fewer = study.mechanism.model_copy(update={"prompts": 10})
    costs = [
        job_cost(config, Job("probe_reward", (), "", "llama-3.1-70b", "sycophancy", ORGANISM))
        for config in (study, study.model_copy(update={"mechanism": fewer}))
    ]
    assert [cost.gpus for cost in costs] == [1, 1]
    # 23 rewards of 80 bytes a prompt
    assert [cost.stored_bytes for cost in costs] == [421 * 23 * 80, 10 * 23 * 80]


@pytest.mark.parametrize(
    ("raw", "enabled", "divergence", "probes", "decompositions", "kls"),
    [
        (STUDY, False, True, 0, 0, 0),
        (STUDY, True, False, 89, 442, 0),
        (STUDY, True, True, 89, 442, 602),
        (DEMO, True, True, 12, 84, 120),
    ],
)
def test_the_mechanism_is_counted_where_it_is_enabled(
    raw, enabled, divergence, probes, decompositions, kls
):
    mechanism = raw["mechanism"] | {"enabled": enabled, "divergence": divergence}
    config = load_config(raw | {"mechanism": mechanism})
    counts = Counter(job.stage for job in sweep_jobs(config, expand(config)))
    stages = ("sample", "reward", "judge", "compare", "analyse")
    assert [counts[f"probe_{stage}"] for stage in stages] == [probes] * 5
    assert counts["probe_choose"] == (4 if enabled else 0)
    assert counts["decomposition_estimate"] == decompositions
    assert counts["divergence_measure"] == kls
    flips = 12 if raw is DEMO else 0  # the released pairs cannot be judged
    assert [counts[name] for name in FLIP_STAGES] == [flips] * 3
    assert counts["pairs_choose"] == (4 if flips else 0)
    assert counts["mechanism_collect"] == (1 if enabled else 0)
    assert counts["divergence_collect"] == (1 if kls else 0)


def test_a_probe_needs_the_reward_model_that_no_method_reads():
    raw = copy.deepcopy(DEMO)
    raw["sweep"][0]["methods"] = ["greedy_self_training"]
    found = {}
    for enabled in (True, False):
        config = load_config(raw | {"mechanism": raw["mechanism"] | {"enabled": enabled}})
        found[enabled] = Counter(job.stage for job in sweep_jobs(config, expand(config)))
    assert (found[True]["reward_make"], found[True]["reward_score"]) == (1, 0)
    assert found[False]["reward_make"] == 0


def test_a_pool_costs_what_its_parts_cost():
    config = load_config(DEMO)
    job = next(job for job in sweep_jobs(config, expand(config)) if job.stage == "pool_sample")
    assert job.parts == pool_parts(config)
    for stage in ("pool_extend", "reward_extend"):
        start = job_cost(config, replace(job, stage=stage, parts=("none",))).seconds
        each = [
            job_cost(config, replace(job, stage=stage, parts=(part,))).seconds - start
            for part in job.parts
        ]
        whole = job_cost(config, replace(job, stage=stage)).seconds
        assert start + sum(each) == pytest.approx(whole)
        costs_nothing = {part for part, cost in zip(job.parts, each, strict=True) if cost == 0}
        unscored = {"chain_of_thought", "json", "self_score@samples", "responses@pairs_clean"}
        assert costs_nothing == (set() if stage == "pool_extend" else unscored)


def test_done_jobs_leave_what_is_to_do(tmp_path, monkeypatch, study):
    monkeypatch.chdir(tmp_path)
    sweep = expand(study)
    before = state(study, sweep)
    rows = plan_rows(study, sweep)
    assert sum(row.jobs for row in rows) == 4270
    assert sum(row.done for row in rows) == 0
    assert {row.basis for row in rows} == {"estimate"}

    induced = [job for job in sweep_jobs(study, sweep) if job.stage == "adapter_induce"]
    touch(tmp_path / "results", induced[:30])
    assert state(study, sweep) != before
    rows = plan_rows(study, sweep)
    assert sum(row.done for row in rows) == 30
    assert sum(row.to_do for row in rows) == 4240
    small = next(row for row in rows if (row.stage, row.size_class) == ("adapter_induce", "8b"))
    assert 0 < small.gpu_hours_left < small.gpu_hours


def test_finished_jobs_correct_the_estimate_of_their_stage(tmp_path, monkeypatch, study):
    monkeypatch.chdir(tmp_path)
    sweep = expand(study)
    job = next(j for j in sweep_jobs(study, sweep) if j.stage == "pool_sample")
    touch(tmp_path / "results", [job])
    log = tmp_path / "logs" / job.log
    log.parent.mkdir(parents=True)
    cost = job_cost(study, job)
    log.write_text(f"sampled\ntook {3 * cost.seconds:.1f} s\n")

    def row(stage, rows):
        return next(r for r in rows if (r.stage, r.size_class) == (stage, "8b"))

    measured = row("pool_sample", plan_rows(study, sweep))
    log.unlink()
    estimated = row("pool_sample", plan_rows(study, sweep))
    assert (measured.basis, estimated.basis) == ("measured", "estimate")
    assert measured.gpu_hours == pytest.approx(3 * estimated.gpu_hours, rel=1e-3)


def test_only_a_log_that_ends_well_is_a_measurement(tmp_path):
    log = tmp_path / "job.log"
    assert measured_seconds(log) is None
    log.write_text("error: the disk is full\n")
    assert measured_seconds(log) is None
    log.write_text("x" * 5000 + "\ntook 12.5 s\n")
    assert measured_seconds(log) == 12.5


def test_the_table_is_readable_and_the_page_names_warnings_and_blocks(tmp_path, monkeypatch, study):
    monkeypatch.chdir(tmp_path)
    sweep = expand(study)
    rows = plan_rows(study, sweep)
    table = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert sum(int(row["jobs"]) for row in table) == 4270
    trained = next(r for r in table if (r["stage"], r["method"]) == ("adapter_regularise", "act"))
    assert (trained["size_class"], trained["device"], trained["jobs"]) == ("8b", "h100-80gb", "80")
    page = as_markdown(study, sweep, rows)
    assert "WARNING: these trainings have fewer than 20 optimizer steps" in page
    assert "| sycophancy   | induction | 20   | 4" in page
    assert "| k-scaling " in page
    assert "108 organisms, 602 runs" in page


def test_a_resumed_sweep_shows_the_calls_and_storage_left(tmp_path, monkeypatch, study):
    monkeypatch.chdir(tmp_path)
    sweep = expand(study)
    names = ("judge_calls", "judge_tokens_in", "judge_tokens_out", "storage_gb")

    def totals():
        rows = plan_rows(study, sweep)
        assert "left" in as_markdown(study, sweep, rows)
        return [
            (sum(getattr(r, name) for r in rows), sum(getattr(r, f"{name}_left") for r in rows))
            for name in names
        ]

    for whole, left in totals():
        assert whole == pytest.approx(left)
    judged = next(
        job
        for job in sweep_jobs(study, sweep)
        if (job.stage, job.misalignment) == ("judge_score", "sycophancy")
    )
    touch(tmp_path / "results", [judged])
    (calls, left), *others = totals()
    assert calls - left == 141  # greedy answers to 141 wrong claims
    assert all(part < whole for whole, part in others)
    table = list(csv.DictReader(io.StringIO(as_csv(plan_rows(study, sweep)))))
    assert sum(int(row["judge_calls_left"]) for row in table) == left
    page = as_markdown(study, sweep, plan_rows(study, sweep))
    line = next(line for line in page.splitlines() if line.startswith("| judge calls "))
    assert [cell.strip() for cell in line.split("|")[2:4]] == [f"{calls:,}", f"{left:,}"]


def test_complete_is_what_has_all_its_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(DEMO)
    sweep = expand(config)
    results = tmp_path / "results" / "demo"
    run, other = sweep.runs[0], sweep.runs[-1]
    assert run.organism != other.organism
    pools = Pools(config, sweep)
    for one in (run, other):
        touch(results, [*organism_jobs(one.organism), *pool_jobs(config, one, pools)])
        touch(results, run_jobs(config, one))
    found = progress(config, sweep)
    assert found == Progress(Sweep((run.organism, other.organism), (run, other)), ())
    (results / other.path / "adapter" / "adapter_model.safetensors").unlink()  # being trained anew
    found = progress(config, sweep)
    assert (found.complete.runs, found.outdated) == ((run,), ())
    (results / run.path / "run.json").write_text('{"spec": {"training": "of another config"}}')
    found = progress(config, sweep)
    assert (found.complete.runs, found.outdated) == ((), (run,))
    (results / run.path / "run.json").write_text("")
    assert progress(config, sweep).complete.runs == (run,)
    (results / run.organism.path / "adapter" / "adapter_model.safetensors").unlink()
    assert progress(config, sweep) == Progress(Sweep((other.organism,), ()), ())


@pytest.mark.parametrize("file", ["scores.jsonl", "eval.jsonl", "config.json"])
def test_what_an_outdated_file_lies_behind_is_not_complete(tmp_path, monkeypatch, file):
    monkeypatch.chdir(tmp_path)
    config = load_config(DEMO)
    sweep = expand(config)
    run, other = sweep.runs[0], sweep.runs[-1]
    for one in (run, other):
        jobs = organism_jobs(one.organism), pool_jobs(config, one, Pools(config, sweep))
        touch(Path("results/demo"), [*chain(*jobs), *run_jobs(config, one)])
    of_run = {
        "scores.jsonl": f"{run.path}/scores.jsonl",
        "eval.jsonl": f"data/{run.organism.misalignment}/eval.jsonl",
        "config.json": "models/tiny/config.json",
    }
    found = progress(config, sweep, {f"results/demo/{of_run[file]}"})
    everything = file == "config.json"  # both stem from one base model
    assert found.outdated == ((run, other) if everything else (run,))
    assert found.complete.runs == (() if everything else (other,))
    assert (run.organism in found.complete.organisms) == (file == "scores.jsonl")


@pytest.mark.parametrize("name", ["delta_risk.csv", "risk.json", "labels.jsonl"])
def test_tables_of_what_is_complete_follow_the_content_of_its_files(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    config = load_config(DEMO)
    sweep = expand(config)
    results = tmp_path / "results" / "demo"
    run = next(run for run in sweep.runs if run.method == "multi_view")
    drawn = pool_jobs(config, run, Pools(config, sweep))
    touch(results, [*organism_jobs(run.organism), *drawn, *run_jobs(config, run)])
    complete = progress(config, sweep).complete
    assert complete.runs == (run,)
    before = partial_spec(config, sweep, complete)
    assert partial_spec(config, sweep, complete) == before
    (results / run.path / name).write_text("measured anew\n")
    assert progress(config, sweep).complete == complete
    assert partial_spec(config, sweep, complete) != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": {}}, "planning.models.tiny: this key is missing"),
        (
            {"device_of": {"tiny": "gpu"}},
            "planning.device_of.tiny: 'gpu' is unknown, allowed: core",
        ),
        ({"device_of": {}}, "planning.device_of.tiny: this key is missing"),
    ],
)
def test_constants_that_are_missing_are_named(change, message):
    raw = copy.deepcopy(DEMO)
    raw["planning"] |= change
    with pytest.raises(EntrenchError, match=message):
        require_constants(load_config(raw))


@pytest.mark.parametrize(
    ("key", "revision", "warned"),
    [
        ("reward", None, "reward.revision: none of Skywork/Skywork-Reward-V2-Llama-3.1-8B"),
        ("gemma-2-9b", "main", "models.gemma-2-9b.revision: main of google/gemma-2-9b"),
        ("gemma-2-9b", "a" * 40, None),
    ],
)
def test_weights_that_may_change_are_warned_of(key, revision, warned):
    raw = copy.deepcopy(STUDY)
    (raw["reward"] if key == "reward" else raw["models"][key])["revision"] = revision
    config = load_config(raw)
    sweep = expand(config)
    lines = unpinned(config, sweep)
    assert [line.split(":")[0] for line in lines] == ([warned.split(":")[0]] if warned else [])
    page = as_markdown(config, sweep, plan_rows(config, sweep))
    assert ("WARNING: " + warned in page) if warned else ("not pinned" not in page)


def test_a_local_folder_needs_no_pin(tmp_path):
    raw = copy.deepcopy(STUDY)
    raw["models"]["gemma-2-9b"] |= {"hub": str(tmp_path), "revision": None}
    config = load_config(raw)
    assert unpinned(config, expand(config)) == []


def test_a_reward_model_that_no_method_reads_needs_no_pin():
    raw = copy.deepcopy(STUDY)
    raw["reward"]["revision"] = None
    raw["sweep"] = raw["sweep"][:1]  # organisms alone
    config = load_config(raw)
    assert unpinned(config, expand(config)) == []
