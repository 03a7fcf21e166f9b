"""A config file that YAML takes for something else than it looks like is refused with its line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workspace import ROOT

from entrench.errors import EntrenchError
from entrench.study.config_files import check_config

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))


def refusal(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(EntrenchError) as caught:
        check_config(path)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1\nb: {c: 2,\n  c: 3}\n", "line 3: the key 'c' stands in line 2 already: keep one"),
        ("sweep: []\nm:\n  x: 1\nsweep: []\n", "line 4: the key 'sweep' stands in line 1 already"),
        ('a: 1\n"a": 2\n', "line 2: the key 'a' stands in line 1 already"),
        ("- b: 1\n  c: 1\n  b: 1\n", "line 3: the key 'b' stands in line 1 already"),
        ("n: 010\n", "line 1: 010 means 8 in YAML: write a decimal number without leading zeros"),
        ("n: -010\n", "line 1: -010 means -8 in YAML"),
        ("n: 08\n", "line 1: 08 means '08' in YAML"),
        ("n: 0x1F\n", "line 1: 0x1F means 31 in YAML"),
        ("n: 0b11\n", "line 1: 0b11 means 3 in YAML"),
        ("n:\n  - 12:30\n", "line 2: 12:30 means 750 in YAML"),
        ("n: 1:30.5\n", "line 1: 1:30.5 means 90.5 in YAML"),
        ("n: 190:20:30\n", "line 1: 190:20:30 means 685230 in YAML"),
        ("n: " + "9" * 5000 + "\n", "line 1: a number of 5000 digits: no key takes more than 18"),
        ("n: " + "9" * 5000 + ":30\n", "line 1: a number of 5003 digits"),
        ("models: [no, de]\n", "line 1: no means false in YAML: write false, or quote a text"),
        ("a: Yes\n", "line 1: Yes means true in YAML"),
        ("a: ON\n", "line 1: ON means true in YAML"),
        ("off: 1\n", "line 1: off means false in YAML"),
        (b"a: 1\nb: \xff\n", "line 2: not UTF-8 text: save it as UTF-8"),
        ("a: &x\n  b: *x\n", "line 2: *x stands within &x itself: write the value out"),
        ("a: &x [1, [*x]]\n", "line 1: *x stands within &x itself"),
        ("a: *x\n", "line 1: *x names no &x above it"),
        ("? [a]\n: 1\n", "line 1: a list, a mapping or an alias stands as a key"),
        ("a: " + "[" * 100_000, "line 1: more than 30 levels"),
        ("{a: " * 50_000, "line 1: more than 30 levels"),
        (BOMB, "line 16: more than 100,000 values: no config holds so many"),
        ("a: [1\n", "line 2: not valid YAML: "),
        ("a:\n\t- 1\n", "line 2: not valid YAML: "),
        ("a: \x00\n", "not valid YAML: "),
    ],
)
def test_what_means_something_else_is_refused_with_its_line(tmp_path, content, message):
    assert refusal(tmp_path / "config.yaml", content).startswith(message)


def test_a_file_that_is_not_there_or_a_folder_is_named(tmp_path):
    with pytest.raises(EntrenchError, match=r"none.yaml: no such config file: config/demo.yaml"):
        check_config(tmp_path / "none.yaml")
    with pytest.raises(EntrenchError, match=f"{tmp_path}: cannot be read: Is a directory"):
        check_config(tmp_path)


def test_what_means_what_it_looks_like_is_taken(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "a: {n: 0, m: 10, x: 0.05, y: 1_000, z: -3, e: 1.0e-5, t: true, f: False, u: null}\n"
        "b: ['010', \"12:30\", 'no', 2026-01-01x, 00:11:22:aa, 1.2.3, no one, 0x, noon]\n"
        "base: &phase {steps: 1, rate: 2}\n"
        "one: {<<: *phase, steps: 3}\n"
        "two: [{name: x}, {name: x}]\n"
        "text: |\n  010\n  no\n"
    )
    check_config(path)


@pytest.mark.parametrize("folder", ["config", "tests/config", "bench"])
def test_our_own_configs_are_taken(folder):
    paths = sorted((ROOT / folder).glob("*.yaml"))
    assert paths
    for path in paths:
        check_config(path)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | st.text("ab:{}[]&*-?'\"\n \t#|>!%0", max_size=60))
def test_any_text_is_taken_or_refused_in_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    message = ""
    try:
        check_config(path)
    except EntrenchError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
