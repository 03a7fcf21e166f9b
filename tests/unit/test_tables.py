"""CSV tables: a table that lost or won rows is refused by name."""

import polars as pl
import pytest

from entrench.analysis.columns import count, text
from entrench.analysis.tables import read_table, table, write_table
from entrench.errors import EntrenchError

COLUMNS = {"method": text("its name"), "n": count("of it", "prompts")}
FRAME = table([{"method": name, "n": 1} for name in ("act", "bct", "random")], COLUMNS)


def test_the_number_of_rows_lies_beside_a_table(tmp_path):
    write_table(FRAME, tmp_path / "runs.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".runs.csv.rows", "runs.csv"]
    assert (tmp_path / ".runs.csv.rows").read_text() == "3\n"
    assert (tmp_path / "runs.csv").read_text() == "method,n\nact,1\nbct,1\nrandom,1\n"
    assert read_table(tmp_path / "runs.csv", COLUMNS).equals(FRAME)


@pytest.mark.parametrize("kept", [[0], [0, 1], [0, 1, 3], [0, 1, 2, 3, 3]])
def test_a_table_that_lost_or_won_rows_is_refused_by_name(tmp_path, kept):
    path = tmp_path / "runs.csv"
    write_table(FRAME, path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[line] for line in kept))
    with pytest.raises(EntrenchError) as caught:
        read_table(path, COLUMNS)
    assert str(caught.value) == (
        f"{path}: {len(kept) - 1} rows, 3 were written: delete {path} and run the same command "
        "again to make it anew"
    )


def test_a_table_without_a_number_is_taken_as_it_is(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("method,n\nact,1\n")
    assert read_table(path, COLUMNS).height == 1


def test_a_table_written_anew_has_the_new_number(tmp_path):
    path = tmp_path / "runs.csv"
    write_table(FRAME, path)
    write_table(FRAME.head(1), path)
    assert read_table(path, COLUMNS).height == 1


def test_a_failing_write_leaves_no_number_of_another_table(tmp_path, monkeypatch):
    path = tmp_path / "runs.csv"
    write_table(FRAME, path)

    def fail(*_arguments):
        raise OSError("disk full")

    monkeypatch.setattr(pl.DataFrame, "write_csv", fail)
    with pytest.raises(OSError, match="disk full"):
        write_table(FRAME.head(1), path)
    assert [file.name for file in tmp_path.iterdir()] == ["runs.csv"]
    assert read_table(path, COLUMNS).height == 3


def test_a_damaged_number_is_refused(tmp_path):
    path = tmp_path / "runs.csv"
    write_table(FRAME, path)
    (tmp_path / ".runs.csv.rows").write_text("3x\n")
    with pytest.raises(EntrenchError, match=r"runs.csv: 3 rows, '3x' were written: delete"):
        read_table(path, COLUMNS)
