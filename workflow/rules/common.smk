# Functions that the rules use; no rule stands here.

import gc
import re
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "workflow" / "scripts"))

from entrench import released, specs, unfinished
from entrench.analysis.inputs import organism_inputs, run_inputs
from entrench.config import FIGURES, SLOTS
from entrench.config_check import load_config
from entrench.errors import EntrenchError
from entrench.labelling.operators import OPERATORS
from entrench.planning import plan
from entrench.planning.complete import complete_part
from entrench.sweep import Organism, Run, expand as expand_sweep, parse_subject, part_of

# A plan is millions of objects that live to its end: looking for cycles among them that often is
# in vain and takes a tenth of the time.
gc.set_threshold(200_000, 50, 100)

try:
    CONFIG = load_config(config)
    SWEEP = expand_sweep(CONFIG)
except EntrenchError as error:
    raise WorkflowError(str(error)) from None


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
FIGURE_FILES = [
    f"<results>/figures/{figure}.{suffix}" for figure in FIGURES for suffix in ("pdf", "png", "csv")
]


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
        return model_files(wildcards.model)
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


def subject_resource(field):
    """A resource function: `field` of the size class of the subject's model."""
    return lambda wildcards: getattr(size_class(parse_subject(wildcards.subject).model), field)


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


def spec_of_part(builder):
    """As `spec`, for tables of the sweep or a part of it."""
    return lambda wildcards: specs.spec_text(builder(CONFIG, part(wildcards.part)))


def partial_spec(_wildcards):
    """The params of the partial tables: what is complete now."""
    return specs.spec_text(specs.partial_spec(CONFIG, SWEEP, complete_part(CONFIG, SWEEP)))


PLAN_NOTE = Path(CONFIG.pathvars.results, ".planned.json")


def remake_unfinished(wildcards):
    """Input function without files; every plan reaches the data, and so asks it.

    Forces, among the jobs of this plan, those whose output an interrupted sweep left missing (see
    `entrench.unfinished`). Snakemake has no public door for that.
    """
    workflow.dag.forcefiles.update(unfinished.missing(PLAN_NOTE))
    return []


def plan_spec(_wildcards):
    """The params of the plan: the config, and which jobs are done."""
    return specs.spec_text(
        {"config": CONFIG.model_dump(mode="json"), "state": plan.state(CONFIG, SWEEP)}
    )
