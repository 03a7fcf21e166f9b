"""The note of what a sweep planned: what is missing of it is what has to be made again."""

import pytest

from entrench.errors import EntrenchError
from entrench.execution import interrupted


def test_a_note_holds_what_is_missing_until_it_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    note = tmp_path / ".planned.json"
    assert interrupted.missing(note) == []
    interrupted.record(note, ["b", "a"])
    (tmp_path / "a").touch()
    assert interrupted.missing(note) == ["b"]
    interrupted.record(note, ["c"])
    assert interrupted.missing(note) == ["b", "c"]
    interrupted.forget_made(note)
    assert note.read_text() == '[\n"b",\n"c"\n]\n'
    (tmp_path / "b").touch()
    (tmp_path / "c").touch()
    interrupted.forget_made(note)
    assert not note.exists()


@pytest.mark.parametrize("content", [b"[", b"{}", b'["a", 1]', b"\xff", b"[" * 9000, b""])
def test_a_damaged_note_is_named(tmp_path, content):
    note = tmp_path / ".planned.json"
    note.write_bytes(content)
    with pytest.raises(EntrenchError) as caught:
        interrupted.missing(note)
    assert str(caught.value).startswith(f"{note}: not a JSON list of paths, ")
    assert "delete it, and name as targets" in str(caught.value)
