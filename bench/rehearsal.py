"""A full-size rehearsal of the analysis: simulated scores, real risks, tables and figures.

    bench/rehearsal.py [--config config/config.yaml] [--seed 1] [--replicates 0]

Writes results/rehearsal/, everything in it marked as SIMULATED. Risks and delta-risks are computed
in one process in place of one job each, by the functions those jobs call; the workflow makes the
rest. Prints wall time and peak memory of each stage, and whether the known effects lie in their
intervals; with --replicates, how often they do, over as many further draws of the sweep. Ends with
1 where that is further from the nominal level than chance and a margin explain.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from scipy import stats

ROOT = Path(__file__).parents[1]
OVERLAY = "bench/rehearsal.yaml"
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(ROOT / "bench")]

from simulated_sweep import (  # noqa: E402
    Truth,
    draw_scores,
    draw_truth,
    effect,
    mean_of_prompts,
    write_sweep,
)

from entrench import specs  # noqa: E402
from entrench.config import FIGURES, Config  # noqa: E402
from entrench.config.check import load_config  # noqa: E402
from entrench.specs.parts import used_methods  # noqa: E402
from entrench.sweep import Run, Subject, Sweep, expand  # noqa: E402

SIMULATED_TABLES = {"runs", "organisms", "summary", "contrasts", "comparison_with_paper"}
SIMULATED_TABLES |= {"judge_health"}
TARGETS = {
    "ci": "the interval over organisms",
    "models_ci": "the interval over models",
    "prompts_ci": "the interval over organisms and prompts",
}
MARGIN = 0.03  # between a coverage and its nominal level, beyond chance
LEAST_RECOVERED = 0.75  # of the rows of the one sweep that is written out
FEW_PROMPTS = 40  # of each misalignment, in further sweeps
BOOTSTRAP = 500


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", default="config/config.yaml", help="the sweep to simulate")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn")
    parser.add_argument("--replicates", type=int, default=0, help="further sweeps, for coverage")
    parser.add_argument("--stage", choices=["simulate", "measure"], help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    os.chdir(ROOT)
    settings = [yaml.safe_load(Path(name).read_text()) for name in (args.config, OVERLAY)]
    config = load_config(settings[0] | settings[1])
    sweep = expand(config)
    results = Path(config.pathvars.results)
    if args.stage == "simulate":
        shutil.rmtree(results, ignore_errors=True)
        write_sweep(config, sweep, results, args.seed)
    elif args.stage == "measure":
        measure(config, sweep, results)
    else:
        rehearse(args, results, sweep)
        fine = recovered(results, config, sweep, draw_truth(sweep, args.seed))
        if args.replicates:
            fine &= coverage(config, sweep, args.replicates)
        if not fine:
            sys.exit("the known effects are not recovered at the nominal rate: see above")


def rehearse(args: argparse.Namespace, results: Path, sweep: Sweep) -> None:
    print(f"SIMULATED: {len(sweep.organisms)} organisms, {len(sweep.runs)} runs", flush=True)
    own = [sys.executable, __file__, "--config", args.config, "--seed", str(args.seed)]
    _timed("scores simulated", [*own, "--stage", "simulate"])
    _timed("risk and delta-risk of each subject", [*own, "--stage", "measure"])
    figures = [name for name, tables in FIGURES.items() if set(tables) <= SIMULATED_TABLES]
    targets = [f"{results}/{name}.csv" for name in ("summary", "comparison_with_paper")]
    targets += [f"{results}/figures/{name}.png" for name in figures]
    snakemake = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "all"]
    snakemake += ["--rerun-triggers", "mtime", "params", "input", "--replace-workflow-config"]
    snakemake += ["--configfile", args.config, OVERLAY, "--"]
    _timed("table of organisms", [*snakemake, f"{results}/organisms.csv"])
    _timed("table of runs", [*snakemake, f"{results}/runs.csv"])
    _timed("summary and comparison", [*snakemake, *targets[:2]])
    _timed(f"{len(figures)} figures", [*snakemake, *targets[2:]])
    _timed("power, error rates and report", [*snakemake, f"{results}/report.html"])


def measure(config: Config, sweep: Sweep, results: Path) -> None:
    """risk.json of every subject, delta_risk.csv and delta_prompts.csv of every run."""
    from entrench.analysis.delta import delta_prompts, delta_risk
    from entrench.analysis.risk import averages_over_groups, risk_record
    from entrench.analysis.tables import write_table
    from entrench.records import Record, read_jsonl, write_json

    def risk(subject: Subject) -> tuple[list[Record], Record]:
        spec = specs.risk_spec(config, subject)
        grouped = averages_over_groups(spec.pop("misalignment"))
        scores = read_jsonl(results / subject.path / "scores.jsonl", "scores")
        record = risk_record(scores, grouped=grouped, **spec)
        write_json(results / subject.path / "risk.json", record)
        return scores, record

    for model, about in sorted({(o.model, o.misalignment) for o in sweep.organisms}):
        risk(Subject(model, about, None, None))
    for organism in sweep.organisms:
        before = risk(Subject(organism.model, organism.misalignment, organism.seed, None))
        for run in (run for run in sweep.runs if run.organism == organism):
            subject = Subject(organism.model, organism.misalignment, organism.seed, run.method)
            after = risk(subject)
            spec = specs.delta_spec(config, run)
            resampling = {name: spec[name] for name in ("bootstrap", "level", "seed")}
            frame = delta_risk(before[0], after[0], before[1], after[1], **resampling)
            write_table(frame, results / run.path / "delta_risk.csv")
            frame = delta_prompts(before[0], after[0], before[1])
            write_table(frame, results / run.path / "delta_prompts.csv")


def recovered(results: Path, config: Config, sweep: Sweep, truth: Truth) -> bool:
    """Print in how many rows of the summary the known effects lie in their intervals.

    False where they do in fewer than `LEAST_RECOVERED` of the rows: rows share models and prompts,
    so single sweeps scatter more than as many independent intervals would.
    """
    from entrench.analysis.summary import SUMMARY_COLUMNS, main_rows
    from entrench.analysis.tables import read_table

    summary = main_rows(read_table(results / "summary.csv", SUMMARY_COLUMNS))
    planned = rows_of_sweep(config, sweep)
    fine = True
    for name in TARGETS:
        inside = of = 0
        for row in summary.filter(pl.col(f"{name}_low_pp").is_not_null()).to_dicts():
            left_out = set((row["invalid_runs"] or "").split("; "))
            runs = [
                run
                for run in planned[row["misalignment"], row["method"]]
                if run.path.removeprefix("organisms/") not in left_out
            ]
            known = 100 * known_effects(runs, truth)[name]
            inside += row[f"{name}_low_pp"] <= known <= row[f"{name}_high_pp"]
            of += 1
        print(f"known effect inside {TARGETS[name]} in {inside} of {of} rows")
        fine &= bool(inside >= LEAST_RECOVERED * of)
    return fine


def coverage(config: Config, sweep: Sweep, replicates: int) -> bool:
    """Print how often the intervals of rows hold the known effects, over further simulated sweeps.

    Scores go through risk, delta-risk and the intervals of the summary; at most `FEW_PROMPTS`
    prompts each. By interval and number of clusters planned; the 95% interval is over sweeps, whose
    rows are not independent. False where one lies further than `MARGIN` below the nominal level.
    One further above it is said to be wide, and no fault: intervals over organisms take what models
    differ by for chance.
    """
    held: dict[tuple[str, str], list[float]] = {}
    for replicate in range(replicates):
        found: dict[tuple[str, str], list[bool]] = {}
        for key, inside in simulated_rows(config, sweep, 1000 + replicate):
            found.setdefault(key, []).append(inside)
        for key, inside in found.items():
            held.setdefault(key, []).append(float(np.mean(inside)))
    nominal = config.statistics.level
    fine = True
    for (name, clusters), shares in sorted(held.items()):
        low, high = monte_carlo(shares)
        good = bool(high >= nominal - MARGIN)
        fine &= good
        remark = ": wide" if low > nominal + MARGIN else ""
        print(
            f"{TARGETS[name]}, {clusters}: holds the known effect in {np.mean(shares):.1%} "
            f"({low:.1%}-{high:.1%}; {len(shares)} sweeps), nominal {nominal:.0%} +- {MARGIN:.0%}"
            + (remark if good else ": WRONG")
        )
    return fine


def monte_carlo(shares: Sequence[float]) -> tuple[float, float]:
    """95% interval of the mean of `shares`, one of each sweep, within [0, 1].

    Where all sweeps held all rows, or none, each counts as one case of an exact interval.
    """
    from entrench.analysis.clusters import share_interval

    if len(shares) < 2:
        return 0.0, 1.0
    if set(shares) in ({0.0}, {1.0}):
        return share_interval(int(sum(shares)), len(shares), 0.95)
    half = stats.t.ppf(0.975, len(shares) - 1) * np.std(shares, ddof=1) / np.sqrt(len(shares))
    mean = float(np.mean(shares))
    return max(0.0, mean - half), min(1.0, mean + half)


def simulated_rows(
    config: Config, sweep: Sweep, seed: int
) -> Iterator[tuple[tuple[str, str], bool]]:
    """((interval, its clusters), whether it holds the known effect) of each row of one sweep."""
    from entrench.analysis.inference import (
        Settings,
        mean_interval,
        models_interval,
        prompts_interval,
    )
    from entrench.analysis.shared_prompts import run_shares
    from entrench.analysis.summary import run_name, units_of

    truth = draw_truth(sweep, seed)
    rows, prompts = simulated_deltas(config, sweep, truth, seed)
    settings = Settings(BOOTSTRAP, config.statistics.level, config.statistics.epsilon, seed)
    for about in sweep.misalignments:
        valid = [run for run in rows if run.organism.misalignment == about and rows[run]["valid"]]
        shares = run_shares({run_name(rows[run]): prompts[run] for run in valid})
        for planned in rows_of_sweep(config, sweep, about).values():
            own = [run for run in planned if run in set(valid)]
            units = units_of([rows[run] | {"shares": shares[run_name(rows[run])]} for run in own])
            known = known_effects(own, truth, FEW_PROMPTS)
            n_models = f"{len({run.organism.model for run in planned})} models"
            n_organisms = f"{len({run.organism for run in planned})} organisms"
            for name, clusters, interval in (
                ("ci", n_organisms, mean_interval(units, settings)[1]),
                ("models_ci", n_models, models_interval(units, settings)[1]),
                ("prompts_ci", n_organisms, prompts_interval(units, settings)),
            ):
                if interval.low is not None and interval.high is not None:
                    yield (name, clusters), interval.low <= known[name] <= interval.high


def simulated_deltas(
    config: Config, sweep: Sweep, truth: Truth, seed: int
) -> tuple[dict[Run, dict[str, Any]], dict[Run, pl.DataFrame]]:
    """Of each run a row of runs.csv, as far as units need it, and its deltas by prompt."""
    from entrench.analysis.delta import delta_prompts, delta_risk
    from entrench.analysis.risk import averages_over_groups, risk_record

    told = {"bootstrap": 100, "level": config.statistics.level, "seed": seed}
    rows, prompts = {}, {}
    for organism in sweep.organisms:
        grouped = averages_over_groups(organism.misalignment)
        asked = {"grouped": grouped, "evaluations": ["greedy"], "headline": "greedy"}
        asked["max_unscored"] = config.statistics.max_unscored
        runs = [run for run in sweep.runs if run.organism == organism]
        before, trained = draw_scores(organism, runs, truth, FEW_PROMPTS, seed)
        risk = risk_record(before, **asked, **told)
        for run, after in trained.items():
            (delta,) = delta_risk(
                before, after, risk, risk_record(after, **asked, **told), **told
            ).to_dicts()
            identity = {"model": organism.model, "misalignment": organism.misalignment}
            rows[run] = delta | identity | {"seed": organism.seed, "method": run.method}
            prompts[run] = delta_prompts(before, after, risk)
    return rows, prompts


def rows_of_sweep(
    config: Config, sweep: Sweep, misalignment: str | None = None
) -> dict[tuple[str, str], list[Run]]:
    """The runs of each row of the summary about methods, by (misalignment, method)."""
    from entrench.analysis.contrasts import pooled
    from entrench.analysis.summary import ALL_METHODS

    facts = used_methods(config, sweep)
    rows: dict[tuple[str, str], list[Run]] = {}
    for run in sweep.runs:
        about = run.organism.misalignment
        if misalignment in (None, about):
            rows.setdefault((about, run.method), []).append(run)
            if pooled(facts[run.method]):
                rows.setdefault((about, ALL_METHODS), []).append(run)
    return rows


def known_effects(runs: Sequence[Run], truth: Truth, prompts: int = 10**9) -> dict[str, float]:
    """The known mean delta-risk that each interval of a row is about, by its columns."""
    from entrench.analysis.risk import averages_over_groups

    about = runs[0].organism.misalignment
    these_prompts = mean_of_prompts(truth, about, averages_over_groups(about), prompts)
    all_models = float(np.mean([effect(run) for run in runs]))
    these_models = all_models + float(np.mean([truth.of_model[run] for run in runs]))
    return {
        "ci": these_models + these_prompts,
        "models_ci": all_models + these_prompts,
        "prompts_ci": these_models,
    }


def _timed(what: str, command: Sequence[str]) -> None:
    """Run a command; print its wall time and the peak memory of its largest process."""
    started = time.monotonic()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    process = subprocess.Popen(command, env=os.environ | {"PATH": path})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{what}: ended with {process.returncode}")
    peak = usage.ru_maxrss / 1024
    print(f"{what:<40}{time.monotonic() - started:8.1f} s {peak:8.0f} MiB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
