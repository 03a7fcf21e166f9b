"""The part of the config about the mechanism: what is sampled to explain a delta-risk."""

from typing import Annotated

from pydantic import Field

from entrench.study.config.section import Answers, Section


class Mechanism(Section):
    """The mechanism explains a delta-risk: a probe samples each organism on evaluation prompts.

    The target `mechanism` makes it at any time and changes no other result. docs/mechanism.md
    explains its tables.
    """

    enabled: bool = Field(
        default=False,
        description="Whether a run without targets makes the mechanism too. The report and the "
        "comparison with the paper then show it. Each organism is sampled once more, on evaluation "
        "prompts.",
    )
    divergence: bool = Field(
        default=False,
        description="Whether the mechanism includes the realised KL. Each run then needs one more "
        "job on a model.",
    )
    prompts: Annotated[int, Field(ge=8, le=1_000_000)] | None = Field(
        default=None,
        description="Number of evaluation prompts of the risk that a probe asks, and of pairs "
        "whose two prompts are asked for the teacher flip. They are spread evenly over the risk's "
        "groups; the number in each group is rounded up. Left out: all.",
    )
    raw_samples: Answers = Field(
        default=4,
        description="Samples of each prompt at temperature 1 and top-p 1. Surprisal and the "
        "realised KL are measured on them.",
    )
