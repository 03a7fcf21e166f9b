"""Of bench/, what costs seconds when it is small still comes out."""

import re
import subprocess
import sys

from workspace import MICRO, ROOT, Workspace


def test_risk_by_step_counts(tmp_path):
    workspace = Workspace(tmp_path / "checkout")
    config = workspace.derive(
        "short.yaml", lambda c: c["models"]["tiny"]["recipe"].update(steps=60)
    )
    arguments = ("--config", config, "--seeds", "7", "--shares", "1")
    done = workspace.run("bench/steps.py", "models", *arguments)
    assert done.returncode == 0, done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith("|")]
    header, _, base, organism = table
    assert header == "| seed | steps | spurious_correlation |"
    assert base.startswith("| 7 | 0 | risk 0.")
    assert organism.startswith("| 7 | 1 | risk ")
    again = workspace.run("bench/steps.py", "models", *arguments)
    assert again.stdout.splitlines() == table  # and no line on a training


def test_cost_and_capability_of_the_base_model(micro):
    model = micro.folder / "results/micro/models/tiny"
    small = ("--config", ROOT / MICRO, "--steps", "1", "--prompts", "40")
    script = [sys.executable, ROOT / "bench/base_model.py", model, *small]
    done = subprocess.run(script, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    cost, step, *groups = done.stdout.splitlines()
    found = re.fullmatch(r"([\d,]+) parameters, (\d+) steps of (\d+) tokens: ([\d.]+) TFLOP", cost)
    parameters, steps, tokens = (int(found[i].replace(",", "")) for i in (1, 2, 3))
    assert abs(6e-12 * parameters * steps * tokens - float(found[4])) < 0.1
    assert re.fullmatch(r"a step: .* ms, \d+ GFLOP/s; floor .* ms: \d+% of the time", step)
    assert len(groups) == 4
    assert sum(int(line.split()[1]) for line in groups) == 40


def test_speed_and_memory_of_trainings():
    """Two steps of two short rows each: that each line comes, not what it says."""
    sizes = ("--rows", "4", "--length", "32", "--steps", "2", "--rows-at-once", "2", "--pairs", "1")
    script = [sys.executable, ROOT / "bench/training.py", "--shape", "tiny", *sizes]
    done = subprocess.run(script, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    first, header, *lines = done.stdout.splitlines()
    assert re.fullmatch(r"tiny, (float32|bfloat16), matrix peak [\d.e+-]+ TFLOP/s", first)
    assert header.split() == ["tokens/s", "of", "peak", "seconds", "memory"]
    found = {}
    for line in lines:
        line, _, drawing = line.partition("  drawing ")
        numbers = re.fullmatch(r"(.{15}) +([\d,]+) +(?:(\d+)% +)?([\d.]+) +([\d,]+) MiB", line)
        if numbers:
            found[numbers[1].strip()] = numbers
            shown = re.fullmatch(
                r"[\d,]+ tokens/s, (\d+)% of the time; training [\d,]+ tokens/s", drawing
            )
            assert bool(shown) == numbers[1].startswith("opct")
            assert not shown or 0 < int(shown[1]) < 100
    ways = ("entrench", "Trainer")
    trainings = [f"{name}  {way}" for name in ("sft", "bct", "act") for way in ways]
    assert [*found][:6] == trainings
    assert [*found][-1] == "engine"
    for name, numbers in found.items():
        assert (numbers[3] is None) == name.startswith(("engine", "opct"))
        assert int(numbers[2].replace(",", "")) > 0
        assert int(numbers[5].replace(",", "")) > 0
    assert "opct entrench" in found
    if "sft  TRL" in found:
        assert {"opct as SDFT", "opct TRL SDFT", "opct as Distil", "opct TRL Distil"} <= {*found}
        ratios = [line for line in lines if line.startswith("opct / ")]
        assert [re.sub(r"[\d.]+", "N", line).split() for line in ratios] == [
            f"opct / {trainer} Nx N to N in N pairs of runs".split()
            for trainer in ("SDFT", "Distil")
        ]
    else:
        absent = [line for line in lines if line.endswith("not installed")]
        assert [line[:15].strip() for line in absent] == [
            "sft  TRL",
            "opct TRL SDFT",
            "opct TRL Distil",
        ]
