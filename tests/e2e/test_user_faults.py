"""Faults that users cause: each ends in one line that names it, and leaves nothing half-written."""

import shutil

import pytest
from small_disk import make_read_only, small_disk
from workspace import MICRO, Workspace

RESULTS = "results/micro"
ORGANISM = f"{RESULTS}/organisms/tiny/spurious_correlation/seed0"
MODEL = f"{RESULTS}/models/tiny/model.safetensors"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    """A checkout; each test leaves it without results."""
    return Workspace(tmp_path_factory.mktemp("faults") / "checkout")


@pytest.fixture
def copy(micro, tmp_path) -> Workspace:
    """The micro sweep, to be damaged."""
    return Workspace(tmp_path / "copy").take(micro)


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def refused(workspace, *arguments, config=MICRO):
    """What Snakemake said when it refused."""
    done = workspace.snakemake(*arguments, config=config)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "Traceback (most" not in said
    return said


def absurd(config):
    config["statistics"] |= {"bootstrap": 10**9, "level": 1 - 1e-16}
    config["sweep"][0]["seeds"] = [2**40]
    config["models"]["tiny"]["recipe"] = {"heads": 7}
    config["data"]["rows"]["eval"] = 10**12


def test_absurd_sizes_are_refused_with_the_config(workspace):
    said = refused(workspace, "-n", config=workspace.derive("absurd.yaml", absurd))
    for line in (
        "statistics.bootstrap: 1000000000: Input should be less than or equal to 100000",
        "statistics.level: 0.9999999999999999: Input should be less than or equal to 0.999",
        "sweep.0.seeds.0: 1099511627776: Input should be less than or equal to 2147483647",
        'models.tiny.recipe: {"heads": 7}: `hidden` must be a multiple of twice `heads`: 96 and 7',
        "data.rows.eval: 1000000000000: Input should be less than or equal to 1000000",
    ):
        assert f"\n  {line}\n" in said


def test_a_method_with_the_name_of_a_file_is_refused_with_the_config(workspace):
    def rename(config):
        config["methods"]["risk.json"] = config["methods"].pop("bct")
        config["sweep"][0]["methods"] = ["risk.json"]

    said = refused(workspace, "-n", config=workspace.derive("name.yaml", rename))
    assert "\n  methods.risk.json: this name is used by the path grammar; choose another\n" in said


def test_a_file_in_the_place_of_the_results_stops_the_plan(workspace):
    place = workspace.folder / "results"
    place.write_text("mine")
    said = refused(workspace, "-n", "--", MODEL)
    assert f"\nresults: no folder, and `pathvars.results` ({RESULTS}) needs one there: " in said
    assert place.read_text() == "mine"
    place.unlink()


def test_a_full_and_a_read_only_disk_are_named(workspace):
    """The disk holds the record of the plan, and no model."""
    place = workspace.folder / "results"
    quick = workspace.derive("quick.yaml", lambda c: c["models"]["tiny"]["recipe"].update(steps=1))
    with small_disk(place, "100k"):
        refused_by_job = workspace.snakemake("--", MODEL, config=quick)
        assert refused_by_job.returncode == 1
        last = (workspace.folder / "logs/micro/model_make/tiny.log").read_text().splitlines()[-1]
        assert last == (
            "error: No space left on device: the disk is full: free some space and run the same "
            "command again"
        )
        assert [path.name for path in files(place)] == [".planned.json"]
        make_read_only(place)
        said = refused(workspace, "--", MODEL, config=quick)
        assert f"\n{RESULTS}: read-only, and jobs write to `pathvars.results` ({RESULTS}): " in said
    shutil.rmtree(place)


def logs_of(copy, target, damaged):
    """Make `target` over damaged files: the lines of each log of a job that failed."""
    for name, content in damaged.items():
        (copy.folder / name).write_bytes(content)
    done = copy.snakemake("--keep-going", "--", target)
    assert done.returncode == 1
    logs = copy.folder / "logs/micro"
    read = {str(log.relative_to(logs)): log.read_text() for log in files(logs)}
    return {name: text.splitlines() for name, text in read.items() if "\ntook " not in text}


def test_a_damaged_json_is_named_by_the_job_that_reads_it(copy):
    damaged = {
        f"{ORGANISM}/bct/risk.json": b"{}\n",
        f"{ORGANISM}/multi_view/scores.jsonl": b"[" * 100_000 + b"\n",
        f"{ORGANISM}/rejection_sampling/scores.jsonl": b"9" * 5000 + b"\n",
    }
    deep, digits = list(damaged)[1:]
    about = "tiny/spurious_correlation/seed0"
    remake = "run the same command again to make it anew"
    too_long = "Exceeds the limit (4300 digits) for integer string conversion"
    assert logs_of(copy, f"{RESULTS}/runs.csv", damaged) == {
        f"delta_estimate/{about}/bct.log": [
            f"error: {ORGANISM}/bct/risk.json: field headline is missing: delete "
            f"{ORGANISM}/bct/risk.json and {remake}"
        ],
        f"risk_estimate/organisms/{about}/multi_view.log": [
            f"error: {deep}, line 1: not JSON (nested too deeply): delete {deep} and {remake}"
        ],
        f"risk_estimate/organisms/{about}/rejection_sampling.log": [
            f"error: {digits}, line 1: not JSON ({too_long}): delete {digits} and {remake}"
        ],
    }


def test_deltas_by_prompt_that_lost_digits_are_named_by_the_summary(copy):
    path = f"{ORGANISM}/bct/delta_prompts.csv"
    cut = {path: (copy.folder / path).read_bytes()[:-4]}
    remake = f"delete {path} and run the same command again to make it anew"
    assert logs_of(copy, f"{RESULTS}/summary.csv", cut) == {
        "summary_make.log": [f"error: {path}: cut short: {remake}"]
    }
