"""One head per folder, also where Snakemake's own lock is gone; reports may be made beside it."""

import json
from dataclasses import asdict, replace

from other_machine import renewed
from workspace import MICRO, Workspace, sweep_arguments

from entrench.execution import lease


def test_beside_a_living_head_there_is_no_second_one_and_reports_still_work(tmp_path):
    workspace = Workspace(tmp_path / "sweep")
    lease.claim(workspace.folder / ".snakemake/head.lease")  # this process is the living head
    second = workspace.snakemake("--", "results/micro/organisms.csv")
    output = second.stdout + second.stderr
    assert second.returncode == 1
    assert f"works in {workspace.folder} since 20" in output
    assert "wait for it or end it" in output
    assert "most recent call" not in output
    assert not (workspace.folder / "results/micro/models").exists()
    # What loads no model is work too: it writes what the living head may be about to write.
    subject = workspace.folder / "results/micro/base/tiny/spurious_correlation"
    eval_prompts = workspace.folder / "results/micro/data/spurious_correlation/eval.jsonl"
    for path in (subject / "completions.jsonl", eval_prompts):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    scores = "results/micro/base/tiny/spurious_correlation/scores.jsonl"
    judging = workspace.snakemake("--allowed-rules", "judge_score", "--", scores)
    assert judging.returncode == 1
    assert f"works in {workspace.folder} since 20" in judging.stdout + judging.stderr
    # The sweep is about to make this table again: a report that ends meanwhile leaves it noted.
    note = workspace.folder / "results/micro/.planned.json"
    note.write_text('["results/micro/partial/summary.csv"]')
    report = workspace.snakemake("--", "results/micro/partial/summary.csv")
    assert report.returncode == 0, report.stderr
    assert (workspace.folder / "results/micro/partial/missing.csv").is_file()
    assert "results/micro/partial/summary.csv" in json.loads(note.read_text())


def test_a_head_on_another_machine_keeps_its_lock(tmp_path):
    """As `make demo` on a second login node that sees the same folder."""
    workspace = Workspace(tmp_path / "sweep")
    path = workspace.folder / ".snakemake/head.lease"
    lock = workspace.folder / ".snakemake/locks/0.input.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("results/micro/summary.csv\n")
    elsewhere = replace(
        lease.current_owner(), host="login2 x y", pid=4, since="2026-01-02 03:04:05 UTC"
    )
    path.write_text(json.dumps(asdict(elsewhere)))
    with renewed(path):
        second = workspace.run(*sweep_arguments(MICRO))
    assert second.returncode == 1
    said = f"process 4 on login2 works in {workspace.folder} since 2026-01-02 03:04:05 UTC: wait"
    assert said in second.stderr
    assert "Traceback" not in second.stderr
    assert lock.exists()
    assert "unlocking" not in second.stdout
