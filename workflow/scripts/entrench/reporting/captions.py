"""The captions of workflow/report/, which `snakemake --report` shows too."""

from functools import cache
from html import unescape
from types import SimpleNamespace

from docutils.core import publish_parts
from jinja2 import Template
from markupsafe import Markup

from entrench.study.specs.report import CAPTIONS


@cache
def table_caption(table: str) -> Markup:
    """The caption of a table, as HTML."""
    return _html((CAPTIONS / f"{table}.rst").read_text(encoding="utf-8"))


@cache
def figure_caption(figure: str) -> Markup:
    """The caption of a figure, as HTML."""
    template = Template((CAPTIONS / "figures.rst").read_text(encoding="utf-8"))
    wildcards = SimpleNamespace(figure=figure)
    return _html(template.render(snakemake=SimpleNamespace(wildcards=wildcards)))


def alternative(figure: str) -> str:
    """The text for readers who cannot see a figure: first sentence of its caption, and the data."""
    first = figure_caption(figure).striptags().partition(". ")[0]
    return f"{unescape(first).rstrip('.')}. The numbers are in figures/{figure}.csv."


def _html(text: str) -> Markup:
    settings = {
        "file_insertion_enabled": False,
        "raw_enabled": False,
        "halt_level": 2,
        "report_level": 5,
    }
    parts = publish_parts(text, writer="html5", settings_overrides=settings)
    return Markup(parts["body"].strip())
