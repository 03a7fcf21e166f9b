"""Two processes that train one adapter, against one process: sharding, splits, stops, messages.

Sums in another order are other sums: weights agree to 1e-4, after 12 steps of at most 0.01 each.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_llama import make_model
from tiny_training import SETTINGS, SOURCE, exchanges, gone_on_from, weights
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from two_processes import MACHINES, OBJECTIVES, train_all

import adapter_induce
from entrench import records
from entrench.training import processes
from entrench.training.settings import Machine, ModelSource
from entrench.training.train import train_sft

TESTS = Path(__file__).parents[1]
SCRIPTS = TESTS.parent / "workflow" / "scripts"
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{SCRIPTS}:{TESTS}", "OMP_NUM_THREADS": "1"}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def organism(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("organism") / "adapter"
    train_sft(replace(SETTINGS, max_steps=3), model, exchanges(), folder, source=SOURCE)
    return folder


@pytest.fixture(scope="module")
def alone(model, organism, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    return folder, train_all(model, organism, folder, {"whole": Machine(6)})


def in_two_processes(*arguments):
    """MODEL ORGANISM FOLDER ...: the folder, what each process found, and what they said."""
    script = [sys.executable, TESTS / "two_processes.py", *arguments]
    done = subprocess.run(
        script, env=ENVIRONMENT, check=True, timeout=600, stdout=subprocess.PIPE, text=True
    )
    folder = arguments[2]
    found = [json.loads((folder / f"found-{rank}.json").read_text()) for rank in (0, 1)]
    return folder, found, done.stdout


@pytest.fixture(scope="module")
def much(tmp_path_factory):
    """A model of 309 MB in float32; none of it is a page of a mapped file, which holds bfloat16."""
    shape = {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 6}
    return make_model(tmp_path_factory.mktemp("much") / "model", dtype="bfloat16", **shape)


@pytest.fixture(scope="module")
def together(model, organism, much, tmp_path_factory):
    """Starting two processes takes longer than what they do: they do all of it in one start."""
    folder = tmp_path_factory.mktemp("together")
    return in_two_processes(model.path, organism, folder, "float32", much)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """As the largest models of the study come: bfloat16, with an output head of its own."""
    folder = tmp_path_factory.mktemp("large") / "model"
    return ModelSource(str(make_model(folder, tied=False, dtype="bfloat16")))


@pytest.fixture(scope="module")
def large_organism(large, tmp_path_factory):
    folder = tmp_path_factory.mktemp("large_organism") / "adapter"
    settings = replace(SETTINGS, max_steps=3, dtype="bfloat16")
    train_sft(settings, large, exchanges(), folder, source=SOURCE)
    return folder


@pytest.fixture(scope="module")
def large_alone(large, large_organism, tmp_path_factory):
    folder = tmp_path_factory.mktemp("large_alone")
    machines = {"whole": Machine(6)}
    return folder, train_all(large, large_organism, folder, machines, "bfloat16")


@pytest.fixture(scope="module")
def large_together(large, large_organism, tmp_path_factory):
    folder = tmp_path_factory.mktemp("large_together")
    return in_two_processes(large.path, large_organism, folder, "bfloat16")


@pytest.mark.parametrize(
    ("runs", "heads", "dtype"),
    [
        ("together", 1, "float32"),
        pytest.param("large_together", 2, "bfloat16", marks=pytest.mark.release),
    ],
)
def test_each_process_keeps_its_part_of_every_base_weight(runs, heads, dtype, request):
    _, found, _ = request.getfixturevalue(runs)
    one, other = (process["base"] for process in found)
    # Embedding, and the head where it is another weight; seven matrices and two norms a layer.
    assert len(one) == heads + 2 * 9 + 1
    for name, (shape, part, kind) in one.items():
        rows = [part[0], other[name][1][0]]
        # 17 rows of the vocabulary: 9 and 8.
        assert rows == ([9, 8] if shape[0] == 17 else [shape[0] // 2] * 2), name
        assert part[1:] == shape[1:]
        assert kind == f"torch.{dtype}"
    # Updates of 16-bit adapters would be lost in rounding.
    assert found[0]["adapter"] == found[1]["adapter"] == ["Tensor torch.float32"]


def test_no_process_holds_the_whole_model_while_it_loads(model, much, together):
    """Alone a process does, which this notices."""
    whole = 2 * (much / "model.safetensors").stat().st_size
    script = [sys.executable, TESTS / "loads_in_parts.py", model.path, much]
    done = subprocess.run(script, env=ENVIRONMENT, check=True, timeout=300, stdout=subprocess.PIPE)
    alone = int(done.stdout.split()[-1]) / whole
    parts = [process["peak"] / whole for process in together[1]]
    print(f"most memory while {whole / 1e6:.0f} MB are loaded, as shares: {alone}, {parts}")
    assert alone > 0.95
    assert max(parts) < 0.75


def test_where_one_process_is_told_to_end_both_stop_and_go_on(together):
    """After the same step, to the same adapter as without a stop."""
    folder, found, output = together
    for process in found:
        said, report = process["stopped"]
        assert "stopped by SIGTERM after step 4 of 12" in said
        assert report == process["reports"]["sft-plain"]
    assert set(gone_on_from(output)) == {4}
    a, b = weights(folder / "stopped"), weights(folder / "sft-plain")
    assert max((a[key] - b[key]).abs().max().item() for key in a) < 1e-4


@pytest.mark.parametrize("machine", list(MACHINES))
@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_two_processes_train_the_adapter_of_one(alone, together, objective, machine):
    one, whole = alone[0] / f"{objective}-whole", alone[1][f"{objective}-whole"]
    two, found = together[0] / f"{objective}-{machine}", together[1]
    for process in found:
        report = process["reports"][two.name]
        # The tiny model attends to all tokens alike, so losses of attct begin at 2e-6.
        assert report["loss_curve"] == pytest.approx(whole["loss_curve"], rel=1e-3, abs=1e-6)
        for fact in ("steps", "rows_seen", "tokens_seen", "trainable_parameters"):
            assert report[fact] == whole[fact]
    a, b = weights(one), weights(two)
    assert list(a) == list(b)
    assert max((a[key] - b[key]).abs().max().item() for key in a) < 1e-4
    config = "adapter_config.json"
    one_config, two_config = (json.loads((f / config).read_text()) for f in (one, two))
    assert one_config.pop("base_model_name_or_path")
    assert two_config.pop("base_model_name_or_path")
    assert one_config == two_config


# Of the losses, and of each weight's way over its length. bfloat16 keeps 8 bits, 0.4 percent;
# Adam's steps are as long where a gradient is mostly rounding. So it is with losses of what is left
# of two states like each other, most of all where all tokens are attended to alike (attct). Two to
# five times the differences found.
IN_BFLOAT16 = {
    "sft": (1e-3, 0.03),
    "bct": (1e-3, 0.06),
    "act": (0.04, 0.15),
    "mlpct": (0.02, 0.03),
    "attct": (0.25, 0.3),
    "opct": (0.05, 0.08),
}


@pytest.mark.release
@pytest.mark.parametrize("machine", list(MACHINES))
@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_so_they_do_in_bfloat16_with_a_head_of_its_own(
    large_alone, large_together, large_organism, objective, machine
):
    """In 8 bits sums differ more."""
    of_losses, of_ways = IN_BFLOAT16[objective]
    one, whole = large_alone[0] / f"{objective}-whole", large_alone[1][f"{objective}-whole"]
    two, found = large_together[0] / f"{objective}-{machine}", large_together[1]
    for process in found:
        report = process["reports"][two.name]
        assert report["loss_curve"] == pytest.approx(whole["loss_curve"], rel=of_losses)
        assert report["steps"] == whole["steps"]
    a, b, start = weights(one), weights(two), weights(large_organism)
    moved = {key: (a[key] - start[key]).norm() for key in a}
    for key, length in moved.items():
        assert (a[key] - b[key]).norm() <= of_ways * length, key


def induction(model, folder, steps):
    fields = {"rank": 4, "alpha": 8, "dropout": 0.0, "learning_rate": 1e-3, "batch_size": 6}
    fields |= {"max_length": 32, "seed": 3, "max_steps": steps, "schedule": "constant"}
    spec = {"threads": 1, "chat": "template", "revision": None, "training": fields}
    return [
        *("--spec", json.dumps(spec | {"model": model.path})),
        *("--data", str(folder.parent / "induction.jsonl")),
        *("--adapter", str(folder), "--run", str(folder / "run.json")),
        *("--per-device-batch", "2", "--checkpoint-steps", "5", "--processes", "2"),
    ]


def start(arguments, script="adapter_induce.py"):
    script = [sys.executable, str(SCRIPTS / script), *arguments]
    return subprocess.Popen(
        script, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def write_rows(path, answer=True):
    rows = [
        {"id": r.id, "messages": r.messages, "response": r.response, "meta": {}}
        for r in exchanges()
    ]
    records.write_jsonl(path, "data", rows if answer else [{**rows[0], "response": None}])


def wait_for_a_checkpoint(process, folder):
    deadline = time.monotonic() + 120
    while not list(folder.with_name("cut.checkpoints").glob("*/complete.json")):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def output_of(process):
    """All that it says until it ends by itself."""
    try:
        return process.communicate(timeout=120)[0]
    finally:
        process.kill()


STEPS = 60


@pytest.mark.release
def test_two_processes_stop_together_and_go_on(model, tmp_path):
    """A scheduler tells the process that started them; the next start ends with one's adapter."""
    write_rows(tmp_path / "induction.jsonl")
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    process = start(induction(model, cut, STEPS))
    wait_for_a_checkpoint(process, cut)
    assert json.loads((tmp_path / "cut.lease").read_text())["pid"] != process.pid
    process.terminate()
    output = output_of(process)
    assert process.returncode == 1
    assert output.splitlines()[-1].startswith("error: stopped by SIGTERM"), output
    assert "Traceback" not in output
    assert gone_on_from(output) == []
    reached = max(int(f.name.split("-")[1]) for f in (tmp_path / "cut.checkpoints").iterdir())
    assert 0 < reached < STEPS
    process = start(induction(model, cut, STEPS))
    output = output_of(process)
    assert process.returncode == 0, output
    assert gone_on_from(output) == [reached]
    assert [line.split()[0] for line in output.splitlines()].count("took") == 1
    adapter_induce.main(induction(model, whole, STEPS))
    a, b = weights(cut), weights(whole)
    assert max((a[key] - b[key]).abs().max().item() for key in a) < 1e-4
    reports = [json.loads((f / "run.json").read_text())["training"] for f in (cut, whole)]
    assert reports[0]["rows_seen"] == reports[1]["rows_seen"] == 15 * 20
    assert reports[0]["last_loss"] == pytest.approx(reports[1]["last_loss"], rel=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut", "induction.jsonl", "whole"]


def test_a_training_that_was_given_gpus_does_not_take_the_cpu(model, tmp_path):
    write_rows(tmp_path / "induction.jsonl")
    arguments = [*induction(model, tmp_path / "adapter", 5), "--processes", "1"]
    script = [sys.executable, str(SCRIPTS / "adapter_induce.py"), *arguments]
    environment = ENVIRONMENT | {"ENTRENCH_GPUS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "error: " in done.stderr.splitlines()[-1]
    assert "asks for 1 GPUs and torch" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failure_of_all_processes_is_said_once(model, tmp_path):
    write_rows(tmp_path / "induction.jsonl", answer=False)
    process = start(induction(model, tmp_path / "adapter", 5))
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 1
    (line,) = output.splitlines()
    assert line.startswith("error: ")
    assert "row 'r0' has no response to train on" in line


@pytest.mark.parametrize(
    ("exit_codes", "messages", "said"),
    [
        # The first process ends with a traceback because it loses the second.
        ((1, -9), ("Traceback: reset by peer", None), "process 1 of 2 ended without a message"),
        ((1, -9), ("the disk is full", None), "the disk is full"),
        ((1, -15), ("Traceback: KeyError", None), "Traceback: KeyError"),
        ((1, 1), ("Traceback: reset by peer", "the disk is full"), "the disk is full"),
    ],
)
def test_what_failed_first_is_said(exit_codes, messages, said, tmp_path):
    failures = {}
    for rank, (code, message) in enumerate(zip(exit_codes, messages, strict=True)):
        report = tmp_path / f"{rank}.json"
        if message is not None:
            report.write_text(json.dumps({"message": message, "timestamp": 1}))
        failures[rank] = ProcessFailure(rank, 100 + rank, code, str(report))
    error = ChildFailedError("train", failures)
    assert processes._first_message(error, 2).startswith(said)


def nothing_to_train_on(script, folder):
    """The script's own arguments, for prompts none of which was answered or labelled."""
    questions = [{"id": r.id, "messages": r.messages} for r in exchanges(2)]
    if script == "adapter_train.py":
        none = {"label": None, "set": None, "index": None, "reason": "no answer"}
        records.write_jsonl(folder / "labels.jsonl", "labels", [q | none for q in questions])
        return {}, ["--labels", str(folder / "labels.jsonl")]
    data = [q | {"response": None, "meta": {}} for q in questions]
    for name in ("clean", "wrapped"):
        records.write_jsonl(folder / f"{name}.jsonl", "data", data)
    unended = {"text": None, "tokens": 3, "logprob": -1.0, "finish": "length"}
    answers = [{"id": q["id"], **unended} for q in questions]
    records.write_jsonl(folder / "responses.jsonl", "responses", answers)
    objective = {"operator": "act", "weight": 1.0}
    names = ("clean", "wrapped", "responses")
    files = [word for name in names for word in (f"--{name}", str(folder / f"{name}.jsonl"))]
    return {"objective": objective}, files


# Both scripts share what they do then.
@pytest.mark.parametrize(
    "script",
    [pytest.param("adapter_train.py", marks=pytest.mark.release), "adapter_regularise.py"],
)
def test_one_process_passes_the_organism_on(script, model, organism, tmp_path):
    """Two that did would remove each other's temporary file."""
    further, own = nothing_to_train_on(script, tmp_path)
    common = induction(model, tmp_path / "adapter", 5)
    spec = json.loads(common[1]) | further
    arguments = ["--spec", json.dumps(spec), *own, "--organism", str(organism), *common[4:]]
    output = start(arguments, script).communicate(timeout=120)[0]
    assert output.count("2 prompts: the organism stays as it is") == 1, output
    assert weights(tmp_path / "adapter").keys() == weights(organism).keys()
    report = json.loads((tmp_path / "adapter" / "run.json").read_text())["training"]
    assert report == {"steps": 0, "rows": 2, "rows_used": 0, "adapter_change": 0.0}
