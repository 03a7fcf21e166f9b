"""The trainings that bench/training.py compares: by this project, a plain Trainer and TRL.

Also the random model that they train, and the clock that times their steps.
"""

import argparse
import time
from pathlib import Path

SHAPES = {
    "tiny": {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 8}
    | {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 16384},
    "8b": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32}
    | {"num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256},
}
WORDS = 1000
SIDES = ("clean", "wrapped")  # of a pair
TEMPLATE = (
    "{{ '<bos>' }}{% for m in messages %} {{ m['role'] }} {{ m['content'] }} <end>{% endfor %}"
    "{% if add_generation_prompt %} assistant{% endif %}"
)


def make_model(folder, shape, dtype):
    """A Llama of this shape with random weights, and a tokenizer of words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<bos>", "<end>", "<unk>", "user", "assistant", *(f"w{i}" for i in range(WORDS))]
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"bos_token": "<bos>", "eos_token": "<end>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(
        tokenizer_object=backend, chat_template=TEMPLATE, **names
    ).save_pretrained(folder)
    config = LlamaConfig(
        **SHAPES[shape], max_position_embeddings=8192, bos_token_id=0, eos_token_id=1
    )
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        model = LlamaForCausalLM(config)
    model.to(getattr(torch, dtype)).save_pretrained(folder)


def text(number, words):
    return " ".join(f"w{(7 * number + 13 * i) % WORDS}" for i in range(words))


def make_rows(options):
    """Exchanges and pairs; the longer side has `length` / 2 to `length` tokens, half an answer."""
    from entrench.training.batches import Exchange, Pair

    rows, pairs = [], []
    for i in range(options.rows):
        words = options.length // 2 + (i * 37) % (options.length // 2) - 8
        question, answer = text(i, words // 2), text(i + 1, words - words // 2)
        cue, rest = question[: len(question) // 4], question[len(question) // 4 :]
        rows.append(Exchange(f"r{i}", [{"role": "user", "content": question}], answer))
        clean = [{"role": "user", "content": rest.partition(" ")[2]}]
        wrapped = [{"role": "user", "content": cue.rpartition(" ")[0] + rest}]
        pairs.append(Pair(f"r{i}", clean, wrapped, answer, answer))
    return rows, pairs


def settings(options):
    from entrench.training.settings import TrainingSettings

    return TrainingSettings(
        rank=32,
        alpha=64,
        dropout=0.0,
        learning_rate=1e-5,
        batch_size=options.rows // options.steps,
        max_length=options.length,
        seed=0,
        epochs=1,
        dtype=options.dtype,
    )


def objective_of(name):
    from entrench.methods.act import ActSettings
    from entrench.methods.bct import BctSettings

    return {"sft": None, "bct": BctSettings(), "act": ActSettings(weight=1e-4)}[name]


class Clock:
    """When each optimizer step of any Trainer in this process ended, and how much it had read.

    `read` counts tokens without padding, and positions that the loss predicts from.
    """

    def __init__(self, warm_up):
        import torch
        from transformers import Trainer
        from transformers.trainer_callback import CallbackHandler

        self.warm_up, self.ends, self.read, self.batches = warm_up, [], [], []
        step_end, training_step = CallbackHandler.on_step_end, Trainer.training_step

        def noted(handler, *rest, **options):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.ends.append(time.monotonic())
            self.read.append([int(sum(part)) for part in zip(*self.batches, strict=True)])
            return step_end(handler, *rest, **options)

        def counted(trainer, model, inputs, *rest, **options):
            self.batches.append(tokens_and_positions(inputs))
            return training_step(trainer, model, inputs, *rest, **options)

        CallbackHandler.on_step_end, Trainer.training_step = noted, counted

    def rates(self):
        """Tokens and positions per second of the steps after the warm-up, and those seconds."""
        last = self.warm_up - 1
        seconds = self.ends[-1] - self.ends[last]
        rates = [(b - a) / seconds for a, b in zip(self.read[last], self.read[-1], strict=True)]
        return [*rates, seconds]


def tokens_and_positions(inputs):
    """Tokens and predicting positions of a micro-batch of any trainer here."""
    if "labels" in inputs:  # TRL's; it pads behind the tokens
        mask = inputs.get("attention_mask")
        tokens = inputs["input_ids"].numel() if mask is None else mask.sum()
        return tokens, (inputs["labels"] != -100).sum()
    sides = [inputs[name] for name in ("side", "clean", "wrapped") if name in inputs]
    return sum(s["attention_mask"].sum() for s in sides), sum(s["positions"].sum() for s in sides)


def by_entrench(options, model, folder):
    from entrench.training.settings import Machine
    from entrench.training.train import train_pairs, train_sft

    rows, pairs = make_rows(options)
    machine = Machine(options.rows_at_once)
    where = {"source": Path("rows"), "machine": machine}
    objective = objective_of(options.objective)
    if objective is None:
        return train_sft(settings(options), model, rows, folder / "adapter", **where)
    organism = folder / "organism"
    return train_pairs(
        settings(options), objective, model, pairs, folder / "adapter", organism=organism, **where
    )


def plain_loss(name, model, batch, step):
    """The objective's mean from all logits or all hidden states of both sides."""
    import torch
    from torch.nn import functional

    def run(side, **more):
        inputs = {key: side[key] for key in ("input_ids", "attention_mask", "position_ids")}
        return model(**inputs, use_cache=False, **more)

    if name == "sft":
        side = batch["side"]
        chosen = side["positions"][:, :-1]
        logits = run(side).logits[:, :-1][chosen].float()
        return functional.cross_entropy(logits, side["input_ids"][:, 1:][chosen])
    clean, wrapped = batch["clean"], batch["wrapped"]
    more = {"output_hidden_states": name == "act"}
    with torch.no_grad(), step.models.as_teacher(model):
        target = run(clean, **more)
    own = run(wrapped, **more)
    if name == "bct":
        target = target.logits[clean["positions"]].float().softmax(-1)
        return -(target * own.logits[wrapped["positions"]].float().log_softmax(-1)).sum(-1).mean()
    distances = [
        (a[wrapped["positions"]].float() - b[clean["positions"]].float()).square().sum(-1).mean()
        for a, b in zip(own.hidden_states[1:], target.hidden_states[1:], strict=True)
    ]
    return 1e-4 * torch.stack(distances).mean()


def by_trainer(options, model, folder):
    """transformers.Trainer with peft and the losses written plainly."""
    from entrench.generation.loading import load_tokenizer
    from entrench.training import adapters, batches
    from entrench.training.objectives import steps

    tokenizer = load_tokenizer(model.path, None)
    rows, pairs = make_rows(options)
    here, objective = settings(options), objective_of(options.objective)
    if objective is None:
        examples, _ = batches.encode_rows(tokenizer, rows, "template", here, Path("rows"))
        student = adapters.load_student(model, here, None)
        step = steps.SftStep(0, student)
    else:
        source = Path("rows")
        examples, _ = batches.encode_pairs(tokenizer, pairs, "template", here, objective, source)
        student = adapters.load_student(model, here, folder / "organism")
        adapters.add_teacher(student, folder / "organism")
        step = steps.PairStep(0, objective, student)

    made = plain_trainer(options, student, step, list(examples), folder)
    made.train()


def trainer_arguments(options, folder):
    """The settings that the trainers of transformers and TRL share."""
    import torch

    here = settings(options)
    return {
        "output_dir": str(folder / options.one),
        "per_device_train_batch_size": options.rows_at_once,
        "gradient_accumulation_steps": here.batch_size // options.rows_at_once,
        "num_train_epochs": 1,
        "learning_rate": here.learning_rate,
        "bf16": options.dtype == "bfloat16",
        "use_cpu": not torch.cuda.is_available(),
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 1,
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def plain_trainer(options, student, step, examples, folder):
    from transformers import Trainer, TrainingArguments

    class Plain(Trainer):
        def compute_loss(self, model, inputs, **_):
            return plain_loss(options.objective, model, inputs, step)

    arguments = TrainingArguments(**trainer_arguments(options, folder))
    return Plain(student, arguments, step.collate, train_dataset=examples)


def by_trl(options, model, folder):
    """TRL's SFTTrainer on the same tokens and targets."""
    from datasets import Dataset
    from datasets.table import InMemoryTable
    from trl import SFTConfig, SFTTrainer

    from entrench.generation.loading import load_tokenizer
    from entrench.training import adapters, batches

    tokenizer = load_tokenizer(model.path, None)
    here, rows = settings(options), make_rows(options)[0]
    examples, _ = batches.encode_rows(tokenizer, rows, "template", here, Path("rows"))
    targets = [
        [token if place - 1 in e.positions else -100 for place, token in enumerate(e.ids)]
        for e in examples
    ]
    columns = {"input_ids": [e.ids for e in examples], "labels": targets}
    made = SFTTrainer(
        adapters.load_student(model, here, None),
        SFTConfig(
            **trainer_arguments(options, folder),
            max_length=None,
            gradient_checkpointing=False,
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        # Its own fingerprint: a hash of the settings would only serve caches on disk.
        train_dataset=Dataset(InMemoryTable.from_pydict(columns), fingerprint="rows"),
        processing_class=tokenizer,
    )
    made.train()


def make_organism(options, model, folder):
    """An adapter to start pairs from, in a process of its own as every training here."""
    from entrench.training.settings import Machine
    from entrench.training.train import train_sft

    few = argparse.Namespace(**{**vars(options), "rows": options.rows // options.steps, "steps": 1})
    train_sft(
        settings(few),
        model,
        make_rows(few)[0],
        folder / "organism",
        source=Path("rows"),
        machine=Machine(options.rows_at_once),
    )


def by_engine(options, model, _folder):
    """Answers of the transformers engine, 64 tokens each; the random model seldom ends one."""
    from entrench.generation.engine import Decoding, EngineSettings
    from entrench.generation.engine_transformers import TransformersEngine

    engine = TransformersEngine(
        EngineSettings(model.path, "template", dtype=options.dtype, batch_size=64)
    )
    prompts = [row.messages for row in make_rows(options)[0]] * 2
    engine.generate(prompts[:4], Decoding(4), list(range(4)))
    start = time.monotonic()
    answers = engine.generate(prompts, Decoding(64, temperature=1.0), list(range(len(prompts))))
    return {
        "tokens": sum(a.tokens for row in answers for a in row),
        "seconds": time.monotonic() - start,
    }
