"""What stops a plan, also where every file that it would make exists already."""

import pytest
from workspace import MICRO, Workspace

from entrench.records import write_text

LABELS = "results/micro/organisms/tiny/spurious_correlation/seed0/rejection_sampling/labels.jsonl"
NOTE = "results/micro/.planned.json"
COMMON = "workflow/rules/common.smk"


def damage_the_note(workspace: Workspace) -> str:
    write_text(workspace.folder / NOTE, '["results/micro/summary.csv"')
    return f"Error: {NOTE}: not a JSON list of paths, so what an interrupted sweep left to make"


def break_an_input_function(workspace: Workspace) -> str:
    common = workspace.folder / COMMON
    whole = common.read_text()
    line = "    reads = reads_rewards(CONFIG, wildcards.method)\n"
    assert line in whole
    common.write_text(whole.replace(line, '    {}["reads"]\n' + line))
    return "Error: rule labels_select: a function of its inputs or params fails: KeyError: 'reads'"


@pytest.mark.parametrize("damage", [damage_the_note, break_an_input_function])
def test_an_error_in_an_input_function_stops_the_plan_in_one_line(smaller, damage):
    message = damage(smaller)
    done = smaller.snakemake("-n", "--", LABELS)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert said.splitlines()[-1].startswith(message)
    assert "Nothing to be done" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("whole", "changed", "message"),
    [
        # The last of two keys counted: no run was planned.
        ("sweep:\n", "sweep: []\nsweep:\n", "line 100: the key 'sweep' stands in line 99 already"),
        ("rank: 4", "rank: 010", "line 38: 010 means 8 in YAML: write a decimal number"),
    ],
)
def test_a_config_that_is_not_what_it_looks_like_stops_the_plan(checkout, whole, changed, message):
    text = (checkout.folder / MICRO).read_text()
    assert text.count(whole) == 1
    (checkout.folder / "lies.yaml").write_text(text.replace(whole, changed))
    done = checkout.snakemake("-n", config="lies.yaml")
    assert done.returncode == 1
    assert f"lies.yaml: {message}" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", [b"a: \xff\n", b"a: &x [*x]\n", b"a: " + b"[" * 9000])
def test_the_default_config_is_looked_at_before_snakemake_reads_it(tmp_path, content):
    workspace = Workspace(tmp_path / "checkout")
    (workspace.folder / "config/config.yaml").write_bytes(content)
    done = workspace.run("-m", "snakemake", "-n")
    assert done.returncode == 1
    assert "\nconfig/config.yaml: line 1: " in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
