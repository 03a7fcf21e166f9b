"""What stops a plan, also where every file that it would make exists already."""

import pytest
from workspace import Workspace

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
