"""A report of a simulated study, by the script that makes the real ones, marked as simulated."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import polars as pl
import yaml
from unit import simulated, simulated_mechanism

from entrench.analysis.summary.comparison import PUBLISHED_COLUMNS, compare
from entrench.analysis.summary.contrasts import contrast_table
from entrench.analysis.summary.error_rates import error_rates
from entrench.analysis.summary.judge_health import AGREEMENT_COLUMNS, judge_health
from entrench.analysis.summary.power import power_table
from entrench.analysis.summary.variance import variance_table
from entrench.analysis.tables import read_table, table, write_table
from entrench.figures.style import save
from entrench.records import write_text
from entrench.study.config import FIGURES, MECHANISM_TABLES
from entrench.study.config.check import load_config
from entrench.study.specs.report import report_spec
from entrench.study.specs.tables import PUBLISHED
from entrench.study.sweep import Organism, Run

ROOT = Path(__file__).parents[2]
NOTE = "SIMULATED: no model was trained or asked; tables drawn by tests/unit/simulated_report.py"
AGREEMENT = {"n_both": 200, "agreement": 0.93, "kappa": 0.81, "ci_low": 0.7, "ci_high": 0.9}


def tables(models: int, seeds: int, runs_wanted: int | None = None) -> dict[str, pl.DataFrame]:
    """Every table of a report, by the stem of its file."""
    runs, organisms, summary, detail = simulated.study(models, seeds, runs_wanted)
    told = simulated.settings(runs)
    matrix = [
        Run(Organism(row["model"], row["misalignment"], row["seed"]), row["method"])
        for row in runs.iter_rows(named=True)
    ]
    kinds = {name: facts["kind"] for name, facts in told["methods"].items()}
    facts = {name: told[name] for name in ("methods", "models")}
    assumed = {"level": 0.95, "epsilon": 0.02, "assumed_sd": 0.15}
    mechanism = simulated_mechanism.study(models, seeds)
    compared = compare(
        runs,
        read_table(PUBLISHED, PUBLISHED_COLUMNS),
        kinds={name: facts["kind"] for name, facts in told["models"].items()},
        synthetic=False,
        bootstrap=200,
        level=0.95,
        seed=1,
    )
    agreement = {"sycophancy": table([AGREEMENT], AGREEMENT_COLUMNS)}
    return {
        "runs_detail": runs,
        "organisms": organisms,
        "summary": summary,
        "detail": detail,
        "variance": variance_table(runs, simulated.prompt_deltas(runs)),
        "contrasts": contrast_table(runs, told["methods"], told["models"]),
        "comparison_with_paper": compared,
        "power": power_table(matrix, kinds, **assumed),
        "error_rates": error_rates(
            matrix, **facts, replicates=3, further=1, fits=0, seed=1, **assumed
        ),
        "judge_health": judge_health(runs, organisms, agreement),
        **{name: mechanism[name] for name in (*MECHANISM_TABLES, "divergence")},
    }


def write_report(results: Path, frames: dict[str, pl.DataFrame], *, simulated: bool = True) -> Path:
    """Tables, figures and the report below `results`; the report's path."""
    if simulated:
        write_text(results / "SIMULATED", NOTE + "\n")
    for name, frame in frames.items():
        write_table(frame, results / f"{name}.csv")
    drawn = [name for name, needed in FIGURES.items() if set(needed) <= set(frames)]
    for name in drawn:
        figure = import_module(f"entrench.figures.{name}").draw(*(frames[t] for t in FIGURES[name]))
        files = (results / "figures" / f"{name}.{end}" for end in ("pdf", "png"))
        save(figure, *files, note=NOTE if simulated else None)
    spec = report_spec(load_config(yaml.safe_load((ROOT / "config" / "config.yaml").read_text())))
    command = [sys.executable, ROOT / "workflow/scripts/report_make.py"]
    command += ["--spec", json.dumps(spec, sort_keys=True), "--results", results]
    command += ["--tables", *(results / f"{name}.csv" for name in frames)]
    command += ["--figures", *(results / "figures" / f"{name}.png" for name in drawn)]
    subprocess.run([*command, "--report", results / "report.html"], check=True)
    return results / "report.html"


if __name__ == "__main__":
    folder, models, seeds, *runs = sys.argv[1:]
    write_report(Path(folder), tables(int(models), int(seeds), *map(int, runs)))
