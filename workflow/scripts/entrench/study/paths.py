"""The path grammar of the results: every folder and file, said once.

The comment at the top of the Snakefile shows the same for a reader. Names in braces are wildcards,
as in a rule. `{subject}` is the folder of a measurement. `{part}` is empty, or the folder of a part
of the sweep with its slash. `{repeat}` is empty for the first training of a run, or /repeat and its
number: the second training is /repeat2. `{pool}` is empty for the first pool of an organism, or the
number of the repeat that it was drawn again for. All paths lie below `<results>`. Imports nothing.
"""

BASE = "base/{model}/{misalignment}"
ORGANISM = "organisms/{model}/{misalignment}/seed{seed}"
METHOD = f"{ORGANISM}/{{method}}"
RUN = f"{METHOD}{{repeat}}"
REPEAT = "/repeat"
SUBJECTS = (BASE, ORGANISM, RUN)
FURTHER_DRAWS = "pool{pool}/"
FURTHER_DRAW = f"{FURTHER_DRAWS}{{parts}}/"
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
MODEL_FILES = (  # a model that the workflow makes has these
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)
REWARD_FILES = tuple(name for name in MODEL_FILES if name != "generation_config.json")
ADAPTER_WEIGHTS = "adapter/adapter_model.safetensors"
ROLLOUTS = "rollouts.jsonl"
ADAPTER_FILES = ("adapter/adapter_config.json", ADAPTER_WEIGHTS, "run.json")


def base(model: str, misalignment: str) -> str:
    """Folder of a bare model's measurement."""
    return BASE.format(model=model, misalignment=misalignment)


def organism(model: str, misalignment: str, seed: int) -> str:
    """Folder of an organism."""
    return ORGANISM.format(model=model, misalignment=misalignment, seed=seed)


def method(model: str, misalignment: str, seed: int, name: str) -> str:
    """Folder of a method on an organism: its first training, and what its repeats share."""
    return METHOD.format(model=model, misalignment=misalignment, seed=seed, method=name)


def run(model: str, misalignment: str, seed: int, name: str, number: int = 1) -> str:
    """Folder of a method's first training on an organism, or of the repeat with this number."""
    return method(model, misalignment, seed, name) + repeat(number)


def repeat(number: int) -> str:
    """The `{repeat}` of a folder: empty for 1, which is the first training."""
    return "" if number == 1 else f"{REPEAT}{number}"


def pool(number: int) -> str:
    """The `{pool}` of a folder: empty for 1, which is the first pool."""
    return "" if number == 1 else f"{number}"


def slot(misalignment: str, name: str) -> str:
    """The file of a misalignment's slot, or of its `probe`: the prompts that every probe asks."""
    return f"{DATA.format(misalignment=misalignment)}/{name}.jsonl"


def released(path: str) -> str:
    """The place of a released file that was fetched and verified."""
    return f"{RELEASE}/{path}"


def model(name: str) -> str:
    """Folder of a model that the workflow makes."""
    return MODEL.format(model=name)


def scored_by(organism_folder: str, other: str) -> str:
    """Folder of this organism's label samples as scored by the organism of another model."""
    return f"{organism_folder}/scored_by/{other}"


def agreement(misalignment: str) -> str:
    """The table of the agreement of two judges on a misalignment."""
    return f"{JUDGES}/{misalignment}/agreement.csv"


def table(name: str, part: str = "") -> str:
    """A table of the sweep, of a part of it or of its complete runs."""
    return f"{part}{name}.csv"


def figure(name: str, suffix: str, part: str = "") -> str:
    """A figure in one of its formats, or its data."""
    return f"{part}figures/{name}.{suffix}"


def report(part: str = "") -> str:
    """The report of the sweep, of a part of it or of its complete runs."""
    return f"{part}report.html"
