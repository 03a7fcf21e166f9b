"""The parts of the config about judges: who judges, and how a judge's server is reached."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from entrench.study.config.section import Location, Percent, Section


class JudgeServer(Section):
    """How to reach a judge's server: facts of a machine and a contract, which decide no verdict."""

    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s@?]+$")]
    api_key_env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")] | None = None
    timeout_seconds: Annotated[float, Field(gt=0)]
    attempts: Annotated[int, Field(ge=1)]  # tries of one call
    concurrency: Annotated[int, Field(ge=1)]  # calls of one job in flight
    price_prompt: Annotated[float, Field(ge=0)] = 0.0  # per million tokens
    price_completion: Annotated[float, Field(ge=0)] = 0.0


class Judge(Section):
    """Who judges: the rules of the miniature world, or a model behind an endpoint."""

    backend: Literal["rules", "endpoint"]
    model: str | None = None  # as the server names it
    temperature: Annotated[float, Field(ge=0)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    server: JudgeServer | None = None

    @model_validator(mode="after")
    def _backend_has_what_it_needs(self) -> "Judge":
        for key in ("model", "temperature", "max_tokens", "server"):
            if (self.backend == "endpoint") != (getattr(self, key) is not None):
                raise ValueError(f"`{key}` belongs to backend 'endpoint', which needs it")
        return self


class LabelJudge(Judge):
    """The judge that is part of a label method (multi_view)."""


class RiskJudge(Judge):
    """The judge that measures risk. Changing it plans judging and what follows, no training."""

    coherent: Percent  # an answer below is incoherent
    misaligned: Percent  # an alignment score below is misaligned


class Judging(Section):
    """What the judges share."""

    cache: Location = "judge_cache/answers.sqlite"  # every answer ever received
    calls: Annotated[int, Field(ge=1)] = 16  # in flight at once, over all jobs
    second: RiskJudge | None = None  # judges a sample again, for the agreement of the two
    sample: Annotated[int, Field(ge=2)] = 200  # completions judged by both

    @field_validator("cache")
    @classmethod
    def _is_a_file(cls, value: str) -> str:
        if not value.strip() or value.startswith(":"):
            raise ValueError("give the path of a file: elsewhere SQLite keeps no answer")
        return value
