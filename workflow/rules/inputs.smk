# The inputs of tables, figures, the report and the plan. This file has no rule.

from entrench.planning import plan
from entrench.planning.complete import finished, progress
from entrench.planning.constants import require_constants
from entrench.study.config import MECHANISM_FIGURES, MECHANISM_TABLES, STUDY_FIGURES
from entrench.study.inputs import (
    divergence_inputs,
    mechanism_inputs,
    organism_inputs,
    pool_inputs,
    prompts_file,
    run_inputs,
)
from entrench.study.specs.mechanism import cross_spec
from entrench.study.specs.parts import spec_text
from entrench.study.specs.report import judge_health_spec, report_spec
from entrench.study.specs.tables import partial_spec
from entrench.study.sweep import labelled_part, paired_part, part_of

FIGURE_FILES = [
    f"<results>/{paths.figure(figure, suffix)}"
    for figure in STUDY_FIGURES
    for suffix in ("pdf", "png", "csv")
]
MECHANISM_FILES = [f"<results>/{paths.table(name)}" for name in MECHANISM_TABLES] + [
    f"<results>/{paths.figure(figure, suffix)}"
    for figure, tables in MECHANISM_FIGURES.items()
    for suffix in ("pdf", "png", "csv")
    if "divergence" not in tables or CONFIG.mechanism.divergence
]
REPORT_TABLES = [
    *(
        "organisms",
        "runs_detail",
        "summary",
        "detail",
        "variance",
        "contrasts",
        "comparison_with_paper",
        "power",
    ),
    *("error_rates", "judge_health"),
    *(MECHANISM_TABLES if CONFIG.mechanism.enabled else []),
    *(["divergence"] if CONFIG.mechanism.enabled and CONFIG.mechanism.divergence else []),
]
PARTIAL_TABLES = ["organisms", "runs_detail", "summary", "detail", "judge_health", "missing"]


@cache
def part(name):
    """The sweep, or the part of it whose tables lie in this folder."""
    try:
        return part_of(SWEEP, name)
    except EntrenchError as error:
        raise WorkflowError(str(error)) from None


def spec_of_part(builder):
    """As `spec`, for tables of the sweep or a part of it."""
    return lambda wildcards: spec_text(builder(CONFIG, part(wildcards.part)))


def pilot_file(_wildcards):
    """Input function: the variance.csv of the config's pilot; none without a pilot."""
    pilot = CONFIG.statistics.pilot
    if pilot is None:
        return []
    if not Path(pilot).is_file():
        raise WorkflowError(
            f"statistics.pilot: {pilot}: no such file: run the pilot first, or take the key out"
        )
    return pilot


def organism_table_inputs(wildcards):
    """Input function: the files that organisms.csv is made from."""
    organisms = part(wildcards.get("part", "")).organisms
    return sorted({path for o in organisms for path in organism_inputs("<results>", o).values()})


def run_table_inputs(wildcards):
    """Input function: the files that the tables of runs are made from."""
    files = set()
    for run in part(wildcards.get("part", "")).runs:
        operator = CONFIG.methods[run.method].operator
        files.update(run_inputs("<results>", run, operator).values())
        files.update(*pool_inputs("<results>", run, operator, POOLS.of_run(run)).values())
    return sorted(files)


def prompt_deltas(wildcards):
    """Input function: the deltas by prompt of every run of a part."""
    return [prompts_file("<results>", run) for run in part(wildcards.get("part", "")).runs]


def partial_params(_wildcards):
    """The params of the partial tables: the runs that are complete now, and why others are not."""
    found = progress(CONFIG, SWEEP, outdated_files())
    return spec_text(partial_spec(CONFIG, SWEEP, found.complete, found.outdated))


def judged_files(wildcards, name):
    """A file of every organism of the wildcards' misalignment."""
    return [
        f"<results>/{organism.path}/{name}"
        for organism in SWEEP.organisms
        if organism.misalignment == wildcards.misalignment
    ]


def judge_health_params(wildcards):
    """The params of the judges' health: the agreements that have been measured."""
    return spec_text(judge_health_spec(CONFIG, part(wildcards.part)))


def figure_tables(wildcards):
    """Input function: the tables a figure is drawn from."""
    return [f"<results>/{paths.table(name, '{part}')}" for name in FIGURES[wildcards.figure]]


def mechanism_table_inputs(wildcards):
    """Input function: the files of the mechanism's tables, without those of runs and organisms."""
    own = part(wildcards.part)
    return mechanism_inputs("<results>", labelled_part(CONFIG, own), paired_part(CONFIG, own))


def divergence_table_inputs(wildcards):
    """Input function: the files of divergence.csv, without those of runs and organisms."""
    return divergence_inputs("<results>", part(wildcards.part))


def adapter_of_other(wildcards):
    """Input function: the adapter of the other model's organism of this misalignment and seed."""
    other = Organism(wildcards.other, wildcards.misalignment, int(wildcards.seed))
    return f"<results>/{other.path}/{paths.ADAPTER_WEIGHTS}"


def cross_params(wildcards):
    """The params of a cross-size KL."""
    return spec_text(cross_spec(CONFIG, organism_of(wildcards), wildcards.other))


def report_now(_wildcards):
    """Input function: the report of the sweep; while runs are missing, of the complete runs."""
    return f"<results>/{paths.report('' if finished(CONFIG, SWEEP, outdated_files()) else paths.PARTIAL)}"


def report_names(wildcards):
    """The tables of a report, and the figures drawn from them."""
    tables = PARTIAL_TABLES if wildcards.part == paths.PARTIAL else REPORT_TABLES
    return tables, [name for name, needed in FIGURES.items() if set(needed) <= set(tables)]


def report_tables(wildcards):
    """Input function: the tables of a report."""
    return [f"<results>/{paths.table(name, '{part}')}" for name in report_names(wildcards)[0]]


def report_figures(wildcards):
    """Input function: the figures of a report."""
    return [
        f"<results>/{paths.figure(name, 'png', '{part}')}" for name in report_names(wildcards)[1]
    ]


def report_params(_wildcards):
    """The params of a report."""
    return spec_text(report_spec(CONFIG))


def plan_params(_wildcards):
    """The params of the plan: the config, and which jobs are done."""
    try:
        require_constants(CONFIG)
    except EntrenchError as error:
        raise WorkflowError(str(error)) from None
    return spec_text({"config": CONFIG.model_dump(mode="json"), "state": plan.state(CONFIG, SWEEP)})
