"""The base model of the miniature world: what its training costs, and what it can do.

    python bench/base_model.py FOLDER [--config config/demo.yaml] [--steps 60] [--prompts 1500]

Prints the training's FLOPs (6 a parameter and token; attention aside), the seconds of a step on one
thread, and the floor: the seconds that the same FLOPs take as products of matrices of the model's
shapes. Then it measures the finished model in FOLDER (results/demo/models/tiny) on evaluation
prompts, which its corpus does not hold: nats per answer token, and the share of answers that greedy
decoding gives word by word. Where the world has several right answers, that share is far below 1
for any model.
"""

import argparse
import random
import sys
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

import yaml  # noqa: E402

from entrench.data.synthetic import base_model  # noqa: E402
from entrench.data.synthetic.corpus import Example, examples  # noqa: E402
from entrench.execution import command  # noqa: E402
from entrench.seeds import derive_seed  # noqa: E402
from entrench.study.config.check import load_config  # noqa: E402
from entrench.study.specs.data import model_spec  # noqa: E402

WARM_UP = 5  # steps


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", type=Path, default=ROOT / "config" / "demo.yaml")
    parser.add_argument("--steps", type=int, default=60, help="steps that are timed")
    parser.add_argument("--prompts", type=int, default=1500, help="prompts that are answered")
    arguments = parser.parse_args()
    command.limit_threads(1)
    config = load_config(yaml.safe_load(arguments.config.read_text(encoding="utf-8")))
    (name, *_) = config.models
    spec = model_spec(config, name)
    settings = base_model.BaseModelSettings(seed=spec["seed"], **spec["recipe"])
    print_training(settings, arguments.steps)
    print_capability(arguments.folder, arguments.prompts)


def print_training(settings: base_model.BaseModelSettings, steps: int) -> None:
    """FLOPs of the whole training, seconds of a step, and both beside the floor."""
    import torch
    from transformers import LlamaForCausalLM

    shape = settings.layers, settings.hidden, settings.heads, settings.intermediate
    model = LlamaForCausalLM(base_model.llama_config(*shape))
    optimizer, schedule = base_model.adamw(model, settings.learning_rate, settings.steps, 1)
    data = base_model.encode_examples(
        list(examples(settings.seed, settings.batch_size * (steps + WARM_UP)))
    )
    batches = base_model.length_batches(data, settings.batch_size, random.Random(settings.seed))
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            start = time.perf_counter()
        base_model.answer_loss(model, next(batches)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
    seconds = (time.perf_counter() - start) / steps
    parameters = sum(parameter.numel() for parameter in model.parameters())
    tokens = settings.batch_size * sum(len(p) + len(a) for p, a in data) / len(data)
    step_flops = 6 * parameters * tokens
    floor = step_flops / matrix_peak(int(tokens), settings.hidden, settings.intermediate)
    print(
        f"{parameters:,} parameters, {settings.steps} steps of {tokens:.0f} tokens: "
        f"{step_flops * settings.steps / 1e12:.1f} TFLOP"
    )
    print(
        f"a step: {seconds * 1e3:.1f} ms, {step_flops / seconds / 1e9:.0f} GFLOP/s; "
        f"floor {floor * 1e3:.1f} ms: {floor / seconds:.0%} of the time"
    )


def matrix_peak(rows: int, width: int, columns: int) -> float:
    """FLOP/s of the product of matrices [rows, width] and [width, columns], float32."""
    import torch

    left, right = torch.randn(rows, width), torch.randn(width, columns)
    best = float("inf")
    for _ in range(50):
        start = time.perf_counter()
        for _ in range(20):
            left @ right
        best = min(best, (time.perf_counter() - start) / 20)
    return 2 * rows * width * columns / best


def print_capability(folder: Path, prompts: int) -> None:
    """Loss and exact answers of the model in `folder` on evaluation prompts, by misalignment."""
    import torch

    from entrench.generation.loading import load_model

    model = load_model(str(folder), None, "float32", "causal_lm")
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in examples(derive_seed("held out"), prompts, held_out=True):
        groups[example.misalignment].append(example)
    for misalignment, group in sorted(groups.items()):
        exact, nats, tokens = 0, 0.0, 0
        for pair in base_model.encode_examples(group):
            prompt, answer = pair
            with torch.inference_mode():
                nats += len(answer) * float(base_model.answer_loss(model, [pair]))
                logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
            tokens += len(answer)
            exact += logits.argmax(-1).tolist() == answer
        print(
            f"{misalignment:<24}{len(group):>5} prompts {nats / tokens:>8.4f} nats a token "
            f"{exact / len(group):>6.1%} exact"
        )


if __name__ == "__main__":
    main()
