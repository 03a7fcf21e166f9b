"""Speed and peak memory of LoRA training, beside a plain transformers.Trainer.

    bench/training.py [--shape tiny|8b] [--rows 32] [--length 256] [--steps 4] [--rows-at-once 4]

Trains a randomly initialised Llama of that shape (8b where a GPU is visible) for SFT, BCT and ACT:
by this project, by a plain Trainer that computes the same losses from all logits and all hidden
states, and for SFT by TRL's SFTTrainer where TRL is installed. Same rows, rank, dtype and rows a
step; each training in a process of its own. Prints a table: tokens that are no padding, of both
sides of a pair, per second of the steps after the first, each side's own tokens of those steps; the
share of the matrix peak, which is what a large product of two matrices reaches here; the peak of
memory beyond the start. Last, the transformers engine's tokens per second.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

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

OBJECTIVES = ("sft", "bct", "act")


def memory(start_again=False):
    """The peak of memory in bytes so far, or since the last call that started again."""
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


def measure(options, folder):
    """One training or generation, in this process: tokens a second and the peak of memory."""
    import torch
    from transformers import Trainer  # noqa: F401 - not part of what is measured

    if options.one == "TRL":
        import datasets  # noqa: F401
        from trl import SFTTrainer  # noqa: F401

    from entrench.training import ModelSource

    torch.set_num_threads(options.threads)
    if options.one == "model":
        make_model(folder / "model", options.shape, options.dtype)
        return {}
    if options.one == "peak":
        return {"peak": matrix_peak(options)}
    model = ModelSource(str(folder / "model"))
    clock, before = Clock(), memory(start_again=True)
    report = WAYS[options.one](options, model, folder)
    found = {"memory": memory() - before}
    if options.one == "engine":
        found["speed"] = report["tokens"] / report["seconds"]
    elif options.one != "organism":
        found["speed"], found["positions"] = clock.rates()
    return found


WAYS = {
    "entrench": by_entrench,
    "Trainer": by_trainer,
    "TRL": by_trl,
    "engine": by_engine,
    "organism": make_organism,
}


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
    """Of training a frozen model's adapter: forward 2 N, backward 2 N, each; a teacher's 2 N.

    N counts the matrices of the layers, for every token, and the head, for the positions that the
    loss predicts from; ACT needs no head. Half the tokens of pairs are the teacher's, about. What
    is computed for nothing, or twice to save memory, does not count.
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
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--length", type=int, default=256, help="tokens of the longest row")
    parser.add_argument("--steps", type=int, default=4, help="optimizer steps")
    parser.add_argument("--rows-at-once", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    for inner in ("--one", "--objective", "--dtype", "--folder"):
        parser.add_argument(inner, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options, Path(options.folder))))
        return
    import torch

    gpu = torch.cuda.is_available()
    options.shape = options.shape or ("8b" if gpu else "tiny")
    options.dtype = "bfloat16" if gpu else "float32"
    with tempfile.TemporaryDirectory() as folder:
        table(options, Path(folder))


def in_a_process(options, folder, way, name=""):
    """What `measure` finds there: a parent that held memory would take it from the others."""
    command = [sys.executable, __file__, "--one", way, "--objective", name]
    for key in ("shape", "rows", "length", "steps", "rows_at_once", "threads", "dtype"):
        command += [f"--{key.replace('_', '-')}", str(getattr(options, key))]
    run = subprocess.run(
        [*command, "--folder", str(folder)], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(run.stdout.splitlines()[-1])


def table(options, folder):
    """Run every training in its own process and print a line for each."""
    peak = in_a_process(options, folder, "peak")["peak"]
    for way in ("model", "organism"):
        in_a_process(options, folder, way)
    shape = f"{options.shape}, {options.dtype}, matrix peak {peak / 1e12:.3g} TFLOP/s"
    print(f"{shape}\n{'':16}{'tokens/s':>10}{'of peak':>9}{'memory':>12}", flush=True)
    trainings = [(way, name) for name in OBJECTIVES for way in ("entrench", "Trainer")]
    for way, name in [*trainings, ("TRL", "sft"), ("engine", "")]:
        if way == "TRL" and None in map(importlib.util.find_spec, ("trl", "datasets")):
            print(f"{name:4} {way:11}not installed", flush=True)
            continue
        found = in_a_process(options, folder, way, name)
        share = ""
        if name:
            done = operations(options.shape, name, found["speed"], found["positions"])
            share = f"{done / peak:.0%}"
        used = f"{found['memory'] / 2**20:,.0f} MiB"
        print(f"{name:4} {way:11}{found['speed']:10,.0f}{share:>9}{used:>12}", flush=True)


if __name__ == "__main__":
    main()
