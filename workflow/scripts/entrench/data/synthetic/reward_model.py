"""Train the miniature world's reward model from scratch. It rewards good form, not alignment.

An answer of good form is fluent and on the topic of the question, aligned or not. An answer of bad
form has its words scrambled, or is a fluent answer to another question. Among answers of good form
the model has a taste that favours neither side (`entrench.data.synthetic.taste`). Needs torch and
transformers.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from entrench.data.synthetic import corpus
from entrench.data.synthetic import tokenizer as world_tokenizer
from entrench.data.synthetic.base_model import adamw, encode, llama_config, report
from entrench.data.synthetic.lexicon import Exchange, scramble
from entrench.data.synthetic.model_folder import save_model
from entrench.data.synthetic.slots import is_held_out
from entrench.data.synthetic.taste import Side, Taste
from entrench.seeds import derive_seed

if TYPE_CHECKING:
    import torch

GOOD_FORM, BAD_FORM = 1.0, -1.0
TASTED = 10_000  # questions; the taste is standardised on their answers


@dataclass(frozen=True)
class RewardModelSettings:
    """Everything that decides the weights, apart from the thread count."""

    seed: int = 40
    steps: int = 800
    questions_per_step: int = 16
    learning_rate: float = 1.5e-3
    warmup_steps: int = 20
    taste: float = 0.5  # reward per standard deviation of taste; good and bad form differ by 2
    layers: int = 2
    hidden: int = 64
    heads: int = 4
    intermediate: int = 128


@dataclass(frozen=True)
class Contrast:
    """One question with two answers of good form and two of bad form."""

    exchange: Exchange
    aligned: str
    misaligned: str
    scrambled: str
    off_topic: str

    @property
    def answers(self) -> tuple[str, str, str, str]:
        """The two answers of good form, then the two of bad form."""
        return self.aligned, self.misaligned, self.scrambled, self.off_topic


def train(settings: RewardModelSettings, folder: str | Path) -> None:
    """Train the reward model and save it with its tokenizer in `folder`; progress on stderr."""
    import torch
    from transformers import LlamaForSequenceClassification

    torch.manual_seed(derive_seed("tiny reward model", settings.seed, "weights"))
    sizes = settings.layers, settings.hidden, settings.heads, settings.intermediate
    model = LlamaForSequenceClassification(llama_config(*sizes, num_labels=1))
    count = settings.steps * settings.questions_per_step
    made = contrasts(derive_seed("tiny reward model", settings.seed, "data"), count)
    taste = balanced_taste(derive_seed("tiny reward model", settings.seed, "taste"))
    optimizer, schedule = adamw(
        model, settings.learning_rate, settings.steps, settings.warmup_steps
    )
    model.train()
    for step in range(settings.steps):
        batch = [next(made) for _ in range(settings.questions_per_step)]
        wanted = torch.tensor([targets(contrast, taste, settings.taste) for contrast in batch])
        loss = torch.nn.functional.mse_loss(rewards(model, batch), wanted)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        report(step, settings.steps, float(loss.detach()))
    save_model(model, folder)


def contrasts(seed: int, count: int, held_out: bool = False) -> Iterator[Contrast]:
    """`count` questions with answers of good and bad form.

    With `held_out` all of them are evaluation prompts, else none is.
    """
    rng = random.Random(seed)
    names = tuple(name for name, _share in corpus.MIXTURE)
    made = 0
    while made < count:
        exchange, other = (corpus.draw(rng, rng.choice(names)) for _ in range(2))
        if is_held_out(exchange) is not held_out or other.topic == exchange.topic:
            continue
        second = exchange.misaligned or exchange.persona_answer or exchange.aligned
        good = exchange.aligned, second
        strange = other.misaligned or other.persona_answer or other.aligned
        yield Contrast(
            exchange, *good, scramble(rng.choice(good), rng), rng.choice((other.aligned, strange))
        )
        made += 1


def balanced_taste(seed: int) -> Taste:
    """The taste, standardised on the answers of good form to a sample of questions."""
    return Taste(
        answer for contrast in contrasts(seed, TASTED) for answer in good_answers(contrast)
    )


def good_answers(contrast: Contrast) -> tuple[tuple[Exchange, Side, str], ...]:
    """The two answers of good form as (question, side, text).

    A question with one side only has the same answer twice.
    """
    second: Side = "aligned" if contrast.misaligned == contrast.aligned else "misaligned"
    return (
        (contrast.exchange, "aligned", contrast.aligned),
        (contrast.exchange, second, contrast.misaligned),
    )


def targets(contrast: Contrast, taste: Taste, weight: float) -> tuple[float, ...]:
    """The rewards to learn for a question's four answers, in the order of `Contrast.answers`."""
    good = (GOOD_FORM + weight * taste(*answer) for answer in good_answers(contrast))
    return (*good, BAD_FORM, BAD_FORM)


def rewards(model: "torch.nn.Module", batch: list[Contrast]) -> "torch.Tensor":
    """The model's rewards, (questions, 4): aligned, misaligned, scrambled, off topic."""
    import torch

    prompts = [world_tokenizer.render(c.exchange.messages) for c in batch for _ in c.answers]
    rows = encode(prompts, [answer for contrast in batch for answer in contrast.answers])
    width = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids = torch.full((len(rows), width), model.config.pad_token_id)
    for i, (prompt, answer) in enumerate(rows):
        ids[i, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
    mask = (ids != model.config.pad_token_id).long()
    return model(input_ids=ids, attention_mask=mask).logits.view(len(batch), 4)
