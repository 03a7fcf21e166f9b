"""Training that is killed, stopped and resumed, or given what it cannot use."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_training import SETTINGS, SOURCE, exchanges, gone_on_from, pairs, question, weights

import adapter_induce
from entrench import records
from entrench.errors import EntrenchError
from entrench.execution.preemption import end_at_once, on_sigterm
from entrench.methods.act import ActSettings
from entrench.methods.bct import BctSettings
from entrench.methods.shared.catalogue import pair_objective
from entrench.training import adapters, train
from entrench.training.checkpoints import Checkpoints, digest
from entrench.training.objectives.steps import PairStep, SftStep
from entrench.training.pairs import read_pairs
from entrench.training.settings import Machine, ModelSource, TrainingSettings, settings_from_spec
from entrench.training.train import train_pairs, train_sft

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"


pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_killed_training_resumes_to_the_same_bytes(model, tmp_path, capfd):
    rows = [
        {"id": r.id, "messages": r.messages, "response": r.response, "meta": {}}
        for r in exchanges()
    ]
    records.write_jsonl(tmp_path / "induction.jsonl", "data", rows)
    fields = {
        "rank": 4,
        "alpha": 8,
        "dropout": 0.1,
        "learning_rate": 1e-2,
        "batch_size": 6,
        "max_length": 32,
        "seed": 3,
        "epochs": 30,  # of 4 steps
        "warmup_ratio": 0.03,
    }
    spec = {"threads": 1, "chat": "template", "revision": None, "training": fields}
    spec["model"] = model.path

    def command(folder):
        return [
            *("--spec", json.dumps(spec), "--data", str(tmp_path / "induction.jsonl")),
            *("--adapter", str(folder), "--run", str(folder / "run.json")),
            *("--per-device-batch", "3", "--checkpoint-steps", "10"),
        ]

    def start(folder):
        script = [sys.executable, str(SCRIPTS / "adapter_induce.py"), *command(folder)]
        return subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait_for_step(process, folder, step):
        checkpoints = folder.with_name(f"{folder.name}.checkpoints")
        deadline = time.monotonic() + 60
        while not any(
            int(mark.parent.name.split("-")[1]) >= step
            for mark in checkpoints.glob("checkpoint-*/complete.json")
        ):
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.005)

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    adapter_induce.main(command(whole))
    assert gone_on_from(capfd.readouterr().out) == []

    first = start(cut)
    wait_for_step(first, cut, 20)
    first.kill()
    first.wait()
    assert not (cut / "adapter_model.safetensors").exists()
    # One checkpoint is damaged, another was being written when the process died.
    checkpoints = tmp_path / "cut.checkpoints"
    newest = max(checkpoints.glob("*/complete.json"), key=lambda mark: mark.stat().st_mtime).parent
    (newest / "optimizer.pt").write_bytes(b"damaged")
    (checkpoints / "checkpoint-999").mkdir()
    (checkpoints / "checkpoint-999" / "adapter_model.safetensors").write_bytes(b"half")

    # The second writer is an orphan by the time the third starts, which ends it and goes on.
    second = start(cut)
    wait_for_step(second, cut, 40)
    adapter_induce.main(command(cut))
    output = second.communicate()[0]
    assert second.returncode == 1
    assert "removing checkpoint-999: not completely written" in output
    assert f"removing {newest.name}: damaged" in output
    assert "error: stopped by SIGTERM after step " in output.splitlines()[-1]
    assert "Traceback" not in output
    before_it = int(newest.name.split("-")[1]) - 10
    assert gone_on_from(output) == [before_it]
    stopped_after = int(output.split("stopped by SIGTERM after step ")[1].split()[0])
    assert gone_on_from(capfd.readouterr().out) == [stopped_after]
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes()
    runs = [json.loads((folder / "run.json").read_text()) for folder in (whole, cut)]
    assert runs[0]["training"] == runs[1]["training"]
    assert runs[0]["spec"] == spec
    assert runs[0]["versions"]["torch"]
    assert runs[0]["training"]["steps"] == 120
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut", "induction.jsonl", "whole"]


@pytest.mark.parametrize("objective", [BctSettings(), ActSettings(weight=0.1)])
def test_pair_training_stopped_by_sigterm_goes_on_to_the_same_bytes(
    model, organism, tmp_path, monkeypatch, capsys, objective
):
    def train(name):
        where = {"source": SOURCE, "organism": organism, "machine": Machine(3)}
        settings = replace(SETTINGS, dropout=0.1)
        return train_pairs(settings, objective, model, pairs(), tmp_path / name, **where)

    loss, calls = PairStep.loss, []

    def loss_with_a_signal(self, trained, batch):
        calls.append(None)
        if len(calls) == 13:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(self, trained, batch)

    report = train("whole")
    with monkeypatch.context() as patch:
        patch.setattr(PairStep, "loss", loss_with_a_signal)
        # Every step has two micro-batches, an empty one where rows run out: the 13th is in step 7.
        with pytest.raises(EntrenchError, match="stopped by SIGTERM after step 7 of 12"):
            train("cut")
    assert gone_on_from(capsys.readouterr().out) == []
    assert train("cut") == report
    assert gone_on_from(capsys.readouterr().out) == [7]
    files = [tmp_path / name / "adapter_model.safetensors" for name in ("whole", "cut")]
    assert files[0].read_bytes() == files[1].read_bytes()


def dies(act):
    """Run `act` in a copy of this process that is to end by SIGKILL."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def in_a_step(patch):
    loss, calls = SftStep.loss, []

    def fatal(self, trained, batch):
        calls.append(None)
        if len(calls) == 18:  # the second micro-batch of step 9
            die()
        return loss(self, trained, batch)

    patch.setattr(SftStep, "loss", fatal)


def in_a_checkpoint(patch):
    save = torch.save

    def fatal(state, path, *rest, **options):
        if "checkpoint-8" in str(path):
            save(state, path, *rest, **options)
            Path(path).write_bytes(Path(path).read_bytes()[:100])
            die()
        save(state, path, *rest, **options)

    patch.setattr(torch, "save", fatal)


def between_the_files_of_the_adapter(patch):
    write = adapters.write_weights

    def fatal(student, path):
        if path.parent.name == "cut":
            die()
        write(student, path)

    patch.setattr(adapters, "write_weights", fatal)


@pytest.mark.parametrize("death", [in_a_step, in_a_checkpoint, between_the_files_of_the_adapter])
def test_wherever_training_dies_it_goes_on_to_the_same_bytes(
    model, tmp_path, monkeypatch, capsys, death
):
    settings = replace(SETTINGS, dropout=0.1, warmup_ratio=0.2)

    def train(name):
        machine = Machine(per_device_batch=3, checkpoint_steps=4)
        return train_sft(
            settings, model, exchanges(), tmp_path / name, source=SOURCE, machine=machine
        )

    whole = train("whole")
    with monkeypatch.context() as patch:
        death(patch)
        dies(lambda: train("cut"))
    assert not (tmp_path / "cut" / "adapter_model.safetensors").exists()
    left = {path.name for path in (tmp_path / "cut.checkpoints").iterdir()}
    assert left == {"checkpoint-4", "checkpoint-8"}
    assert train("cut") == whole
    said = capsys.readouterr().out
    assert ("removing checkpoint-8: not completely written" in said) == (death is in_a_checkpoint)
    assert gone_on_from(said) == [4 if death is in_a_checkpoint else 8]
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        files = [tmp_path / folder / name for folder in ("whole", "cut")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_sigterm_before_the_first_step_ends_with_a_message(model, tmp_path, monkeypatch):
    def train():
        train_sft(SETTINGS, model, exchanges(), tmp_path / "adapter", source=SOURCE)

    def end(*_):
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, on_sigterm(end_at_once):
        patch.setattr(adapters, "load_student", end)
        with pytest.raises(EntrenchError, match="stopped by SIGTERM outside of the training steps"):
            train()
    latest = Checkpoints.latest
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "latest", lambda self: end() or latest(self))
        patch.setattr(SftStep, "loss", None)  # no step is begun
        with pytest.raises(EntrenchError, match="stopped by SIGTERM outside of the training steps"):
            train()
    assert not (tmp_path / "adapter").exists()


def test_sigterm_while_the_adapter_is_written_does_not_lose_it(model, tmp_path, monkeypatch):
    save = adapters.save

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        save(*arguments)

    monkeypatch.setattr(adapters, "save", interrupted)
    train_sft(SETTINGS, model, exchanges(), tmp_path / "adapter", source=SOURCE)
    assert weights(tmp_path / "adapter")


def test_checkpoints_of_other_inputs_are_discarded(tmp_path, capsys):
    for step in (5, 10, 15):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "state").write_text(str(step))
    mine, other = (Checkpoints(tmp_path, digest([SETTINGS, rows])) for rows in ([1], [2]))
    mine.mark_complete(tmp_path / "checkpoint-5")
    mine.mark_complete(tmp_path / "checkpoint-10")
    other.mark_complete(tmp_path / "checkpoint-15")
    assert mine.latest() == tmp_path / "checkpoint-10"
    assert "checkpoint-15: made with other settings or inputs" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-10"]


def test_two_checkpoints_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, "fingerprint")
    for step in (8, 9, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
        checkpoints.mark_complete(tmp_path / f"checkpoint-{step}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-9"]


def test_bfloat16_models_get_a_float32_adapter(model, tmp_path):
    settings = replace(SETTINGS, dtype="bfloat16", max_steps=2)
    report = train_sft(settings, model, exchanges(), tmp_path / "adapter", source=SOURCE)
    assert math.isfinite(report["last_loss"])
    assert {tensor.dtype for tensor in weights(tmp_path / "adapter").values()} == {torch.float32}


# --- what a user can get wrong


def test_bad_settings_name_the_key():
    good = {"rank": 4, "alpha": 8, "dropout": 0.0, "learning_rate": 1e-2, "batch_size": 6}
    good |= {"max_length": 32, "seed": 3, "max_steps": 5}
    for change, message in (
        ({"epochs": 2}, "exactly one of `epochs` and `max_steps`"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"schedule": "cosin"}, "schedule is 'cosin', allowed: cosine, linear, constant"),
        ({"ranks": 4}, "training: got an unexpected keyword argument 'ranks'"),
    ):
        with pytest.raises(EntrenchError, match=message):
            settings_from_spec(TrainingSettings, good | change, "training")
    with pytest.raises(EntrenchError, match="operator is 'kl', allowed: act, attct, bct"):
        pair_objective({"operator": "kl"})
    with pytest.raises(EntrenchError, match="bct: window is 'prompt_suffix', allowed"):
        pair_objective({"operator": "bct", "window": "prompt_suffix"})
    assert pair_objective({"operator": "act", "weight": 1e-4}) == ActSettings(weight=1e-4)


def test_nothing_to_train_on(model, tmp_path):
    with pytest.raises(EntrenchError, match=r"rows.jsonl: no row to train on"):
        train_sft(SETTINGS, model, [], tmp_path / "adapter", source=SOURCE)


def test_organisms_that_do_not_fit(model, organism, tmp_path):
    def train(folder, **changes):
        settings = replace(SETTINGS, **changes)
        where = {"source": SOURCE, "organism": folder}
        train_sft(settings, model, exchanges(), tmp_path / "out", **where)

    with pytest.raises(EntrenchError, match="the organism has rank 4 and alpha 8"):
        train(organism, rank=8)
    with pytest.raises(EntrenchError, match=r"none/adapter_config.json: no such file"):
        train(tmp_path / "none")
    (tmp_path / "cut").mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / "cut" / name).write_bytes((organism / name).read_bytes()[:-100])
    with pytest.raises(EntrenchError, match=r"adapter_config.json: not a LoRA adapter's config"):
        train(tmp_path / "cut")
    (tmp_path / "cut" / "adapter_config.json").write_bytes(
        (organism / "adapter_config.json").read_bytes()
    )
    with pytest.raises(EntrenchError, match=r"adapter_model.safetensors: not a whole adapter"):
        train(tmp_path / "cut")
    assert not (tmp_path / "out" / "adapter_model.safetensors").exists()


def test_models_that_do_not_load(tmp_path):
    with pytest.raises(EntrenchError, match="cannot be read"):
        train_sft(SETTINGS, ModelSource(str(tmp_path)), exchanges(), tmp_path / "a", source=SOURCE)


def test_diverging_training_is_an_error(model, tmp_path):
    wild = replace(SETTINGS, learning_rate=1e30, max_grad_norm=1e30)
    with pytest.raises(EntrenchError, match="the loss is nan at step"):
        train_sft(wild, model, exchanges(), tmp_path / "adapter", source=SOURCE)


def test_pairs_and_their_answers(tmp_path):
    def write(name, kind, rows):
        records.write_jsonl(tmp_path / name, kind, rows)
        return tmp_path / name

    def data(answers):
        return [
            {"id": f"p{i}", "messages": question(i), "response": answer, "meta": {}}
            for i, answer in enumerate(answers)
        ]

    own = [
        {"id": f"p{i}", "text": f"own {i}", "tokens": 2, "logprob": -1.0, "finish": "stop"}
        for i in range(2)
    ]
    clean = write("clean.jsonl", "data", data(["red", "blue"]))
    wrapped = write("wrapped.jsonl", "data", data(["red", "green"]))
    responses = write("responses.jsonl", "responses", own)
    found = read_pairs(clean, wrapped, responses)
    assert [(p.id, p.clean_response, p.wrapped_response) for p in found] == [
        ("p0", "own 0", "own 0"),
        ("p1", "own 1", "own 1"),
    ]
    with pytest.raises(EntrenchError, match=r"'p1': its clean and wrapped responses differ"):
        read_pairs(clean, wrapped, responses, own_answers=False)
    both = read_pairs(clean, wrapped, responses, own_answers=False, may_differ=True)
    assert both[1].wrapped_response == "green"
    write("responses.jsonl", "responses", own[:1])
    with pytest.raises(EntrenchError, match="1 of 2 records are missing, 'p1' for one"):
        read_pairs(clean, wrapped, responses)


def test_importing_the_settings_loads_no_torch():
    code = (
        "import sys, entrench.training.settings, entrench.training.train, "
        "entrench.training.training_job; "
        "sys.exit('torch' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )
    assert train.checkpoint_folder("a/adapter") == Path("a/adapter.checkpoints")
