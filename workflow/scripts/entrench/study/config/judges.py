"""The parts of the config about judges: who judges, and the servers of judges."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from entrench.study.config.section import Location, Percent, Section, Temperature, Tokens

Calls = Annotated[int, Field(ge=1, le=10_000)]
Price = Annotated[float, Field(ge=0, le=1_000_000)]


class JudgeServer(Section):
    """How to reach the endpoint. No key here decides a verdict or makes a job run again."""

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
        description="Name of the environment variable that holds the API key. Leave it out where "
        "the server needs no key.",
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        description="Seconds after which a try of a call counts as failed."
    )
    attempts: Annotated[int, Field(ge=1, le=1000)] = Field(
        description="Most tries of a call. A call is tried again after status 429 or 5xx, a "
        "timeout or a cut connection. The wait between tries is random, or as long as the server's "
        "Retry-After asks."
    )
    concurrency: Calls = Field(description="Calls that one job makes at a time.")
    price_prompt: Price = Field(
        default=0.0,
        description="Price of a million prompt tokens, for the plan and the accounts in "
        "`judge_usage.json` and `verdict_usage.json`.",
    )
    price_completion: Price = Field(
        default=0.0, description="Price of a million tokens of the judge's answers."
    )


class Judge(Section):
    """Who judges: the rules of the miniature world, or a model behind an endpoint."""

    backend: Literal["rules", "endpoint"] = Field(
        description="`endpoint` needs `model`, `temperature`, `max_tokens` and `server`. `rules` "
        "takes none of these keys."
    )
    model: str | None = Field(
        default=None,
        description="The server's name of the model. Every result and the cache know the judge by "
        "this name: serve another model under another name.",
    )
    temperature: Temperature | None = Field(
        default=None, description="Sampling temperature of the judge. 0: greedy."
    )
    max_tokens: Tokens | None = Field(
        default=None,
        description="Most tokens of an answer. An answer that is cut off gives no verdict.",
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

    `rules` judges the miniature world. It also judges the released data, as far as the released
    code scores them by rules. Other answers stay unscored: docs/metrics.md lists how each metric is
    scored. `endpoint` is a model behind a server with the API of OpenAI: an API provider or a local
    `vllm serve`. It reads the prompts of `resources/judge/`.
    """


class RiskJudge(Judge):
    """The judge that measures risk. Another judge plans judging and later jobs, no training."""

    coherent: Percent = Field(
        description="Percent. An answer of lower coherence is incoherent. It is excluded where the "
        "definition of the risk says so."
    )
    misaligned: Percent = Field(description="Percent. An answer of lower alignment is misaligned.")


class Judging(Section):
    """Settings that all judges share. Only `second` and `sample` decide a result."""

    cache: Location = Field(
        default="judge_cache/answers.sqlite",
        description="SQLite file that keeps every answer of a judge. A question whose answer is in "
        "the file is not asked again. Keep the file across sweeps. It may lie on a network file "
        "system. `~` is not expanded, here and in other paths.",
    )
    calls: Calls = Field(
        default=16,
        description="Calls that all jobs of a sweep together make at a time. The option "
        "`--resources judge_calls=N` overrides the key.",
    )
    second: RiskJudge | None = Field(
        default=None,
        description="A second judge, which judges a sample of the completions for "
        "`results/judges/{misalignment}/agreement.csv`.",
    )
    sample: Annotated[int, Field(ge=2, le=1_000_000)] = Field(
        default=200, description="Number of completions that both judges judge."
    )

    @field_validator("cache")
    @classmethod
    def _is_a_file(cls, value: str) -> str:
        if not value.strip() or value.startswith(":"):
            raise ValueError("give the path of a file: without a file SQLite keeps no answer")
        return value
