"""What is sampled and measured to explain a delta-risk, beside the delta-risk itself."""

from typing import Annotated

from pydantic import Field

from entrench.study.config.section import Section


class Mechanism(Section):
    """What explains a delta-risk: a probe samples each organism on the evaluation prompts.

    The target `mechanism` makes it at any time and changes no other result. docs/mechanism.md
    explains its tables.
    """

    enabled: bool = Field(
        default=False,
        description="Whether a plain run makes the mechanism too. Report and comparison with the "
        "paper then hold it. It samples each organism once more, on evaluation prompts.",
    )
    divergence: bool = Field(
        default=False,
        description="Whether the mechanism includes the realised KL: one more job on a model for "
        "every run.",
    )
    prompts: Annotated[int, Field(ge=8)] | None = Field(
        default=None,
        description="Evaluation prompts of the risk that a probe asks, spread evenly over the "
        "risk's groups, each rounded up. Left out: all prompts.",
    )
    raw_samples: Annotated[int, Field(ge=1)] = Field(
        default=4,
        description="Samples of each prompt at temperature 1 and top-p 1. Surprisal and the "
        "realised KL are measured on them.",
    )
