"""The generation engine on vLLM: fast on GPUs. Its draws are seeded, but not byte-identical.

Prompts and answers pass as token ids. So chat template, BOS, end tokens and text are the same as in
training and in the transformers engine. vLLM reports log probabilities of the raw model
(`logprobs_mode="raw_logprobs"`: before temperature and truncation).
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrench.errors import EntrenchError, first_line
from entrench.generation.answers import AnswerReader
from entrench.generation.beam import beam_search
from entrench.generation.engine import (
    VLLM_RANKS,
    Completion,
    Decoding,
    EngineSettings,
    Finish,
    Message,
)
from entrench.generation.loading import check_adapter, check_folder, has_experts, load_tokenizer
from entrench.seeds import derive_seed
from entrench.text.chat import encode_prompt

ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",  # sends no usage report
    "VLLM_LOGGING_LEVEL": "ERROR",
    # Without a second process the scheduler ends with the job, however the job ends.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}
CPU_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # as many threads as the spec says, on any core
    "TORCH_COMPILE_DISABLE": "1",  # compiling small helpers takes longer than they save
}


@dataclass(frozen=True)
class _Room:
    """The room that an engine reserves for LoRA adapters. Rank 0: no room."""

    rank: int
    modules: frozenset[str]  # last parts of their names


NO_ROOM = _Room(0, frozenset())


class VllmEngine:
    """An `entrench.generation.engine.Engine` on vLLM."""

    def __init__(self, settings: EngineSettings) -> None:
        """Load the model. Raises `EntrenchError` with the name of what cannot be read."""
        self.settings = settings
        check_folder(settings.model)
        self.tokenizer = load_tokenizer(settings.model, settings.revision)
        # A model without a chat template is refused here, before its weights are read.
        encode_prompt(self.tokenizer, [{"role": "user", "content": ""}], settings.chat)
        if settings.adapter and not settings.gpus:
            _require_dense(settings)
        room = _room_for(settings.adapter) if settings.adapter else NO_ROOM
        self.llm = _load(settings, room)
        self.lora_number = 1  # each adapter of one load needs its own
        eos = self.llm.model_config.try_get_generation_config().get("eos_token_id")
        if eos is None:
            eos = self.llm.model_config.hf_text_config.eos_token_id
        self.reader = AnswerReader.of(settings, self.tokenizer, eos)

    def generate(
        self, prompts: Sequence[Sequence[Message]], decoding: Decoding, seeds: Sequence[int]
    ) -> list[list[Completion]]:
        """For each prompt `decoding.n` answers, drawn with the prompt's own seed."""
        if len(seeds) != len(prompts):
            raise ValueError(f"{len(prompts)} prompts and {len(seeds)} seeds")
        rows = [encode_prompt(self.tokenizer, prompt, self.settings.chat) for prompt in prompts]
        self._require_room(rows, decoding.max_new_tokens)
        if decoding.beams > 1:
            ends = self.reader.ends
            found = beam_search(
                rows, decoding.beams, decoding.max_new_tokens, ends, self._likeliest
            )
            return [[self.reader.completion(*best)] for best in found]
        # Each draw is a request with its own seed. In a request of several samples vLLM would add
        # the sample's number to the seed, which would repeat draws of another prompt.
        draws = [
            (row, derive_seed(seed, index))
            for row, seed in zip(rows, seeds, strict=True)
            for index in range(decoding.n)
        ]
        answers = self._answer([row for row, _ in draws], decoding, [seed for _, seed in draws])
        return [answers[i : i + decoding.n] for i in range(0, len(answers), decoding.n)]

    def score(
        self,
        prompts: Sequence[Sequence[Message]],
        answers: Sequence[str],
        finishes: Sequence[Finish] | None = None,
    ) -> list[Completion]:
        """Token count and log probability of each answer; a cut answer gets no end token."""
        finishes = finishes or ["stop"] * len(answers)
        pairs = self.reader.exchanges(prompts, answers, finishes)
        rows = [[*prompt, *response] for prompt, response in pairs]
        self._require_room(rows, 1)
        outputs = self._run(rows, [{"max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}])
        scored = []
        for answer, finish, row, (prompt, response), output in zip(
            answers, finishes, rows, pairs, outputs, strict=True
        ):
            steps = zip(row[len(prompt) :], output.prompt_logprobs[len(prompt) :], strict=True)
            logprob = self.reader.finite(sum((step[token].logprob for token, step in steps), 0.0))
            scored.append(Completion(answer, len(response), logprob, finish))
        return scored

    def _answer(
        self, rows: Sequence[Sequence[int]], decoding: Decoding, seeds: Sequence[int]
    ) -> list[Completion]:
        common = {
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p if decoding.temperature else 1.0,
            "logprobs": 0,  # of the chosen token alone
            "stop_token_ids": sorted(self.reader.ends),
        }
        outputs = self._run(rows, [common | {"seed": seed} for seed in seeds])
        completions = []
        for output in outputs:
            (answer,) = output.outputs
            tokens = self.reader.cut(answer.token_ids)
            steps = zip(tokens, answer.logprobs, strict=True)
            completions.append(
                self.reader.completion(tokens, sum(step[token].logprob for token, step in steps))
            )
        return completions

    def _likeliest(self, rows: Sequence[Sequence[int]], k: int) -> list[dict[int, float]]:
        """The k likeliest next tokens of each row, with their log probabilities (nats)."""
        k = min(k, self.llm.model_config.get_vocab_size())
        outputs = self._run(rows, [{"max_tokens": 1, "temperature": 0.0, "logprobs": k}])
        found = []
        for output in outputs:
            (step,) = output.outputs[0].logprobs
            best = sorted(step.items(), key=lambda entry: -entry[1].logprob)[:k]
            found.append({token: entry.logprob for token, entry in best})
        return found

    def _run(self, rows: Sequence[Sequence[int]], params: Sequence[dict[str, Any]]) -> list[Any]:
        """vLLM's outputs for rows of token ids. A single entry of `params` holds for all rows."""
        from vllm import SamplingParams
        from vllm.lora.request import LoRARequest

        if not rows:
            return []
        adapter = self.settings.adapter
        lora = LoRARequest(adapter, self.lora_number, adapter) if adapter else None
        settings = [
            # Only the reader's end tokens stop an answer.
            SamplingParams(**fields, detokenize=False, ignore_eos=True)
            for fields in params
        ]
        try:
            return self.llm.generate(
                [{"prompt_token_ids": list(row)} for row in rows],
                settings if len(settings) == len(rows) else settings * len(rows),
                use_tqdm=False,
                lora_request=lora,
            )
        except Exception as error:
            raise _fault(adapter or self.settings.model, error) from error

    def _require_room(self, rows: Sequence[Sequence[int]], new: int) -> None:
        room = self.llm.model_config.max_model_len
        longest = max(map(len, rows), default=0)
        if longest + new > room:
            raise EntrenchError(
                f"{self.settings.model}: a prompt of {longest} tokens and {new} new ones do not "
                f"fit into the {room} that the model, or the GPU's memory, can hold: raise "
                "`vllm_memory_percent` or `gpus` of its size class, or lower `max_new_tokens`"
            )


def _load(settings: EngineSettings, room: _Room) -> Any:
    """vLLM's `LLM`, with the given room for LoRA adapters."""
    os.environ.update({key: os.environ.get(key, value) for key, value in ENVIRONMENT.items()})
    if not settings.gpus:
        for key, value in CPU_ENVIRONMENT.items():
            os.environ.setdefault(key, value)
    try:
        from vllm import LLM
    except Exception as error:  # a library of a wrong version can raise errors of many kinds
        raise EntrenchError(
            f"vLLM is installed here and cannot be imported ({first_line(error)}): make the "
            "environment of environment.yml again, on a machine whose driver supports its CUDA, or "
            "set `engine: transformers`"
        ) from error

    lora = {
        "enable_lora": True,
        "max_lora_rank": room.rank,
        # Without this list vLLM wraps the output layer too. No adapter of ours is there, and vLLM's
        # prompt log probabilities would fail.
        "lora_target_modules": sorted(room.modules),
    }
    try:
        return LLM(
            model=settings.model,
            revision=settings.revision,
            dtype=settings.dtype,
            # Mistral's repositories also hold a copy in Mistral's own format. It is not read.
            config_format="hf",
            load_format="safetensors",
            trust_remote_code=False,
            skip_tokenizer_init=True,
            # A model's own defaults (repetition penalty, temperature) must not decide decoding.
            generation_config="vllm",
            logprobs_mode="raw_logprobs",
            max_model_len=-1,  # the model's context, or as much as fits into the memory
            max_logprobs=-1,  # no limit: beam search asks for several tokens per beam
            tensor_parallel_size=max(1, settings.gpus),
            gpu_memory_utilization=settings.memory_share,
            enforce_eager=not settings.gpus,
            # For a prompt in chunks vLLM sets the request's random generator back. A generator on
            # the CPU cannot do this, so full batches of seeded requests would fail there.
            enable_chunked_prefill=bool(settings.gpus),
            **(lora if room.rank else {}),
        )
    except Exception as error:
        raise _fault(settings.model, error) from error


def _require_dense(settings: EngineSettings) -> None:
    """Refuse an adapter on a mixture of experts on the CPU: vLLM lacks the kernel for it there."""
    if has_experts(settings.model, settings.revision):
        raise EntrenchError(
            f"{settings.model}: a mixture of experts, on which vLLM's CPU build serves no LoRA "
            "adapter: set `engine: transformers`, or `gpus` of the model's size class"
        )


def _room_for(adapter: str) -> _Room:
    """The room that a LoRA adapter needs.

    Raises `EntrenchError` where one of its files is missing or broken, or its rank is too large.
    """
    check_adapter(adapter)
    config = json.loads((Path(adapter) / "adapter_config.json").read_bytes())
    rank = next((size for size in VLLM_RANKS if size >= config["r"]), None)
    if rank is None:
        raise EntrenchError(
            f"{adapter}: its rank is {config['r']}, and vLLM serves at most {VLLM_RANKS[-1]}: "
            "set `engine: transformers`"
        )
    modules = {name.split(".")[-1] for name in config["target_modules"]}
    if config.get("target_parameters"):
        modules.add("experts")  # vLLM's name for the module with all experts of a layer
    return _Room(rank, frozenset(modules))


def _fault(what: str, error: Exception) -> EntrenchError:
    return EntrenchError(
        f"{what}: vLLM cannot run it ({first_line(error)}): make or download it again if it is "
        "damaged, give it more memory, or set `engine: transformers`"
    )
