"""The path grammar of the results: every folder and file, said once.

The comment at the top of the Snakefile shows the same for a reader. A pattern names in braces what
changes, as a rule's wildcards do: `{subject}` is the folder of a measurement, `{part}` is empty or
the folder of a part of the sweep, with its slash. All paths lie below `<results>`. Imports nothing.
"""

BASE = "base/{model}/{misalignment}"
ORGANISM = "organisms/{model}/{misalignment}/seed{seed}"
RUN = f"{ORGANISM}/{{method}}"
SUBJECTS = (BASE, ORGANISM, RUN)
SCORED_BY = f"{ORGANISM}/scored_by/{{other}}"
DATA = "data/{misalignment}"
RELEASE = "data/release"
MODEL = "models/{model}"
REWARD_MODEL = "models/reward"
JUDGES = "judges"
PARTIAL = "partial/"
PARTS = (
    "parts/{model}/",
    "parts/{misalignment}/",
    "parts/{model}/{misalignment}/",
    "parts/{model}/{misalignment}/seed{seed}/",
)
MODEL_FILES = (  # of a model that the workflow makes
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)
REWARD_FILES = tuple(name for name in MODEL_FILES if name != "generation_config.json")
ADAPTER_WEIGHTS = "adapter/adapter_model.safetensors"
ADAPTER_FILES = ("adapter/adapter_config.json", ADAPTER_WEIGHTS, "run.json")


def base(model: str, misalignment: str) -> str:
    """Folder of a bare model's measurement."""
    return BASE.format(model=model, misalignment=misalignment)


def organism(model: str, misalignment: str, seed: int) -> str:
    """Folder of an organism."""
    return ORGANISM.format(model=model, misalignment=misalignment, seed=seed)


def run(model: str, misalignment: str, seed: int, method: str) -> str:
    """Folder of a run."""
    return RUN.format(model=model, misalignment=misalignment, seed=seed, method=method)


def slot(misalignment: str, name: str) -> str:
    """The rows of a slot of a misalignment, or its `probe`: the prompts that every probe asks."""
    return f"{DATA.format(misalignment=misalignment)}/{name}.jsonl"


def released(path: str) -> str:
    """A released file, as fetched and verified."""
    return f"{RELEASE}/{path}"


def model(name: str) -> str:
    """Folder of a model that the workflow makes."""
    return MODEL.format(model=name)


def scored_by(organism_folder: str, other: str) -> str:
    """Folder of what another model's organism makes of this organism's label samples."""
    return f"{organism_folder}/scored_by/{other}"


def agreement(misalignment: str) -> str:
    """The table of the agreement of two judges on a misalignment."""
    return f"{JUDGES}/{misalignment}/agreement.csv"


def table(name: str, part: str = "") -> str:
    """A table of the sweep, of a part of it or of what is complete."""
    return f"{part}{name}.csv"


def figure(name: str, suffix: str, part: str = "") -> str:
    """A figure in one of its formats, or its data."""
    return f"{part}figures/{name}.{suffix}"


def report(part: str = "") -> str:
    """The report of the sweep, of a part of it or of what is complete."""
    return f"{part}report.html"
