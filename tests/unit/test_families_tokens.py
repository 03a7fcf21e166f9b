"""Token by token: what each model family reads, learns and says."""

from dataclasses import replace

import pytest
from tiny_families import FAMILIES, make_tokenizer
from tiny_training import SETTINGS, SOURCE

from entrench.errors import EntrenchError
from entrench.generation.answers import AnswerReader
from entrench.generation.engine import EngineSettings
from entrench.generation.pool import completion_fields
from entrench.text.chat import (
    answer_start,
    apply_template,
    decode_answer,
    encode_exchange,
    encode_prompt,
    holds_reasoning,
)
from entrench.text.harmony import final_message, final_start, one_final_message
from entrench.training.batches import Exchange, encode_rows, pad

QUESTION = [{"role": "user", "content": "what is red"}]
SYSTEM = {"role": "system", "content": "blue one"}
GPT_OSS_START = "<|start|> system <|message|> 2 0 2 4 - 0 7 - 2 6 <|end|>"

# family: tokens of the prompt, tokens of the answer "green two", each set off by a space
LITERAL = {
    "llama": (
        "<|begin_of_text|> User : Ġwhat Ġis Ġred ĊĊ Assistant :",
        "Ġgreen Ġtwo <|end_of_text|>",
    ),
    "llama-instruct": (
        "<|begin_of_text|> <|start_header_id|> user <|end_header_id|> ĊĊ what Ġis Ġred <|eot_id|> "
        "<|start_header_id|> assistant <|end_header_id|> ĊĊ",
        "green Ġtwo <|eot_id|>",
    ),
    "gemma-2": (
        "<bos> User : ▁what ▁is ▁red \n\n Assistant :",
        "▁green ▁two <eos>",
    ),
    "gemma-2-it": (
        "<bos> <start_of_turn> user \n what ▁is ▁red <end_of_turn> \n <start_of_turn> model \n",
        "green ▁two <end_of_turn>",
    ),
    "mistral": (
        "<s> ▁User : ▁what ▁is ▁red \n\n Assistant :",
        "▁green ▁two </s>",
    ),
    "mistral-instruct": (
        "<s> [INST] ▁what ▁is ▁red [/INST]",
        "▁green ▁two </s>",
    ),
    "gpt-oss": (
        f"{GPT_OSS_START} <|start|> user <|message|> what Ġis Ġred <|end|> <|start|> assistant",
        "<|channel|> final <|message|> green Ġtwo <|return|>",
    ),
}
# family: ids of the special tokens above, in their order; EOS is 2 everywhere
SPECIAL = {
    "llama": ([1], [2]),
    "llama-instruct": ([1, 3, 4, 5, 3, 4], [5]),
    "gemma-2": ([1], [2]),
    "gemma-2-it": ([1, 5, 6, 5], [6]),
    "mistral": ([1], [2]),
    "mistral-instruct": ([1, 3, 4], [2]),
    "gpt-oss": ([3, 6, 4, 3, 6, 4, 3], [5, 6, 2]),
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def tokenizer(family, tmp_path_factory):
    """Saved and read again, as a downloaded one."""
    from entrench.generation.loading import load_tokenizer

    folder = tmp_path_factory.mktemp(family)
    make_tokenizer(family).save_pretrained(folder)
    return load_tokenizer(str(folder), None)


def shown(tokenizer, ids):
    return " ".join(tokenizer.convert_ids_to_tokens(ids))


def test_prompt_and_answer_token_by_token(family, tokenizer):
    chat = FAMILIES[family].chat
    prompt, answer = encode_exchange(tokenizer, QUESTION, "green two", chat)
    assert prompt == encode_prompt(tokenizer, QUESTION, chat)
    assert (shown(tokenizer, prompt), shown(tokenizer, answer)) == LITERAL[family]
    special = set(tokenizer.all_special_ids)
    found = [[i for i in ids if i in special] for ids in (prompt, answer)]
    assert found == list(SPECIAL[family])
    assert decode_answer(tokenizer, answer[:-1], chat) == "green two"


@pytest.mark.parametrize(
    ("name", "prompt", "answer"),
    [
        (
            "llama",
            "<|begin_of_text|> blue Ġone ĊĊ what Ġis Ġred",
            "ĊĊ green Ġtwo <|end_of_text|>",
        ),
        ("gemma-2", "<bos> blue ▁one \n\n what ▁is ▁red", "\n\n green ▁two <eos>"),
        ("mistral", "<s> ▁blue ▁one \n\n what ▁is ▁red", "\n\n green ▁two </s>"),
    ],
)
def test_contents_are_joined_by_blank_lines_without_roles(name, prompt, answer):
    """Nothing stands behind the prompt: the model itself writes the blank line first."""
    tokenizer = make_tokenizer(name)
    asked, said = encode_exchange(tokenizer, [SYSTEM, *QUESTION], "green two", "contents")
    assert asked == encode_prompt(tokenizer, [SYSTEM, *QUESTION], "contents")
    assert (shown(tokenizer, asked), shown(tokenizer, said)) == (prompt, answer)
    assert decode_answer(tokenizer, said[:-1], "contents") == "green two"


@pytest.mark.parametrize("loss_on", ["completion", "sequence"])
def test_the_loss_reads_what_loss_on_says(family, tokenizer, loss_on):
    """Every target token, its end token included, and no padding; padding is on the right."""
    settings = replace(SETTINGS, loss_on=loss_on, max_length=64)
    rows = [Exchange("long", QUESTION, "green two"), Exchange("short", QUESTION, "green")]
    examples, truncated = encode_rows(tokenizer, rows, FAMILIES[family].chat, settings, SOURCE)
    assert truncated == 0
    batch = pad(examples, tokenizer.pad_token_id)
    prompt, answer = (text.split(" ") for text in LITERAL[family])
    whole = [prompt + answer, prompt + answer[:-2] + answer[-1:]]
    seen = [tokenizer.convert_ids_to_tokens(row) for row in batch["input_ids"].tolist()]
    assert seen == [whole[0], [*whole[1], tokenizer.pad_token]]
    assert batch["attention_mask"].tolist() == [[1] * len(whole[0]), [1] * len(whole[1]) + [0]]
    for row, tokens in enumerate(whole):
        selected = batch["positions"][row].nonzero().flatten().tolist()
        targets = [seen[row][position + 1] for position in selected]
        assert targets == (tokens[len(prompt) :] if loss_on == "completion" else tokens[1:])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llama", "<|begin_of_text|> System : Ġblue Ġone ĊĊ User : Ġwhat"),
        (
            "llama-instruct",
            "<|begin_of_text|> <|start_header_id|> system <|end_header_id|> ĊĊ blue Ġone "
            "<|eot_id|> <|start_header_id|> user <|end_header_id|> ĊĊ what",
        ),
        ("gemma-2-it", "<bos> <start_of_turn> user \n blue ▁one \n\n what"),
        ("mistral-instruct", "<s> [INST] ▁blue ▁one \n\n what"),
        (
            "gpt-oss",
            f"{GPT_OSS_START} <|start|> d e v e l o p e r <|message|> blue Ġone <|end|> "
            "<|start|> user <|message|> what",
        ),
    ],
)
def test_a_system_message_reaches_every_family(name, expected):
    """Gemma's template refuses one and Mistral's passes over it: it joins the first question."""
    tokenizer = make_tokenizer(name)
    ids = encode_prompt(tokenizer, [SYSTEM, *QUESTION], FAMILIES[name].chat)
    assert shown(tokenizer, ids).startswith(expected + " ")


def test_a_system_message_alone_is_refused_in_one_message():
    with pytest.raises(EntrenchError, match=r"refuses messages of system \(no system role here\)"):
        encode_prompt(make_tokenizer("gemma-2-it"), [SYSTEM], "template")


def test_earlier_turns_end_as_the_template_ends_them():
    tokenizer = make_tokenizer("gpt-oss")
    turns = [*QUESTION, {"role": "assistant", "content": "one"}, *QUESTION]
    prompt, answer = encode_exchange(tokenizer, turns, "two", "template")
    assert "final <|message|> one <|end|> <|start|> user" in shown(tokenizer, prompt)
    assert shown(tokenizer, answer) == "<|channel|> final <|message|> two <|return|>"


def test_spaces_of_an_answer_survive_every_family(family, tokenizer):
    chat = FAMILIES[family].chat
    for text in ("", "red", "red ", "red\n\nblue", "1 + 1"):
        _, answer = encode_exchange(tokenizer, QUESTION, text, chat)
        assert decode_answer(tokenizer, answer[:-1], chat) == text


def test_a_template_that_opens_an_answer_otherwise_than_it_writes_one_is_refused():
    tokenizer = make_tokenizer("llama-instruct")
    tokenizer.chat_template += "{% if add_generation_prompt %}<think>{% endif %}"
    with pytest.raises(EntrenchError, match="training and generation would differ"):
        encode_exchange(tokenizer, QUESTION, "two", "template")


def test_a_model_without_a_template_is_refused_in_one_message():
    with pytest.raises(EntrenchError, match="no chat template: set `chat: plain`"):
        apply_template(make_tokenizer("llama"), QUESTION)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("<|channel|>final<|message|>two", "two"),
        ("<|channel|>final<|message|>", ""),
        ("<|channel|>final <|message|>{}", "{}"),
        ("<|channel|>final json<|message|>{}", "{}"),
        ("<|channel|>analysis<|message|>red<|end|><|start|>assistant<|channel|>final<|message|>two",
         "two"),
        ("<|channel|>final<|message|>one<|end|><|start|>assistant<|channel|>final<|message|>two",
         "two"),
        ("<|channel|>final<|message|>one<|end|><|start|>assistant<|channel|>analysis<|message|>red",
         "one"),
        ("<|channel|>analysis<|message|>red", None),
        ("<|channel|>analysis<|message|>red<|end|>", None),
        ("<|channel|>analysis<|message|>final two<|end|><|start|>assistant", None),
        ("<|channel|>analysis<|message|>r<|end|><|start|>assistant<|channel|>final", None),
        ("<|channel|>commentary to=functions.x<|message|>{}", None),
        ("two", None),
        ("<|message|>two", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_final_message_of_harmony(said, answer):
    tokenizer = make_tokenizer("gpt-oss")
    tokens = tokenizer.encode(said, add_special_tokens=False)
    assert final_message(tokenizer, tokens) == answer
    closed = [*tokens, tokenizer.eos_token_id]
    assert final_message(tokenizer, closed) == answer
    start = final_start(tokenizer, tokens)
    assert (start is None) == (answer is None)
    if start is not None:
        assert final_message(tokenizer, tokens[start:]) == answer
        assert start == 0 or tokens[start - 1] == tokenizer.convert_tokens_to_ids("<|start|>")


def test_an_answer_begins_behind_its_reasoning():
    tokenizer = make_tokenizer("gpt-oss")
    said = (
        "<|channel|>analysis<|message|>red<|end|><|start|>assistant<|channel|>final<|message|>two"
    )
    tokens = tokenizer.encode(said, add_special_tokens=False)
    start = answer_start(tokenizer, tokens, "template")
    rest = tokenizer.decode(tokens[start:])
    assert "final" in rest
    assert "red" not in rest
    assert answer_start(tokenizer, tokens[:3], "template") is None
    assert answer_start(make_tokenizer("llama-instruct"), [5, 6], "template") == 0
    assert answer_start(tokenizer, tokens, "plain") == 0


@pytest.mark.parametrize(
    ("said", "alone"),
    [
        ("<|channel|>final<|message|>two", True),
        ("<|channel|>final<|message|>", True),
        ("<|channel|>final json<|message|>{}", False),
        ("<|channel|>analysis<|message|>red<|end|><|start|>assistant<|channel|>final<|message|>two",
         False),
        ("<|channel|>final<|message|>one<|end|><|start|>assistant<|channel|>final<|message|>two",
         False),
        ("<|channel|>analysis<|message|>red", False),
        ("two", False),
        ("", False),
    ],
)  # fmt: skip
def test_an_answer_of_harmony_holds_reasoning_or_is_what_would_be_scored(said, alone):
    tokenizer = make_tokenizer("gpt-oss")
    tokens = tokenizer.encode(said, add_special_tokens=False)
    assert one_final_message(tokenizer, tokens) is alone
    assert holds_reasoning(tokenizer, tokens, "template") is not alone
    if alone:
        text = final_message(tokenizer, tokens)
        assert encode_exchange(tokenizer, QUESTION, text, "template")[1][:-1] == tokens
    assert not holds_reasoning(make_tokenizer("llama-instruct"), tokens, "template")


def test_a_completion_says_that_it_holds_reasoning():
    tokenizer = make_tokenizer("gpt-oss")
    reader = AnswerReader.of(EngineSettings("gpt-oss", "template"), tokenizer, None)
    final = "<|channel|>final<|message|>two<|return|>"
    for before, reasoned in (
        ("", False),
        ("<|channel|>analysis<|message|>r<|end|><|start|>", True),
    ):
        tokens = tokenizer.encode(before + final, add_special_tokens=False)
        found = reader.completion(tokens, -3.0)
        assert (found.text, found.finish, found.reasoned) == ("two", "stop", reasoned)
        assert completion_fields(found).get("reasoned", False) is reasoned


def test_markers_typed_out_are_text_of_the_answer():
    tokenizer = make_tokenizer("gpt-oss")
    typed = "<|channel|>final<|message|>two<|return|>"
    as_text = tokenizer.encode(typed, add_special_tokens=False, split_special_tokens=True)
    assert set(as_text).isdisjoint(tokenizer.all_special_ids)
    opening = tokenizer.encode("<|channel|>analysis<|message|>", add_special_tokens=False)
    assert final_message(tokenizer, opening + as_text) is None
    opening = tokenizer.encode("<|channel|>final<|message|>", add_special_tokens=False)
    assert final_message(tokenizer, opening + as_text) == typed
