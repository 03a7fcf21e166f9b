"""The external reward of candidates: from a reward model, or the likelihood under the bare base."""

import math
import sys
import time
from collections.abc import Sequence

from entrench.errors import EntrenchError
from entrench.generation.engine import Engine, Message
from entrench.generation.loading import load_model, load_tokenizer
from entrench.records import Record, require_same_keys
from entrench.text.chat import apply_template

SECONDS_BETWEEN_REPORTS = 30.0

Exchange = tuple[Sequence[Message], str]  # prompt, answer


class SequenceClassifier:
    """A reward model: sequence classification with one output, e.g. Skywork-Reward-V2.

    The reward is this output for prompt and answer as the model's chat template writes them.
    """

    def __init__(self, model: str, revision: str | None, dtype: str, batch_size: int) -> None:
        """Load the model.

        Raises `EntrenchError` where it cannot be read, has no chat template, or has several
        outputs.
        """
        self.name, self.batch_size = model, batch_size
        self.tokenizer = load_tokenizer(model, revision)
        if self.tokenizer.chat_template is None:
            raise EntrenchError(f"{model}: the tokenizer has no chat template: name a reward model")
        self.model = load_model(model, revision, dtype, "sequence_classifier", spread=True)
        if self.model.config.num_labels != 1:
            raise EntrenchError(
                f"{model}: the model has {self.model.config.num_labels} outputs: "
                "name a reward model with one output"
            )
        if self.model.config.pad_token_id is None:
            # Batches hold no padding, but without this entry transformers refuses every batch.
            self.model.config.pad_token_id = -1

    def __call__(self, exchanges: Sequence[Exchange]) -> list[float]:
        """The reward of each exchange, in the model's own unit (logits)."""
        import torch

        rows = [self._ids(exchange) for exchange in exchanges]
        by_length: dict[int, list[int]] = {}
        for i, row in enumerate(rows):
            by_length.setdefault(len(row), []).append(i)
        rewards = [math.nan] * len(rows)
        done, reported = 0, time.monotonic()
        # Only rows of one length share a batch. Without padding no reward depends on its batch.
        for _, members in sorted(by_length.items(), reverse=True):
            for start in range(0, len(members), self.batch_size):
                batch = members[start : start + self.batch_size]
                ids = torch.tensor([rows[i] for i in batch], device=self.model.device)
                with torch.inference_mode():
                    logits = self.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
                for i, reward in zip(batch, logits[:, 0].float().tolist(), strict=True):
                    rewards[i] = reward
                done += len(batch)
                if time.monotonic() - reported > SECONDS_BETWEEN_REPORTS:
                    reported = time.monotonic()
                    print(f"  {done} of {len(rows)} rewards", file=sys.stderr, flush=True)
        return rewards

    def _ids(self, exchange: Exchange) -> list[int]:
        prompt, answer = exchange
        messages = [*prompt, {"role": "assistant", "content": answer}]
        text = apply_template(self.tokenizer, messages)
        return self.tokenizer.encode(text, add_special_tokens=False)


class BaseLikelihood:
    """The mean token log-likelihood (nats) of the answer under the bare base model.

    This reward is a positive control: by construction it prefers answers as the base gives them.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        """`engine` holds the base model without an adapter; `name` is for messages."""
        self.engine, self.name = engine, name

    def __call__(self, exchanges: Sequence[Exchange]) -> list[float]:
        """The reward of each exchange, in nats per token."""
        prompts, answers = zip(*exchanges, strict=True)
        scored = self.engine.score(prompts, answers)
        return [completion.logprob / completion.tokens for completion in scored]


def score_candidates(
    reward: SequenceClassifier | BaseLikelihood,
    prompts: Sequence[Record],
    candidates: Sequence[Record],
    path: str,
) -> list[Record]:
    """Rows of kind "rewards" for all candidates, in their order.

    Equal answers to a prompt are scored once. A missing answer has the reward None. `path` is the
    candidates' file, for messages.

    Raises:
        EntrenchError: prompts have different candidates, or a reward is not finite.
    """
    messages = {row["id"]: row["messages"] for row in prompts}
    members = dict.fromkeys((row["set"], row["index"]) for row in candidates)
    require_same_keys(
        ((row["id"], row["set"], row["index"]) for row in candidates),
        ((id_, *member) for id_ in messages for member in members),
        path,
    )
    answered = [row for row in candidates if row["text"] is not None]
    distinct = list(dict.fromkeys((row["id"], row["text"]) for row in answered))
    rewards = reward([(messages[id_], text) for id_, text in distinct]) if distinct else []
    of = dict(zip(distinct, rewards, strict=True))
    for key, value in of.items():
        if not math.isfinite(value):
            raise EntrenchError(
                f"{reward.name}: the reward of an answer to prompt {key[0]!r} is {value}: "
                "use another dtype, or another reward model"
            )
    return [
        {
            "id": row["id"],
            "set": row["set"],
            "index": row["index"],
            "reward": of.get((row["id"], row["text"])),
        }
        for row in candidates
    ]
