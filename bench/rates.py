"""Error rates of intervals and conclusions on the paper's matrix, with many replicates.

    bench/rates.py [--config config/config.yaml] [--enable BLOCK] [--replicates 1000]
                   [--further 112] [--fits 56]

Works as the target error_rates.csv, with more simulated tables. Writes
results/bench-rates/error_rates.csv and its figure. Prints the range of each rate over pairs of
correlations, and the mean rate and bias of all their tables.
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
from entrench.study.sweep import expand, unpacked  # noqa: E402


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", default="config/config.yaml", help="the sweep to simulate")
    parser.add_argument("--enable", action="append", default=[], help="a block of `sweep`")
    parser.add_argument("--replicates", type=int, default=1000, help="simulated tables a cell")
    parser.add_argument("--further", type=int, default=112, help="of them with all of detail.csv")
    parser.add_argument("--fits", type=int, default=56, help="of them with partly pooled changes")
    args = parser.parse_args(argv)

    import polars as pl

    from entrench.analysis.summary.coverage import COVERAGE
    from entrench.analysis.summary.error_rates import error_rates
    from entrench.analysis.tables import write_table
    from entrench.figures import false_positive_rates
    from entrench.figures.style import save

    settings = yaml.safe_load(Path(args.config).read_text())
    for block in settings["sweep"]:
        if block.get("name") in args.enable:
            block["enabled"] = True
    config = load_config(settings)
    spec = rates_spec(config, expand(config))
    runs = unpacked(spec.pop("runs")).runs
    numbers = {"replicates": args.replicates, "further": args.further, "fits": args.fits}
    found = error_rates(runs, **numbers, **spec)
    folder = ROOT / "results" / "bench-rates"
    write_table(found, folder / "error_rates.csv")
    save(false_positive_rates.draw(found), folder / "error_rates.pdf", folder / "error_rates.png")
    names = ("quantity", "measure", "about", "epsilon_pp", "item_sd_pp")
    seen = [
        pl.col("rate").min().alias("lowest"),
        pl.col("rate").max().alias("highest"),
        *(
            pl.col(name).dot("replicates") / pl.col("replicates").sum()
            for name in ("rate", "bias_pp")
        ),
        pl.col("replicates").sum(),
    ]
    for row in (
        found.group_by(names, maintain_order=True).agg(seen).sort(names).iter_rows(named=True)
    ):
        cell = ", ".join(f"{name} {row[name]}" for name in names if row[name] is not None)
        bias = "" if row["measure"] != COVERAGE else f", bias {row['bias_pp']:+.2f} points"
        print(
            f"{cell}: {row['lowest']:.1%} to {row['highest']:.1%}, {row['rate']:.1%} of all "
            f"{row['replicates']} tables{bias}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
