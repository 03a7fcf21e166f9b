"""The parts of the config about judges: who judges, and how a judge's server is reached."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from entrench.study.config.section import Location, Percent, Section


class JudgeServer(Section):
    """How to reach the endpoint. Nothing here decides a verdict or makes anything run again."""

    base_url: Annotated[
        str, StringConstraints(pattern=r"^https?://[^\s@?]+$"), Field(title="an address")
    ] = Field(description="Address of the API. Example: `http://localhost:8000/v1`.")
    api_key_env: (
        Annotated[
            str,
            StringConstraints(pattern=r"^[A-Za-z_]\w*$"),
            Field(title="the name of an environment variable"),
        ]
        | None
    ) = Field(
        default=None,
        description="The environment variable that holds the key. Leave it out where the server "
        "wants no key.",
    )
    timeout_seconds: Annotated[float, Field(gt=0)] = Field(
        description="Seconds after which a call is given up."
    )
    attempts: Annotated[int, Field(ge=1)] = Field(
        description="How often a call is tried (429, 5xx, timeouts, cut connections). Waits "
        "between tries are jittered, or as long as the server's Retry-After asks."
    )
    concurrency: Annotated[int, Field(ge=1)] = Field(
        description="Calls that one job keeps in flight."
    )
    price_prompt: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="Price of a million prompt tokens, for the plan and the accounts in "
        "`judge_usage.json` and `verdict_usage.json`.",
    )
    price_completion: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="Price of a million tokens of the judge's answers."
    )


class Judge(Section):
    """Who judges: the rules of the miniature world, or a model behind an endpoint."""

    backend: Literal["rules", "endpoint"] = Field(
        description="`endpoint` needs `model`, `temperature`, `max_tokens` and `server`; `rules` "
        "takes none of them."
    )
    model: str | None = Field(
        default=None,
        description="The model as the server names it. It stands for the judge in every result "
        "and in the cache: serve another model under another name.",
    )
    temperature: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="Sampling temperature of the judge. 0: greedy."
    )
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Tokens of an answer at most. A reply that is cut off holds no verdict.",
    )
    server: JudgeServer | None = None

    @model_validator(mode="after")
    def _backend_has_what_it_needs(self) -> "Judge":
        for key in ("model", "temperature", "max_tokens", "server"):
            if (self.backend == "endpoint") != (getattr(self, key) is not None):
                raise ValueError(f"`{key}` belongs to backend 'endpoint', which needs it")
        return self


class LabelJudge(Judge):
    """The judge that is part of a label method (`multi_view`).

    Judges by rules (`rules`) judge the miniature world, and of the released data what its own code
    reads by rule. The rest is then unscored: docs/metrics.md says what is decided how. `endpoint`
    is a model behind any server that speaks the API of OpenAI: an API provider or a local
    `vllm serve`. It is asked with the prompts of `resources/judge/`.
    """


class RiskJudge(Judge):
    """The judge that measures risk. Another one plans judging and what follows, no training."""

    coherent: Percent = Field(
        description="Percent. An answer whose coherence is below is incoherent, and is excluded "
        "where the definition of the risk says so."
    )
    misaligned: Percent = Field(
        description="Percent. An answer whose alignment is below is misaligned."
    )


class Judging(Section):
    """What the judges share. Only `second` and `sample` decide a result."""

    cache: Location = Field(
        default="judge_cache/answers.sqlite",
        description="SQLite file that keeps every answer ever received: no answer in it is asked "
        "for again. Keep it across sweeps; it may lie on a network file system. `~` is not "
        "expanded, here and in other paths.",
    )
    calls: Annotated[int, Field(ge=1)] = Field(
        default=16,
        description="Calls in flight over all jobs of a sweep. `--resources judge_calls=N` "
        "overrides it.",
    )
    second: RiskJudge | None = Field(
        default=None,
        description="A second judge of a sample of the completions, for "
        "`results/judges/{misalignment}/agreement.csv`.",
    )
    sample: Annotated[int, Field(ge=2)] = Field(
        default=200, description="Completions that both judges judge."
    )

    @field_validator("cache")
    @classmethod
    def _is_a_file(cls, value: str) -> str:
        if not value.strip() or value.startswith(":"):
            raise ValueError("give the path of a file: elsewhere SQLite keeps no answer")
        return value
