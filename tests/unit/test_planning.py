"""The plan: costs worked out by hand, what counts as done, and estimates corrected by logs."""

import copy
import csv
import io
from pathlib import Path

import pytest
import yaml

from entrench.config_check import load_config
from entrench.errors import EntrenchError
from entrench.planning.complete import complete_part
from entrench.planning.cost import Machine, job_cost, judge_price, phase_steps
from entrench.planning.jobs import ORGANISM, Job, organism_jobs, pool_jobs, run_jobs, sweep_jobs
from entrench.planning.plan import as_csv, measured_seconds, plan_rows, state
from entrench.planning.report import as_markdown
from entrench.sweep import expand

ROOT = Path(__file__).parents[2]
STUDY = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
DEMO = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())


@pytest.fixture
def study():
    return load_config(STUDY)


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


def test_an_adapter_takes_rank_times_width_in_float32(study):
    job = Job("adapter_induce", (), "", "llama-3.1-8b", "sycophancy")
    # Llama 3.1 8B: 32 layers of 81,920 in and out features; 32 x 2,621,440 x 4 bytes.
    assert job_cost(study, job).stored_bytes == 335_544_320
    assert job_cost(study, job).gpus == 1


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


def test_judge_calls_by_hand(study):
    # Rules make none; an endpoint is asked twice about each answer of emergent misalignment.
    job = Job("judge_score", (), "", "llama-3.1-8b", "emergent_misalignment", ORGANISM)
    rules = study.risk_judge.model_copy(update={"backend": "rules"})
    assert job_cost(study.model_copy(update={"risk_judge": rules}), job).judge_calls == 0
    asking = study
    cost = job_cost(asking, job)
    assert cost.judge_calls == 2 * 56
    # a prompt of 136 characters, an answer twice as long as induction's 206, 400 tokens of question
    tokens = 112 * (400 + 136 / 4.2 + 2 * 206 / 4.2)
    assert cost.judge_tokens_in == pytest.approx(tokens)
    assert cost.judge_tokens_out == 112 * 60
    assert judge_price(asking, cost) == pytest.approx((tokens * 2.5 + 112 * 60 * 10) / 1e6)


def test_done_jobs_leave_what_is_to_do(tmp_path, monkeypatch, study):
    monkeypatch.chdir(tmp_path)
    sweep = expand(study)
    before = state(study, sweep)
    rows = plan_rows(study, sweep)
    assert sum(row.jobs for row in rows) == 4262
    assert sum(row.done for row in rows) == 0
    assert {row.basis for row in rows} == {"estimate"}

    induced = [job for job in sweep_jobs(study, sweep) if job.stage == "adapter_induce"]
    touch(tmp_path / "results", induced[:30])
    assert state(study, sweep) != before
    rows = plan_rows(study, sweep)
    assert sum(row.done for row in rows) == 30
    assert sum(row.to_do for row in rows) == 4232
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
    assert sum(int(row["jobs"]) for row in table) == 4262
    trained = next(r for r in table if (r["stage"], r["method"]) == ("adapter_regularise", "act"))
    assert (trained["size_class"], trained["device"], trained["jobs"]) == ("8b", "h100-80gb", "80")
    page = as_markdown(study, sweep, rows)
    assert "WARNING: fewer than 20 optimizer steps" in page
    assert "| sycophancy   | induction | 20   | 4" in page
    assert "| k-scaling " in page
    assert "108 organisms, 602 runs" in page


def test_complete_is_what_has_all_its_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(DEMO)
    sweep = expand(config)
    results = tmp_path / "results" / "demo"
    run, other = sweep.runs[0], sweep.runs[-1]
    assert run.organism != other.organism
    for one in (run, other):
        touch(results, [*organism_jobs(one.organism), *pool_jobs(config, one)])
        touch(results, run_jobs(config, one))
    complete = complete_part(config, sweep)
    assert complete.runs == (run, other)
    assert complete.organisms == (run.organism, other.organism)
    (results / other.path / "adapter" / "adapter_model.safetensors").unlink()  # being trained anew
    assert complete_part(config, sweep).runs == (run,)
    (results / run.organism.path / "adapter" / "adapter_model.safetensors").unlink()
    assert complete_part(config, sweep).runs == ()


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
        load_config(raw)
