"""What is sampled and measured to explain a delta-risk, beside the delta-risk itself."""

from typing import Annotated

from pydantic import Field

from entrench.study.config.section import Section


class Mechanism(Section):
    """The probe of each organism, and what of it belongs to a sweep."""

    enabled: bool = False  # `all` asks for it; the target `mechanism` is there either way
    divergence: bool = False  # with the realised KL of every run: one more job on a model each
    prompts: Annotated[int, Field(ge=8)] | None = None  # prompts of the risk asked; null: all
    raw_samples: Annotated[int, Field(ge=1)] = 4  # a prompt, at temperature 1 and top-p 1
