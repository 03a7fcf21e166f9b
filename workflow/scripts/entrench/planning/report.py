"""The plan as a page: plan.md."""

from collections.abc import Sequence

from entrench.methods.shared.catalogue import METHODS
from entrench.planning.constants import constants
from entrench.planning.cost import phase_steps
from entrench.planning.plan import Row
from entrench.study.config import Config
from entrench.study.config.training import PhaseName
from entrench.study.job_resources import cpus
from entrench.study.sweep import Sweep, unroll
from entrench.study.unpinned import unpinned


def as_markdown(
    config: Config, sweep: Sweep, rows: Sequence[Row], advice: Sequence[str] = ()
) -> str:
    """The page: totals, models, stages, blocks, warnings, and where the figures come from.

    `advice` are sentences on what would lessen the uncertainty, from results that are there.
    """
    parts = [
        "# Plan of the sweep",
        f"{len(sweep.organisms)} organisms, {len(sweep.first.runs)} runs"
        f"{_repeats(len(sweep.runs) - len(sweep.first.runs))}, results in "
        f"`{config.pathvars.results}`.",
        _totals(config, rows),
        "## Models",
        _model_table(config, sweep),
        "## Stages",
        _stage_table(rows),
        "`plan.csv` has the same figures by method.",
        "## Blocks",
        _block_table(config),
        "## Short trainings",
        _warnings(config, sweep),
        *(
            ["## What would make the intervals narrower", "\n".join(f"- {one}." for one in advice)]
            if advice
            else []
        ),
        "## What the figures rest on",
        _basis(config, rows),
    ]
    return "\n\n".join(parts) + "\n"


def short_trainings(config: Config, sweep: Sweep) -> list[tuple[str, str, int, int]]:
    """Trainings of fewer steps than `planning.few_steps`: (misalignment, phase, rows, steps).

    The methods of a phase share its steps. One on-policy, or with a training of its own, has its
    own: `pairs (NAME)`.
    """
    trainings: set[tuple[str, PhaseName, str]] = {
        (organism.misalignment, "induction", "") for organism in sweep.organisms
    }
    for run in sweep.runs:
        entry = config.methods[run.method]
        operator = METHODS[entry.operator]
        own = run.method if operator.on_policy or entry.training else ""
        trainings.add((run.organism.misalignment, operator.phase, own))
    few, found = constants(config).few_steps, []
    for misalignment, phase, own in sorted(trainings):
        rows, steps = phase_steps(config, misalignment, phase, own or None)
        if steps < few:
            found.append((misalignment, f"{phase} ({own})" if own else phase, rows, steps))
    return found


def _totals(config: Config, rows: Sequence[Row]) -> str:
    def total(name: str) -> float:
        return sum(getattr(row, name) for row in rows)

    def both(name: str, form: str, unit: float = 1.0) -> tuple[str, str]:
        return format(total(name) / unit, form), format(total(f"{name}_left") / unit, form)

    gpus = constants(config).at_once
    left = total("gpu_hours_left")
    chain = sum(_longest_by_stage(rows).values()) / 3600
    wall = max(chain, left / gpus if left else total("seconds_left") / 3600 / gpus)
    wall = max(wall, sum(row.wall_hours_left for row in rows if row.judge_calls))
    return _table(
        ("", "all", "left"),
        [
            ("jobs", f"{total('jobs'):,.0f}", f"{total('to_do'):,.0f}"),
            ("hours of jobs", f"{total('job_hours'):,.2f}", f"{total('seconds_left') / 3600:,.2f}"),
            ("GPU-hours", f"{total('gpu_hours'):,.1f}", f"{left:,.1f}"),
            (f"wall hours, {gpus} at once", "", f"at least {wall:,.1f}"),
            ("storage, GB", *both("storage_gb", ",.1f")),
            ("judge calls", *both("judge_calls", ",.0f")),
            ("judge tokens in, millions", *both("judge_tokens_in", ",.1f", 1e6)),
            ("judge tokens out, millions", *both("judge_tokens_out", ",.1f", 1e6)),
            ("price", f"{total('price'):,.0f}", f"{total('price_left'):,.0f}"),
        ],
    )


def _longest_by_stage(rows: Sequence[Row]) -> dict[str, float]:
    """Seconds of the longest job to do of each stage. Their sum is the least wall time."""
    longest: dict[str, float] = {}
    for row in rows:
        longest[row.stage] = max(row.longest, longest.get(row.stage, 0.0))
    return longest


def _stage_table(rows: Sequence[Row]) -> str:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.stage, row.size_class), []).append(row)
    lines = []
    for (stage, size_class), members in groups.items():
        hours = sum(row.seconds for row in members) / 3600
        jobs = sum(row.jobs for row in members)
        done = sum(row.done for row in members)
        gpus = members[0].gpus_per_job
        lines.append(
            (
                stage,
                size_class or "-",
                f"{gpus} x {members[0].device}" if gpus else "-",
                f"{jobs:,}",
                f"{done:,}",
                f"{jobs - done:,}",
                f"{60 * hours / jobs:,.1f}",
                f"{sum(row.gpu_hours for row in members):,.1f}",
                f"{sum(row.gpu_hours_left for row in members):,.1f}",
                f"{sum(row.storage_gb for row in members):,.1f}",
                members[0].basis,
            )
        )
    head = ("stage", "size", "GPUs", "jobs", "done", "to do", "minutes each")
    return _table((*head, "GPU-hours", "left", "GB", "basis"), lines)


def _model_table(config: Config, sweep: Sweep) -> str:
    lines: list[tuple[str, ...]] = []
    for name in sweep.models:
        model = config.models[name]
        where = f"{model.hub}@{model.revision or 'latest'}" if model.hub else model.source
        lines.append((name, model.kind, where, model.dtype, model.size_class))
    reward = config.reward
    if reward.hub:
        where = f"{reward.hub}@{reward.revision or 'latest'}"
        lines.append(("(reward)", "classifier", where, reward.dtype, reward.size_class))
    table = _table(("model", "kind", "from", "dtype", "size"), lines)
    return "\n\n".join([table, *(f"WARNING: {line}." for line in unpinned(config, sweep))])


def _block_table(config: Config) -> str:
    lines = []
    for index, block in enumerate(config.sweep):
        organisms, runs = unroll(block, index)
        name = block.name or f"sweep.{index}"
        counts = f"{len(organisms)}", f"{len(runs) // block.repeats}", f"{block.repeats}"
        lines.append((name, "on" if block.enabled else "off", *counts))
    return _table(("block", "", "organisms", "runs", "trainings of each"), lines)


def _repeats(number: int) -> str:
    return f" and {number} {'repeat' if number == 1 else 'repeats'} of them" if number else ""


def _warnings(config: Config, sweep: Sweep) -> str:
    short, few = short_trainings(config, sweep), constants(config).few_steps
    if not short:
        return f"No training has fewer than {few} optimizer steps."
    lines = [(m, phase, str(rows), str(steps)) for m, phase, rows, steps in short]
    head = ("misalignment", "phase", "rows", "optimizer steps")
    return (
        f"WARNING: these trainings have fewer than {few} optimizer steps. Check `effective` in "
        "organisms.csv before you believe a delta-risk.\n\n" + _table(head, lines)
    )


def _basis(config: Config, rows: Sequence[Row]) -> str:
    measured = sorted({row.stage for row in rows if row.basis == "measured"})
    reached = constants(config).efficiency
    lines = [
        "- Costs are estimated from FLOPs, bytes and tokens with the constants of `planning:` in "
        f"the config: {reached.training:.0%} of peak in training, {reached.prefill:.0%} in "
        f"prefill, {reached.decoding:.0%} of bandwidth in decoding.",
        "- Stages corrected by the logs of finished jobs: "
        + (f"{', '.join(measured)}." if measured else "none yet."),
        "- A job is done when all its files exist. `snakemake -n` says whether they are up to "
        "date.",
        "- Wall hours leave queues out. They are at least the longest job of each stage, one after "
        "the other, and at least all judging that is left.",
        "- Cores of a job: "
        + ", ".join(f"{name} {cpus(size)}" for name, size in config.size_classes.items())
        + ". On one machine jobs run side by side while `--cores` has room; what one thread or two "
        "give: docs/cluster.md.",
        f"- Judges: {config.label_judge.backend} (labels), {config.risk_judge.backend} (risk)"
        + ("; rules make no calls." if config.risk_judge.backend == "rules" else ".")
        + f" At most {config.judging.calls} calls at a time.",
    ]
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return "| " + " | ".join(padded) + " |"

    return "\n".join([line(head), line(["-" * width for width in widths]), *map(line, rows)])
