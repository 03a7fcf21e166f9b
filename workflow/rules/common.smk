# Functions that the rules use; no rule stands here.

import gc
import re
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

sys.path.insert(0, str(Path(workflow.basedir) / "workflow" / "scripts"))

from entrench import asks, pins, released, specs, takeover, unfinished
from entrench.analysis.inputs import (
    divergence_inputs,
    explained,
    mechanism_inputs,
    organism_inputs,
    run_inputs,
)
from entrench.config import (
    FIGURES,
    MECHANISM_FIGURES,
    MECHANISM_TABLES,
    SLOTS,
    STUDY_FIGURES,
)
from entrench.config.alone import stands_alone
from entrench.config.check import load_config
from entrench.errors import EntrenchError
from entrench.foreign import foreign_adapters
from entrench.labelling.operators import OPERATORS
from entrench.planning import plan
from entrench.planning.complete import complete_part, finished
from entrench.sweep import Organism, Run, expand as expand_sweep, parse_subject, part_of

# A plan is millions of objects that live to its end: looking for cycles among them that often is
# in vain and takes a tenth of the time.
gc.set_threshold(200_000, 50, 100)

if stands_alone(workflow.config_settings.replace_workflow_config, workflow.remote_exec):
    config.clear()
    config.update(workflow.config_settings.overwrite_config)

try:
    CONFIG = load_config(config)
    SWEEP = expand_sweep(CONFIG)
except EntrenchError as error:
    raise WorkflowError(str(error)) from None

if workflow.is_main_process:
    for line in pins.unpinned(CONFIG, SWEEP):
        logger.warning(line)


def any_of(names):
    """A wildcard constraint that admits these names only."""
    return "|".join(re.escape(str(name)) for name in sorted(names, key=str)) or "(?!)"


def methods_by(selects):
    """Names of the config's methods whose operator has this property."""
    return [name for name, m in CONFIG.methods.items() if selects(OPERATORS[m.operator])]


LABEL_METHODS = methods_by(lambda operator: operator.makes_labels)
PAIR_METHODS = methods_by(lambda operator: operator.reads_pairs)
VERDICT_METHODS = methods_by(lambda operator: operator.reads_verdicts)
MADE_MODELS = [name for name, m in CONFIG.models.items() if m.source == "synthetic"]
MODEL_FILES = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]
REWARD_FILES = [name for name in MODEL_FILES if name != "generation_config.json"]
REWARD_SIZE = CONFIG.size_classes[CONFIG.reward.size_class]
RELEASED_FILES = [
    entry["path"] for slots in released.manifest()["files"].values() for entry in slots.values()
]
SEEDS = sorted({organism.seed for organism in SWEEP.organisms})
WILDCARDS = {
    "model": any_of(CONFIG.models),
    "misalignment": any_of(SWEEP.misalignments),
    "slot": any_of(SLOTS),
    "seed": any_of(SEEDS),
    "method": any_of(CONFIG.methods),
    "figure": any_of(FIGURES),
    "other": any_of(CONFIG.models),
    "released": any_of(RELEASED_FILES),
}
WILDCARDS["subject"] = "|".join(
    [
        "base/({model})/({misalignment})",
        "organisms/({model})/({misalignment})/seed({seed})",
        "organisms/({model})/({misalignment})/seed({seed})/({method})",
    ]
).format(**WILDCARDS)
WILDCARDS["part"] = (
    "|parts/(({model})|({misalignment})|({model})/({misalignment})(/seed({seed}))?)/"
).format(**WILDCARDS)
ENDPOINTS = [name for name, judge in specs.judges(CONFIG).items() if judge.server]
# Whatever the judge, rules alone score a misalignment that has no judge prompt.
COMPARED = [
    name for name in SWEEP.misalignments if CONFIG.judging.second and specs.JUDGE_PROMPTS[name]
]
if "judge_calls" not in workflow.global_resources:
    workflow.register_resource("judge_calls", CONFIG.judging.calls)
ORGANISM = "<results>/organisms/{model}/{misalignment}/seed{seed}"
RUN = f"{ORGANISM}/{{method}}"
# Tables and figures that what is complete so far has too.
WITH_PARTIAL = f"{WILDCARDS['part']}|partial/"
FIGURE_FILES = [
    f"<results>/figures/{figure}.{suffix}"
    for figure in STUDY_FIGURES
    for suffix in ("pdf", "png", "csv")
]
MECHANISM_FILES = [f"<results>/{name}.csv" for name in MECHANISM_TABLES] + [
    f"<results>/figures/{figure}.{suffix}"
    for figure, tables in MECHANISM_FIGURES.items()
    for suffix in ("pdf", "png", "csv")
    if "divergence" not in tables or CONFIG.mechanism.divergence
]

REPORT_TABLES = [
    *("organisms", "runs", "summary", "contrasts", "comparison_with_paper", "power"),
    *("error_rates", "judge_health"),
    *(MECHANISM_TABLES if CONFIG.mechanism.enabled else []),
    *(["divergence"] if CONFIG.mechanism.enabled and CONFIG.mechanism.divergence else []),
]

PARTIAL_TABLES = ["organisms", "runs", "summary", "judge_health", "missing"]


def organism_of(wildcards):
    """The organism these wildcards name."""
    return Organism(wildcards.model, wildcards.misalignment, int(wildcards.seed))


def run_of(wildcards):
    """The run these wildcards name."""
    return Run(organism_of(wildcards), wildcards.method)


def spec(builder, identity):
    """A `params` function: the JSON string of the settings that decide this job's result."""

    @cache
    def text(key):
        return specs.spec_text(builder(CONFIG, key))

    return lambda wildcards: text(identity(wildcards))


def spec_of_organism(builder):
    """As `spec`, for rules about one organism."""
    return spec(builder, organism_of)


def spec_of_run(builder):
    """As `spec`, for rules about one run."""
    return spec(builder, run_of)


def spec_of_subject(builder):
    """As `spec`, for rules about one measured subject."""
    return spec(builder, lambda wildcards: parse_subject(wildcards.subject))


def released_files(wildcards):
    """Input function: the released files behind a misalignment's slots; none for synthetic data."""
    if CONFIG.data.source == "synthetic":
        return []
    files = released.files_of(wildcards.misalignment)
    return [f"<results>/data/release/{entry['path']}" for entry in files.values()]


def model_files(model):
    """Files of a model that the workflow makes itself; nothing for one from the hub."""
    if model not in MADE_MODELS:
        return []
    return [f"<results>/models/{model}/{name}" for name in MODEL_FILES]


def model_of(wildcards):
    """Input function: the files of the wildcards' model."""
    return model_files(wildcards.model)


def reward_model_of(wildcards):
    """Input function: the model that gives the external reward."""
    if CONFIG.reward.backend == "base_likelihood":
        subject = wildcards.get("subject")
        return model_files(parse_subject(subject).model if subject else wildcards.model)
    if CONFIG.reward.source == "hub":
        return []
    return [f"<results>/models/reward/{name}" for name in REWARD_FILES]


def subject_model(wildcards):
    """Input function: the files of the subject's base model."""
    return model_files(parse_subject(wildcards.subject).model)


def subject_adapter(wildcards):
    """Input function: the adapter of an organism or a run; a bare model has none."""
    if parse_subject(wildcards.subject).seed is None:
        return []
    return f"<results>/{wildcards.subject}/adapter/adapter_model.safetensors"


def subject_slot(slot):
    """Input function: a data slot of the subject's misalignment."""
    return lambda wildcards: (
        f"<results>/data/{parse_subject(wildcards.subject).misalignment}/{slot}.jsonl"
    )


def judge_server(judge):
    """A resource function: how to reach a judge, as JSON. A machine fact: it plans nothing."""
    return lambda wildcards: specs.judge_server(specs.judges(CONFIG)[judge])


def judge_calls(judge):
    """The calls that a job of this judge keeps in flight; 0 where it makes none."""
    server = getattr(specs.judges(CONFIG).get(judge), "server", None)
    return server.concurrency if server else 0


def judged_files(wildcards, name):
    """A file of every organism of the wildcards' misalignment."""
    return [
        f"<results>/{organism.path}/{name}"
        for organism in SWEEP.organisms
        if organism.misalignment == wildcards.misalignment
    ]


def rewards_for_labels(wildcards):
    """Input function: rewards, where the method reads them."""
    reads = specs.reads_rewards(CONFIG, wildcards.method)
    return f"{ORGANISM}/rewards.jsonl" if reads else []


def verdicts_for_labels(wildcards):
    """Input function: verdicts, where the method reads them."""
    return f"{RUN}/verdicts.jsonl" if specs.reads_verdicts(CONFIG, wildcards.method) else []


def size_class(model):
    """The size class of a model of the config."""
    return CONFIG.size_classes[CONFIG.models[model].size_class]


def model_resource(field):
    """A resource function: `field` of the size class of the wildcards' model."""
    return lambda wildcards: getattr(size_class(wildcards.model), field)


def model_switch(field):
    """As `model_resource`, for what is on (1) or off (0)."""
    return lambda wildcards: int(getattr(size_class(wildcards.model), field))


def subject_resource(field):
    """A resource function: `field` of the size class of the subject's model."""
    return lambda wildcards: getattr(size_class(parse_subject(wildcards.subject).model), field)


def gpu_model(size):
    """The GPU type that the profile's default names; None, no such resource, without a GPU.

    The plugin for Slurm would ask for zero GPUs of that type.
    """
    default = workflow.resource_settings._parsed_default_resources.get("gpu_model")
    return default.raw if default is not None and size.gpus else None


def ask(size, resource, attempt):
    """What a job of this size class asks of its machine; Snakemake would cut it down to the cap."""
    cap = getattr(workflow.global_resources.get("gpu"), "value", None)
    if cap is not None and size.gpus > cap:
        raise WorkflowError(
            f"a job of this plan asks for {size.gpus} GPUs and the sweep may use {cap}: raise "
            "`gpu` under `resources` of the profile, or ask for targets of smaller models"
        )
    if resource == "gpu_model":
        return gpu_model(size)
    return asks.resources(size, attempt)[resource]


def model_ask(resource):
    """A resource function: what a job on the wildcards' model asks of its machine."""
    return lambda wildcards, attempt: ask(size_class(wildcards.model), resource, attempt)


def subject_ask(resource):
    """A resource function: what a job on the subject's model asks of its machine."""
    return lambda wildcards, attempt: ask(
        size_class(parse_subject(wildcards.subject).model), resource, attempt
    )


def other_ask(resource):
    """A resource function: what a job on the wildcards' other model asks of its machine."""
    return lambda wildcards, attempt: ask(size_class(wildcards.other), resource, attempt)


def reward_ask(resource):
    """A resource function: what a job on the reward model asks of its machine."""
    return lambda wildcards, attempt: ask(REWARD_SIZE, resource, attempt)


@cache
def part(name):
    """The sweep, or the part of it whose tables lie in this folder."""
    try:
        return part_of(SWEEP, name)
    except EntrenchError as error:
        raise WorkflowError(str(error)) from None


def organism_table_inputs(wildcards):
    """Input function: what organisms.csv is made from."""
    organisms = part(wildcards.get("part", "")).organisms
    return sorted({path for o in organisms for path in organism_inputs("<results>", o).values()})


def run_table_inputs(wildcards):
    """Input function: what runs.csv is made from."""
    operators = {name: method.operator for name, method in CONFIG.methods.items()}
    files = (
        run_inputs("<results>", run, operators[run.method])
        for run in part(wildcards.get("part", "")).runs
    )
    return sorted({path for paths in files for path in paths.values()})


def figure_tables(wildcards):
    """Input function: the tables a figure is drawn from."""
    return [f"<results>/{{part}}{name}.csv" for name in FIGURES[wildcards.figure]]


def judge_health_spec(wildcards):
    """The params of the judges' health: the agreement that has been measured."""
    return specs.spec_text(specs.judge_health_spec(CONFIG, part(wildcards.part)))


def report_now(_wildcards):
    """Input function: the report of the sweep; while runs are missing, of what is complete."""
    return f"<results>/{'' if finished(CONFIG, SWEEP) else 'partial/'}report.html"


def report_names(wildcards):
    """The tables of a report, and the figures drawn from them."""
    tables = PARTIAL_TABLES if wildcards.part == "partial/" else REPORT_TABLES
    return tables, [name for name, needed in FIGURES.items() if set(needed) <= set(tables)]


def report_tables(wildcards):
    """Input function: the tables of a report."""
    return [f"<results>/{{part}}{name}.csv" for name in report_names(wildcards)[0]]


def report_figures(wildcards):
    """Input function: the figures of a report."""
    return [f"<results>/{{part}}figures/{name}.png" for name in report_names(wildcards)[1]]


def report_spec(_wildcards):
    """The params of a report."""
    return specs.spec_text(specs.report_spec(CONFIG))


def spec_of_part(builder):
    """As `spec`, for tables of the sweep or a part of it."""
    return lambda wildcards: specs.spec_text(builder(CONFIG, part(wildcards.part)))


def partial_spec(_wildcards):
    """The params of the partial tables: what is complete now."""
    return specs.spec_text(specs.partial_spec(CONFIG, SWEEP, complete_part(CONFIG, SWEEP)))


PLAN_NOTE = Path(CONFIG.pathvars.results, ".planned.json")


@cache
def stale_files():
    """Outputs that Snakemake alone would not make again."""
    return [*unfinished.missing(PLAN_NOTE), *foreign_adapters(CONFIG, SWEEP)]


def remake_stale(wildcards):
    """Input function without files; every plan reaches the data, and so asks it.

    Forces, among the jobs of this plan, those whose output an interrupted sweep left missing (see
    `entrench.unfinished`) and adapters of another config (`entrench.foreign`). Snakemake has no
    public door for that.
    """
    workflow.dag.forcefiles.update(stale_files())
    return []


def plan_spec(_wildcards):
    """The params of the plan: the config, and which jobs are done."""
    try:
        plan.require_constants(CONFIG)
    except EntrenchError as error:
        raise WorkflowError(str(error)) from None
    return specs.spec_text(
        {"config": CONFIG.model_dump(mode="json"), "state": plan.state(CONFIG, SWEEP)}
    )


def asked():
    """What each size class asks of its machine, and the caps over all jobs, as text."""
    caps = (workflow.global_resources.get(name) for name in ("gpu", "judge_calls"))
    held = ", ".join(f"{cap.name} {cap.value}" for cap in caps if cap is not None and cap.value)
    return f"{asks.table(CONFIG.size_classes)}\nat most at a time: {held}\n"


def take_over():
    """Make sure that no other head works in this folder, and no job of a killed one.

    Tables, figures and plans may be asked for beside a sweep at work.
    """
    if not any("gpu" in job.rule.resources for job in workflow.dag.needrun_jobs()):
        return
    try:
        takeover.take_over(Path.cwd(), workflow.executor_plugin.name == "slurm")
    except EntrenchError as error:
        raise WorkflowError(str(error)) from None


def adapter_of_other(wildcards):
    """Input function: the adapter of another model's organism, of the same misalignment and seed."""
    other = Organism(wildcards.other, wildcards.misalignment, int(wildcards.seed))
    return f"<results>/{other.path}/adapter/adapter_model.safetensors"


def cross_spec(wildcards):
    """The params of a cross-size KL."""
    return specs.spec_text(specs.cross_spec(CONFIG, organism_of(wildcards), wildcards.other))


def mechanism_table_inputs(wildcards):
    """Input function: what the mechanism's tables are made from, besides runs.csv."""
    return mechanism_inputs("<results>", explained(CONFIG, part(wildcards.part)))


def divergence_table_inputs(wildcards):
    """Input function: what divergence.csv is made from."""
    return divergence_inputs("<results>", part(wildcards.part))
