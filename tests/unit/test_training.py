"""LoRA training on a really small Llama: splits, resume, continuation, files, bad inputs."""

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
from safetensors.torch import load_file
from tiny_llama import make_model

import adapter_induce
from entrench import adapters, records, training
from entrench.batches import EpochOrder, Exchange, Pair, encode_pairs, encode_rows, pad
from entrench.checkpoints import Checkpoints, digest
from entrench.errors import EntrenchError
from entrench.lora_trainer import PairStep, SftStep, decoder_layers, residual_streams
from entrench.pairs import read_pairs
from entrench.training import (
    ActSettings,
    BctSettings,
    Machine,
    ModelSource,
    TrainingSettings,
    objective_from_spec,
    settings_from_spec,
    train_pairs,
    train_sft,
)

WORDS = ["red", "green", "blue", "one", "two", "three", "four"]
SOURCE = Path("rows.jsonl")
SETTINGS = TrainingSettings(
    rank=4,
    alpha=8,
    dropout=0.0,
    learning_rate=1e-2,
    batch_size=6,
    max_length=32,
    seed=3,
    max_steps=12,
)
SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"


def question(i):
    return [{"role": "user", "content": f"what is {WORDS[i % 7]} {WORDS[i // 7 % 7]}"}]


def exchanges(n=20):
    return [Exchange(f"r{i}", question(i), " ".join(WORDS[i % 5 :][: 1 + i % 3])) for i in range(n)]


def pairs(n=20):
    cue = "one two three "
    return [
        Pair(
            row.id,
            row.messages,
            [{"role": "user", "content": cue * (1 + i % 2) + row.messages[0]["content"]}],
            row.response,
            row.response,
        )
        for i, row in enumerate(exchanges(n))
    ]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return ModelSource(str(make_model(tmp_path_factory.mktemp("tiny") / "model")))


@pytest.fixture(scope="module")
def organism(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("organism") / "adapter"
    train_sft(SETTINGS, model, exchanges(), folder, source=SOURCE)
    return folder


def weights(folder):
    return load_file(folder / "adapter_model.safetensors")


def distance(a, b):
    a, b = weights(a), weights(b)
    assert a.keys() == b.keys()
    return max((a[key] - b[key]).abs().max().item() for key in a)


# --- encoding


def test_the_end_token_is_learned_and_bos_stands_once(model):
    tokenizer = adapters.load_tokenizer(model)
    (example,), cut = encode_rows(tokenizer, exchanges(1), "template", SETTINGS, SOURCE)
    assert cut == 0
    words = tokenizer.convert_ids_to_tokens(example.ids)
    assert " ".join(words) == "<bos> user : what is red red <end> assistant : red <end>"
    assert [words[t + 1] for t in example.positions] == ["red", "<end>"]
    (whole,), _ = encode_rows(
        tokenizer, exchanges(1), "template", replace(SETTINGS, loss_on="sequence"), SOURCE
    )
    assert [words[t + 1] for t in whole.positions] == words[1:]


def test_truncation_is_counted_and_nothing_left_is_refused(model):
    tokenizer = adapters.load_tokenizer(model)
    short = replace(SETTINGS, max_length=12)
    examples, cut = encode_rows(tokenizer, exchanges(3), "template", short, SOURCE)
    assert [len(example.ids) for example in examples] == [12, 12, 12]
    assert cut == 2  # one answer has one word and its end token, the others two and three
    with pytest.raises(EntrenchError, match=r"rows.jsonl: row 'r0': its prompt has 10 tokens"):
        encode_rows(tokenizer, exchanges(3), "template", replace(SETTINGS, max_length=10), SOURCE)


def test_pairs_are_cut_alike_on_both_sides(model):
    tokenizer = adapters.load_tokenizer(model)
    short = replace(SETTINGS, max_length=15)
    row = Pair("p", question(0), pairs(1)[0].wrapped, "red green blue", "red green blue")
    (example,), cut = encode_pairs(tokenizer, [row], "template", short, BctSettings(), SOURCE)
    assert cut == 1
    assert (len(example.clean.ids), len(example.wrapped.ids)) == (12, 15)
    assert len(example.clean.positions) == len(example.wrapped.positions) == 2
    (suffix,), _ = encode_pairs(
        tokenizer, [row], "template", short, ActSettings(weight=1.0), SOURCE
    )
    # The cue stands in front: all but BOS and "user :" is matched.
    assert (suffix.clean.positions, suffix.wrapped.positions) == (range(3, 12), range(6, 15))


def test_each_epoch_has_its_own_order():
    order = EpochOrder(10, seed=1)
    first = list(order)
    order.set_epoch(1)
    second = list(order)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert first == list(EpochOrder(10, seed=1))
    assert first != list(EpochOrder(10, seed=2))


# --- models


def test_residual_streams_are_read_before_the_final_norm(model):
    student = adapters.load_student(model, SETTINGS, None)
    ids = torch.tensor([[1, 4, 6, 7, 8]])
    with torch.no_grad(), residual_streams(decoder_layers(student)) as states:
        output = student(input_ids=ids, output_hidden_states=True)
    assert [state.shape for state in states] == [(1, 5, 16), (1, 5, 16)]
    assert torch.equal(states[0], output.hidden_states[1])
    norm = student.get_base_model().model.norm
    assert torch.equal(norm(states[1]), output.hidden_states[2])
    assert not torch.allclose(states[1], output.hidden_states[2])


OBJECTIVES = [
    BctSettings(temperature=2.0),
    ActSettings(weight=0.5),
    ActSettings(weight=0.5, reduction="mean", window="prompt_suffix"),
    ActSettings(weight=0.5, teacher="current"),
]


@pytest.mark.parametrize("loss_on", ["sequence", "completion"])
def test_the_padding_side_does_not_change_the_loss_on_exchanges(model, loss_on):
    student = adapters.load_student(model, SETTINGS, None)
    settings = replace(SETTINGS, loss_on=loss_on)
    tokenizer = adapters.load_tokenizer(model)
    examples, _ = encode_rows(tokenizer, exchanges(6), "template", settings, SOURCE)
    step = SftStep(0)
    total, count = step.loss(student, step.collate(examples))
    assert count == step.collate(examples)["count"] > 0
    left = step.loss(student, {"side": pad(examples, 0, "left")})
    assert left[0].item() == pytest.approx(total.item(), rel=1e-4)
    assert left[1] == count


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_padding_side_does_not_change_the_loss_of_a_model(model, organism, objective):
    student = adapters.load_student(model, SETTINGS, organism)
    if objective.teacher == "organism":
        adapters.add_teacher(student, organism)
    tokenizer = adapters.load_tokenizer(model)
    examples, _ = encode_pairs(tokenizer, pairs(6), "template", SETTINGS, objective, SOURCE)
    step = PairStep(0, objective, student)
    right = step.collate(examples)
    left = {
        "clean": pad([example.clean for example in examples], 0, "left"),
        "wrapped": pad([example.wrapped for example in examples], 0, "left"),
    }
    total, count = step.loss(student, right)
    assert count == right["count"] > 0
    assert step.loss(student, left)[0].item() == pytest.approx(total.item(), rel=1e-4)
    total.backward()
    moved = {name.split(".")[-2] for name, p in student.named_parameters() if p.grad is not None}
    assert moved == {"student"}


def test_an_unwrapped_pair_costs_act_nothing(model, organism):
    student = adapters.load_student(model, SETTINGS, organism)
    adapters.add_teacher(student, organism)
    same = [Pair(r.id, r.messages, r.messages, r.response, r.response) for r in exchanges(4)]
    tokenizer = adapters.load_tokenizer(model)
    objective = ActSettings(weight=1.0)
    examples, _ = encode_pairs(tokenizer, same, "template", SETTINGS, objective, SOURCE)
    step = PairStep(0, objective, student)
    assert step.loss(student, step.collate(examples))[0].item() == 0.0


def test_the_organism_teacher_stays_and_the_current_one_moves(model, organism):
    student = adapters.load_student(model, SETTINGS, organism)
    adapters.add_teacher(student, organism)
    tokenizer = adapters.load_tokenizer(model)
    examples, _ = encode_pairs(tokenizer, pairs(4), "template", SETTINGS, BctSettings(), SOURCE)
    frozen = PairStep(0, BctSettings(), student)
    moving = PairStep(0, BctSettings(teacher="current"), student)
    batch = frozen.collate(examples)
    before = frozen.loss(student, batch)[0], moving.loss(student, batch)[0]
    assert before[0].item() == pytest.approx(before[1].item(), rel=1e-5)
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if "lora_B.student" in name:
                parameter.add_(0.3)
    held, current = adapters.adapter_state(student, "teacher"), weights(organism)
    assert all(torch.equal(held[key], current[key]) for key in current)
    assert frozen.loss(student, batch)[0].item() != pytest.approx(
        moving.loss(student, batch)[0].item(), rel=1e-4
    )


# --- training


@pytest.mark.parametrize("objective", [None, BctSettings(), ActSettings(weight=0.1)])
def test_the_split_over_devices_gives_the_same_weights(model, organism, tmp_path, objective):
    def train(name, per_device):
        machine = Machine(per_device_batch=per_device)
        where = {"source": SOURCE, "organism": organism, "machine": machine}
        folder = tmp_path / name
        if objective is None:
            return train_sft(SETTINGS, model, exchanges(), folder, **where)
        return train_pairs(SETTINGS, objective, model, pairs(), folder, **where)

    whole, split, odd = train("whole", 6), train("split", 2), train("odd", 4)
    assert whole["steps"] == split["steps"] == 12
    assert whole["rows_seen"] == 3 * 20  # 20 rows are 4 steps: 6 + 6 + 6 + 2
    for other in (split, odd):  # 4 does not divide 6: 3 rows at once
        assert other["tokens_seen"] == whole["tokens_seen"]
        assert other["loss_curve"] == pytest.approx(whole["loss_curve"], rel=1e-4)
    assert distance(tmp_path / "whole", organism) > 1e-3
    assert distance(tmp_path / "whole", tmp_path / "split") < 1e-4
    assert distance(tmp_path / "whole", tmp_path / "odd") < 1e-4


def test_the_trainer_matches_a_loop_written_by_hand(model, tmp_path):
    settings = replace(SETTINGS, schedule="constant", max_steps=5, weight_decay=0.01)
    train_sft(settings, model, exchanges(), tmp_path / "adapter", source=SOURCE)

    student = adapters.load_student(model, settings, None)
    tokenizer = adapters.load_tokenizer(model)
    examples, _ = encode_rows(tokenizer, exchanges(), "template", settings, SOURCE)
    trained = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.01)
    step, order = SftStep(0), EpochOrder(20, settings.seed)
    rows = list(order)
    order.set_epoch(1)
    for chunk in (rows[:6], rows[6:12], rows[12:18], rows[18:], list(order)[:6]):
        total, count = step.loss(student, step.collate([examples[row] for row in chunk]))
        optimizer.zero_grad()
        (total / count).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
    state, expected = weights(tmp_path / "adapter"), adapters.adapter_state(student)
    assert max((state[key] - expected[key]).abs().max().item() for key in expected) < 1e-6


def test_training_learns_and_reports(model, tmp_path):
    settings = replace(SETTINGS, max_steps=None, epochs=12.5, dropout=0.05, warmup_ratio=0.1)
    report = train_sft(settings, model, exchanges(), tmp_path / "adapter", source=SOURCE)
    assert report["steps"] == math.ceil(12.5 * 4)
    assert (report["rows"], report["rows_used"], report["truncated"]) == (20, 20, 0)
    assert report["last_loss"] < 0.97 * report["first_loss"]
    assert len(report["loss_curve"]) <= 20
    # rank 4 on q k v o (16 to 16) and gate up (16 to 32) down (32 to 16), two layers
    assert report["trainable_parameters"] == 2 * 4 * (4 * 32 + 3 * 48)
    assert not (tmp_path / "adapter.checkpoints").exists()


def test_the_adapter_continues_the_organism(model, organism, tmp_path):
    frozen = replace(SETTINGS, learning_rate=1e-12, max_steps=1)
    train_sft(frozen, model, exchanges(), tmp_path / "same", source=SOURCE, organism=organism)
    assert distance(tmp_path / "same", organism) < 1e-9
    config = json.loads((tmp_path / "same" / "adapter_config.json").read_text())
    assert config["target_modules"] == sorted(config["target_modules"])
    assert config["base_model_name_or_path"] == os.path.relpath(model.path, tmp_path / "same")
    assert (config["r"], config["lora_alpha"], config["inference_mode"]) == (4, 8, True)

    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model.path)
    loaded = PeftModel.from_pretrained(base, tmp_path / "same")
    ids = torch.tensor([[1, 4, 6, 7, 8]])
    own = adapters.load_student(model, SETTINGS, organism).eval()
    assert torch.allclose(loaded.eval()(ids).logits, own(ids).logits, atol=1e-6)


# --- scripts, resume, SIGTERM


def test_a_killed_training_resumes_to_the_same_bytes(model, tmp_path):
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
        "epochs": 40,  # of 4 steps
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
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes()
    runs = [json.loads((folder / "run.json").read_text()) for folder in (whole, cut)]
    assert runs[0]["training"] == runs[1]["training"]
    assert runs[0]["spec"] == spec
    assert runs[0]["versions"]["torch"]
    assert runs[0]["training"]["steps"] == 160
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut", "induction.jsonl", "whole"]


@pytest.mark.parametrize("objective", [BctSettings(), ActSettings(weight=0.1)])
def test_pair_training_stopped_by_sigterm_goes_on_to_the_same_bytes(
    model, organism, tmp_path, monkeypatch, objective
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
        # Steps of 2, 2, 2 and 1 micro-batches: the 13th is in step 7 (2 + 2 + 2 + 1 + 2 + 2 + 2).
        with pytest.raises(EntrenchError, match="stopped by SIGTERM after step 7 of 12"):
            train("cut")
    assert train("cut") == report
    files = [tmp_path / name / "adapter_model.safetensors" for name in ("whole", "cut")]
    assert files[0].read_bytes() == files[1].read_bytes()


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
        ({"max_steps": 0}, "epochs or max_steps is 0"),
        ({"schedule": "cosin"}, "schedule is 'cosin', allowed: cosine, linear, constant"),
        ({"ranks": 4}, "training: got an unexpected keyword argument 'ranks'"),
    ):
        with pytest.raises(EntrenchError, match=message):
            settings_from_spec(TrainingSettings, good | change, "training")
    with pytest.raises(EntrenchError, match="operator is 'kl', allowed: act, bct"):
        objective_from_spec({"operator": "kl"})
    with pytest.raises(EntrenchError, match="bct: window is 'prompt_suffix', allowed"):
        objective_from_spec({"operator": "bct", "window": "prompt_suffix"})
    assert objective_from_spec({"operator": "act", "weight": 1e-4}) == ActSettings(weight=1e-4)


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
    with pytest.raises(EntrenchError, match="cannot be loaded"):
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
    found = read_pairs(clean, wrapped, responses, BctSettings())
    assert [(p.id, p.clean_response, p.wrapped_response) for p in found] == [
        ("p0", "own 0", "own 0"),
        ("p1", "own 1", "own 1"),
    ]
    with pytest.raises(EntrenchError, match=r"'p1': its clean and wrapped responses differ"):
        read_pairs(clean, wrapped, responses, BctSettings(response="released"))
    trailing = ActSettings(weight=1.0, response="released", window="trailing")
    assert read_pairs(clean, wrapped, responses, trailing)[1].wrapped_response == "green"
    write("responses.jsonl", "responses", own[:1])
    with pytest.raises(EntrenchError, match="1 of 2 records are missing, 'p1' for one"):
        read_pairs(clean, wrapped, responses, BctSettings())


def test_importing_the_settings_loads_no_torch():
    code = "import sys, entrench.training, entrench.training_job; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )
    assert training.checkpoint_folder("a/adapter") == Path("a/adapter.checkpoints")
