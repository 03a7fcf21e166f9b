"""Records: strict reads that name file and line, atomic writes, seeds."""

import json

import pytest

from entrench import records
from entrench.errors import EntrenchError
from entrench.seeds import derive_seed

GOOD = {"id": "a", "set": "greedy", "index": 0, "reward": 0.5}


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "deep" / "rewards.jsonl"
    rows = [GOOD, GOOD | {"id": "Ünï\u2028", "reward": -1}]
    records.write_jsonl(path, "rewards", rows)
    assert records.read_jsonl(path, "rewards") == rows
    assert [p.name for p in path.parent.iterdir()] == ["rewards.jsonl"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "a"}, "field 'set' is missing"),
        (GOOD | {"index": "0"}, "field 'index' is '0', allowed: int"),
        (GOOD | {"index": True}, "field 'index' is True, allowed: int"),
        (GOOD | {"index": None}, "field 'index' is None, allowed: int"),
        (GOOD | {"more": 1}, "unknown field 'more'"),
    ],
)
def test_a_wrong_record_is_named_by_file_and_line(tmp_path, row, message):
    path = tmp_path / "rewards.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(EntrenchError) as caught:
        records.read_jsonl(path, "rewards")
    assert f"{path}, line 2: {message}: delete {path} and run" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ("9" * 5000, "Exceeds the limit (4300 digits) for integer string conversion"),
        ("{", "Expecting property name enclosed in double quotes"),
    ],
)
def test_a_text_that_json_cannot_read_is_named(tmp_path, text, reason):
    path = tmp_path / "x.json"
    path.write_text(text + "\n")
    remake = f"delete {path} and run the same command again to make it anew"
    for read, where in (
        (records.read_json, path),
        (lambda p: records.read_jsonl(p, "scores"), f"{path}, line 1"),
    ):
        with pytest.raises(EntrenchError) as caught:
            read(path)
        assert str(caught.value) == f"{where}: not JSON ({reason}): {remake}"


def test_a_wrong_record_is_never_written(tmp_path):
    path = tmp_path / "rewards.jsonl"
    with pytest.raises(EntrenchError, match="row 2 to write: field 'set' is missing"):
        records.write_jsonl(path, "rewards", [GOOD, {"id": "b"}])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_file_cut_within_a_line_is_refused(tmp_path, cut):
    path = tmp_path / "rewards.jsonl"
    records.write_jsonl(path, "rewards", [GOOD, GOOD])
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(EntrenchError, match=r"line [12]: cut short"):
        records.read_jsonl(path, "rewards")


def test_each_line_tells_how_many_lines_were_written(tmp_path):
    path = tmp_path / "rewards.jsonl"
    records.write_jsonl(path, "rewards", [GOOD, GOOD | {"id": "b"}])
    assert path.read_text().splitlines() == [
        '{"id": "a", "set": "greedy", "index": 0, "reward": 0.5, "rows": 2}',
        '{"id": "b", "set": "greedy", "index": 0, "reward": 0.5, "rows": 2}',
    ]


@pytest.mark.parametrize("kept", [[0], [2], [0, 2], [0, 1, 2, 2]])
def test_a_file_that_lost_or_won_whole_lines_is_refused(tmp_path, kept):
    path = tmp_path / "rewards.jsonl"
    records.write_jsonl(path, "rewards", [GOOD | {"id": id_} for id_ in "abc"])
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[line] for line in kept))
    with pytest.raises(EntrenchError) as caught:
        records.read_jsonl(path, "rewards")
    assert str(caught.value) == (
        f"{path}: {len(kept)} rows, 3 were written: delete {path} and run the same command again "
        "to make it anew"
    )


def test_lines_of_two_files_are_no_file(tmp_path):
    path = tmp_path / "rewards.jsonl"
    records.write_jsonl(path, "rewards", [GOOD, GOOD])
    path.write_text(path.read_text() + json.dumps(GOOD) + "\n")
    with pytest.raises(EntrenchError, match="line 3: it tells of None rows in the file, the first"):
        records.read_jsonl(path, "rewards")


def test_a_file_of_an_earlier_version_tells_no_number_and_is_read(tmp_path):
    path = tmp_path / "rewards.jsonl"
    path.write_text(json.dumps(GOOD) + "\n")
    assert records.read_jsonl(path, "rewards") == [GOOD]


def test_only_some_files_may_be_empty(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("")
    assert records.read_jsonl(path, "verdicts") == []
    for kind in ("candidates", "completions", "scores", "labels", "rewards"):
        with pytest.raises(EntrenchError, match=r"x.jsonl: it holds no row: delete"):
            records.read_jsonl(path, kind)


def test_a_failing_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.json"
    records.write_json(path, {"a": 1})

    def rows():
        yield GOOD
        raise RuntimeError

    with pytest.raises(RuntimeError):
        records.write_jsonl(path, "rewards", rows())
    assert records.read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_write_clears_away_what_killed_writers_of_this_file_left(tmp_path):
    (tmp_path / ".a.json.4242.tmp").write_text("cut")
    (tmp_path / ".b.json.4242.tmp").write_text("of another file")
    records.write_json(tmp_path / "a.json", {"x": 1})
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.json.4242.tmp", "a.json"]


def test_files_that_are_no_text_or_absent_are_named(tmp_path):
    path = tmp_path / "x.jsonl"
    with pytest.raises(EntrenchError, match=r"x.jsonl: no such file"):
        records.read_jsonl(path, "rewards")
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(EntrenchError, match=r"x.jsonl, byte 0: not UTF-8"):
        records.read_jsonl(path, "rewards")


def test_keys_must_cover_what_is_expected_exactly_once():
    records.require_same_keys([1, 2], [2, 1], "f")
    with pytest.raises(EntrenchError, match="f: 1 of 3 records are missing, 3 for one"):
        records.require_same_keys([1, 2], [1, 2, 3], "f")
    with pytest.raises(EntrenchError, match="f: 1 records belong to no prompt"):
        records.require_same_keys([1, 2], [1], "f")
    with pytest.raises(EntrenchError, match="f: 1 stands there twice"):
        records.require_same_keys([1, 1], [1], "f")


def test_seeds_are_fixed_by_identity_and_differ_between_identities():
    # `printf '["tiny", 40]' | sha256sum` begins with 43e2a0d19d240a89
    assert derive_seed("tiny", 40) == 0x43E2A0D19D240A89 // 2
    assert derive_seed("tiny", 40) != derive_seed("tiny", "40")
    assert derive_seed("a", "bc") != derive_seed("ab", "c")
    assert 0 <= derive_seed() < 2**63
