"""Train the tiny base model of the miniature world from scratch. Needs torch and transformers.

The same settings and thread count give the same bytes. Data, initial weights and batch order derive
from `seed`, and no file holds a path or a time.
"""

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrench.data.synthetic import tokenizer as world_tokenizer
from entrench.data.synthetic.corpus import Example, examples
from entrench.data.synthetic.model_folder import save_model
from entrench.seeds import derive_seed

if TYPE_CHECKING:
    import torch
    from transformers import LlamaConfig

Encoded = tuple[list[int], list[int]]  # token ids of prompt and answer
PASSES = 2  # over the corpus


@dataclass(frozen=True)
class BaseModelSettings:
    """Everything that decides the weights, apart from the thread count."""

    seed: int = 40
    steps: int = 3400
    batch_size: int = 32
    learning_rate: float = 4e-3
    warmup_steps: int = 60
    layers: int = 2
    hidden: int = 96
    heads: int = 4
    intermediate: int = 256


def train(settings: BaseModelSettings, folder: str | Path) -> None:
    """Train the model and save it with its tokenizer in `folder`. Progress goes to stderr."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(derive_seed("tiny base model", settings.seed, "weights"))
    model = LlamaForCausalLM(
        llama_config(settings.layers, settings.hidden, settings.heads, settings.intermediate)
    )
    seed = derive_seed("tiny base model", settings.seed, "corpus")
    corpus = examples(seed, settings.steps * settings.batch_size // PASSES)
    data = encode_examples(list(corpus))
    order = random.Random(derive_seed("tiny base model", settings.seed, "batches"))
    batches = length_batches(data, settings.batch_size, order)
    optimizer, schedule = adamw(
        model, settings.learning_rate, settings.steps, settings.warmup_steps
    )
    model.train()
    for step in range(settings.steps):
        loss = answer_loss(model, next(batches))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        report(step, settings.steps, float(loss.detach()))
    save_model(model, folder)


def llama_config(
    layers: int, hidden: int, heads: int, intermediate: int, **more: Any
) -> "LlamaConfig":
    """The config of a tiny Llama over the world's vocabulary, with tied embeddings.

    `more` holds further fields of the config.
    """
    from transformers import LlamaConfig

    tokens = world_tokenizer.build()
    return LlamaConfig(
        vocab_size=tokens.get_vocab_size(),
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=world_tokenizer.MAX_POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=tokens.token_to_id(world_tokenizer.BOS),
        eos_token_id=tokens.token_to_id(world_tokenizer.END),
        pad_token_id=tokens.token_to_id(world_tokenizer.PAD),
        **more,
    )


def encode(prompts: Sequence[str], answers: Sequence[str]) -> list[Encoded]:
    """Token ids of rendered prompts and of their answers with the end token."""
    tokens = world_tokenizer.build()
    heads = tokens.encode_batch_fast(list(prompts), add_special_tokens=False)
    tails = tokens.encode_batch_fast(
        [answer + world_tokenizer.END for answer in answers], add_special_tokens=False
    )
    return [(head.ids, tail.ids) for head, tail in zip(heads, tails, strict=True)]


def encode_examples(corpus: Sequence[Example]) -> list[Encoded]:
    """Token ids of the corpus' prompts in the chat format, and of their answers."""
    return encode([world_tokenizer.render(e.messages) for e in corpus], [e.answer for e in corpus])


def length_batches(
    data: Sequence[Encoded], batch_size: int, order: random.Random
) -> Iterator[list[Encoded]]:
    """Endless batches of rows of similar length.

    Each pass shuffles the rows, sorts them by length within windows of 50 batches, and shuffles
    the batches.
    """
    window = 50 * batch_size
    while True:
        indices = order.sample(range(len(data)), len(data))
        batches = []
        for start in range(0, len(indices), window):
            chunk = sorted(indices[start : start + window], key=lambda i: sum(map(len, data[i])))
            batches += [chunk[i : i + batch_size] for i in range(0, len(chunk), batch_size)]
        order.shuffle(batches)
        for batch in batches:
            yield [data[i] for i in batch]


def adamw(
    model: "torch.nn.Module", learning_rate: float, steps: int, warmup: int
) -> tuple["torch.optim.Optimizer", "torch.optim.lr_scheduler.LRScheduler"]:
    """AdamW with betas 0.9 and 0.95, linear warm-up over `warmup` steps, and cosine decay to 0."""
    import torch
    from transformers import get_cosine_schedule_with_warmup

    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.01, fused=True
    )
    return optimizer, get_cosine_schedule_with_warmup(optimizer, warmup, steps)


def report(step: int, steps: int, loss: float) -> None:
    """One progress line on stderr for every tenth of the training."""
    if (step + 1) % max(1, steps // 10) == 0:
        print(f"step {step + 1} of {steps}: loss {loss:.3f}", file=sys.stderr, flush=True)


def answer_loss(model: "torch.nn.Module", batch: Sequence[Encoded]) -> "torch.Tensor":
    """Mean cross-entropy over the answers' tokens, in nats.

    Padding stands on the right, so causal attention needs no mask.
    """
    import torch

    width = max(len(prompt) + len(answer) for prompt, answer in batch)
    ids = torch.full((len(batch), width), model.config.pad_token_id)
    wanted = torch.zeros((len(batch), width), dtype=torch.bool)
    for i, (prompt, answer) in enumerate(batch):
        ids[i, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        wanted[i, len(prompt) : len(prompt) + len(answer)] = True
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    logits = model.lm_head(hidden[wanted[:, 1:]])
    return torch.nn.functional.cross_entropy(logits, ids[:, 1:][wanted[:, 1:]])
