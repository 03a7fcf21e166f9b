"""A full-size rehearsal of the analysis: simulated scores, real risks, tables and figures.

    bench/rehearsal.py [--config config/config.yaml] [--seed 1] [--replicates 0]

Writes results/rehearsal/, everything in it marked as SIMULATED. Risks and delta-risks are computed
in one process in place of one job each, by the functions those jobs call; the workflow makes the
rest. Prints wall time and peak memory of each stage, and whether the known effects lie in their
intervals; with --replicates, how often they do, over as many further draws of the sweep.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).parents[1]
OVERLAY = "bench/rehearsal.yaml"
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(ROOT / "bench")]

from simulated_sweep import Truth, draw_truth, effect, prompts_of, write_sweep  # noqa: E402

from entrench import specs  # noqa: E402
from entrench.analysis.bootstrap import Interval  # noqa: E402
from entrench.config import FIGURES, Config  # noqa: E402
from entrench.config.check import load_config  # noqa: E402
from entrench.seeds import derive_seed  # noqa: E402
from entrench.sweep import Run, Subject, Sweep, expand  # noqa: E402

SIMULATED_TABLES = {"runs", "organisms", "summary", "contrasts", "comparison_with_paper"}
SIMULATED_TABLES |= {"judge_health"}


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
        recovered(results, sweep, draw_truth(sweep, args.seed))
        if args.replicates:
            coverage(config, sweep, args.replicates)


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


def recovered(results: Path, sweep: Sweep, truth: Truth) -> None:
    """Print in how many rows of the summary the known effect lies in its interval."""
    from entrench.analysis.summary import ALL_METHODS, SUMMARY_COLUMNS, main_rows
    from entrench.analysis.tables import read_table

    rows = main_rows(read_table(results / "summary.csv", SUMMARY_COLUMNS)).to_dicts()
    inside = {"ci": 0, "models_ci": 0}
    for row in rows:
        left_out = set((row["invalid_runs"] or "").split("; "))
        runs = [
            run
            for run in sweep.runs
            if run.organism.misalignment == row["misalignment"]
            and row["method"] in (run.method, ALL_METHODS)
            and run.path.removeprefix("organisms/") not in left_out
        ]
        known = 100 * of_these_models(runs, truth), 100 * of_all_models(runs)
        for name, value in zip(inside, known, strict=True):
            inside[name] += row[f"{name}_low_pp"] <= value <= row[f"{name}_high_pp"]
    print(
        f"known effect inside the interval over organisms in {inside['ci']} of {len(rows)} rows, "
        f"over models in {inside['models_ci']} of {len(rows)}"
    )


def coverage(config: Config, sweep: Sweep, replicates: int) -> None:
    """Print how often the intervals of all rows hold the known effects, over further sweeps."""
    from entrench.analysis.clusters import cluster_interval, cluster_totals

    consistency = {name for name, method in config.methods.items() if method.kind == "consistency"}
    rows: dict[tuple[str, str], list[Run]] = {}
    for run in sweep.runs:
        rows.setdefault((run.organism.misalignment, run.method), []).append(run)
        if run.method in consistency:
            rows.setdefault((run.organism.misalignment, ""), []).append(run)
    inside: dict[str, list[bool]] = {"organisms": [], "models": []}
    for replicate in range(replicates):
        truth = draw_truth(sweep, 1000 + replicate)
        generator = np.random.default_rng(derive_seed("coverage", replicate))
        deltas = {run: _observed(run, truth, generator) for run in sweep.runs}
        for runs in rows.values():
            values = np.array([deltas[run] for run in runs])
            for name, labels, known in (
                ("organisms", [run.organism.path for run in runs], of_these_models(runs, truth)),
                ("models", [run.organism.model for run in runs], of_all_models(runs)),
            ):
                sums, sizes = cluster_totals(values, labels)
                _, interval = cluster_interval(
                    sums, sizes, bootstrap=500, level=config.statistics.level, seed=replicate
                )
                inside[name].append(_holds(interval, known))
    for name, found in inside.items():
        print(
            f"intervals over {name} hold the known effect in {np.mean(found):.1%} of "
            f"{len(found)} rows ({replicates} sweeps), nominal {config.statistics.level:.0%}"
        )


def of_these_models(runs: Sequence[Run], truth: Truth) -> float:
    """The known mean over organisms of these models: what intervals over organisms hold."""
    return float(np.mean([effect(run) + truth.of_model[run] for run in runs]))


def of_all_models(runs: Iterable[Run]) -> float:
    """The known mean over models like these."""
    return float(np.mean([effect(run) for run in runs]))


def _observed(run: Run, truth: Truth, generator: np.random.Generator) -> float:
    """A delta-risk as measured on the prompts: independent binomial noise in both phases."""
    count = prompts_of(run.organism.misalignment)
    before = truth.organism[run.organism]
    risks = before, float(np.clip(before + truth.delta[run], 0, 1))
    first, second = (generator.binomial(count, risk) / count for risk in risks)
    return second - first


def _holds(interval: Interval, value: float) -> bool:
    return interval.low is not None and interval.low <= value <= interval.high


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
