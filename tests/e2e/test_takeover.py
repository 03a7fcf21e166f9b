"""One head per folder, also where Snakemake's own lock is gone; reports may be made beside it."""

from workspace import Workspace

from entrench import lease


def test_beside_a_living_head_there_is_no_second_one_and_reports_still_work(tmp_path):
    workspace = Workspace(tmp_path / "sweep")
    lease.claim(workspace.folder / ".snakemake/head.lease")  # this process is the living head
    second = workspace.snakemake("--", "results/micro/organisms.csv")
    output = second.stdout + second.stderr
    assert second.returncode == 1
    assert f"works in {workspace.folder}: wait for it or end it" in output
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
    assert f"works in {workspace.folder}: wait" in judging.stdout + judging.stderr
    report = workspace.snakemake("--", "results/micro/partial/summary.csv")
    assert report.returncode == 0, report.stderr
    assert (workspace.folder / "results/micro/partial/missing.csv").is_file()
