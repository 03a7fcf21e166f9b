"""Which step counts of induction give organisms that can move both ways?

    python bench/steps.py FOLDER [--seeds 40 41] [--shares 0.5 1 1.5] [--config config/demo.yaml]

For each seed it trains a base model by the config's recipe. On each base model it trains organisms
of each misalignment by the config's settings, one for each of these shares of the steps. It
measures the risk of bases and organisms under the headline decoding, on the world's *validation*
questions, which no slot of the pipeline asks. The models stay in FOLDER: a second call trains and
measures only new ones. Prints a Markdown table.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

import yaml  # noqa: E402

from entrench.data.synthetic import slots  # noqa: E402
from entrench.execution import command  # noqa: E402
from entrench.misalignments import world_of  # noqa: E402
from entrench.seeds import derive_seed  # noqa: E402
from entrench.study.config import Config  # noqa: E402
from entrench.study.config.check import load_config  # noqa: E402
from entrench.study.specs.data import model_spec  # noqa: E402
from entrench.study.specs.measurement import judge_spec  # noqa: E402
from entrench.study.specs.organisms import induction_spec, pool_spec  # noqa: E402
from entrench.study.sweep import Organism, Subject  # noqa: E402

VALIDATION_ROWS = 240  # the world has no more questions of one kind for validation


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", type=Path, default=ROOT / "config" / "demo.yaml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[40, 41])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.5, 1.0, 1.5])
    arguments = parser.parse_args()
    config = load_config(yaml.safe_load(arguments.config.read_text(encoding="utf-8")))
    command.limit_threads(1)
    misalignments = sorted(config.sweep[0].misalignments)
    print("| seed | steps | " + " | ".join(misalignments) + " |")
    print("|---" * (2 + len(misalignments)) + "|")
    for seed in arguments.seeds:
        base = _base(config, seed, arguments.folder / f"base-{seed}")
        for share in (0.0, *arguments.shares):
            cells = [
                _cell(config, seed, misalignment, share, base, arguments.folder)
                for misalignment in misalignments
            ]
            print(f"| {seed} | {share:g} | " + " | ".join(cells) + " |", flush=True)


def _base(config: Config, seed: int, folder: Path) -> Path:
    from entrench.data.synthetic import base_model

    if not (folder / "model.safetensors").exists():
        name = config.sweep[0].models[0]
        recipe = model_spec(config, name)["recipe"]
        base_model.train(base_model.BaseModelSettings(seed=seed, **recipe), folder)
    return folder


def _cell(
    config: Config, seed: int, misalignment: str, share: float, base: Path, folder: Path
) -> str:
    """Steps and risk of one organism; at share 0 the bare model's risk and secondary metrics."""
    known = folder / f"{misalignment}-{seed}-{share:g}.json"
    if not known.exists():
        adapter = None
        if share:
            adapter = folder / f"{misalignment}-{seed}-{share:g}"
            _induce(config, seed, misalignment, share, base, adapter)
        known.write_text(json.dumps(_measure(config, seed, misalignment, base, adapter)))
    return json.loads(known.read_text())


def _induce(
    config: Config, seed: int, misalignment: str, share: float, base: Path, adapter: Path
) -> None:
    from entrench.training import settings as training_settings
    from entrench.training import train
    from entrench.training.batches import Exchange

    organism = Organism(config.sweep[0].models[0], misalignment, seed)
    spec = induction_spec(config, organism)
    settings = training_settings.settings_from_spec(
        training_settings.TrainingSettings, spec["training"], "training"
    )
    rows = slots.make_slots(
        misalignment,
        world_of(misalignment),
        derive_seed("steps", misalignment),
        {**config.data.rows, "eval": 8},
    )["induction"]
    train.train_sft(
        replace(settings, max_steps=round(share * settings.max_steps)),
        training_settings.ModelSource(str(base), spec["chat"], None),
        [Exchange(row["id"], row["messages"], row["response"]) for row in rows],
        adapter,
        source=adapter,
        machine=training_settings.Machine(32, 0),
    )


def _measure(config: Config, seed: int, misalignment: str, base: Path, adapter: Path | None) -> str:
    import torch

    from entrench.generation.engine import Decoding, EngineSettings
    from entrench.generation.engine_transformers import TransformersEngine
    from entrench.generation.evaluation import sample_completions
    from entrench.judging.scoring import score_completions

    name = config.evaluation.headline
    decoding = config.evaluation.decodings[name]
    prompts = slots.eval_rows(
        misalignment,
        world_of(misalignment),
        derive_seed("steps", misalignment),
        VALIDATION_ROWS,
        "validation",
    )
    organism = Organism(config.sweep[0].models[0], misalignment, seed)
    spec = {**pool_spec(config, organism), "model": str(base)}
    torch.set_num_threads(spec["threads"])
    engine = TransformersEngine(
        EngineSettings(
            str(base),
            spec["chat"],
            adapter=str(adapter) if adapter else None,
            dtype=spec["dtype"],
            batch_size=512,
        )
    )
    completions = sample_completions(
        engine, {name: Decoding(**decoding.settings)}, [seed, misalignment], prompts
    )
    judge = judge_spec(config, Subject(organism.model, misalignment, None, None))["judge"]
    scores, _ = score_completions(
        misalignment,
        judge,
        {name: decoding.n},
        prompts=prompts,
        completions=completions,
        path="completions",
    )
    values: dict[str, dict[str, list[float]]] = {}
    for score in scores:
        if score["state"] == "scored":
            groups = values.setdefault(score["metric"], {})
            groups.setdefault(score["group"], []).append(score["value"])
    shown = []
    for metric in sorted(values, key=lambda metric: metric != "risk"):
        means = [sum(group) / len(group) for group in values[metric].values()]
        shown.append(f"{metric} {sum(means) / len(means):.3f}")
    return ", ".join(shown)


if __name__ == "__main__":
    main()
