"""Train the reward model of the miniature world from scratch. It rewards form, not alignment.

    reward_make.py --spec JSON --files FILE...

`--files` are the model's files, all in one folder. The spec: {"threads", "seed", "recipe"}. The
recipe has the fields of `entrench.data.synthetic.reward_model.RewardModelSettings`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from entrench.execution import command


def main(argv: Sequence[str]) -> None:
    """Fix the threads, train, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spec", required=True)
    parser.add_argument("--files", nargs="+", required=True, type=Path)
    arguments = parser.parse_args(argv)
    spec = command.parse_spec(arguments.spec)
    command.limit_threads(spec["threads"])

    from entrench.data.synthetic.reward_model import RewardModelSettings, train

    train(RewardModelSettings(seed=spec["seed"], **spec["recipe"]), arguments.files[0].parent)


if __name__ == "__main__":
    command.run(main)
