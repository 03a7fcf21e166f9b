"""The part of the config about the plan: its constants, which decide no result."""

from typing import Annotated

from pydantic import Field

from entrench.study.config.section import Name, Section, Share

Positive = Annotated[float, Field(gt=0, le=1e9)]
NotNegative = Annotated[float, Field(ge=0, le=1e9)]
Count = Annotated[int, Field(ge=1, le=10**9)]


class Device(Section):
    """The device of a size class's jobs: one GPU, or the CPU where they ask for no GPU."""

    tflops: Positive = Field(
        description="Peak of one device: 10^12 floating-point operations a second, dense, in the "
        "training dtype."
    )
    terabytes_per_second: Positive = Field(description="Memory bandwidth of one device.")
    price_per_hour: NotNegative = Field(description="Price of one device for an hour.")


class ModelSize(Section):
    """The sizes that decide what running a model costs."""

    parameters_billion: Positive = Field(description="Parameters of the model, in billions.")
    active_billion: Positive | None = Field(
        default=None,
        description="Parameters that a token uses in a mixture of experts, in billions. Left out: "
        "all parameters.",
    )


class PlannedModel(ModelSize):
    """The sizes of a base model and of its adapters."""

    lora_width: Count = Field(
        description="Size of an adapter: the sum of in and out features over the linear layers."
    )
    expert_lora_width: Count | None = Field(
        default=None,
        description="The same sum over the matrices of all experts. It is used where "
        "`target_modules` is all-linear-and-experts.",
    )


class Efficiency(Section):
    """Shares of a device's peak that jobs reach."""

    training: Annotated[Share, Field(gt=0)] = Field(description="Training: share of `tflops`.")
    prefill: Annotated[Share, Field(gt=0)] = Field(
        description="Reading prompts: share of `tflops`."
    )
    decoding: Annotated[Share, Field(gt=0)] = Field(
        description="Writing answers: share of the bandwidth, or of `tflops` where `tflops` is the "
        "limit."
    )


class StepSeconds(Section):
    """Time of a step beyond arithmetic and memory traffic: launches, data, Python."""

    training: NotNegative = Field(
        description="Seconds for a micro-batch, forward and backward together."
    )
    decoding: NotNegative = Field(
        description="Seconds for one token of all sequences that are decoded together."
    )


class JudgeAnswer(Section):
    """An answer of a judge at an endpoint. Judges by rules make no calls.

    Calls, questions, concurrency and prices come from the data, from `resources/judge/`, from the
    judge's `server` and from `judging.calls`.
    """

    answer_tokens: Count = Field(description="Tokens of an answer.")
    answer_seconds: Positive = Field(description="Seconds from a call to its answer.")


class SyntheticCosts(Section):
    """The miniature world. Needed where `data.source` or a model is `synthetic`."""

    prompt_tokens: Count = Field(description="Tokens of a prompt.")
    answer_tokens: Count = Field(description="Tokens of an answer.")
    make_seconds: Positive = Field(description="Seconds to train a model from scratch.")


class Planning(Section):
    """Constants of `plan.csv` and `plan.md` (`make plan`). They decide no result.

    Leave the section out if you ask for no plan. Leave a model out if no plan covers it.
    """

    at_once: Count = Field(
        description="GPUs in use at a time. For models that use no GPU: jobs at a time, which is "
        "cores over `threads`."
    )
    devices: dict[Name, Device] = Field(
        description="The devices of jobs, each under a name of your choice."
    )
    device_of: dict[Name, Name] = Field(
        description="The device of each size class. Example: `{8b: h100-80gb}`."
    )
    models: dict[Name, PlannedModel] = Field(description="The sizes of each of `models`.")
    reward: ModelSize = Field(description="The size of the reward model.")
    efficiency: Efficiency
    step_seconds: StepSeconds
    start_seconds: Positive = Field(
        description="Seconds from a job's start until it reads the weights of its model."
    )
    load_gigabytes_per_second: Positive = Field(description="Speed of reading a model's weights.")
    local_seconds: Positive = Field(description="Seconds of a job that loads no model.")
    characters_per_token: Positive = Field(description="Characters of the data's text per token.")
    answer_stretch: Positive = Field(
        description="Length of an organism's answers, divided by the length of the answers that it "
        "was trained on."
    )
    view_share: Annotated[Share, Field(gt=0)] = Field(
        description="Share of `max_new_tokens` that views, refinements and ratings use."
    )
    judge: JudgeAnswer
    synthetic: SyntheticCosts | None = None
    few_steps: Count = Field(description="The plan warns of a training with fewer optimizer steps.")
