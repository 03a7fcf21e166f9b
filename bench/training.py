"""Speed and peak memory of LoRA training, beside a plain transformers.Trainer.

    bench/training.py [--shape tiny|8b] [--rows N] [--length N] [--steps N] [--warm-up N]
                      [--pairs N]

Trains a randomly initialised Llama of that shape (8b where a GPU is visible) for SFT, BCT and ACT.
The trainings are by this project, by a plain Trainer that computes the same losses from all logits
and all hidden states, and for SFT by TRL's SFTTrainer where TRL is installed. All have the same
rows, rank, dtype and rows a step. Each training has a process of its own.

Prints a table of the steps after the warm-up:

- tokens per second, without padding, of both sides of a pair;
- the share of the matrix peak: the peak is the speed of a large product of two matrices here;
- the seconds of these steps;
- the peak of memory beyond the start.

The rows `opct` are on-policy training: their tokens are those of the answers, drawn and trained on.
They say how fast answers are drawn, which share of the time this takes, and how fast the rest of a
step trains; the teacher's reading is training. `opct entrench` is the training of the study. Where
TRL is installed, its two nearest trainers run in turn with the same work done here (`opct as ...`),
`--pairs` times. These rows show medians. The row `opct / ...` says how many times as fast this
project trained. `on_policy_trainers.py` says what TRL cannot do.

The last row is the tokens per second of the transformers engine. `SIZES` holds the default sizes of
each shape: on a GPU each training is timed for about half a minute, after start-up and warm-up.
"""

import argparse
import contextlib
import importlib
import importlib.util
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from on_policy_trainers import TRL_TRAINERS, Drawing, by_opct, by_trl_opct  # noqa: E402
from trainers import (  # noqa: E402
    SHAPES,
    Clock,
    by_engine,
    by_entrench,
    by_trainer,
    by_trl,
    make_model,
    make_organism,
)

# Rows in all, tokens of the longest, optimizer steps, and how many of those are not timed.
SIZES = {
    "tiny": {"rows": 32, "length": 256, "steps": 4, "warm_up": 1},
    "8b": {"rows": 512, "length": 1024, "steps": 16, "warm_up": 4},
}
# No part of what is measured.
IMPORTED = (
    "peft",
    "transformers.trainer",
    "entrench.training.trainer",
    "entrench.generation.engine_transformers",
)
OBJECTIVES = ("sft", "bct", "act")


def memory(start_again=False):
    """The peak of memory in bytes, since the start or since the last call that started again."""
    import torch

    if torch.cuda.is_available():
        if start_again:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated()
    if start_again:
        Path("/proc/self/clear_refs").write_text("5")
    # Not getrusage: its peak is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def measure(way, name, options, folder):
    """Run one training or generation in this process: tokens a second and peak of memory."""
    for module in (*IMPORTED, *(("datasets", "trl") if "TRL" in way else ())):
        importlib.import_module(module)
    import torch

    from entrench.training.settings import ModelSource

    torch.set_num_threads(options.threads)
    options.one, options.objective = way, name
    if way == "peak":
        return {"peak": matrix_peak(options)}
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        if way == "model":
            return make_model(folder / "model", options.shape, options.dtype)
        model = ModelSource(str(folder / "model"))
        clock, drawing, before = Clock(options.warm_up), Drawing(), memory(start_again=True)
        report = WAYS[way](options, model, folder)
    found = {"memory": memory() - before}
    if way == "engine":
        found |= {"speed": report["tokens"] / report["seconds"], "seconds": report["seconds"]}
    elif way in ON_POLICY:
        found["seconds"] = clock.rates()[-1]
        seconds, tokens = drawing.totals(options.warm_up)
        found |= {"speed": tokens / found["seconds"], "drawn": tokens / seconds}
        found["trained"] = tokens / (found["seconds"] - seconds)
        found["share"] = seconds / found["seconds"]
    elif way != "organism":
        found["speed"], found["positions"], found["seconds"] = clock.rates()
    return found


WAYS = {
    "entrench": by_entrench,
    "Trainer": by_trainer,
    "TRL": by_trl,
    "opct": by_opct,
    "TRL opct": by_trl_opct,
    "engine": by_engine,
    "organism": make_organism,
}
ON_POLICY = ("opct", "TRL opct")


def matrix_peak(options):
    """Operations a second of a large product of two matrices in the training's dtype."""
    import torch

    gpu = torch.cuda.is_available()
    size = 8192 if gpu else 1024
    a = torch.randn(size, size, device="cuda" if gpu else "cpu").to(getattr(torch, options.dtype))
    best = float("inf")
    for _ in range(10):
        start = time.monotonic()
        a @ a
        if gpu:
            torch.cuda.synchronize()
        best = min(best, time.monotonic() - start)
    return 2 * size**3 / best


def operations(shape, objective, tokens, positions):
    """Operations of training a frozen model's adapter: 2 N forward, 2 N backward, 2 N a teacher.

    N counts the matrices of the layers for every token, and the head for the positions that the
    loss predicts from; ACT needs no head. About half the tokens of pairs are read by the teacher.
    Operations without use, or repeated to save memory, do not count.
    """
    s = SHAPES[shape]
    heads = s["num_key_value_heads"] / s["num_attention_heads"]
    layer = s["hidden_size"] ** 2 * (2 + 2 * heads) + 3 * s["hidden_size"] * s["intermediate_size"]
    number = tokens * s["num_hidden_layers"] * layer
    if objective != "act":
        number += positions * s["hidden_size"] * s["vocab_size"]
    return number * (4 if objective == "sft" else 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=list(SHAPES))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--length", type=int, help="tokens of the longest row")
    parser.add_argument("--steps", type=int, help="optimizer steps, among which the rows are split")
    parser.add_argument("--warm-up", type=int, help="of those, the first that are not timed")
    parser.add_argument("--rows-at-once", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=3, help="runs beside TRL of opct, in turn")
    options = parser.parse_args()
    import torch

    gpu = torch.cuda.is_available()
    options.shape = options.shape or ("8b" if gpu else "tiny")
    options.dtype = "bfloat16" if gpu else "float32"
    for key, value in SIZES[options.shape].items():
        if getattr(options, key) is None:
            setattr(options, key, value)
    if options.rows % (options.steps * options.rows_at_once):
        parser.error("--rows must be a multiple of --steps times --rows-at-once")
    if not 0 < options.warm_up < options.steps:
        parser.error("--warm-up must be above 0 and below --steps")
    if options.pairs < 1:
        parser.error("--pairs must be above 0")
    # A forked process cannot use a GPU that its parent has asked for.
    context = multiprocessing.get_context("spawn" if gpu else "forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    with tempfile.TemporaryDirectory() as folder:
        table(context, options, Path(folder))


def table(context, options, folder):
    """Run every training in its own process and print a line for each."""

    def in_a_process(way, name=""):
        # A parent that holds GPU memory would take it from the trainings.
        with context.Pool(1) as pool:
            return pool.apply(measure, (way, name, options, folder))

    peak = in_a_process("peak")["peak"]
    for way in ("model", "organism"):
        in_a_process(way)
    print(f"{options.shape}, {options.dtype}, matrix peak {peak / 1e12:.3g} TFLOP/s")
    print(f"{'':16}{'tokens/s':>10}{'of peak':>9}{'seconds':>9}{'memory':>12}", flush=True)
    trainings = [(way, name) for name in OBJECTIVES for way in ("entrench", "Trainer")]
    for way, name in [*trainings, ("TRL", "sft")]:
        if way == "TRL" and not installed():
            print(f"{name:4} {way:11}not installed", flush=True)
            continue
        found = in_a_process(way, name)
        done = operations(options.shape, name, found["speed"], found["positions"])
        show(name, way, found, f"{done / peak:.0%}")
    show("opct", "entrench", in_a_process("opct", "organism"))
    for trainer in TRL_TRAINERS:
        beside_trl(in_a_process, trainer, options.pairs)
    show("", "engine", in_a_process("engine"))


def beside_trl(in_a_process, trainer, number):
    """Run on-policy training here and by this trainer in turn, and print both and their ratio."""
    if not installed():
        print(f"opct TRL {trainer:7}not installed", flush=True)
        return
    try:
        pairs = [[in_a_process(way, trainer) for way in ON_POLICY] for _ in range(number)]
    except ImportError as error:
        print(f"opct TRL {trainer:7}{error}", flush=True)
        return
    for way, runs in zip(("as", "TRL"), zip(*pairs, strict=True), strict=True):
        show("opct", f"{way} {trainer}", medians(runs))
    ratios = sorted(ours["speed"] / theirs["speed"] for ours, theirs in pairs)
    print(
        f"opct / {trainer:9}{statistics.median(ratios):9.2f}x"
        f"  {ratios[0]:.2f} to {ratios[-1]:.2f} in {number} pairs of runs",
        flush=True,
    )


def installed():
    return None not in map(importlib.util.find_spec, ("trl", "datasets"))


def medians(runs):
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def show(name, way, found, share=""):
    speed = f"{found['speed']:10,.0f}{share:>9}{found['seconds']:9.1f}"
    used = f"{found['memory'] / 2**20:,.0f} MiB"
    apart = ""
    if "share" in found:
        apart = (
            f"  drawing {found['drawn']:,.0f} tokens/s, {found['share']:.0%} of the time;"
            f" training {found['trained']:,.0f} tokens/s"
        )
    print(f"{name:4} {way:11}{speed}{used:>12}{apart}", flush=True)


if __name__ == "__main__":
    main()
