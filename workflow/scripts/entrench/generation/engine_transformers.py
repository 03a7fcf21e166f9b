"""The generation engine on transformers. It runs anywhere, byte-identical on CPUs."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from transformers import GenerationConfig

from entrench.generation.answers import AnswerReader
from entrench.generation.engine import Completion, Decoding, EngineSettings, Finish, Message
from entrench.generation.loading import load_adapter, load_model, load_tokenizer
from entrench.seeds import derive_seed
from entrench.text.chat import encode_prompt

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import Cache, PreTrainedModel

# Numbers (logits) that a scoring batch may hold at once: 1 GiB in float32.
LOGITS_AT_ONCE = 2**28
SECONDS_BETWEEN_REPORTS = 30.0
# Rows whose answer has ended are dropped once this share of the batch is left. Dropping copies the
# cache of the others. Their number stays a multiple of `BLOCK`: matrix products compute rows in
# blocks, and the rows of an incomplete block may differ in their last digits.
KEPT_WHILE = 0.8
BLOCK = 32


class TransformersEngine:
    """An `entrench.generation.engine.Engine` on transformers."""

    def __init__(
        self, settings: EngineSettings, loaded: "PreTrainedModel | PeftModel | None" = None
    ) -> None:
        """Load the model. Raises `EntrenchError` with the name of what cannot be read.

        `loaded` is this model where it is in memory already, such as one in training: it then
        answers as it stands, with its active adapter.
        """
        self.settings = settings
        self.tokenizer = load_tokenizer(settings.model, settings.revision)
        # A model without a chat template is refused here, before its weights are read.
        encode_prompt(self.tokenizer, [{"role": "user", "content": ""}], settings.chat)
        model = loaded or load_model(
            settings.model, settings.revision, settings.dtype, "causal_lm", spread=True
        )
        own = model.generation_config.eos_token_id if model.generation_config else None
        self.reader = AnswerReader.of(settings, self.tokenizer, own)
        if loaded is None:
            # A model's own defaults (repetition penalty, temperature) must not decide decoding.
            model.generation_config = GenerationConfig()
        adapter = None if loaded else settings.adapter
        self.model = load_adapter(model, adapter) if adapter else model
        self.device = model.device
        # A sharded model keeps buffers between calls, and training could not write to them later.
        self._without_gradient = torch.no_grad if loaded else torch.inference_mode

    def generate(
        self, prompts: Sequence[Sequence[Message]], decoding: Decoding, seeds: Sequence[int]
    ) -> list[list[Completion]]:
        """For each prompt `decoding.n` answers, drawn with the prompt's own seed."""
        if len(seeds) != len(prompts):
            raise ValueError(f"{len(prompts)} prompts and {len(seeds)} seeds")
        rows = [encode_prompt(self.tokenizer, prompt, self.settings.chat) for prompt in prompts]
        each = max(decoding.n, decoding.beams)
        answers: list[list[Completion]] = [[] for _ in rows]
        size = max(1, self.settings.batch_size // each)
        for batch in self.batches([len(row) for row in rows], lambda _: size):
            ids, mask = self.left_padded([rows[i] for i in batch])
            if decoding.beams > 1:
                found = self._beam(ids, mask, decoding)
            else:
                found = self._sample(ids, mask, decoding, [seeds[i] for i in batch])
            for place, i in enumerate(batch):
                answers[i] = found[place * decoding.n : (place + 1) * decoding.n]
        return answers

    def score(
        self,
        prompts: Sequence[Sequence[Message]],
        answers: Sequence[str],
        finishes: Sequence[Finish] | None = None,
    ) -> list[Completion]:
        """Token count and log probability of each answer; a cut answer gets no end token."""
        finishes = finishes or ["stop"] * len(answers)
        pairs = self.reader.exchanges(prompts, answers, finishes)
        logprobs = self._score_ids(pairs)
        return [
            Completion(answer, len(response), logprob, finish)
            for answer, (_, response), logprob, finish in zip(
                answers, pairs, logprobs, finishes, strict=True
            )
        ]

    @torch.inference_mode()
    def _sample(
        self, ids: torch.Tensor, mask: torch.Tensor, decoding: Decoding, seeds: Sequence[int]
    ) -> list[Completion]:
        """Greedy answers or independent samples of one batch, prompt by prompt, `n` for each."""
        return [
            self.reader.completion(tokens, float(logprobs.sum()))
            for tokens, logprobs in self.sample_tokens(ids, mask, decoding, seeds)
        ]

    def sample_ids(
        self, prompts: Sequence[Sequence[int]], decoding: Decoding, seeds: Sequence[int]
    ) -> list[list[tuple[list[int], torch.Tensor]]]:
        """For each prompt, given as token ids, `decoding.n` answers as in `sample_tokens`."""
        answers: list[list[tuple[list[int], torch.Tensor]]] = [[] for _ in prompts]
        size = max(1, self.settings.batch_size // decoding.n)
        for batch in self.batches([len(row) for row in prompts], lambda _: size):
            ids, mask = self.left_padded([prompts[i] for i in batch])
            found = self.sample_tokens(ids, mask, decoding, [seeds[i] for i in batch])
            for place, i in enumerate(batch):
                answers[i] = found[place * decoding.n : (place + 1) * decoding.n]
        return answers

    def sample_tokens(
        self, ids: torch.Tensor, mask: torch.Tensor, decoding: Decoding, seeds: Sequence[int]
    ) -> list[tuple[list[int], torch.Tensor]]:
        """Answers as token ids, each with the log probabilities of its tokens: `n` for each prompt.

        They are raw (temperature 1, no truncation), in nats, float64 on the CPU. The end token is
        included where it was reached. `ids` and `mask` are a batch of prompts padded on the left,
        [prompts, longest], int64.
        """
        with self._without_gradient():
            return self._sampled(ids, mask, decoding, seeds)

    def _sampled(
        self, ids: torch.Tensor, mask: torch.Tensor, decoding: Decoding, seeds: Sequence[int]
    ) -> list[tuple[list[int], torch.Tensor]]:
        generators = self._generators(seeds, decoding)
        cache = self._shared_prefill(ids, mask, decoding.n) if decoding.n > 1 else None
        ids = ids.repeat_interleave(decoding.n, dim=0)
        mask = mask.repeat_interleave(decoding.n, dim=0)
        rows = torch.arange(len(ids), device=self.device)  # of the batch, those still computed
        ends = torch.tensor(sorted(self.reader.ends), device=self.device)
        new = ends[:1].repeat(len(ids), decoding.max_new_tokens)
        logprobs = torch.zeros(new.shape, dtype=torch.float64, device=self.device)
        unended = torch.ones(len(ids), dtype=torch.bool, device=self.device)
        fed = ids if cache is None else ids[:, -1:]
        for step in range(decoding.max_new_tokens):
            out = self.model(
                input_ids=fed,
                attention_mask=mask,
                position_ids=(mask.cumsum(-1) - 1).clamp_min(0)[:, -fed.shape[1] :],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache = out.past_key_values
            chosen, logprob = choose(out.logits[:, -1].float(), decoding, generators)
            new[rows, step] = chosen
            logprobs[rows, step] = logprob.double()
            unended &= ~torch.isin(chosen, ends)
            if not unended.any():
                break
            kept = kept_rows(unended)
            if len(kept) <= KEPT_WHILE * len(rows):
                cache.batch_select_indices(kept)
                rows, mask, chosen, unended = rows[kept], mask[kept], chosen[kept], unended[kept]
                generators = [generators[i] for i in kept.tolist()] if generators else []
            fed = chosen.unsqueeze(-1)
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=-1)
        return [
            (tokens, steps[: len(tokens)])
            for tokens, steps in zip(
                map(self.reader.cut, new.tolist()), logprobs.cpu(), strict=True
            )
        ]

    @torch.inference_mode()
    def _beam(self, ids: torch.Tensor, mask: torch.Tensor, decoding: Decoding) -> list[Completion]:
        """The best beam of each prompt: the highest log probability per token."""
        new = self._search(ids, mask, decoding).tolist()
        new = [self.reader.cut(tokens) for tokens in new]
        prompts = [row[keep.bool()].tolist() for row, keep in zip(ids, mask, strict=True)]
        logprobs = self._score_ids(list(zip(prompts, new, strict=True)))
        return [self.reader.completion(*pair) for pair in zip(new, logprobs, strict=True)]

    def _search(self, ids: torch.Tensor, mask: torch.Tensor, decoding: Decoding) -> torch.Tensor:
        """The ids of the best beam's tokens, [prompts, at most max_new_tokens]."""
        config = GenerationConfig(
            max_new_tokens=decoding.max_new_tokens,
            do_sample=False,
            num_beams=decoding.beams,
            eos_token_id=sorted(self.reader.ends),
            pad_token_id=min(self.reader.ends),  # tokens after an end token are cut off
        )
        out = self.model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        return out[:, ids.shape[1] :]

    def _shared_prefill(self, ids: torch.Tensor, mask: torch.Tensor, n: int) -> "Cache":
        """The cache of all prompt tokens except the last, computed once and repeated `n` times."""
        positions = (mask.cumsum(-1) - 1).clamp_min(0)
        out = self.model(
            input_ids=ids[:, :-1],
            attention_mask=mask[:, :-1],
            position_ids=positions[:, :-1],
            use_cache=True,
            logits_to_keep=1,
        )
        out.past_key_values.batch_repeat_interleave(n)
        return out.past_key_values

    @torch.inference_mode()
    def _score_ids(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[float]:
        """The log probability (nats) of each answer's tokens after the tokens of its prompt."""
        logprobs = [0.0] * len(pairs)
        vocabulary = self.model.config.get_text_config().vocab_size

        def size(longest: int) -> int:
            fitting = LOGITS_AT_ONCE // (vocabulary * longest)
            return max(1, min(self.settings.batch_size, fitting))

        for batch in self.batches([len(p) + len(a) for p, a in pairs], size):
            ids, mask = self.left_padded([[*pairs[i][0], *pairs[i][1]] for i in batch])
            # With padding on the left, every answer ends in the last column.
            kept = max(1, *(len(pairs[i][1]) for i in batch))  # a cut answer may hold no token
            logits = self.logits_before(ids, mask, kept)
            chosen = chosen_logprobs(logits.float(), ids[:, -kept:]).double().cpu()
            for row, i in enumerate(batch):
                logprobs[i] = float(chosen[row, kept - len(pairs[i][1]) :].sum())
        return [self.reader.finite(logprob) for logprob in logprobs]

    def logits_before(self, ids: torch.Tensor, mask: torch.Tensor, last: int) -> torch.Tensor:
        """The logits that predict each of the `last` tokens of a batch padded on the left.

        Their shape is [rows, last, vocabulary].
        """
        return self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp_min(0),
            use_cache=False,
            logits_to_keep=last + 1,
        ).logits[:, :-1]

    def _generators(self, seeds: Sequence[int], decoding: Decoding) -> list[torch.Generator]:
        if decoding.temperature == 0:
            return []
        return [
            torch.Generator(self.device).manual_seed(derive_seed(seed, index))
            for seed in seeds
            for index in range(decoding.n)
        ]

    def left_padded(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and attention mask, [rows, longest], int64."""
        longest = max(map(len, rows))
        ids = [[0] * (longest - len(row)) + list(row) for row in rows]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        return torch.tensor(ids, device=self.device), torch.tensor(mask, device=self.device)

    def batches(self, lengths: Sequence[int], size: Callable[[int], int]) -> Iterator[list[int]]:
        """Batches of row numbers of similar length, at most `size(longest)` in a batch.

        The longest come first, so that a batch too large for the memory fails at once. Progress
        goes to stderr.
        """
        order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
        start, reported = 0, time.monotonic()
        while start < len(order):
            batch = order[start : start + size(lengths[order[start]])]
            yield batch
            start += len(batch)
            if time.monotonic() - reported > SECONDS_BETWEEN_REPORTS:
                reported = time.monotonic()
                print(f"  {start} of {len(order)} sequences", file=sys.stderr, flush=True)


def kept_rows(unended: torch.Tensor) -> torch.Tensor:
    """The rows to compute on, int64, in order: the unended, and ended ones that fill the block."""
    ended = (~unended).nonzero().squeeze(-1)
    missing = -int(unended.sum()) % BLOCK
    return torch.cat([unended.nonzero().squeeze(-1), ended[:missing]]).sort().values


def choose(
    logits: torch.Tensor, decoding: Decoding, generators: Sequence[torch.Generator]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The next token of each row, and its raw log probability (nats), both [rows].

    `logits` are [rows, vocabulary]. The token with the highest sum of log probability and Gumbel
    noise is an exact sample (the Gumbel-max trick, e.g. Maddison et al. 2014). Each row has its own
    generator, so a sample does not depend on the other rows. Without generators the choice is
    greedy.
    """
    scores = logits
    if generators:
        scores = truncated(logits / decoding.temperature, decoding.top_p)
        scores = scores + gumbel_noise(generators, scores)
    tokens = scores.argmax(-1)
    return tokens, chosen_logprobs(logits, tokens)


def truncated(logits: torch.Tensor, top_p: float) -> torch.Tensor:
    """Logits [rows, vocabulary] with -inf outside the nucleus (Holtzman et al. 2020).

    The nucleus is the smallest set of likeliest tokens whose total probability is at least `top_p`.
    Tokens as likely as the last token of this set stay too.
    """
    if top_p >= 1:
        return logits
    probabilities = logits.softmax(-1)
    size, vocabulary = 0, logits.shape[-1]
    reached = torch.zeros(1, 1, dtype=torch.bool)
    while size < vocabulary and not reached[:, -1].all():
        size = min(vocabulary, max(64, 8 * size))  # far cheaper than sorting the vocabulary
        top = probabilities.topk(size).values
        reached = top.cumsum(-1) >= top_p
    last = (~reached).sum(-1, keepdim=True).clamp_max(size - 1)
    return logits.masked_fill(probabilities < top.gather(-1, last), float("-inf"))


def gumbel_noise(generators: Sequence[torch.Generator], like: torch.Tensor) -> torch.Tensor:
    """Standard Gumbel noise, in shape and dtype as `like`; each row from its own generator."""
    uniform = torch.empty_like(like)
    for row, generator in zip(uniform, generators, strict=True):
        row.uniform_(generator=generator)  # several times faster than `exponential_`
    # Uniform draws are multiples of 2^-24. Half a step is added, because log(0) is not finite.
    exponential = uniform.add_(2.0**-25).neg_().log1p_().neg_()
    return exponential.log_().neg_()


def chosen_logprobs(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """log softmax(logits)[tokens] over the last dimension, in nats.

    `tokens` (int64) has the shape of `logits` without the last dimension.
    """
    chosen = logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return chosen - logits.logsumexp(-1)
