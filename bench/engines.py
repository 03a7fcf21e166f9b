"""Count engine starts and other model loads, and their time, from the logs of finished jobs.

    python bench/engines.py logs/bench-engines

A job's log says how long each engine start took. Its last line says how long the job took.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

# Rules that load a model without an engine.
LOADS = ("adapter_induce", "adapter_train", "adapter_regularise", "reward_score")


def main(argv: Sequence[str]) -> None:
    logs = Path(argv[0])
    total = 0
    print(f"{'rule':24}{'jobs':>6}{'engine starts':>15}{'seconds starting':>18}{'seconds':>9}")
    for folder in sorted(path for path in logs.iterdir() if path.is_dir()):
        texts = [path.read_text(errors="replace") for path in sorted(folder.rglob("*.log"))]
        starts = [
            float(seconds)
            for text in texts
            for seconds in re.findall(r"^engine start: .*, ([\d.]+) s$", text, re.MULTILINE)
        ]
        took = [float(s) for t in texts for s in re.findall(r"^took ([\d.]+) s$", t, re.MULTILINE)]
        total += len(starts)
        print(
            f"{folder.name:24}{len(texts):6}{len(starts):15}{sum(starts):18.1f}{sum(took):9.1f}"
            f"{'  loads a model to train or to reward' if folder.name in LOADS else ''}"
        )
    print(f"engine starts in all: {total}")


if __name__ == "__main__":
    main(sys.argv[1:])
