"""A full-size rehearsal of the analysis: simulated scores, real risks, tables and figures.

    bench/rehearsal.py [--config config/config.yaml] [--seed 1] [--replicates 0]

Writes results/rehearsal/ and marks everything in it as SIMULATED. Results about one organism or run
(risks, delta-risks, tables of probes) are computed in one process, by the functions that the jobs
call. The workflow makes the rest. Prints wall time and peak memory of each stage, and whether
the known effects lie in their intervals. With --replicates N it also prints how often intervals on
delta-risk hold their effect, over N further draws of the sweep. Exits with 1 where this share is
further from the nominal level than chance and a margin explain.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from snakemake.utils import update_config

ROOT = Path(__file__).parents[1]
OVERLAY = "bench/rehearsal.yaml"
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(ROOT / "bench")]

from interval_coverage import TARGETS, coverage, held_rows, rows_of_sweep  # noqa: E402
from known_mechanism import draw_mechanism, mechanism_recovered  # noqa: E402
from simulated_probes import write_probes  # noqa: E402
from simulated_sweep import Truth, draw_truth, write_sweep  # noqa: E402

from entrench.study.config import FIGURES, MECHANISM_TABLES, Config  # noqa: E402
from entrench.study.config.check import load_config  # noqa: E402
from entrench.study.specs.measurement import delta_spec, risk_spec  # noqa: E402
from entrench.study.specs.mechanism import decomposition_spec, probe_analysis_spec  # noqa: E402
from entrench.study.specs.parts import spec_text  # noqa: E402
from entrench.study.sweep import Subject, Sweep, expand, labelled_part, parse_subject  # noqa: E402

STUDY_TABLES = ("runs_detail", "organisms", "summary", "contrasts", "comparison_with_paper")
STAGES = ("simulate", "measure", "explain")
LEAST_RECOVERED = 0.75  # share of the rows of the one sweep that is written out


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", default="config/config.yaml", help="the sweep to simulate")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn")
    parser.add_argument("--replicates", type=int, default=0, help="further sweeps, for coverage")
    parser.add_argument("--stage", choices=[*STAGES], help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    os.chdir(ROOT)
    config = rehearsed(args.config)
    sweep = expand(config)
    results = Path(config.pathvars.results)
    if args.stage == "simulate":
        shutil.rmtree(results, ignore_errors=True)
        truth = write_sweep(config, sweep, results, args.seed)
        write_probes(config, sweep, results, truth, args.seed)
    elif args.stage == "measure":
        measure(config, sweep, results)
    elif args.stage == "explain":
        explain(config, sweep, results)
    else:
        rehearse(args, results, sweep)
        truth = draw_truth(sweep, args.seed)
        fine = recovered(results, config, sweep, truth)
        known = draw_mechanism(config, sweep, truth, args.seed)
        fine &= mechanism_recovered(results, config, truth, known)
        if args.replicates:
            fine &= coverage(config, sweep, args.replicates)
        if not fine:
            sys.exit("the known effects are not recovered at the nominal rate: see above")


def rehearsed(name: str) -> Config:
    """This config with the overlay over it, merged as Snakemake does."""
    settings, overlay = (yaml.safe_load(Path(path).read_text()) for path in (name, OVERLAY))
    update_config(settings, overlay)
    return load_config(settings)


def rehearse(args: argparse.Namespace, results: Path, sweep: Sweep) -> None:
    print(f"SIMULATED: {len(sweep.organisms)} organisms, {len(sweep.runs)} runs", flush=True)
    own = [sys.executable, __file__, "--config", args.config, "--seed", str(args.seed)]
    _timed("scores simulated", [*own, "--stage", "simulate"])
    _timed("risk and delta-risk of each subject", [*own, "--stage", "measure"])
    _timed("eta and decompositions", [*own, "--stage", "explain"])
    made = {*STUDY_TABLES, "judge_health", *MECHANISM_TABLES, "divergence"}
    figures = [name for name, tables in FIGURES.items() if set(tables) <= made]

    def tables(*names: str) -> list[str]:
        return [f"{results}/{name}.csv" for name in names]

    snakemake = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "all"]
    snakemake += ["--rerun-triggers", "mtime", "params", "input", "--replace-workflow-config"]
    snakemake += ["--configfile", args.config, OVERLAY, "--"]
    _timed("table of organisms", [*snakemake, *tables("organisms")])
    _timed("table of runs", [*snakemake, *tables("runs_detail")])
    _timed("summary and comparison", [*snakemake, *tables("summary", "comparison_with_paper")])
    _timed("tables of the mechanism", [*snakemake, *tables(*MECHANISM_TABLES)])
    _timed("table of the realised KL", [*snakemake, *tables("divergence")])
    drawn = [f"{results}/figures/{name}.png" for name in figures]
    _timed(f"{len(figures)} figures", [*snakemake, *drawn])
    _timed("power, error rates and report", [*snakemake, f"{results}/report.html"])


def measure(config: Config, sweep: Sweep, results: Path) -> None:
    """Write risk.json of every subject, delta_risk.csv and delta_prompts.csv of every run."""
    from entrench.analysis.risk.delta import delta_prompts, delta_risk
    from entrench.analysis.risk.risk import risk_record
    from entrench.analysis.tables import write_table
    from entrench.misalignments import by_name
    from entrench.records import Record, read_jsonl, write_json

    def risk(subject: Subject) -> tuple[list[Record], Record]:
        spec = risk_spec(config, subject)
        del spec["judge"]  # scores are simulated: there is no answer to say anything about
        grouped = by_name()[spec.pop("misalignment")].grouped
        scores = read_jsonl(results / subject.path / "scores.jsonl", "scores")
        record = risk_record(scores, grouped=grouped, **spec)
        write_json(results / subject.path / "risk.json", record)
        return scores, record

    for model, about in sorted({(o.model, o.misalignment) for o in sweep.organisms}):
        risk(Subject(model, about, None, None))
    for organism in sweep.organisms:
        before = risk(Subject(organism.model, organism.misalignment, organism.seed, None))
        for run in (run for run in sweep.runs if run.organism == organism):
            after = risk(run.subject)
            spec = delta_spec(config, run)
            resampling = {name: spec[name] for name in ("bootstrap", "level", "seed")}
            frame = delta_risk(before[0], after[0], before[1], after[1], **resampling)
            write_table(frame, results / run.path / "delta_risk.csv")
            frame = delta_prompts(before[0], after[0], before[1])
            write_table(frame, results / run.path / "delta_prompts.csv")


def explain(config: Config, sweep: Sweep, results: Path) -> None:
    """Write the tables of every probe and the decomposition of every run on labels.

    Prints the time of one job without the start of its process.
    """
    import decomposition_estimate
    import probe_analyse

    probed = labelled_part(config, sweep)
    started = time.monotonic()
    for organism in probed.organisms:
        own = f"{results}/{organism.path}"
        job(
            probe_analyse,
            probe_analysis_spec(config, parse_subject(organism.path)),
            **probe_files(own),
            scores=f"{own}/probe_scores.jsonl",
            eta=f"{own}/eta.csv",
            bins=f"{own}/eta_bins.csv",
            stability=f"{own}/stability.csv",
        )
    between = time.monotonic()
    for run in probed.runs:
        own = f"{results}/{run.organism.path}"
        job(
            decomposition_estimate,
            decomposition_spec(config, run),
            prompts=f"{results}/data/{run.organism.misalignment}/probe.jsonl",
            **probe_files(own),
            refined=f"{own}/probe_refined.jsonl",
            probe_scores=f"{own}/probe_scores.jsonl",
            organism_scores=f"{own}/scores.jsonl",
            trained_scores=f"{results}/{run.path}/scores.jsonl",
            table=f"{results}/{run.path}/decomposition.csv",
        )
    seconds = (between - started) / len(probed.organisms)
    print(f"{len(probed.organisms)} probes, {seconds:.2f} s each", flush=True)
    seconds = (time.monotonic() - between) / len(probed.runs)
    print(f"{len(probed.runs)} decompositions, {seconds:.2f} s each", flush=True)


def probe_files(folder: str) -> dict[str, str]:
    """The files of an organism's probe that both analyses read, by argument."""
    names = {"probe": "probe", "rewards": "probe_rewards", "verdicts": "probe_verdicts"}
    return {argument: f"{folder}/{name}.jsonl" for argument, name in names.items()}


def job(script: ModuleType, spec: dict[str, Any], **files: str) -> None:
    """Run a rule's script in this process."""
    options = ((f"--{name.replace('_', '-')}", path) for name, path in files.items())
    script.main(["--spec", spec_text(spec), *chain.from_iterable(options)])


def recovered(results: Path, config: Config, sweep: Sweep, truth: Truth) -> bool:
    """Print in how many rows of the details the known effects lie in their intervals.

    False where fewer than `LEAST_RECOVERED` of the rows hold their effect. Rows share models and
    prompts, so a single sweep scatters more than as many independent intervals.
    """
    from entrench.analysis.risk.collect import RUN_DETAIL_COLUMNS
    from entrench.analysis.summary.summary_columns import DETAIL_COLUMNS
    from entrench.analysis.tables import read_table

    detail = read_table(results / "detail.csv", DETAIL_COLUMNS)
    table = read_table(results / "runs_detail.csv", RUN_DETAIL_COLUMNS).filter("valid")
    names = ("model", "misalignment", "seed", "method", "repeat")
    known = set(table.select(names).iter_rows())
    valid = {
        run
        for run in sweep.runs
        if (
            run.organism.model,
            run.organism.misalignment,
            run.organism.seed,
            run.method,
            run.repeat,
        )
        in known
    }
    found: dict[str, list[bool]] = {about: [] for about in TARGETS}
    for (about, _), inside in held_rows(detail, rows_of_sweep(config, sweep), valid, truth):
        found[about].append(inside)
    for about, inside in found.items():
        print(
            f"known effect inside the interval about {about} in {sum(inside)} of {len(inside)} rows"
        )
    return all(sum(inside) >= LEAST_RECOVERED * len(inside) for inside in found.values())


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
