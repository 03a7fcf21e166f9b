"""Training on the student's own answers: what is drawn, what the teacher reads, stops and kills."""

import os
import signal
from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from tiny_training import SETTINGS, gone_on_from, pairs, weights
from transformers import AutoModelForCausalLM, AutoTokenizer

from entrench.errors import EntrenchError
from entrench.methods.on_policy_sft import OnPolicySftSettings
from entrench.methods.opct import OpctSettings
from entrench.planning.cost import rollouts_bytes
from entrench.records import read_jsonl
from entrench.training import adapters
from entrench.training.objectives.on_policy_step import OnPolicyStep
from entrench.training.rollouts import Rollouts
from entrench.training.settings import Machine
from entrench.training.train import train_on_policy

DRAWING = {"prompts_per_step": 4, "rollouts": 2, "temperature": 1.0, "max_new_tokens": 5}
OPCT = OpctSettings(**DRAWING)
TRAINING = replace(SETTINGS, batch_size=4, max_steps=5, learning_rate=1e-2, max_length=64)


def rows(kind, wrapped_too=True):
    return [
        {"id": p.id, "messages": getattr(p, kind if wrapped_too else "clean"), "response": None}
        | {"meta": {}}
        for p in pairs(10)
    ]


@pytest.fixture
def train(model, organism, tmp_path):
    def run(name, objective=OPCT, wrapped=True, machine=None, settings=TRAINING):
        folder = tmp_path / name
        report = train_on_policy(
            settings,
            objective,
            model,
            (rows("clean"), rows("wrapped", wrapped)),
            folder / "adapter",
            rollouts=folder / "rollouts.jsonl",
            source=tmp_path / "clean.jsonl",
            organism=organism,
            machine=machine or Machine(8),
        )
        return report, folder

    return run


def drawn(folder):
    return read_jsonl(folder / "rollouts.jsonl", "rollouts")


def written(folder):
    return [
        (folder / name).read_bytes()
        for name in ("adapter/adapter_model.safetensors", "rollouts.jsonl")
    ]


@pytest.fixture
def scored(model, organism):
    """The log probability of tokens behind a prompt, by plain transformers."""
    tokenizer = AutoTokenizer.from_pretrained(model.path)
    base = AutoModelForCausalLM.from_pretrained(model.path)
    own = PeftModel.from_pretrained(base, organism).eval()

    def score(messages, tokens, bare=False):
        given = {"add_generation_prompt": True, "tokenize": True, "return_dict": False}
        prompt = tokenizer.apply_chat_template(messages, **given)
        with torch.no_grad():
            if bare:
                with own.disable_adapter():
                    logits = own(torch.tensor([[*prompt, *tokens]])).logits
            else:
                logits = own(torch.tensor([[*prompt, *tokens]])).logits
        logs = logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        return logs[range(len(tokens)), tokens].sum().item()

    return score


def test_more_answers_than_a_device_holds_are_taken_in_parts(train, monkeypatch):
    """As without parts, up to rounding: the same answers at step 0, KL, entropy and adapter."""
    many = replace(OPCT, rollouts=5)
    held = []
    monkeypatch.setattr(
        OpctSettings,
        "loss",
        lambda *given, loss=OpctSettings.loss: (
            held.append(len(given[-1]["lengths"])),
            loss(*given),
        )[1],
    )
    settings = replace(TRAINING, max_steps=2)
    whole, one = train("whole", many, machine=Machine(20), settings=settings)
    assert max(held) == 20
    held.clear()
    parts, other = train("parts", many, machine=Machine(2), settings=settings)
    assert (max(held), len(held)) == (2, 2 * 2 * 4 * 3)  # twice 2 steps of 4 prompts in 3 parts
    first = [[row for row in drawn(folder) if row["step"] == 0] for folder in (one, other)]
    assert first[0] == first[1]
    for name in ("first_kl", "first_entropy", "first_disagreement", "last_kl", "last_entropy"):
        assert parts[name] == pytest.approx(whole[name], rel=1e-3, abs=1e-7)
    ours, theirs = (weights(folder / "adapter") for folder in (one, other))
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-4) for name in theirs)


def test_the_student_reads_the_wrapped_prompt_and_the_teacher_the_clean_one(train, scored):
    report, folder = train("whole")
    found = drawn(folder)
    # 10 prompts, 4 a step: steps of 4, 4, 2, 4, 4 prompts, each with two answers.
    assert [sum(row["step"] == step for row in found) for step in range(5)] == [8, 8, 4, 8, 8]
    assert len({(row["step"], row["id"], row["index"]) for row in found}) == len(found)
    by_id = {pair.id: pair for pair in pairs(10)}
    for row in found:
        pair = by_id[row["id"]]
        # The teacher is the organism at every step. At step 0 the student is the organism too.
        assert row["teacher_logprob"] == pytest.approx(scored(pair.clean, row["tokens"]), abs=1e-3)
        if row["step"] == 0:
            own = scored(pair.wrapped, row["tokens"])
            assert sum(row["logprobs"]) == pytest.approx(own, abs=1e-3)
    later = [row for row in found if row["step"] == 4]
    moved = [
        abs(sum(row["logprobs"]) - scored(by_id[row["id"]].wrapped, row["tokens"])) for row in later
    ]
    assert max(moved) > 0.01  # the student that answers is the one in training
    tokens = sum(len(row["tokens"]) for row in found)
    assert (report["rollouts"], report["tokens_sampled"]) == (36, tokens)
    assert report["tokens_trained"] == report["tokens_scored"] == tokens
    assert report["mean_answer_tokens"] == tokens / 36
    cut = sum(row["finish"] == "length" for row in found)
    assert report["truncated_share"] == cut / 36
    assert (report["steps"], report["rows"], report["dropped_share"]) == (5, 10, 0.0)
    assert report["first_loss"] == pytest.approx(report["first_kl"], rel=1e-4)
    assert report["last_loss"] == pytest.approx(report["last_kl"], rel=1e-4)
    assert 0 < report["first_entropy"] < 3
    assert 0 <= report["first_disagreement"] <= 1


@pytest.mark.parametrize("longest", [1, 5, 20])
def test_the_plan_knows_how_large_the_answers_file_becomes(train, longest):
    report, folder = train("whole", OpctSettings(**DRAWING | {"max_new_tokens": longest}))
    characters = sum(len(row["text"]) for row in drawn(folder)) / report["tokens_sampled"]
    size = (folder / "rollouts.jsonl").stat().st_size
    planned = rollouts_bytes(report["rollouts"], report["mean_answer_tokens"], characters)
    print(f"{size} bytes, {planned:.0f} planned")
    assert planned / 2 < size < planned * 2


def test_the_base_model_can_be_the_teacher(train, scored):
    _, folder = train("base", OpctSettings(**DRAWING, teacher="base"))
    by_id = {pair.id: pair for pair in pairs(10)}
    for row in drawn(folder)[:8]:
        bare = scored(by_id[row["id"]].clean, row["tokens"], bare=True)
        assert row["teacher_logprob"] == pytest.approx(bare, abs=1e-3)


def test_training_lowers_the_kl(train):
    settings = replace(TRAINING, max_steps=40)
    report, _ = train("long", settings=settings)
    first, last = report["loss_curve"][:3], report["loss_curve"][-3:]
    assert sum(last) < 0.7 * sum(first)


def test_an_unwrapped_pair_has_nothing_to_teach(train):
    report, _ = train("same", wrapped=False)
    assert abs(report["first_loss"]) < 1e-6
    assert report["first_gradient_norm"] < 1e-5


def test_the_frozen_teacher_stays_bit_by_bit(train, organism, monkeypatch):
    seen, save = [], adapters.save

    def saved(model, *arguments):
        seen.append(
            (adapters.adapter_state(model, adapters.TEACHER), adapters.adapter_state(model))
        )
        save(model, *arguments)

    monkeypatch.setattr(adapters, "save", saved)
    train("whole")
    [(teacher, student)] = seen
    weights = adapters.load_file(organism / adapters.WEIGHTS)
    assert all(torch.equal(teacher[name], weights[name]) for name in weights)
    assert not all(torch.equal(student[name], weights[name]) for name in weights)


def test_how_many_answers_are_held_at_once_changes_nothing_but_rounding(train):
    report, folder = train("whole")
    few, other = train("few", machine=Machine(3))
    assert [row["tokens"] for row in drawn(other)] == [row["tokens"] for row in drawn(folder)]
    assert few["loss_curve"] == pytest.approx(report["loss_curve"], rel=1e-3, abs=1e-6)


def test_a_lagging_sampler_answers_for_several_steps(train, scored):
    lagging = OpctSettings(**DRAWING, sampler_lag=2)
    _, folder = train("lag", lagging)
    by_id = {pair.id: pair for pair in pairs(10)}
    off = {0: [], 1: [], 2: [], 3: [], 4: []}
    for row in drawn(folder):
        own = scored(by_id[row["id"]].wrapped, row["tokens"])
        off[row["step"]].append(abs(sum(row["logprobs"]) - own))
    # Steps 0 to 2 are answered by the organism, steps 3 and 4 by the student after three steps.
    assert max(off[0] + off[1] + off[2]) < 1e-3
    assert max(off[3] + off[4]) > 0.01


def test_answers_that_are_dropped_are_counted_and_teach_nothing(train):
    short = OpctSettings(**DRAWING | {"max_new_tokens": 1}, truncated="drop")
    report, folder = train("short", short)
    dropped = [row["dropped"] for row in drawn(folder) if row["finish"] == "length"]
    assert set(dropped) == {"truncated"}
    assert report["dropped_share"] == len(dropped) / 36
    assert report["tokens_trained"] == 36 - len(dropped)
    blank = OpctSettings(**DRAWING, empty="drop")
    _, folder = train("blank", blank)
    assert {row["dropped"] for row in drawn(folder)} <= {None, "empty"}


def test_self_training_has_no_teacher(train):
    report, folder = train("alone", OnPolicySftSettings(**DRAWING))
    assert {row["teacher_logprob"] for row in drawn(folder)} == {None}
    assert report["tokens_scored"] == 0
    assert report["tokens_trained"] == report["tokens_sampled"] > 0
    assert "first_kl" not in report
    own = [row for row in drawn(folder) if row["step"] == 0]
    count = sum(len(row["tokens"]) for row in own)
    said = -sum(sum(row["logprobs"]) for row in own) / count
    assert report["first_loss"] == pytest.approx(said, rel=1e-3)


@pytest.mark.parametrize("lag", [0, 2])
def test_stopped_by_sigterm_it_goes_on_to_the_same_bytes(train, monkeypatch, capsys, lag):
    objective = OpctSettings(**DRAWING, sampler_lag=lag)
    loss, calls = OnPolicyStep.loss, []

    def loss_with_a_signal(self, trained, batch):
        calls.append(None)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(self, trained, batch)

    report, whole = train("whole", objective)
    with monkeypatch.context() as patch:
        patch.setattr(OnPolicyStep, "loss", loss_with_a_signal)
        with pytest.raises(EntrenchError, match="stopped by SIGTERM after step 4 of 5"):
            train("cut", objective)
    capsys.readouterr()
    again, cut = train("cut", objective)
    assert gone_on_from(capsys.readouterr().out) == [4]
    assert again == report
    assert written(cut) == written(whole)
    assert [path.name for path in sorted(cut.iterdir())] == ["adapter", "rollouts.jsonl"]


@pytest.mark.parametrize("lag", [0, 2])
def test_killed_inside_a_rollout_it_goes_on_to_the_same_bytes(train, monkeypatch, capsys, lag):
    objective, machine = OpctSettings(**DRAWING, sampler_lag=lag), Machine(8, checkpoint_steps=1)
    report, whole = train("whole", objective, machine=machine)
    draw = Rollouts._draw

    def dies(self, begin, end):
        if begin == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return draw(self, begin, end)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(Rollouts, "_draw", dies)
        try:
            train("cut", objective, machine=machine)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    capsys.readouterr()
    again, cut = train("cut", objective, machine=machine)
    assert gone_on_from(capsys.readouterr().out) == [3]
    assert again == report
    assert written(cut) == written(whole)


def test_a_prompt_that_leaves_no_room_is_named(train):
    with pytest.raises(
        EntrenchError, match=r"row 'r\d+': its prompt has .* less max_new_tokens is"
    ):
        train("long", settings=replace(TRAINING, max_length=12))


def test_where_every_answer_is_dropped_nothing_is_said_of_them(train, monkeypatch):
    read = Rollouts._read

    def dropped(self, *arguments):
        return replace(read(self, *arguments), dropped="truncated")

    monkeypatch.setattr(Rollouts, "_read", dropped)
    report, _ = train("nothing")
    assert (report["dropped_share"], report["tokens_trained"], report["tokens_seen"]) == (1, 0, 0)
    assert "last_kl" not in report
    assert report["first_loss"] == 0


def test_answers_that_are_gone_are_missed(train, monkeypatch):
    rows = Rollouts.rows

    def gone(self):
        (self.folder / "00000001.jsonl").unlink()
        return rows(self)

    monkeypatch.setattr(Rollouts, "rows", gone)
    with pytest.raises(EntrenchError, match="the answers of step 1 are missing: delete"):
        train("gone")


def test_answers_without_a_probability_end_the_training(train, monkeypatch):
    read = Rollouts._read

    def diverged(self, step, pair, index, tokens, logprobs):
        return read(self, step, pair, index, tokens, [float("nan")] * len(logprobs))

    monkeypatch.setattr(Rollouts, "_read", diverged)
    with pytest.raises(EntrenchError, match="no finite probability at step 0: lower learning_rate"):
        train("diverged")
