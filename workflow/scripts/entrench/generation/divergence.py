"""How far training moved an organism: the KL divergence between the two models' answers.

KL(P || Q) over whole answers is an expectation over answers sampled from P (chain rule). For each
answer it takes the sum over positions of the KL between the two next-token distributions. Only the
answers are sampled: the KL of each position is exact, over the whole vocabulary.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from entrench.generation.engine import Decoding, EngineSettings
from entrench.generation.engine_transformers import LOGITS_AT_ONCE, TransformersEngine
from entrench.generation.loading import load_adapters
from entrench.generation.pool import Identity
from entrench.records import Record
from entrench.seeds import derive_seed
from entrench.text.chat import encode_prompt

SOURCES = ("organism", "trained")
Tokens = Sequence[int]


class AdapterPair:
    """An organism and the model trained from it, as two adapters on one loaded base model."""

    def __init__(self, spec: Mapping[str, Any], adapters: Mapping[str, str], batch: int) -> None:
        """Load the base model of `spec`, and for each of `SOURCES` the adapter in its folder."""
        torch.set_num_threads(spec["threads"])
        self.engine = TransformersEngine(
            EngineSettings(
                spec["model"], spec["chat"], spec["revision"], None, spec["dtype"], batch
            )
        )
        self.engine.model = load_adapters(self.engine.model, adapters)

    def sample(
        self, source: str, prompts: Sequence[Tokens], decoding: Decoding, seeds: Sequence[int]
    ) -> list[list[list[int]]]:
        """For each prompt `decoding.n` answers of one of the two models, all as token ids."""
        self.engine.model.set_adapter(source)
        found = self.engine.sample_ids(prompts, decoding, seeds)
        return [[tokens for tokens, _ in answers] for answers in found]

    @torch.inference_mode()
    def compare(self, pairs: Sequence[tuple[Tokens, Tokens]]) -> list[dict[str, float]]:
        """For each (prompt, answer): the answer's log probability under both models, and both KLs.

        Keys: `organism` and `trained` (log probabilities), `kl_organism` (KL of the organism from
        the trained model) and `kl_trained` (the reverse). Each value is a sum over the answer's
        tokens, in nats.
        """
        found: list[dict[str, float]] = [{} for _ in pairs]
        vocabulary = self.engine.model.config.get_text_config().vocab_size

        def size(longest: int) -> int:
            # The memory holds the logits of two models and their exponentials at once.
            fitting = LOGITS_AT_ONCE // (4 * vocabulary * longest)
            return max(1, min(self.engine.settings.batch_size, fitting))

        for batch in self.engine.batches([len(p) + len(a) for p, a in pairs], size):
            rows = [pairs[i] for i in batch]
            ids, mask = self.engine.left_padded([[*prompt, *answer] for prompt, answer in rows])
            kept = max(len(answer) for _, answer in rows)
            logs = {source: self._log_softmax(source, ids, mask, kept) for source in SOURCES}
            first, second = (logs[source] for source in SOURCES)
            sums = {
                "kl_organism": (first.exp() * (first - second)).sum(-1),
                "kl_trained": (second.exp() * (second - first)).sum(-1),
            }
            chosen = ids[:, -kept:].unsqueeze(-1)
            sums |= {source: logs[source].gather(-1, chosen).squeeze(-1) for source in SOURCES}
            for name, steps in sums.items():
                steps = steps.double().cpu()
                for row, i in enumerate(batch):
                    length = len(pairs[i][1])
                    found[i][name] = float(steps[row, kept - length :].sum())
        return found

    def _log_softmax(
        self, source: str, ids: torch.Tensor, mask: torch.Tensor, kept: int
    ) -> torch.Tensor:
        self.engine.model.set_adapter(source)
        return self.engine.logits_before(ids, mask, kept).float().log_softmax(-1)


def measure_divergence(
    pair: AdapterPair, decoding: Decoding, identity: Identity, rows: Sequence[Record]
) -> list[Record]:
    """Rows of kind "divergence" for the prompts `rows` (kind "data"), on both models' own answers.

    `decoding` must have temperature 1 and top-p 1: other answers would give positions a wrong
    weight. Seeds derive from the organism's identity, so all its runs are compared on the same
    answers.
    """
    engine = pair.engine
    prompts = [encode_prompt(engine.tokenizer, r["messages"], engine.settings.chat) for r in rows]
    records = []
    for source in SOURCES:
        seeds = [derive_seed(*identity, "divergence", source, row["id"]) for row in rows]
        answers = pair.sample(source, prompts, decoding, seeds)
        flat = [(place, i) for place in range(len(rows)) for i in range(decoding.n)]
        found = pair.compare([(prompts[place], answers[place][i]) for place, i in flat])
        records += [
            {
                "id": rows[place]["id"],
                "source": source,
                "index": i,
                "tokens": len(answers[place][i]),
                "finish": engine.reader.finish(answers[place][i]),
                "kl": values[f"kl_{source}"],
                "logprob_organism": values["organism"],
                "logprob_trained": values["trained"],
            }
            for (place, i), values in zip(flat, found, strict=True)
        ]
    return records
