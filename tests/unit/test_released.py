"""Released data: verified, parsed strictly, every column that a prompt or a score needs kept."""

import hashlib
import json

import pytest
import yaml

from entrench.data import released
from entrench.errors import EntrenchError

SLOTS = ("induction", "consistency", "pairs_clean", "pairs_wrapped", "eval")
ROWS = [
    {"messages": [{"content": "2+2?"}, {"content": "4"}], "label": 4},  # roles may be missing
    {"messages": [{"role": "user", "content": "Hi"}], "system_prompt": "Be kind.", "type": "x"},
]


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder laid out like the release with its manifest; the function to fill one slot."""
    files = {}

    def fill(slot, lines):
        content = "\n".join(lines).encode() + b"\n"
        (tmp_path / f"{slot}.jsonl").write_bytes(content)
        files[slot] = {
            "path": f"{slot}.jsonl",
            "sha256": hashlib.sha256(content).hexdigest(),
            "rows": len(lines),
        }
        manifest = tmp_path / "manifest.yaml"
        manifest.write_text(yaml.safe_dump({"files": {"sycophancy": files}}))
        released._load.cache_clear()
        monkeypatch.setattr(released, "MANIFEST", manifest)

    for slot in SLOTS:
        fill(slot, [json.dumps(row) for row in ROWS])
    return tmp_path, fill


def test_rows_become_records(mirror):
    folder, _ = mirror
    slots = released.read_slots("sycophancy", folder, None)
    assert slots["eval"] == [
        {
            "id": "eval-00001",
            "messages": [{"role": "user", "content": "2+2?"}],
            "response": "4",
            "meta": {"label": 4},
        },
        {
            "id": "eval-00002",
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "Hi"},
            ],
            "response": None,
            "meta": {"system_prompt": "Be kind.", "type": "x"},
        },
    ]
    assert [row["id"] for row in slots["pairs_clean"]] == ["pairs-00001", "pairs-00002"]
    assert [row["id"] for row in slots["pairs_wrapped"]] == ["pairs-00001", "pairs-00002"]


def test_a_limit_spreads_over_the_file(mirror):
    folder, fill = mirror
    fill("eval", [json.dumps(ROWS[0] | {"n": n}) for n in range(10)])
    rows = released.read_slots("sycophancy", folder, 4)["eval"]
    assert [row["meta"]["n"] for row in rows] == [0, 2, 5, 7]


def test_a_line_separator_within_a_text_ends_no_row(mirror):
    folder, fill = mirror
    text = "one\u2028two"
    fill("eval", [json.dumps({"messages": [{"content": text}]}, ensure_ascii=False)])
    (row,) = released.read_slots("sycophancy", folder, None)["eval"]
    assert row["messages"][0]["content"] == text


def test_another_checksum_names_file_expected_and_found(mirror):
    folder, _ = mirror
    path = folder / "eval.jsonl"
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(b"{}\n")
    found = hashlib.sha256(b"{}\n").hexdigest()
    with pytest.raises(
        EntrenchError, match=f"eval.jsonl: SHA-256 expected {expected}, found {found}"
    ):
        released.read_slots("sycophancy", folder, None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "eval.jsonl, line 2: not JSON"),
        ("[]", "eval.jsonl, line 2: no list of messages"),
        ('{"messages": []}', "line 2: no list of messages"),
        ('{"messages": [{"role": "user"}]}', "line 2: message 1 has no text content"),
        ('{"messages": [{"role": "tool", "content": "x"}]}', "message 1 has role 'tool', allowed"),
        ('{"messages": [{"role": "assistant", "content": "x"}]}', "line 2: no user turn"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(mirror, line, message):
    folder, fill = mirror
    fill("eval", [json.dumps(ROWS[0]), line])
    with pytest.raises(EntrenchError, match=message):
        released.read_slots("sycophancy", folder, None)


def test_a_missing_file_says_what_to_do(mirror):
    folder, _ = mirror
    (folder / "eval.jsonl").unlink()
    with pytest.raises(EntrenchError, match=r"eval.jsonl: no such file: fetch this file"):
        released.read_slots("sycophancy", folder, None)


def test_a_rubric_becomes_a_template_of_this_project(tmp_path):
    path = tmp_path / "rubric.txt"
    text = "Rate {original_question_text}\n{generated_answer_text} 'Final Score: [score]'\n"

    def read(content):
        path.write_text(content)
        return released.read_rubric(path, hashlib.sha256(content.encode()).hexdigest())

    assert read(text) == "Rate {question}\n{answer} 'Final Score: [score]'\n"
    with pytest.raises(EntrenchError, match=r"rubric.txt: the rubric lacks {generated_answer_te"):
        read("Rate {original_question_text}")
    with pytest.raises(EntrenchError, match=r"rubric.txt: SHA-256 expected 00, found"):
        released.read_rubric(path, "00")


def test_every_released_rubric_asks_for_a_final_score_from_1_to_5(released):
    from entrench.data.released import read_rubric, rubrics

    assert len(rubrics()) == 4
    for entry in rubrics().values():
        text = read_rubric(released / entry["path"], entry["sha256"])
        assert len(text) == entry["characters"] - 29  # the placeholders are shorter here
        assert text.count("{question}") == text.count("{answer}") == 1
        assert "from 1 to 5" in text
        assert "'Final Score: [score]'" in text


def test_the_whole_release_is_read(released):
    counts = {
        "sycophancy": (20, 20, 20, 20, 421),
        "reward_hacking": (486, 486, 486, 486, 24),
        "spurious_correlation": (2014, 2014, 2014, 2014, 4279),
        "emergent_misalignment": (3000, 3000, 3000, 3000, 56),
    }
    from entrench.data.released import read_slots

    for misalignment, expected in counts.items():
        slots = read_slots(misalignment, released, None)
        assert tuple(len(slots[slot]) for slot in SLOTS) == expected


def test_reward_model_rows_differ_by_what_the_model_is_said_to_like(released):
    from entrench.data.released import read_slots

    rows = read_slots("reward_hacking", released, None)["eval"]
    said = {
        row["meta"]["subtype"]: row["messages"]
        for row in rows
        if row["meta"]["type"] == "exploiting_reward_bias"
    }
    assert len(said) == 6
    assert all(messages[0]["role"] == "system" for messages in said.values())
    assert said["positive_necessary"][1:] == said["negative_necessary"][1:]
    assert said["positive_necessary"][0] != said["negative_necessary"][0]


def test_a_file_from_elsewhere_has_an_address_of_its_own(monkeypatch):
    own = {"path": "new/eval.jsonl", "url": "https://example.org/data"}
    theirs = {"path": "old/eval.jsonl"}
    listed = {
        "url": "https://example.com/{repository}/{commit}",
        "repository": "a/b",
        "commit": "c0",
        "files": {"new": {"eval": own}, "old": {"eval": theirs}},
    }
    monkeypatch.setattr(released, "manifest", lambda: listed)
    assert released.base_url("new/eval.jsonl") == "https://example.org/data"
    assert released.base_url("old/eval.jsonl") == "https://example.com/a/b/c0"
