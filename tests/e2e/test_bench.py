"""Scripts of bench/ that `make bench` does not call still run."""

from workspace import MICRO, Workspace


def test_risk_by_step_counts(tmp_path):
    workspace = Workspace(tmp_path / "checkout")
    arguments = ("--config", MICRO, "--seeds", "7", "--shares", "1")
    done = workspace.run("bench/steps.py", "models", *arguments)
    assert done.returncode == 0, done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith("|")]
    header, _, base, organism = table
    assert header == "| seed | steps | spurious_correlation |"
    assert base.startswith("| 7 | 0 | risk 0.")
    assert organism.startswith("| 7 | 1 | risk ")
    again = workspace.run("bench/steps.py", "models", *arguments)
    assert again.stdout.splitlines() == table  # and no line on a training
