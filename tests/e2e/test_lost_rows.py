"""A file that lost rows between its lines: the job that reads it refuses it by name."""

from pathlib import Path

import pytest
from workspace import Workspace

RESULTS = "results/micro"
BASE = f"{RESULTS}/base/tiny/spurious_correlation"
RUN = f"{RESULTS}/organisms/tiny/spurious_correlation/seed0/multi_view"
# The damaged file, its line to lose, a file that is made from it, and that job's log.
LOSSES = [
    (f"{BASE}/scores.jsonl", 10, f"{BASE}/risk.json", "risk_estimate/base"),
    (f"{RUN}/labels.jsonl", 3, f"{RUN}/run.json", "adapter_train"),
    (f"{RESULTS}/runs_detail.csv", 2, f"{RESULTS}/contrasts.csv", "summary_make"),
]


@pytest.fixture
def copy(micro: Workspace, tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "copy").take(micro)


@pytest.mark.parametrize(("file", "line", "made", "log"), LOSSES)
def test_a_lost_row_is_refused_and_the_advice_mends_it(copy, micro, file, line, made, log):
    damaged = copy.folder / file
    lines = damaged.read_text().splitlines(keepends=True)
    written = len(lines) - file.endswith(".csv")
    damaged.write_text("".join(lines[:line] + lines[line + 1 :]))
    done = copy.snakemake("--", made)
    assert done.returncode == 1
    (text,) = [
        path.read_text()
        for path in copy.folder.glob("logs/micro/**/*.log")
        if log in str(path.relative_to(copy.folder))
    ]
    assert text.splitlines()[-1] == (
        f"error: {file}: {written - 1} rows, {written} were written: delete {file} and run the "
        "same command again to make it anew"
    )
    damaged.unlink()
    done = copy.snakemake("--", made)
    assert done.returncode == 0, done.stdout + done.stderr
    ours, theirs = copy.results(), micro.results()
    assert [name for name in ours if ours[name] != theirs[name]] == []
