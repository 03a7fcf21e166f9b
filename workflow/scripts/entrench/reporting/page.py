"""The page: tables, figures and provenance in page.html.j2, as one file that needs no other."""

import base64
import re
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from entrench.analysis.catalogue import TABLES
from entrench.analysis.risk.repeats import RUN_KEY
from entrench.analysis.statistics.effect import FEWEST_MODELS
from entrench.analysis.summary.names import ALL_METHODS
from entrench.analysis.summary.partial import OUTDATED
from entrench.analysis.tables import scalar
from entrench.reporting.captions import alternative, figure_caption, table_caption
from entrench.reporting.formatting import NONE, Frames
from entrench.reporting.provenance import Provenance
from entrench.reporting.questions import LEAD, QUESTIONS, in_short
from entrench.study import paths

_TEMPLATES = Path(__file__).parent
# Measured with config/demo.yaml on two types of CPU.
SINGLE_RUNS = (
    "A single run of the miniature world is not a finding. On another type of CPU two runs of the "
    "demo on sycophancy changed their sign: multi_view went from -7.3 to +16.2 percentage points, "
    "self_confidence from -14.2 to +3.1. All four intervals over prompts exclude 0."
)


def page(
    frames: Frames,
    figures: Mapping[str, bytes],
    *,
    config: Mapping[str, Any],
    facts: Provenance,
    name: str,
    note: str | None,
) -> str:
    """The report as HTML.

    `frames`: stem of a table's file -> table; runs_detail, organisms and summary must be there.
    `figures`: name -> PNG. `config` is the config to show, `facts` the provenance. `note` marks
    simulated results. `name` says which part of the sweep the report is about.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _with_code

    def shown(figure: str) -> dict[str, Any]:
        return {
            "name": figure,
            "sentence": sentence(figures[figure]),
            "data": base64.b64encode(figures[figure]).decode(),
            "alt": alternative(figure),
            "caption": figure_caption(figure),
        }

    sections = [
        {
            "title": question.title,
            "how": question.how,
            "absent": None if question.table in frames else question.absent,
            "caption": table_caption(question.table),
            "table": question.show(frames) if question.table in frames else None,
            "figures": [shown(figure) for figure in question.figures if figure in figures],
        }
        for question in QUESTIONS
    ]
    return environment.get_template("page.html.j2").render(
        name=name,
        note=note,
        counts=_counts(frames),
        missing=frames["missing"].height if "missing" in frames else 0,
        outdated=_outdated(frames),
        in_short=in_short(frames),
        lead=[shown(figure) for figure in LEAD if figure in figures],
        sections=sections,
        partial=partial(frames, config),
        statistics=config["statistics"],
        evaluation=config["evaluation"],
        facts=facts,
        config=yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True),
        blank=NONE,
        tables=[TABLES[question.table] for question in QUESTIONS if question.table in frames],
    )


def sentence(png: bytes) -> str | None:
    """The sentence of a figure that is nothing else (`figures.layout.sentence`), from its PNG."""
    with Image.open(BytesIO(png)) as picture:
        return picture.info.get("Description")


def _with_code(text: str) -> Markup:
    """A text with its words between backticks as HTML code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def partial(frames: Frames, config: Mapping[str, Any]) -> list[str]:
    """Sentences on what is missing, invalid, unscored or limited, each with its number."""
    runs, organisms = frames["runs_detail"], frames["organisms"]
    found = []
    if "missing" in frames and (missing := frames["missing"].height):
        found.append(f"{_are(missing, 'run')} missing; missing.csv says which.")
        if outdated := _outdated(frames):
            found.append(
                f"{outdated} of them {'was' if outdated == 1 else 'were'} made with other "
                "settings. The next sweep makes anew what the change concerns."
            )
    refused = runs.filter(~runs["valid"])
    named = zip(_named(refused, "method"), refused["repeat"], strict=True)
    if invalid := sorted(name + paths.repeat(number) for name, number in named):
        found.append(f"{_are(len(invalid), 'invalid run')} left out: {', '.join(invalid)}.")
    if weak := sorted(_named(organisms.filter(~organisms["effective"]))):
        found.append(
            f"Induction was not shown to work in {_counted(len(weak), 'organism')}. Figures and "
            "tables hold their runs; a row in which half of the organisms are such cannot tell: "
            f"{', '.join(weak)}."
        )
    unscored = runs.filter(runs["trained_unscored_share"] > 0)
    if unscored.height:
        worst = scalar(unscored["trained_unscored_share"].max())
        found.append(
            f"{_counted(_runs(unscored), 'run')} with unscored completions, at most {worst:.1%} "
            "of a run's completions."
        )
    if "decomposition" not in frames:
        found.append(
            "The mechanism is not part of this report (mechanism.enabled is off, or the sweep is "
            "unfinished)."
        )
    elif "divergence" not in frames:
        found.append("The realised KL is not part of this report (mechanism.divergence is off).")
    health = frames.get("judge_health")
    if health is None or "agreement" not in set(health["measure"]):
        found.append("No second judge was asked, so nothing says how far judges agree.")
    single = frames["summary"].filter(method=ALL_METHODS)["n_models"].max()
    if single is not None and (number := int(scalar(single))) < FEWEST_MODELS:
        models = "one model" if number == 1 else f"{number} models"
        found.append(f"All organisms are of {models}: nothing here is about other models.")
    if config["data"]["source"] == "synthetic":
        found.append(
            "Data and models are of the miniature world: they show that the pipeline can measure."
        )
        found.append(SINGLE_RUNS)
    return found


def _outdated(frames: Frames) -> int:
    return frames["missing"].filter(reason=OUTDATED).height if "missing" in frames else 0


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _are(number: int, what: str) -> str:
    return f"{_counted(number, what)} {'is' if number == 1 else 'are'}"


def _named(frame: Any, *further: str) -> list[str]:
    columns = ("model", "misalignment", "seed", *further)
    return ["/".join(map(str, row)) for row in frame.select(columns).iter_rows()]


def _runs(frame: Any) -> int:
    """The runs of some rows of runs_detail.csv, each once: without its repeats."""
    return frame.select(RUN_KEY).n_unique()


def _counts(frames: Frames) -> dict[str, int]:
    organisms, runs = frames["organisms"], frames["runs_detail"]
    return {
        "models": organisms["model"].n_unique(),
        "misalignments": organisms["misalignment"].n_unique(),
        "organisms": organisms.height,
        "runs": _runs(runs),
        "repeats": runs.height - _runs(runs),
    }
