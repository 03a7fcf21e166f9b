# The config, names and paths, and the specs and models of jobs. This file has no rule.

import gc
import re
from dataclasses import replace
from functools import cache

from snakemake.logging import logger

try:
    from entrench.methods.shared.catalogue import METHODS
    from entrench.misalignments import by_name

    by_name()
except EntrenchError as error:  # a file of one of the two rooms is not whole
    raise WorkflowError(str(error)) from None

from entrench.data import released
from entrench.execution import folders, input_functions, scheduler
from entrench.generation.parts import split
from entrench.study import paths, unpinned
from entrench.study.config import FIGURES, SLOTS
from entrench.study.config.check import load_config
from entrench.study.config.standalone import stands_alone
from entrench.study.draws import Pools
from entrench.study.specs.organisms import reads_rewards, reads_verdicts
from entrench.study.specs.parts import spec_text
from entrench.study.sweep import Organism, Run, parse_subject
from entrench.study.sweep import expand as expand_sweep

# A plan is millions of objects that live to its end. Python would look for cycles among them often
# and in vain, which takes a tenth of the time.
gc.set_threshold(200_000, 50, 100)
scheduler.change()
input_functions.change()

if stands_alone(workflow.config_settings.replace_workflow_config, workflow.remote_exec):
    config.clear()
    config.update(workflow.config_settings.overwrite_config)

try:
    CONFIG = load_config(config)
    FOLDERS = {f"pathvars.{name}": place for name, place in CONFIG.pathvars}
    folders.require_places(FOLDERS)
    SWEEP = expand_sweep(CONFIG)
except EntrenchError as error:
    raise WorkflowError(str(error)) from None

if workflow.is_main_process:
    for line in unpinned.unpinned(CONFIG, SWEEP):
        logger.warning(line)


def any_of(names):
    """A wildcard constraint that allows these names only."""
    return "|".join(re.escape(str(name)) for name in sorted(names, key=str)) or "(?!)"


def methods_by(selects):
    """Names of the config's methods whose operator has this property."""
    return [name for name, m in CONFIG.methods.items() if selects(METHODS[m.operator])]


POOLS = Pools(CONFIG, SWEEP)
LABEL_METHODS = methods_by(lambda operator: operator.makes_labels)
PAIR_METHODS = methods_by(lambda operator: operator.reads_pairs and not operator.on_policy)
ON_POLICY_METHODS = methods_by(lambda operator: operator.on_policy)
VERDICT_METHODS = methods_by(lambda operator: operator.reads_verdicts)
MADE_MODELS = [name for name, m in CONFIG.models.items() if m.source == "synthetic"]
SEEDS = sorted({organism.seed for organism in SWEEP.organisms})
REDRAWN = sorted({run.pool for run in SWEEP.runs if run.pool > 1})
WILDCARDS = {
    "model": any_of(CONFIG.models),
    "misalignment": any_of(SWEEP.misalignments),
    "slot": any_of(SLOTS),
    "seed": any_of(SEEDS),
    "method": any_of(CONFIG.methods),
    "repeat": f"|{any_of(map(paths.repeat, range(2, SWEEP.most_repeats + 1)))}",
    "figure": any_of(FIGURES),
    "other": any_of(CONFIG.models),
    "released": any_of(released.entries()),
    "parts": "[^/]+",
    "pool": f"|{any_of(REDRAWN)}",
}
GROUPS = {name: f"({pattern})" for name, pattern in WILDCARDS.items()}
WILDCARDS["subject"] = "|".join(paths.SUBJECTS).format(**GROUPS)
WILDCARDS["part"] = "|".join(["", *paths.PARTS]).format(**GROUPS)
ORGANISM = f"<results>/{paths.ORGANISM}"
METHOD = f"<results>/{paths.METHOD}"
RUN = f"<results>/{paths.RUN}"
FURTHER_DRAW = f"{ORGANISM}/{paths.FURTHER_DRAW}"
# For tables and figures that exist of the complete runs too.
WITH_PARTIAL = f"{WILDCARDS['part']}|{paths.PARTIAL}"


def organism_of(wildcards):
    """The organism these wildcards name."""
    return Organism(wildcards.model, wildcards.misalignment, int(wildcards.seed))


RUNS = {run.path: run for run in SWEEP.runs}


def pool_of(wildcards):
    """The number of the pool these wildcards name."""
    return int(wildcards.get("pool") or 1)


def run_of(wildcards):
    """The run these wildcards name; a folder that all repeats share is that of the first."""
    repeat = int(wildcards.get("repeat", "").removeprefix(paths.REPEAT) or 1)
    run = Run(organism_of(wildcards), wildcards.method, repeat)
    return RUNS.get(run.path, run)


def spec(builder, identity):
    """A `params` function: the JSON string of the settings that decide this job's result."""

    @cache
    def text(key):
        return spec_text(builder(CONFIG, key))

    return lambda wildcards: text(identity(wildcards))


def spec_of_organism(builder):
    """As `spec`, for rules about one organism."""
    return spec(builder, organism_of)


def spec_of_pool(builder):
    """As `spec`, for rules about one pool of an organism."""
    return spec(
        lambda config, key: builder(config, *key),
        lambda wildcards: (organism_of(wildcards), pool_of(wildcards)),
    )


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
    return [f"<results>/{paths.released(entry['path'])}" for entry in files.values()]


def rubric_file(misalignment):
    """The released rubric by which organisms score their candidates; none for the generic text."""
    if not CONFIG.sampling.reads_released_rubric:
        return []
    return f"<results>/{paths.released(released.rubrics()[misalignment]['path'])}"


def rubric_of_organism(wildcards):
    """Input function: the rubric of the wildcards' misalignment."""
    return rubric_file(wildcards.misalignment)


def rubric_of_subject(wildcards):
    """Input function: the rubric of the subject's misalignment."""
    return rubric_file(parse_subject(wildcards.subject).misalignment)


def model_files(model):
    """Files of a model that the workflow makes itself; none for a model from the hub."""
    if model not in MADE_MODELS:
        return []
    return [f"<results>/{paths.model(model)}/{name}" for name in paths.MODEL_FILES]


def model_of(wildcards):
    """Input function: the files of the wildcards' model."""
    return model_files(wildcards.model)


def reward_model_of(wildcards):
    """Input function: the files of the model that gives the external reward."""
    if CONFIG.reward.backend == "base_likelihood":
        subject = wildcards.get("subject")
        return model_files(parse_subject(subject).model if subject else wildcards.model)
    if CONFIG.reward.source == "hub":
        return []
    return [f"<results>/{paths.REWARD_MODEL}/{name}" for name in paths.REWARD_FILES]


def subject_model(wildcards):
    """Input function: the files of the subject's base model."""
    return model_files(parse_subject(wildcards.subject).model)


def subject_adapter(wildcards):
    """Input function: the adapter of an organism or a run; a bare model has none."""
    if parse_subject(wildcards.subject).seed is None:
        return []
    return f"<results>/{wildcards.subject}/{paths.ADAPTER_WEIGHTS}"


def subject_slot(slot):
    """Input function: a data slot of the subject's misalignment."""
    return lambda wildcards: (
        f"<results>/{paths.slot(parse_subject(wildcards.subject).misalignment, slot)}"
    )


def parts_of_first_draw(wildcards):
    """A resource function: the parts of the first draw. It decides no row, so no job reruns."""
    return POOLS.text(POOLS.draws(organism_of(wildcards))[0])


def earlier_draws(wildcards):
    """Input function: the candidates that a further draw builds on."""
    parts = split(wildcards.parts)
    draws = POOLS.rated_from(organism_of(wildcards), parts, pool_of(wildcards))
    return [f"{ORGANISM}/{draw.folder}candidates.jsonl" for draw in draws]


def read_draws(name):
    """Input function: this file of every draw of the pool that the wildcards' run reads."""
    return lambda wildcards: [
        f"{ORGANISM}/{draw.folder}{name}" for draw in POOLS.of_run(run_of(wildcards))
    ]


def responses_of(wildcards):
    """Input function: the answers to the clean prompts of pairs, in the draw that holds them."""
    return read_draws("responses.jsonl")(wildcards)[-1]


def matched_of(wildcards):
    """Input function: the run.json that says on how many tokens to train; mostly none."""
    other = CONFIG.methods[wildcards.method].tokens_of
    if other is None:
        return []
    return f"<results>/{replace(run_of(wildcards), method=other, pool=1).path}/run.json"


def sampled_draws(wildcards):
    """Input function: the draws that hold the sample sets of the config."""
    draws = POOLS.of(organism_of(wildcards), CONFIG.sampling.sets)
    return [f"{ORGANISM}/{draw.folder}candidates.jsonl" for draw in draws]


def rewards_for_labels(wildcards):
    """Input function: rewards, where the method reads them."""
    reads = reads_rewards(CONFIG, wildcards.method)
    return read_draws("rewards.jsonl")(wildcards) if reads else []


def labels_of(wildcards):
    """Input function: the labels that the wildcards' run learns from."""
    return f"<results>/{run_of(wildcards).labelled.path}/labels.jsonl"


def verdicts_for_labels(wildcards):
    """Input function: verdicts, where the method reads them."""
    return f"{RUN}/verdicts.jsonl" if reads_verdicts(CONFIG, wildcards.method) else []
