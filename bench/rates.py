"""Error rates of tests and intervals on the paper's matrix, with many mixed models.

    bench/rates.py [--config config/config.yaml] [--mixed-replicates 500]

Works as the target error_rates.csv, but fits more mixed models: each takes some 0.2 s. Writes
results/bench-rates/error_rates.csv and its figure. Prints how many mixed models could be fitted and
how often they err.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts")]

from entrench.study.config.check import load_config  # noqa: E402
from entrench.study.specs.tables import rates_spec  # noqa: E402
from entrench.study.sweep import expand  # noqa: E402

REPLICATES, BOOTSTRAP = 1000, 999


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", default="config/config.yaml", help="the sweep to simulate")
    parser.add_argument("--mixed-replicates", type=int, default=500, help="mixed models a cell")
    args = parser.parse_args(argv)

    from entrench.analysis.summary.simulation import error_rates
    from entrench.analysis.tables import write_table
    from entrench.figures import false_positive_rates
    from entrench.figures.style import save

    config = load_config(yaml.safe_load(Path(args.config).read_text()))
    sweep = expand(config)
    spec = rates_spec(config, sweep)
    found = error_rates(
        sweep.runs,
        spec["kinds"],
        level=spec["level"],
        replicates=REPLICATES,
        mixed_replicates=args.mixed_replicates,
        bootstrap=BOOTSTRAP,
        seed=spec["seed"],
    )
    folder = ROOT / "results" / "bench-rates"
    write_table(found, folder / "error_rates.csv")
    save(false_positive_rates.draw(found), folder / "error_rates.pdf", folder / "error_rates.png")
    for row in found.filter(procedure="mixed").to_dicts():
        cell = f"{row['method']}, {row['model_correlation']} {row['organism_correlation']}"
        print(f"{cell:<40}{fitted(row)}")


def fitted(row: dict[str, object]) -> str:
    """The share of mixed models that were fitted and the share that erred, with intervals."""
    from entrench.analysis.statistics.clusters import share_interval

    count, of = row["replicates"], row["n_simulated"]
    low, high = share_interval(count, of, 0.95)
    text = f"fitted {count / of:.0%} ({low:.0%}-{high:.0%}) of {of}"
    if row["rate"] is None:
        return text
    return f"{text}, erred {row['rate']:.1%} ({row['rate_low']:.1%}-{row['rate_high']:.1%})"


if __name__ == "__main__":
    main(sys.argv[1:])
