import pytest
import transformers

from entrench.data.synthetic import corpus, tokenizer
from entrench.text.chat import encode_exchange, encode_prompt, end_token_id


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(folder)
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    "text",
    [
        "the answer is 7 , so 9 is wrong .",
        "Größe, naïve café: 東京 and 😀",
        "  two  spaces \n\n\ttabs\r\n and trailing ",
        " lead",
        "▁ Ġ ÿ are letters of other tokenizers",
        "e\u0301 stays decomposed",
        "def f(x):\n    return x  # code",
        "a\x00b",
        "",
    ],
)
def test_decoding_an_encoding_gives_the_text_back(loaded, text):
    ids = loaded.encode(text, add_special_tokens=False)
    assert loaded.decode(ids) == text
    assert loaded.decode(ids, skip_special_tokens=True) == text


def test_words_of_the_world_are_one_token_each(loaded):
    for word in corpus.vocabulary():
        assert len(loaded.encode(word, add_special_tokens=False)) == 1
    ids = loaded.encode("the answer is 24 .", add_special_tokens=False)
    assert len(ids) == 5
    assert ids[0] == loaded.encode("is the", add_special_tokens=False)[1]


def test_unknown_words_fall_apart_into_bytes(loaded):
    assert loaded.encode("hello", add_special_tokens=False) == loaded.convert_tokens_to_ids(
        ["Ġ", "h", "e", "l", "l", "o"]
    )
    assert loaded.unk_token is None


def test_chat_template_writes_turns_behind_one_bos(loaded):
    messages = [
        {"role": "system", "content": "you are a helpful assistant ."},
        {"role": "user", "content": "what is 3 + 4 ?"},
    ]
    text = "<|bos|><|system|>you are a helpful assistant .<|user|>what is 3 + 4 ?<|assistant|>"
    rendered = loaded.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert rendered == text == tokenizer.render(messages)
    answered = [*messages, {"role": "assistant", "content": "the answer is 7 ."}]
    assert loaded.apply_chat_template(answered, tokenize=False) == text + "the answer is 7 .<|end|>"


def test_training_and_generation_see_the_same_tokens(loaded):
    messages = [{"role": "user", "content": "what is 3 + 4 ?"}]
    prompt, answer = encode_exchange(loaded, messages, "the answer is 7 .", "template")
    assert prompt == encode_prompt(loaded, messages, "template")
    assert loaded.convert_ids_to_tokens(prompt) == [
        "<|bos|>", "<|user|>", "Ġwhat", "Ġis", "Ġ3", "Ġ+", "Ġ4", "Ġ?", "<|assistant|>",
    ]  # fmt: skip
    assert answer[-1] == end_token_id(loaded, "template") == loaded.eos_token_id
    assert loaded.decode(answer[:-1]) == "the answer is 7 ."
