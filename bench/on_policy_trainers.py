"""The on-policy trainings that bench/training.py compares: by this project and by TRL.

All draw one answer to each wrapped prompt, at temperature 1, and lower the exact reverse KL over
the vocabulary at every position of the answers, by one optimizer step of the same adapter.
`Drawing` takes the time of the draws.

What TRL cannot do (read in version 1.16.0):

- `SDFTTrainer` (rows `SDFT`): its teacher is the base model, the moving student, or an average of
  students; never a frozen adapter. So the teacher is the base model in both rows. Its settings
  refuse a teacher's prompt without the student's in it. The clean prompt alone is set here, after
  they have been checked. Each answer weighs the same, however long. The logits of student and
  teacher at all positions of a micro-batch are in memory at once.
- `DistillationTrainer` (rows `Distil`): the teacher reads the student's own prompt. So it does in
  both rows. The teacher is a model of its own, so the base model is in memory twice. GKDTrainer
  says itself that this trainer does the same, with less memory.
- Both divide the logits in the KL by the sampling temperature: at another temperature than 1 their
  loss is not that of `opct`. Both stop at a token's own KL (`discount` 0).
"""

import os
import time
from pathlib import Path

from trainers import SIDES, make_rows, settings, trainer_arguments

TRL_TRAINERS = ("SDFT", "Distil")


class Drawing:
    """Seconds and tokens of every call that draws answers in this process, by either engine."""

    def __init__(self):
        from transformers import GenerationMixin

        from entrench.generation.engine_transformers import TransformersEngine

        self.calls = []
        sample_ids, generate = TransformersEngine.sample_ids, GenerationMixin.generate

        def sampled(engine, *rest, **more):
            start = time.monotonic()
            found = sample_ids(engine, *rest, **more)
            self.note(start, sum(len(tokens) for row in found for tokens, _ in row))
            return found

        def generated(model, *rest, **more):
            start = time.monotonic()
            found = generate(model, *rest, **more)
            ends = torch.tensor(more["generation_config"].eos_token_id, device=found.device)
            ended = torch.isin(found[:, more["input_ids"].shape[1] :], ends).long()
            # Behind an end token stands padding.
            self.note(start, int((ended.cumsum(-1) - ended == 0).sum()))
            return found

        import torch

        TransformersEngine.sample_ids, GenerationMixin.generate = sampled, generated

    def note(self, start, tokens):
        self.calls.append((time.monotonic() - start, tokens))

    def totals(self, warm_up):
        """Seconds and tokens of the steps after the warm-up; each step draws once."""
        return map(sum, zip(*self.calls[warm_up:], strict=True))


def answer_length(options):
    """The random model seldom ends an answer, so this is the length of nearly all."""
    return options.length // 4


def prompts_of(options, objective):
    """Clean and wrapped prompts; for `Distil` the wrapped ones on both sides."""
    clean, wrapped = (
        [{"id": pair.id, "messages": getattr(pair, side)} for pair in make_rows(options)[1]]
        for side in SIDES
    )
    return (wrapped if objective == "Distil" else clean), wrapped


def by_opct(options, model, folder):
    """On-policy training; the teacher is the organism, or beside a trainer of TRL the base."""
    from entrench.methods.opct import OpctSettings
    from entrench.training.settings import Machine
    from entrench.training.train import train_on_policy

    here = settings(options)
    objective = OpctSettings(
        teacher="base" if options.objective in TRL_TRAINERS else "organism",
        prompts_per_step=here.batch_size,
        rollouts=1,
        temperature=1.0,
        max_new_tokens=answer_length(options),
    )
    train_on_policy(
        here,
        objective,
        model,
        prompts_of(options, options.objective),
        folder / "adapter",
        rollouts=folder / "rollouts.jsonl",
        source=Path("rows"),
        organism=folder / "organism",
        machine=Machine(options.rows_at_once),
    )


def by_trl_opct(options, model, folder):
    """TRL's SDFTTrainer or DistillationTrainer; the teacher is the base model."""
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    from datasets import Dataset
    from datasets.table import InMemoryTable

    from entrench.generation.loading import load_model, load_tokenizer
    from entrench.training import adapters

    clean, wrapped = prompts_of(options, options.objective)
    columns = {
        "prompt": [row["messages"] for row in wrapped],
        "privileged_context": [row["messages"][0]["content"] for row in clean],
    }
    here = settings(options)
    student = adapters.load_student(model, here, folder / "organism")
    arguments = trainer_arguments(options, folder) | {
        "gradient_checkpointing": False,
        "max_completion_length": answer_length(options),
        "temperature": 1.0,
    }
    given = {
        # Its own fingerprint: a hash of the settings would only serve caches on disk.
        "train_dataset": Dataset(InMemoryTable.from_pydict(columns), fingerprint="rows"),
        "processing_class": load_tokenizer(model.path, None),
    }
    if options.objective == "Distil":
        from trl import DistillationConfig, DistillationTrainer

        teacher = load_model(model.path, None, here.dtype, "causal_lm")
        config = DistillationConfig(**arguments, beta=1.0)
        made = DistillationTrainer(student, teacher, config, **given)
    else:
        from trl.experimental.sdft import SDFTConfig, SDFTTrainer

        config = SDFTConfig(
            **arguments,
            distillation_mode="full_logits",
            distillation_alpha=1.0,
            num_generations=1,
            max_prompt_length=options.length,
            teacher_model_kind="base",
        )
        # Its check wants the student's prompt in the teacher's.
        config.teacher_prompt_template = "{privileged_context}"
        made = SDFTTrainer(student, config, **given)
    made.train()
